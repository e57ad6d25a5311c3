"""Projects that `make oracle` rendered, and each one's definition: its own and the SDK's."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest_plugins = ["offline"]

PROJECTS = sorted((Path(__file__).parents[2] / "build" / "oracle").glob("*/*/"))
if not PROJECTS:
    pytest.exit("build/oracle holds no project: run this through `make oracle`", returncode=1)

CLOUD = {
    "ARTIFACT_BUCKET": "bucket-of-the-stack",
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "EXECUTION_ROLE_ARN": "arn:aws:iam::111122223333:role/path/execution",
    "SUBNET_IDS": "subnet-0a1b2c, subnet-3d4e5f",
    "SECURITY_GROUP_IDS": "sg-0a1b2c",
    "GIT_COMMIT": "0123abc",
}


def another(module: ModuleType) -> Any:
    """Return settings that differ from the generated ones wherever a pipeline may differ."""
    settings = module.Settings.load("dev", {})
    return replace(
        settings,
        instance_type="ml.m5d.2xlarge",  # encrypts its own disks: no key for the volume
        target_column="--a column",
        gate=module.Gate(settings.problem.metrics[-1], 0.0),
        split=module.Split((0.5, 0.25, 0.25), 0),
        training=module.Training(50, 5, 6, 0.05, 1.0),
        model_package_group="another-group",
        cache="PT12H",
    )


SITUATIONS: dict[str, Callable[[ModuleType], Any]] = {
    "generated": lambda module: module.Settings.load("dev", {}),
    "prod-in-a-vpc": lambda module: module.Settings.load("prod", CLOUD),
    "another": another,
}


@pytest.fixture(params=PROJECTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def project(request: pytest.FixtureRequest) -> Path:
    return request.param


@contextmanager
def importing(project: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Give a function that imports a module of this project's own package `pipeline`."""
    sys.path.insert(0, str(project))
    try:
        yield lambda name: importlib.import_module(f"pipeline.{name}")
    finally:
        sys.path.remove(str(project))
        for name in [n for n in sys.modules if n == "pipeline" or n.startswith("pipeline.")]:
            del sys.modules[name]


@cache
def definitions(project: Path, situation: str = "generated") -> tuple[Any, Any]:
    """Return the project's own definition, and the one that the SDK makes of the same pipeline."""
    import sdk_pipeline

    with importing(project) as load:
        settings = SITUATIONS[situation](load("settings"))
        ours = load("pipeline").build(settings).definition()
        code = load("cloud").package(settings).code
    made = session(settings.region, settings.cloud.bucket)
    theirs = sdk_pipeline.build(project.parent.name, settings, code, made).definition()
    return json.loads(ours), json.loads(theirs)


def session(region: str = "eu-west-1", bucket: str = "bucket") -> Any:
    """Return a session of the SDK that is told all it may want to ask AWS for."""
    import boto3
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    return PipelineSession(boto_session=boto3.Session(region_name=region), default_bucket=bucket)
