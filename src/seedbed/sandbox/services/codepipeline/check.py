"""Pipelines as they are declared: what CodePipeline refuses, and what the sandbox cannot run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.service import ServiceError, unsupported

NAME = re.compile(r"[A-Za-z0-9.@_-]{1,100}")
V2_ONLY = ("variables", "triggers")
MODES = ("SUPERSEDED", "QUEUED", "PARALLEL")
LEAST_STAGES = 2
GLOB = re.compile(r"[\[\]{}]")


@dataclass(frozen=True)
class Provider:
    """An action type that runs here."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    inputs: tuple[int, int] = (0, 0)
    outputs: tuple[int, int] = (0, 0)


_BUILD = Provider(
    ("ProjectName",),
    ("BatchEnabled", "CombineArtifacts", "EnvironmentVariables", "PrimarySource"),
    (1, 5),
    (0, 5),
)
PROVIDERS: dict[tuple[str, str], Provider] = {
    ("Source", "CodeCommit"): Provider(
        ("RepositoryName", "BranchName"),
        ("PollForSourceChanges", "OutputArtifactFormat"),
        outputs=(1, 1),
    ),
    ("Source", "CodeStarSourceConnection"): Provider(
        ("ConnectionArn", "FullRepositoryId", "BranchName"),
        ("DetectChanges", "OutputArtifactFormat"),
        outputs=(1, 1),
    ),
    ("Source", "S3"): Provider(
        ("S3Bucket", "S3ObjectKey"),
        ("PollForSourceChanges", "AllowOverrideForS3ObjectKey"),
        outputs=(1, 1),
    ),
    ("Build", "CodeBuild"): _BUILD,
    ("Test", "CodeBuild"): _BUILD,
    ("Approval", "Manual"): Provider((), ("CustomData", "ExternalEntityLink", "NotificationArn")),
    ("Deploy", "CloudFormation"): Provider(
        ("ActionMode", "StackName"),
        (
            "Capabilities", "ChangeSetName", "OutputFileName", "ParameterOverrides", "RoleArn",
            "TemplateConfiguration", "TemplatePath",
        ),
        (0, 10),
        (0, 1),
    ),
    ("Invoke", "Lambda"): Provider(("FunctionName",), ("UserParameters",), (0, 5), (0, 5)),
}  # fmt: skip
# Values that turn on what does not run here.
REFUSED = {
    "AllowOverrideForS3ObjectKey": "true",
    "BatchEnabled": "true",
    "CombineArtifacts": "true",
}
FORMATS = ("CODE_ZIP", "CODEBUILD_CLONE_REF")
# ActionMode -> what else it needs
ACTION_MODES = {
    "CREATE_UPDATE": ("TemplatePath",),
    "REPLACE_ON_FAILURE": ("TemplatePath",),
    "CHANGE_SET_REPLACE": ("TemplatePath", "ChangeSetName"),
    "CHANGE_SET_EXECUTE": ("ChangeSetName",),
    "DELETE_ONLY": (),
}


def _structure(message: str) -> ServiceError:
    return ServiceError("InvalidStructureException", message)


def _action(message: str) -> ServiceError:
    return ServiceError("InvalidActionDeclarationException", message)


