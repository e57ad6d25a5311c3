"""The variables of a build: CodeBuild's own, and those kept in parameters and secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from seedbed.sandbox.services.codebuild.role import Role

MOST = 10  # names in one GetParameters


class VariableError(Exception):
    """Why a variable has no value, and the status code of the phase's context."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def resolve(role: Role, said: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the values of variables: plain, of the parameter store, of Secrets Manager.

    Raises:
        VariableError: One cannot be had, or the service role may not read it.
    """
    variables = list(said)
    of = {
        kind: {one["name"]: one["value"] for one in variables if _kind(one) == kind}
        for kind in ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")
    }
    found = dict(of["PLAINTEXT"])
    found |= _parameters(role, of["PARAMETER_STORE"])
    found |= {name: _secret(role, one) for name, one in of["SECRETS_MANAGER"].items()}
    return found


def _kind(variable: Mapping[str, str]) -> str:
    return variable.get("type") or "PLAINTEXT"


def _parameters(role: Role, wanted: Mapping[str, str]) -> dict[str, str]:
    code, names = "Decrypted Variables Error", sorted(set(wanted.values()))
    values: dict[str, str] = {}
    for start in range(0, len(names), MOST):
        try:
            answer = role.client("ssm").get_parameters(
                Names=names[start : start + MOST], WithDecryption=True
            )
        except ClientError as error:
            raise VariableError(code, _told(error)) from error
        if missing := answer.get("InvalidParameters"):
            raise VariableError(code, f"parameter does not exist: {missing[0]}")
        values |= {one["Name"]: one["Value"] for one in answer["Parameters"]}
    return {name: values[one] for name, one in wanted.items()}


def _secret(role: Role, reference: str) -> str:
    """Return a secret, or a key of it: `id:json-key:version-stage:version-id`; an id may be ARN."""
    code = "Secrets Manager Error"
    parts = reference.split(":")
    size = 7 if reference.startswith("arn:") else 1  # parts of the id itself
    key, stage, version = [*parts[size:], "", "", ""][:3]
    asked = {"SecretId": ":".join(parts[:size])}
    asked |= {"VersionStage": stage} if stage else {}
    asked |= {"VersionId": version} if version else {}
    try:
        text = role.client("secretsmanager").get_secret_value(**asked)["SecretString"]
    except ClientError as error:
        raise VariableError(code, _told(error)) from error
    if not key:
        return str(text)
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        raise VariableError(code, f"the secret {parts[0]} has no key {key}") from None


def _told(error: ClientError) -> str:
    said = error.response["Error"]
    return f"{said['Code']}: {said['Message']}"


def own(build: Mapping[str, Any], *, source: str, url: str) -> dict[str, str]:
    """Return what CodeBuild tells a build of itself; `source` is where its source lies."""
    region, account = build["arn"].split(":")[3:5]
    project = f"arn:aws:codebuild:{region}:{account}:project/{build['projectName']}"
    logs = build.get("logs", {})
    said = {
        "CODEBUILD_BUILD_ARN": build["arn"],
        "CODEBUILD_BUILD_ID": build["id"],
        "CODEBUILD_BUILD_IMAGE": build["environment"]["image"],
        "CODEBUILD_BUILD_NUMBER": str(build["buildNumber"]),
        "CODEBUILD_CI": "true",
        "CODEBUILD_INITIATOR": build["initiator"],
        "CODEBUILD_KMS_KEY_ID": build["encryptionKey"],
        "CODEBUILD_LOG_PATH": logs.get("streamName", ""),
        "CODEBUILD_PROJECT_ARN": project,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": build.get("resolvedSourceVersion", ""),
        "CODEBUILD_SOURCE_REPO_URL": url,
        "CODEBUILD_SOURCE_VERSION": build.get("sourceVersion", ""),
        "CODEBUILD_SRC_DIR": source,
        "CODEBUILD_START_TIME": str(int(build["startTime"].timestamp() * 1000)),
    }
    return {name: one for name, one in said.items() if one}
