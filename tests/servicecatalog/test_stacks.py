"""The stacks of hub and spokes, and the ML Admin products, as templates: form, access, sizes."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import cfn_rules
import cfnlint
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from conftest import ROOT

CATALOG = ROOT / "servicecatalog"
LAYERS = ROOT / "layers"
PATHS = {
    f"{path.parent.name}/{path.name}": path
    for folder in ("hub", "spoke", "products")
    for path in sorted((CATALOG / folder).glob("*.yml"))
}
TYPE = re.compile(r"Type: (AWS::\w+::\w+)\s*$", re.MULTILINE)
POLICY, INLINE, ATTACHED = 6_144, 10_240, 10  # IAM's quotas: characters, characters, policies
# Actions with a resource type that the request may lack, and why "*" is needed then.
OPTIONAL = {
    "cloudformation:GetTemplateSummary": "a template that is no stack yet",
    "cloudwatch:GetMetricData": "metrics of no dataset",
    "cloudwatch:ListMetrics": "metrics of no dataset",
    "kms:TagResource": "tagging a key while it is created",
}
# What Service Catalog and CloudFormation do with a stack: "Launch constraints", stack operations.
OF_STACKS = re.compile(r"cloudformation:\w+|iam:PassRole|lambda:InvokeFunction|s3:GetObject")
# What AWS's documentation asks of whoever creates something, beside the registry's handlers.
DOCUMENTED = {
    "codeconnections:PassConnection": "CodePipeline with a connection",
    "cloudwatch:UntagResource": "stack tags",
    "codecommit:GetRepository": "the attributes that a template reads",
    "codebuild:BatchGetProjects": "CodeBuild's handlers are not in the registry",
    "codebuild:CreateProject": "CodeBuild's handlers are not in the registry",
    "codebuild:DeleteProject": "CodeBuild's handlers are not in the registry",
    "codebuild:UpdateProject": "CodeBuild's handlers are not in the registry",
    "codepipeline:ListTagsForResource": "stack tags",
    "iam:DeleteRolePermissionsBoundary": "a boundary that is taken away",
    "iam:ListRoleTags": "stack tags",
    "kms:Decrypt": "CodeCommit encrypts as who creates the repository",
    "kms:Encrypt": "CodeCommit encrypts as who creates the repository",
    "kms:GenerateDataKey": "CodeCommit encrypts as who creates the repository",
    "kms:GenerateDataKeyWithoutPlaintext": "CodeCommit encrypts as who creates the repository",
    "kms:ReEncryptFrom": "CodeCommit encrypts as who creates the repository",
    "kms:ReEncryptTo": "CodeCommit encrypts as who creates the repository",
    "ec2:DescribeSecurityGroups": "a domain in a VPC",
    "ec2:DescribeSubnets": "a domain in a VPC",
    "ec2:DescribeVpcs": "a domain in a VPC",
    "glue:GetDatabase": "what a share names must be there",
    "glue:GetTable": "what a share names must be there",
    "s3:GetBucketLocation": "Athena looks for the results' bucket",
    "sagemaker:DeleteResourcePolicy": "RAM writes the policies of what it shares",
    "sagemaker:GetResourcePolicy": "RAM writes the policies of what it shares",
    "sagemaker:PutResourcePolicy": "RAM writes the policies of what it shares",
    "sagemaker:ListDomains": "a domain's name must be free",
    "sns:Unsubscribe": "an address that changes",
    "sso:AssociateProfile": "a domain of Identity Center's users",
    "sso:CreateManagedApplicationInstance": "a domain of Identity Center's users",
    "sso:DeleteManagedApplicationInstance": "a domain of Identity Center's users",
    "sso:DisassociateProfile": "a domain of Identity Center's users",
    "sso:GetManagedApplicationInstance": "a domain of Identity Center's users",
    "sso:GetProfile": "a domain of Identity Center's users",
    "sso:ListProfileAssociations": "a domain of Identity Center's users",
    "sso:ListProfiles": "a domain of Identity Center's users",
}
# What a launch role's policies are for: the templates whose stacks it creates.
LAUNCHED = {
    "roles.yml": [*LAYERS.glob("*/infra/*.yml"), *(CATALOG / "products/parts").glob("*.yml")],
    "admin.yml": list((CATALOG / "products").glob("*.yml")),
}
CATALOG_API = "servicecatalog"
SKIPS = 15  # of checkov, over servicecatalog/ and the four composed products
COMPOSED = 4


@cache
def template(name: str) -> cfn_rules.Template:
    return cfn_rules.read(PATHS[name])


@cache
def without_resource(action: str) -> bool:
    """Tell whether IAM knows no resource for an action, by AWS's reference in cfn-lint."""
    path = Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json"
    prefix, _, name = action.partition(":")
    actions = _reference(path)[prefix]["Actions"]
    return not actions[name.lower()].get("Resources")


