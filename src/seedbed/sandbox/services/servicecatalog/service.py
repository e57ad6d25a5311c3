"""Service Catalog: all of it is ours, or refused by name."""

from __future__ import annotations

from seedbed.sandbox.services.servicecatalog.constraints import Constraints
from seedbed.sandbox.services.servicecatalog.history import History
from seedbed.sandbox.services.servicecatalog.plans import Plans
from seedbed.sandbox.services.servicecatalog.portfolios import Portfolios
from seedbed.sandbox.services.servicecatalog.products import Products
from seedbed.sandbox.services.servicecatalog.search import Search
from seedbed.sandbox.services.servicecatalog.shares import Shares
from seedbed.sandbox.services.servicecatalog.tagoptions import TagOptions


class ServiceCatalog(Portfolios, Products, Constraints, TagOptions, Shares, Plans, History, Search):
    """Portfolios, products, constraints, TagOptions, shares, provisioning, plans and search."""
