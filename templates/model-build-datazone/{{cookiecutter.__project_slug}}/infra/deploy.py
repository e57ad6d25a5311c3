"""Deploy the project's stacks in order, by change set: show what would change, ask, execute.

A parameter takes its value from config/, from infra/parameters-<env>.json, or from the output of
the same name of an earlier stack.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
from pipeline import data_source  # noqa: E402 (found through the line above)
from pipeline.settings import Settings, SettingsError  # noqa: E402
from stack import Stack, StackError  # noqa: E402

STACKS = ("project", "registry", "data", "build", "source")
MARKER = ".seedbed-project"  # Studio's "Create project" leaves it, with the place of its stacks
ID_LENGTH = 20  # SageMaker's own limit of a project's id
# What the pipeline and a GitHub workflow read from the environment, and who has it.
ENVIRONMENT = {
    "AWS_REGION": "AWS::Region",
    "ARTIFACT_BUCKET": "ArtifactBucketName",
    "KMS_KEY_ARN": "KmsKeyArn",
    "EXECUTION_ROLE_ARN": "ExecutionRoleArn",
    "SUBNET_IDS": "SubnetIds",
    "SECURITY_GROUP_IDS": "SecurityGroupIds",
    "SAGEMAKER_PROJECT_ID": "ProjectId",
    "SAGEMAKER_PROJECT_NAME": "ProjectName",
    "AWS_ROLE_ARN": "WorkflowRoleArn",
}
Template = dict[str, Any]


class InputError(ValueError):
    """A value that cannot be used, in one line: its name, the value, what to write instead."""


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as plain values: `!Ref X` as {"Ref": "X"}."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> Template:
    if isinstance(node, yaml.MappingNode):
        value: Any = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = str(node.value).split(".", 1) if suffix == "GetAtt" else node.value
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _short_form)


def templates() -> dict[str, Template]:
    """Return the project's templates in the order of their deployment."""
    files = {name: (FOLDER / f"{name}.yml").read_text("utf-8") for name in STACKS}
    return {name: yaml.load(text, Loader=Loader) for name, text in files.items()}  # noqa: S506 (safe)