def declared(given: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return a declaration with the defaults that CodePipeline adds.

    Raises:
        ServiceError: It is wrong, or something in it does not run here, by name.
    """
    if not NAME.fullmatch(given["name"]):
        raise ServiceError("ValidationException", f"{given['name']!r} is no valid pipeline name")
    if ("artifactStore" in given) == ("artifactStores" in given):
        raise _structure("Exactly one of artifactStore and artifactStores is needed")
    if "artifactStores" in given and region not in given["artifactStores"]:
        raise _structure(f"artifactStores has no store in {region}")
    newer = [key for key in V2_ONLY if given.get(key)]
    newer += ["onFailure"] if any("onFailure" in one for one in given["stages"]) else []
    newer += ["executionMode"] if given.get("executionMode", MODES[0]) != MODES[0] else []
    kind = given.get("pipelineType") or ("V2" if newer else "V1")
    if kind == "V1" and newer:
        raise _structure(f"{newer[0]} needs a pipeline of type V2")
    made = {
        **json.loads(json.dumps(given)),
        "pipelineType": kind,
        "executionMode": given.get("executionMode", MODES[0]),
    }
    made["stages"] = [_stage(one, region) for one in made["stages"]]
    _check_order(made)
    _check_artifacts(made)
    for trigger in made.get("triggers", []):
        _check_trigger(made, trigger)
    return made


def _stage(given: dict[str, Any], region: str) -> dict[str, Any]:
    name = given["name"]
    for key in ("blockers", "beforeEntry", "onSuccess"):
        if given.get(key):
            raise unsupported(f"{key} of the stage {name} of a pipeline")
    failure = given.get("onFailure", {})
    if "conditions" in failure or failure.get("result") == "SKIP":
        what = "conditions" if "conditions" in failure else "SKIP"
        raise unsupported(f"onFailure.{what} of the stage {name} of a pipeline")
    if "retryConfiguration" in failure and failure.get("result") != "RETRY":
        raise _structure(f"retryConfiguration of the stage {name} needs the result RETRY")
    if not given["actions"]:
        raise ServiceError("InvalidStageDeclarationException", f"The stage {name} has no actions")
    actions = [_check_action(one, name, region) for one in given["actions"]]
    names = [one["name"] for one in actions]
    if len(set(names)) < len(names):
        raise _action(f"Actions of the stage {name} have the same name")
    return {**given, "actions": actions}


def _check_action(given: dict[str, Any], stage: str, region: str) -> dict[str, Any]:
    kind = given["actionTypeId"]
    where = f"the action {given['name']} of the stage {stage}"
    told = f"{kind['category']}/{kind['owner']}/{kind['provider']}"
    provider = PROVIDERS.get((kind["category"], kind["provider"]))
    if provider is None or kind["owner"] != "AWS" or kind["version"] != "1":
        raise unsupported(f"the action type {told}/{kind['version']} ({where} of a pipeline)")
    for key in ("commands", "outputVariables", "environmentVariables"):
        if given.get(key):
            raise unsupported(f"{key} of {where} of a pipeline")
    if given.get("region", region) != region:
        raise unsupported(f"the region {given['region']} of {where} of a pipeline")
    if any("files" in one for one in given.get("outputArtifacts", [])):
        raise unsupported(f"outputArtifacts.files of {where} of a pipeline")
    _check_configuration(provider, given.get("configuration", {}), where)
    for key, (least, most) in (
        ("inputArtifacts", provider.inputs),
        ("outputArtifacts", provider.outputs),
    ):
        if not least <= len(given.get(key, [])) <= most:
            raise _action(f"{where} has {len(given.get(key, []))} {key}: {least} to {most} of them")
    if len(given.get("inputArtifacts", [])) > 1 and kind["provider"] == "CodeBuild":
        primary = given.get("configuration", {}).get("PrimarySource")
        if primary not in {one["name"] for one in given["inputArtifacts"]}:
            raise _action(f"{where} has several inputs: PrimarySource names one of them")
    defaults = {"runOrder": 1, "configuration": {}, "inputArtifacts": [], "outputArtifacts": []}
    return {**defaults, **given}


def _check_configuration(provider: Provider, given: Mapping[str, str], where: str) -> None:
    needed = provider.required + ACTION_MODES.get(given.get("ActionMode", ""), ())
    if missing := [key for key in needed if not given.get(key)]:
        raise _action(f"Action configuration for {where} is missing {missing[0]}")
    if unknown := sorted(set(given) - {*provider.required, *provider.optional}):
        raise _action(f"Action configuration for {where} contains unknown key {unknown[0]}")
    for key, value in REFUSED.items():
        if given.get(key, "").lower() == value.lower():
            raise unsupported(f"{key}: {value} of {where} of a pipeline")
    if given.get("OutputArtifactFormat", "CODE_ZIP") not in FORMATS:
        raise _action(
            f"OutputArtifactFormat {given['OutputArtifactFormat']} of {where} is not valid"
        )
    if given.get("ActionMode", "CREATE_UPDATE") not in ACTION_MODES:
        raise _action(f"ActionMode {given['ActionMode']} of {where} is not valid")


def _check_order(made: Mapping[str, Any]) -> None:
    stages = made["stages"]
    if len(stages) < LEAST_STAGES:
        raise _structure("A pipeline has at least two stages")
    names = [one["name"] for one in stages]
    if len(set(names)) < len(names):
        raise _structure("Stages have the same name")
    for number, stage in enumerate(stages):
        for action in stage["actions"]:
            source = action["actionTypeId"]["category"] == "Source"
            if source != (number == 0):
                place = "only in" if source else "and nothing else in"
                message = f"Source actions belong {place} the first stage: {action['name']}"
                raise _structure(message)
    if stages[0].get("onFailure", {}).get("result") == "ROLLBACK":
        raise _structure("The source stage cannot be rolled back")
    if made["executionMode"] == "PARALLEL" and any(
        one.get("onFailure", {}).get("result") == "ROLLBACK" for one in stages
    ):
        raise _structure("A pipeline in PARALLEL mode cannot roll back")


def _check_artifacts(made: Mapping[str, Any]) -> None:
    known: set[str] = set()
    for stage in made["stages"]:
        for order in sorted({one["runOrder"] for one in stage["actions"]}):
            group = [one for one in stage["actions"] if one["runOrder"] == order]
            for action in group:
                for one in action["inputArtifacts"]:
                    if one["name"] not in known:
                        message = f"The input {one['name']} of {action['name']} is nobody's output"
                        raise _action(message)
            for name in (one["name"] for action in group for one in action["outputArtifacts"]):
                if name in known:
                    raise _action(f"The output artifact {name} has two sources")
                known.add(name)


def _check_trigger(made: Mapping[str, Any], trigger: Mapping[str, Any]) -> None:
    said = trigger["gitConfiguration"]
    sources = {
        one["name"]
        for one in made["stages"][0]["actions"]
        if one["actionTypeId"]["provider"] == "CodeStarSourceConnection"
    }
    if said["sourceActionName"] not in sources:
        raise _structure(f"The trigger's {said['sourceActionName']} is no connection's source")
    if said.get("pullRequest"):
        raise unsupported("pullRequest of a trigger of a pipeline")
    for pattern in _patterns(said):
        if GLOB.search(pattern):
            raise unsupported(f"the glob pattern {pattern} of a trigger of a pipeline")


def _patterns(said: Mapping[str, Any]) -> Iterator[str]:
    for push in said.get("push", []):
        for part in push.values():
            yield from part.get("includes", [])
            yield from part.get("excludes", [])
