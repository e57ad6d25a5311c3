"""`seedbed doctor`: what users report as broken, each with its remedy; it only reads.

The modules that are imported here add their checks, in this order.
"""

from seedbed.doctor import assets, catalog, network, roles, seeder, studio, why
from seedbed.doctor.checks import VIEWS, Finding, Result, State, examine, sites, view_of
from seedbed.doctor.site import Asked, Site, View

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
    "roles",
    "seeder",
    "sites",
    "studio",
    "view_of",
    "why",
]