@cache
def _reference(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def is_excepted(breach: str) -> bool:
    """Tell whether a breach is one that cfn_rules cannot know to be none."""
    if found := re.search(r"allows (\S+) on everything", breach):
        return found[1] in OPTIONAL or without_resource(found[1])
    # A rejected approval that is tried once more asks the one who rejected once more.
    return "Pipeline.Approve has no OnFailure" in breach


def granted(name: str, *, without: tuple[str, ...] = ()) -> set[str]:
    """Return every action that a template allows to identities."""
    return {
        action
        for where, statement in cfn_rules.statements(template(name))
        for action in cfn_rules.actions(statement)
        if not where.startswith(without)
    }


def measured(document: Any, body: cfn_rules.Template) -> int:
    """Return a policy's length with the longest values, as IAM counts it: without white space."""
    longest = dict(cfn_rules.LONGEST)
    for key, rule in body.section("Parameters").items():
        longest[key] = "x" * int(rule.get("MaxLength", 140))

    def plain(value: Any) -> Any:
        if isinstance(value, dict) and list(value) == ["Fn::If"]:
            return max((plain(v) for v in value["Fn::If"][1:]), key=lambda v: len(json.dumps(v)))
        if isinstance(value, dict) and list(value) == ["Fn::Sub"]:
            text = value["Fn::Sub"]
            text = text if isinstance(text, str) else text[0]
            return re.sub(r"\$\{([^!}]+)\}", lambda m: longest.get(m[1], "x" * 100), text)
        if isinstance(value, dict) and set(value) & {"Ref", "Fn::GetAtt"}:
            return "x" * 140
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items() if v != cfn_rules.NO_VALUE}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return len(re.sub(r"\s", "", json.dumps(plain(document), separators=(",", ":"))))


def handlers(paths: list[Path]) -> set[str]:
    """Return what the registry says that the templates' types need, for all their handlers."""
    texts = [path.read_text("utf-8") for path in paths]
    kinds = {kind for text in texts for kind in TYPE.findall(text)}
    found = set()
    for kind in kinds:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        groups = [*schema.get("handlers", {}).values(), schema.get("tagging") or {}]
        found |= {action for group in groups for action in group.get("permissions", [])}
    return found


# Form


