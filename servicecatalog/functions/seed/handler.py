"""The function `seedbed-seed`: starts the build that seeds, answers where no build can."""

from __future__ import annotations

import os
from typing import Any

import boto3
import core
import reply
from botocore.config import Config

SETTINGS = Config(retries={"mode": "adaptive", "max_attempts": 8})


def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 (Lambda's signature)
    """Serve a request of CloudFormation, or the news that a build has failed."""
    codebuild = boto3.client("codebuild", config=SETTINGS)
    if "RequestType" in event:
        custom_resource(event, codebuild)
    else:
        build_failed(event, codebuild)


def custom_resource(event: dict[str, Any], codebuild: Any) -> None:  # noqa: ANN401 (a client)
    """Answer a request of CloudFormation, or start the build that will."""
    result = core.outcome(event)
    if not result.status:
        try:
            variables = core.environment(event, result)
            build = codebuild.start_build(
                projectName=os.environ["BUILD_PROJECT"],
                idempotencyToken=event["RequestId"],  # Lambda may run twice for one request
                environmentVariablesOverride=[
                    {"name": name, "value": value, "type": "PLAINTEXT"}
                    for name, value in variables.items()
                ],
            )["build"]
        except Exception as error:  # noqa: BLE001 (CloudFormation is answered in every case)
            reason = f"the seeding build could not be started: {error}"
            result = core.Outcome(result.physical_id, "FAILED", reason)
        else:
            print(f"{event['RequestType']} of {result.physical_id}: build {build['id']}")
            return
    print(f"{event['RequestType']} of {result.physical_id}: {result.status}, {result.reason}")
    whom = {**event, "PhysicalResourceId": result.physical_id}
    reply.send(event["ResponseURL"], reply.body(whom, result.status, result.reason))


def build_failed(event: dict[str, Any], codebuild: Any) -> None:  # noqa: ANN401 (a client)
    """Answer for a build that may have ended before it could.

    Where the build itself has answered, CloudFormation takes no notice of a second answer.
    """
    build = codebuild.batch_get_builds(ids=[event["detail"]["build-id"]])["builds"][0]
    given = {one["name"]: one["value"] for one in build["environment"]["environmentVariables"]}
    if "SEED_REPLY" not in given:
        print(f"build {build['id']} was started by hand: nobody waits for it")
        return
    whom, reason = core.unpack(given["SEED_REPLY"]), core.failure(build)
    print(f"build {build['id']}: {reason}")
    reply.send(whom["ResponseURL"], reply.body(whom, "FAILED", reason))
