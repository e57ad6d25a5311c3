"""Answers CloudFormation's custom resources: the body, and its way to the address it gave."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

LIMIT = 4096  # bytes of the whole body
LONGEST = 12  # bytes of one character in JSON
WAITS = (0, 2, 8)  # seconds before each attempt
LOOPBACK = ("127.0.0.1", "localhost")
PERMANENT = range(400, 500)


def body(reply: Mapping[str, Any], status: str, reason: str) -> bytes:
    """Return an answer of at most 4,096 bytes; what is too long is cut from the reason's end.

    Args:
        reply: StackId, RequestId, LogicalResourceId and PhysicalResourceId.
        status: SUCCESS or FAILED.
        reason: why, which is put on one line.
    """
    answer = {
        "Status": status,
        "PhysicalResourceId": reply["PhysicalResourceId"],
        "StackId": reply["StackId"],
        "RequestId": reply["RequestId"],
        "LogicalResourceId": reply["LogicalResourceId"],
    }
    line = " ".join(reason.split())[:LIMIT] or "no reason was given"
    packed = json.dumps({**answer, "Reason": line}).encode()
    while len(packed) > LIMIT:
        line = line[: -max(4, (len(packed) - LIMIT) // LONGEST)] + "..."
        packed = json.dumps({**answer, "Reason": line}).encode()
    return packed


def send(url: str, content: bytes) -> None:
    """Put an answer to where CloudFormation waits for it.

    Raises:
        OSError: it did not arrive, or the address is none of CloudFormation's.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise OSError("ResponseURL is no https address")
    trouble: OSError = OSError("not tried")
    for wait in WAITS:
        time.sleep(wait)
        # CloudFormation signs the address for an empty content type.
        asked = urllib.request.Request(  # noqa: S310 (its scheme was looked at)
            url, data=content, method="PUT", headers={"Content-Type": ""}
        )
        try:
            with urllib.request.urlopen(asked, timeout=30):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            trouble = OSError(f"CloudFormation's bucket answered {error.code} {error.reason}")
            if error.code in PERMANENT:
                break
        except OSError as error:
            trouble = error
    raise trouble
