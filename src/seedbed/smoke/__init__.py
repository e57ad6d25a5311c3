"""`make aws-smoke`: the platform and one project, from nothing to nothing, in two real accounts."""

from seedbed.smoke.command import main

__all__ = ["main"]
