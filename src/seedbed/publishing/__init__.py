"""Brings a release to AWS: what is there, what differs from the declaration, the calls between."""

from seedbed.publishing.apply import apply
from seedbed.publishing.aws import Account
from seedbed.publishing.changes import Change, Plan
from seedbed.publishing.plan import plan
from seedbed.publishing.withdraw import withdrawal

__all__ = ["Account", "Change", "Plan", "apply", "plan", "withdrawal"]