def project_id(name: str) -> str:
    """Return an id of at most 20 characters, another one for each name."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name if len(name) <= ID_LENGTH else f"{name[:11].rstrip('-')}-{digest}"


def given(env: str, settings: Settings) -> dict[str, str]:
    """Return the parameters that files give."""
    path = FOLDER / f"parameters-{env}.json"
    try:
        file = dict(json.loads(path.read_text("utf-8")).items())
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"infra/{path.name} cannot be read ({error}): add or mend it") from None
    values = {
        **data_source.stack_parameters(settings),
        "Environment": env,
        "ModelPackageGroupName": settings.model_package_group,
        "ProjectId": project_id(settings.project + ("" if env == "dev" else f"-{env}")),
        "ProjectName": settings.project,
    }
    return {name: str(value) for name, value in {**values, **file}.items()}


def check(stacks: Mapping[str, Template], values: Mapping[str, str]) -> None:
    """Hold every value against the templates. Raises InputError for the first that they refuse."""
    rules = {name: rule for stack in stacks.values() for name, rule in stack["Parameters"].items()}
    for name, value in values.items():
        if name not in rules:
            raise InputError(f"{name} is {value!r}, but no template has it: mend the name")
        rule = rules[name]
        for part in value.split(",") if rule["Type"] == "CommaDelimitedList" else [value]:
            fits = re.match(rule.get("AllowedPattern", ""), part, re.ASCII)
            allowed = part in rule.get("AllowedValues", [part])
            if not (fits and allowed and len(part) <= rule.get("MaxLength", 4096)):
                raise InputError(f"{name} is {part!r}: it {rule['ConstraintDescription']}")


def read_marker() -> dict[str, str]:
    """Return where Studio created the project; nothing if it did not."""
    try:
        born = json.loads((FOLDER.parent / MARKER).read_text("utf-8"))
        return {name: born[name] for name in ("account", "region", "project_name", "project_id")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{MARKER} cannot be read ({error}): bring it back from git") from None


def refuse_studios(account: str, region: str) -> None:
    """Raise InputError where a project of Studio, whose product made its stacks, runs already."""
    born = read_marker()
    if born and (born["account"], born["region"]) == (account, region):
        project = f"{born['project_name']} ({born['project_id']})"
        raise InputError(
            f"Studio created project {project} in {account}, {region}, with a stack of its own:"
            " update the project instead; the stack's outputs name what `make upsert` asks for"
        )


def obstacle(name: str, template: Template, values: Mapping[str, str]) -> str:
    """Return why a stack cannot be deployed now; nothing if it can."""
    reachable = values["ConnectionArn"] or values["GitHost"] == "codecommit"
    if name == "source" and not (reachable and values["RepositoryId"]):
        return "the parameters name no RepositoryId and ConnectionArn: no push is built"
    rules = template["Parameters"]
    missing = [key for key, rule in rules.items() if key not in values and "Default" not in rule]
    return f"it needs {', '.join(missing)} of the stacks before it" if missing else ""


def deploy(env: str, *, plan: bool, yes: bool) -> int:
    """Deploy, or with `plan` only show. Returns the exit code: 1 where the answer was no."""
    settings, stacks = Settings.load(env), templates()
    values = given(env, settings)
    check(stacks, values)
    session = boto3.Session(region_name=settings.region)
    account = session.client("sts").get_caller_identity()["Account"]
    refuse_studios(account, settings.region)
    print(f"{settings.project} ({env}) in account {account}, {settings.region}")
    client = session.client("cloudformation")
    values["AWS::Region"] = settings.region
    tags = {
        "owner": settings.owner,
        "sagemaker:project-id": values["ProjectId"],
        "sagemaker:project-name": values["ProjectName"],
    }
    for name, template in stacks.items():
        if reason := obstacle(name, template, values):
            if not plan and name != "source":
                raise StackError(f"{name}: {reason}")
            print(f"{name}: skipped: {reason}")
            continue
        stack = Stack(client, f"seedbed-{values['ProjectId']}-{name}")
        chosen = {key: values[key] for key in template["Parameters"] if key in values}
        changes = stack.prepare((FOLDER / f"{name}.yml").read_text("utf-8"), chosen, tags)
        print("\n".join([f"{name}:" if changes else f"{name}: nothing changes", *changes]))
        if changes and not plan and (yes or _agreed(stack)):
            stack.execute()
        elif changes:
            stack.discard()
            if not plan:
                return 1
        if outputs := stack.outputs():  # one whose condition does not hold is empty
            values |= {**dict.fromkeys(template["Outputs"], ""), **outputs}
    for variable, name in ENVIRONMENT.items():
        if values.get(name) and "ExecutionRoleArn" in values:
            print(f"export {variable}={values[name]}")
    return 0


def _agreed(stack: Stack) -> bool:
    """Ask. Whoever ends the input instead, or interrupts, leaves no change set behind."""
    try:
        return input("deploy? [y/N] ").strip().lower() == "y"
    except EOFError:
        print("no answer: give --yes where nobody can be asked")
        return False
    except KeyboardInterrupt:
        stack.discard()
        raise


def main() -> int:
    """Parse the command line. Returns 2 with one line where an input is wrong."""
    parser = argparse.ArgumentParser(description="Deploy the project's stacks by change set.")
    parser.add_argument("--env", default="dev", help="which configuration and parameters to take")
    parser.add_argument("--plan", action="store_true", help="show the changes, make none")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    try:
        return deploy(options.env, plan=options.plan, yes=options.yes)
    except (InputError, SettingsError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError, StackError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("deploy: interrupted; run it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
