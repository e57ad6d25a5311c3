"""Projects that `make oracle` rendered, and an SDK that can reach nothing."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

os.environ.update(
    AWS_DEFAULT_REGION="eu-west-1",  # the SDK needs one to be imported
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    SAGEMAKER_VALIDATE_ROLE="false",
    SAGEMAKER_ADMIN_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_USER_CONFIG_OVERRIDE=os.devnull,
)
for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)

PROJECTS = sorted((Path(__file__).parents[2] / "build" / "oracle").glob("*/*/"))
if not PROJECTS:
    pytest.exit("build/oracle holds no project: run this through `make oracle`", returncode=1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_more: object) -> NoReturn:
        raise AssertionError("compiling must reach no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(params=PROJECTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def project(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One rendered project, whose `pipeline` package is the one that is imported."""
    forget()
    monkeypatch.syspath_prepend(str(request.param))
    yield request.param
    forget()


def forget() -> None:
    for name in [n for n in sys.modules if n == "pipeline" or n.startswith("pipeline.")]:
        del sys.modules[name]


def load(name: str) -> ModuleType:
    return importlib.import_module(f"pipeline.{name}")


def ours() -> dict[str, Any]:
    """Return the project's own definition."""
    settings = load("settings").Settings.load("dev", {})
    return json.loads(load("pipeline").build(settings).definition())


def theirs(template: str) -> dict[str, Any]:
    """Return the definition that the SDK makes of the same pipeline."""
    import boto3
    import sdk_pipeline
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    settings = load("settings").Settings.load("dev", {})
    session = PipelineSession(
        boto_session=boto3.Session(
            "none",  # pragma: allowlist secret
            "none",
            region_name=settings.region,
        ),
        default_bucket=settings.cloud.bucket,
    )
    code = load("cloud").package(settings).code
    return json.loads(sdk_pipeline.build(template, settings, code, session).definition())
