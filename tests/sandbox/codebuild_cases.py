"""Helpers of CodeBuild's tests: a project with its service role, builds, and waiting for them."""

from __future__ import annotations

import io
import json
import zipfile

from access import allow, make_role, trusting
from waiting import until

LOGS = allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])
TRUST = trusting({"Service": "codebuild.amazonaws.com"})
ENVIRONMENT = {
    "type": "LINUX_CONTAINER",
    "computeType": "BUILD_GENERAL1_SMALL",
    "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
}


def spec(*commands, **parts):
    """Return an inline buildspec whose build phase has these commands."""
    phases = {"build": {"commands": list(commands)}} if commands else {}
    said = {"version": 0.2, **parts, "phases": {**phases, **parts.get("phases", {})}}
    return json.dumps(said, indent=1)


def make_project(sandbox, buildspec="", *statements, role="builder", **more):
    """Create the project `app` in dev with its service role; return a client of CodeBuild."""
    arn = make_role(sandbox, role, *(statements or [LOGS]), trust=TRUST)
    client = sandbox.client("codebuild", "dev")
    source = {"type": "NO_SOURCE", "buildspec": buildspec} if buildspec else {"type": "NO_SOURCE"}
    said = {
        "name": "app",
        "source": source,
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": ENVIRONMENT,
        "serviceRole": arn,
        **more,
    }
    client.create_project(**said)
    return client


def ended(client, build):
    """Wait for a build's end and return it."""

    def look():
        (found,) = client.batch_get_builds(ids=[build["id"]])["builds"]
        return found if found["buildComplete"] else None

    return until(look)


def built(client, **given):
    """Start a build of `app` and return it as it ended."""
    return ended(client, client.start_build(projectName="app", **given)["build"])


def phase(build, kind):
    (found,) = [one for one in build["phases"] if one["phaseType"] == kind]
    return found


def why(build):
    """Return status code and message of the phase that failed."""
    contexts = [one for part in build["phases"] for one in part.get("contexts", [])]
    (found,) = [one for one in contexts if one["statusCode"]]
    return found["statusCode"], found["message"]


def log(sandbox, build):
    """Return the lines of a build's log."""
    logs = build["logs"]
    found = sandbox.client("logs", "dev").get_log_events(
        logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=True
    )
    return [event["message"].rstrip("\n") for event in found["events"]]


def zipped(files, modes=None):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, 0o644) << 16
            archive.writestr(info, text)
    return packed.getvalue()
