"""`seedbed doctor`: what users report as broken, each with its remedy; it only reads."""

from seedbed.doctor import (  # each module adds its checks, in this order
    catalog,
    roles,
    assets,
    seeder,
    studio,
    network,
    project,
)
from seedbed.doctor.checks import VIEWS, Finding, Result, State, View, examine, sites, view_of
from seedbed.doctor.site import Asked, Site

__all__ = [
    "VIEWS",
    "Asked",
    "Finding",
    "Result",
    "Site",
    "State",
    "View",
    "assets",
    "catalog",
    "examine",
    "network",
    "project",
    "roles",
    "seeder",
    "sites",
    "studio",
    "view_of",
]
