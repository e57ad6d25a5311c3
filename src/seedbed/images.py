"""Writes layers/model-build/config/container.json: the one image, its libraries, its registries.

The registries come from the SageMaker SDK (the `oracle` dependency group), whose table needs no
network. The libraries are those that the image's own source pins: docker/xgboost/pyproject.toml in
github.com/aws/deep-learning-containers, commit 0004682f98f5ad9594fde06dc2dcbbdac6c63797.
It imports nothing of seedbed, so that the oracle's environment can run this file (`make images`).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "layers/model-build/config/container.json"
FRAMEWORK, VERSION, PYTHON = "xgboost", "3.2-0", "3.12"
LIBRARIES = {
    "numpy": "2.1.0",
    "pandas": "2.2.3",
    "pyarrow": "22.0.0",
    "scikit-learn": "1.8.0",
    "xgboost": "3.2.0",
}
USUAL_DOMAIN = "amazonaws.com"
ADDRESS = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?P<domain>[a-z0-9.-]+)"
    r"/(?P<repository>[\w/-]+):(?P<tag>[\w.-]+)"
)


def container(addresses: dict[str, str]) -> dict[str, Any]:
    """Return what container.json holds, from the image's address in each region.

    Raises:
        ValueError: if an address is not one of ECR's, or its repository or tag is another one.
    """
    registries, domains, repositories = {}, {}, set()
    for region, address in sorted(addresses.items()):
        match = ADDRESS.fullmatch(address)
        if not match or match["region"] != region or not match["tag"].startswith(VERSION):
            raise ValueError(f"the SDK's image for {region} is {address!r}: check {FRAMEWORK}")
        registries[region] = match["account"]
        repositories.add((match["repository"], match["tag"]))
        if match["domain"] != USUAL_DOMAIN:
            domains[region] = match["domain"]
    if len(repositories) != 1:
        raise ValueError(f"the SDK has several images for {VERSION}: {sorted(repositories)}")
    ((repository, tag),) = repositories
    return {
        "framework": FRAMEWORK,
        "version": tag,
        "repository": repository,
        "python": PYTHON,
        "libraries": LIBRARIES,
        "registries": registries,
        "domains": domains,
    }


def addresses() -> dict[str, str]:
    """Return the image's address in each region that the installed SDK knows."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the SDK wants one at import
    try:
        from sagemaker.core import image_uris  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(f"{error}: run `make images`, which installs the SDK") from error
    config = image_uris.config_for_framework(FRAMEWORK)["training"]["versions"][VERSION]
    return {
        region: image_uris.retrieve(
            FRAMEWORK, region, version=VERSION, image_scope="training", instance_type="ml.m5.xlarge"
        )
        for region in config["registries"]
    }


def main() -> None:
    """Write the file and say what is in it."""
    found = container(addresses())
    text = json.dumps(found, indent=2) + "\n"
    TARGET.write_text(text, encoding="utf-8", newline="\n")
    print(f"{TARGET}: {found['version']} in {len(found['registries'])} regions")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"images: {error}")
