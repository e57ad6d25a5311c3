"""Service Catalog: all of it is ours, or refused by name."""

from __future__ import annotations

from seedbed.sandbox.services.servicecatalog_constraints import Constraints
from seedbed.sandbox.services.servicecatalog_history import History
from seedbed.sandbox.services.servicecatalog_plans import Plans
from seedbed.sandbox.services.servicecatalog_portfolios import Portfolios
from seedbed.sandbox.services.servicecatalog_products import Products
from seedbed.sandbox.services.servicecatalog_search import Search
from seedbed.sandbox.services.servicecatalog_shares import Shares
from seedbed.sandbox.services.servicecatalog_tagoptions import TagOptions


class ServiceCatalog(Portfolios, Products, Constraints, TagOptions, Shares, Plans, History, Search):
    """Portfolios, products, constraints, TagOptions, shares, provisioning, plans and search."""
