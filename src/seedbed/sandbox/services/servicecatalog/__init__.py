"""Service Catalog: portfolios, products, shares, provisioning."""
