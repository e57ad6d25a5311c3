"""The seeder's modules, a place where CloudFormation would wait, and requests to send."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

from conftest import ROOT, commit, git, make_repository

from seedbed.packaging import archive

FUNCTION = ROOT / "servicecatalog" / "functions" / "seed"
TEMPLATE = "model-build-s3"
STACK = "arn:aws:cloudformation:eu-west-1:333333333333:stack/SC-1/u-u-i-d"
CONNECTION = "arn:aws:codeconnections:eu-west-1:333333333333:connection/0a1b-2c3d"
ADDRESS = "https://git.example.com/ml-platform/seedbed.git"
PROPERTIES: dict[str, Any] = {
    "ServiceToken": "arn:aws:lambda:eu-west-1:333333333333:function:seedbed-seed",
    "ServiceTimeout": "3600",
    "ProjectId": "p-abc123",
    "ProjectName": "churn",
    "Template": "model-build-s3",
    "TemplateVersion": "v0.1.0",
    "TemplateAddress": ADDRESS,
    "Bundle": f"bundles/{'0' * 64}/model-build-s3.bundle",
    "GitHost": "github",
    "RepositoryId": "acme/churn",
    "Branch": "main",
    "ConnectionArn": CONNECTION,
    "Answers": {"project_name": "churn", "owner": "risk", "target_column": ""},
}


def two_releases(folder: Path) -> Path:
    """Make a repository of templates with two releases."""
    made = make_repository(folder, "v0.1.0")
    body = next((made / "templates" / TEMPLATE).glob("*__project_slug*"))
    with (body / "Makefile").open("a") as file:
        file.write("# newer\n")
    commit(made, "v0.2.0")
    return made


def packed(templates: Path, *versions: str) -> bytes:
    tags = {version: git(templates, "rev-parse", f"{version}^{{commit}}") for version in versions}
    return archive.bundle(templates, ["copier.yml", f"templates/{TEMPLATE}"], tags)


def _modules() -> dict[str, ModuleType]:
    """Import the function's modules, and leave their plain names free for other functions."""
    names = ("core", "reply", "handler", "build")
    sys.path.insert(0, str(FUNCTION))
    try:
        return {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(FUNCTION))
        for name in names:
            sys.modules.pop(name, None)


MODULES = _modules()
core, reply, handler = (MODULES[name] for name in ("core", "reply", "handler"))
build = MODULES["build"]


def event(kind: str = "Create", url: str = "https://example.com/answer", **changed: Any) -> Any:
    """Return a request of CloudFormation."""
    made = {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": STACK,
        "RequestId": "request-1",
        "LogicalResourceId": "Repository",
        "ResourceType": "Custom::SeedbedRepository",
        "ResourceProperties": {**PROPERTIES, **changed},
    }
    if kind != "Create":
        made["PhysicalResourceId"] = PROPERTIES["RepositoryId"]
        made["OldResourceProperties"] = PROPERTIES
    return made


class Waiting:
    """Where answers arrive; `failures` of them are turned away first."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.url = ""


@contextmanager
def cloudformation() -> Iterator[Waiting]:
    """Serve an address to which answers may be put."""
    waiting = Waiting()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if waiting.failures:
                self.send_response(waiting.failures.pop(0))
            else:
                assert self.headers["Content-Type"] == ""
                assert len(content) <= 4096
                waiting.answers.append(json.loads(content))
                self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Keep the tests' output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    waiting.url = f"http://127.0.0.1:{server.server_port}/answer?signature=secret"
    try:
        yield waiting
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