def test_cfn_lint_finds_nothing():
    command = ["cfn-lint", "--include-checks", "I", "--append-rules", "cfn_lint_serverless.rules"]
    binary = ROOT / ".venv" / "bin" / command[0]
    done = subprocess.run(
        [
            str(binary) if binary.exists() else command[0],
            *command[1:],
            "--",
            *map(str, PATHS.values()),
        ],
        capture_output=True,
        text=True,
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("name", sorted(PATHS))
def test_the_template_keeps_our_rules(name):
    assert [b for b in cfn_rules.check(template(name)) if not is_excepted(b)] == []


@pytest.mark.parametrize("name", sorted(PATHS))
def test_policies_fit_iam(name):
    body = template(name)
    for key, properties in body.of_type("IAM::ManagedPolicy"):
        assert measured(properties["PolicyDocument"], body) <= POLICY, key
    for key, properties in body.of_type("IAM::Role"):
        policies = list(cfn_rules.items(properties.get("Policies", [])))
        assert sum(measured(p["PolicyDocument"], body) for p in policies) <= INLINE, key
        assert len(list(cfn_rules.items(properties.get("ManagedPolicyArns", [])))) <= ATTACHED, key


def test_checkov_skips_are_few_and_name_their_reason():
    skips = []
    for path in PATHS.values():
        for resource in cfn_rules.read(path).section("Resources").values():
            skips += resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    layers = [path.read_text("utf-8") for path in LAYERS.glob("*/infra/*.yml")]
    inherited = COMPOSED * sum(len(re.findall(r"\bCKV\w+", text)) for text in layers)
    assert all(set(skip) == {"id", "comment"} and len(skip["comment"]) > 20 for skip in skips)
    assert len(skips) + inherited <= SKIPS


def test_the_list_of_endpoints_is_what_the_stack_makes():
    body = template("spoke/endpoints.yml")
    listed = {
        group: sorted(services)
        for group, services in body.section("Metadata")["SeedbedEndpoints"].items()
    }
    made: dict[str, list[str]] = {}
    for key, properties in body.of_type("EC2::VPCEndpoint"):
        group = body.section("Resources")[key].get("Condition", "HasAlways").removeprefix("Has")
        service = properties["ServiceName"]["Fn::Sub"].replace("${AWS::Region}", "{region}")
        made.setdefault(group, []).append(service)
    assert listed == {group: sorted(services) for group, services in made.items()}


# Access


@pytest.mark.parametrize("file", LAUNCHED)
def test_a_launch_role_may_do_what_its_stacks_need_and_nothing_else(file):
    allowed = granted(f"spoke/{file}", without=("ProjectPolicy", "InventoryRole"))
    needed = handlers(LAUNCHED[file])
    unexplained = {a for a in allowed if not OF_STACKS.fullmatch(a)} - needed - set(DOCUMENTED)
    # An older prefix of the same service.
    assert unexplained - {"codestar-connections:PassConnection"} == set()


def test_nothing_explains_what_nobody_grants():
    every = granted("spoke/roles.yml") | granted("spoke/admin.yml")
    assert set(DOCUMENTED) - every == set()
    assert set(OPTIONAL) - set().union(*(granted(name) for name in PATHS)) == set()


def test_the_boundary_covers_the_roles_of_projects():
    roles = {
        action
        for path in LAYERS.glob("*/infra/*.yml")
        for _, statement in cfn_rules.statements(cfn_rules.read(path))
        for action in cfn_rules.actions(statement)
    }
    boundary = {
        action
        for where, statement in cfn_rules.statements(template("spoke/roles.yml"))
        for action in cfn_rules.actions(statement)
        if where.startswith("ProjectPolicy")
    }
    assert boundary == roles


def test_the_launch_role_reaches_no_identity_but_those_of_projects():
    for where, statement in cfn_rules.statements(template("spoke/roles.yml")):
        if any(a.startswith("iam:") for a in cfn_rules.actions(statement)):
            for resource in cfn_rules.items(statement["Resource"]):
                name = resource["Fn::Sub"].rsplit("/", 1)[-1]
                assert name.startswith(("seedbed-p-", "SC-*-Network", "SP-*-Network")), where


def test_the_plan_runs_before_the_approval_and_only_reads():
    writes = {a for a in granted("hub/publish.yml", without=("PublishPolicy",)) if _changes(a)}
    # Of the pipeline itself: its files, its builds, its logs, its questions.
    own = {"s3:PutObject", "s3:PutObjectAcl", "codebuild:StartBuild", "sns:Publish"}
    own |= {"logs:CreateLogStream", "logs:PutLogEvents"}
    network = {a for a in writes if a.startswith("ec2:")}
    assert writes - own - network == set()


def _changes(action: str) -> bool:
    verb = action.partition(":")[2]
    return verb.startswith(
        (
            "Add",
            "Associate",
            "Create",
            "Delete",
            "Disassociate",
            "Publish",
            "Put",
            "Start",
            "Update",
        )
    )


def test_the_roles_that_publish_may_call_what_the_code_calls():
    operations = set(botocore.session.get_session().get_service_model(CATALOG_API).operation_names)
    text = "".join(p.read_text("utf-8") for p in (ROOT / "src/seedbed/publishing").glob("*.py"))
    said = set(re.findall(r'"([A-Z]\w+)"', text))
    said |= {
        _operation(name) for name in re.findall(r'["._](describe_\w+|list_\w+|search_\w+)', text)
    }
    called = {f"{CATALOG_API}:{name}" for name in said & operations}
    # Only a person retires what is offered: `publish --prune`, `teardown hub --portfolios`.
    called -= {f"{CATALOG_API}:DeleteProduct", f"{CATALOG_API}:DeletePortfolio"}
    allowed = granted("hub/publish.yml")
    assert called == {action for action in allowed if action.startswith(f"{CATALOG_API}:")}


def _operation(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def test_the_admin_role_attaches_the_policies_that_exist():
    made = {
        properties["ManagedPolicyName"]
        for _, properties in template("spoke/users.yml").of_type("IAM::ManagedPolicy")
    }
    role = dict(template("products/user-profile.yml").of_type("IAM::Role"))["Role"]
    arns = [arn["Fn::Sub"] for arn in cfn_rules.items(role["ManagedPolicyArns"])]
    attached = {arn.rsplit("/", 1)[-1] for arn in arns}
    assert attached - made == {"seedbed-team-${Team}-${AWS::Region}"}
    assert made - attached == set()
    text = PATHS["spoke/admin.yml"].read_text("utf-8")
    assert all(f"policy/{name}\n" in text for name in made)
