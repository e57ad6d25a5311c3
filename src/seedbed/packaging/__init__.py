"""Packaging: everything that a release publishes, in one folder, the same to the byte each time."""

from seedbed.packaging.release import (
    MANIFEST,
    Manifest,
    Object,
    ProductObject,
    function_key,
    functions,
    package,
    read,
)

__all__ = [
    "MANIFEST",
    "Manifest",
    "Object",
    "ProductObject",
    "function_key",
    "functions",
    "package",
    "read",
]
