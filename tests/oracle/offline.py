"""A pytest plugin: no credentials, and each attempt to reach a network fails the test.

An attempt is noted as well as refused: the SDK hides some in threads that swallow every error.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

for name in [n for n in os.environ if n.startswith(("AWS_", "SAGEMAKER_"))]:
    del os.environ[name]
os.environ.update(
    AWS_DEFAULT_REGION="eu-west-1",  # the SDK needs one to be imported
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    SAGEMAKER_VALIDATE_ROLE="false",
    SAGEMAKER_ADMIN_CONFIG_OVERRIDE=os.devnull,
    SAGEMAKER_USER_CONFIG_OVERRIDE=os.devnull,
)

from botocore.client import BaseClient  # noqa: E402 (after the environment)
from sagemaker.core.telemetry import telemetry_logging  # noqa: E402 (after the environment)

ATTEMPTS: list[str] = []


def refusing(what: str) -> Callable[..., NoReturn]:
    def refuse(*arguments: object, **_more: object) -> NoReturn:
        ATTEMPTS.append(f"{what}{arguments}")
        raise OSError(f"no network here: {what}{arguments}")

    return refuse


BaseClient._make_api_call = refusing("an AWS call")
for member in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, member, refusing(member))
socket.getaddrinfo = refusing("getaddrinfo")
# As TelemetryOptOut does, which the SDK's configuration checks take four seconds a compile for.
telemetry_logging._send_telemetry_request = lambda *_args, **_more: None


@pytest.fixture(autouse=True)
def attempts() -> Iterator[list[str]]:
    """Fail the test that tried to reach a network, whoever caught the error."""
    ATTEMPTS.clear()
    yield ATTEMPTS
    assert not ATTEMPTS
