"""Every template that we generate keeps our own rules, and every rule bites."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import cfn_rules
import pytest
import yaml

from seedbed import catalog

LAYERS = catalog.CHECKOUT / "layers"
WORKFLOW = next((LAYERS / "model-build" / "{{cookiecutter.__workflows}}").iterdir())
TEMPLATES = {
    path.parent.parent.name + "/" + path.name: path for path in LAYERS.glob("*/infra/*.yml")
}
STACKS = ("project", "registry", "data", "build", "source")
PRODUCTS = [
    layer.name for layer in LAYERS.glob("data-*") if (layer / "infra" / "data.yml").exists()
]

# A rule, the template that is broken, what is replaced, by what, and what the rule then says.
DEFECTS = [
    ("order", "data", "Outputs:\n", "Mappings: {}\nOutputs:\n", "order"),
    ("described", "data", "    Description: Role that reads the data\n", "", "ExecutionRoleName"),
    (
        "described",
        "data",
        "Description: Policy that lets the",
        "Note: Policy that lets the",
        "DataP",
    ),
    ("constrained", "data", "    AllowedPattern: ^[\\w+=,.@-]{1,64}$\n", "", "ExecutionRoleName"),
    ("constrained", "data", "]{1,64}$\n", "]{1,64}\n", "lacks"),
    (
        "constrained",
        "project",
        "    ConstraintDescription: must be an id",
        "    # must be an id",
        "VpcId",
    ),
    ("interface", "data", "[DataLocation, DataKeyArn]", "[DataLocation]", "groups"),
    ("interface", "data", "      ProjectId: {default: Project id}\n", "", "labels"),
    ("names", "data", "HasDataKey", "DataKeyGiven", "neither Has nor Is"),
    ("names", "data", "DataPolicy:", "DataPolicyResource:", "DataPolicyResource"),
    ("size", "data", "Outputs:", "#" + "x" * 60_000 + "\nOutputs:", "bytes"),
    (
        "no_exports",
        "data",
        "Value: !Ref DataPolicy",
        "Value: !Ref DataPolicy\n    Export: {Name: x}",
        "exported",
    ),
    ("no_exports", "data", "Resource: !Ref DataKeyArn", "Resource: !ImportValue key", "imported"),
    ("no_aliases", "data", "Roles: [", "Roles: &roles [", "anchor"),
    ("lengths", "project", "MaxLength: 20", "MaxLength: 22", "BucketName may have 64"),
    (
        "lengths",
        "project",
        "seedbed-${ProjectId}-execution-",
        "seedbed-${ProjectId}-runs-jobs-of-a-pipeline-",
        "RoleName",
    ),
    ("no_wildcard_actions", "data", "Action: s3:GetObject", 'Action: "s3:*"', "allows s3:*"),
    ("no_wildcard_actions", "data", "Action: kms:Decrypt", 'Action: "*"', "DecryptData allows *"),
    (
        "no_wildcard_actions",
        "data",
        "Action: s3:GetObject",
        "NotAction: s3:PutObject",
        "does not allow",
    ),
    (
        "no_wildcard_resources",
        "data",
        "Resource: !Ref DataKeyArn",
        'Resource: "*" # reason: none',
        "kms:Decrypt",
    ),
    (
        "no_wildcard_resources",
        "project",
        " # reason: the action knows no resource\n",
        "\n",
        "no reason",
    ),
    (
        "no_full_access",
        "build",
        "[!Ref BuildPolicy,",
        "[arn:aws:iam::aws:policy/PowerUserAccess,",
        "Power",
    ),
    ("passed_role", "build", "iam:PassedToService:", "aws:PrincipalType:", "any service"),
    (
        "passed_role",
        "build",
        "Action: iam:PassRole",
        "Action: [iam:PassRole, iam:GetRole]",
        "mixes",
    ),
    ("bounded", "source", "      PermissionsBoundary:", "      Path: / #", "PipelineRole"),
    (
        "trust",
        "build",
        "{aws:SourceAccount: !Ref AWS::AccountId}",
        "{aws:PrincipalType: x}",
        "any account",
    ),
    (
        "trust",
        "build",
        "token.actions.githubusercontent.com:sub:",
        "aws:PrincipalType:",
        "of anyone",
    ),
    (
        "trust",
        "build",
        "Principal: {Service: codebuild.amazonaws.com}",
        "Principal: {AWS: '*'}",
        "everyone",
    ),
    (
        "key_policy",
        "project",
        "            Condition: {StringEquals: {kms:ViaService:",
        "            #",
        "Readers",
    ),
    (
        "retained",
        "project",
        "DeletionPolicy: RetainExceptOnCreate",
        "DeletionPolicy: Delete",
        "Key goes",
    ),
    (
        "retained",
        "registry",
        "UpdateReplacePolicy: Retain\n",
        "UpdateReplacePolicy: Delete\n",
        "ModelPackageGroup",
    ),
    (
        "buckets",
        "project",
        "AbortIncompleteMultipartUpload: {Days",
        "Transition: {Days",
        "never completed",
    ),
    (
        "buckets",
        "project",
        "VersioningConfiguration:",
        "MetricsConfigurations:",
        "VersioningConfiguration",
    ),
    ("buckets", "project", "BlockPublicAcls: true", "BlockPublicAcls: false", "not closed"),
    ("buckets", "project", "aws:SecureTransport", "aws:ViaAWSService", "TLS"),
    ("log_groups", "build", "      RetentionInDays: 365\n", "", "RetentionInDays"),
    ("log_groups", "build", "      KmsKeyId: !Ref KmsKeyArn\n", "", "KmsKeyId"),
    ("event_targets", "source", "DeadLetterConfig", "InputPath", "dead-letter"),
    ("event_targets", "registry", "RetryPolicy", "InputPath", "retry"),
    (
        "event_targets",
        "registry",
        "RoleArn: !GetAtt ApprovalRole.Arn",
        "InputTransformer: {InputTemplate: x}",
        "bus",
    ),
    ("pipelines", "source", "PipelineType: V2", "PipelineType: V1", "V1"),
    (
        "pipelines",
        "source",
        "          OnFailure:",
        "          Blockers:",
        "Build has no OnFailure",
    ),
    (
        "pipelines",
        "source",
        "- Name: Source\n          Actions:",
        "- Name: Source\n          OnFailure: {Result: ROLLBACK}\n          Actions:",
        "rolls back",
    ),
    (
        "pipelines",
        "source",
        "Provider: CodeStarSourceConnection,",
        "Provider: GitHubConnection,",
        "GitHubConnection",
    ),
    ("builds", "build", "BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_TINY", "BUILD_GENERAL1_TINY"),
    ("builds", "build", "      TimeoutInMinutes: 480\n", "", "time limit"),
    ("alarms", "build", "AlarmActions: [!Ref AlertTopicArn]", "AlarmActions: []", "nobody"),
]
# What no template of this layer has yet.
SNIPPETS = [
    ("functions", "Job: {Type: AWS::Lambda::Function, Properties: {Handler: a.b}}", "neither"),
    (
        "serving",
        "Winner: {Type: AWS::SageMaker::Model, Properties: {EnableNetworkIsolation: false}}",
        "isolated",
    ),
    (
        "serving",
        (
            "Two: {Type: AWS::SageMaker::EndpointConfig,"
            " Properties: {ProductionVariants: [{InitialInstanceCount: 1}]}}"
        ),
        "one instance",
    ),
    (
        "serving",
        (
            "Door: {Type: AWS::SageMaker::Endpoint,"
            " Properties: {DeploymentConfig: {AutoRollbackConfiguration: {Alarms: []}}}}"
        ),
        "rolls it back",
    ),
]
ACROSS = [
    ("unique_ids", "build", "  BuildPolicy:\n", "  DataPolicy:\n", "DataPolicy is in"),
    ("unique_ids", "build", "  Environment:\n    Desc", "  Key:\n    Desc", "parameter in build"),
    ("same_meaning", "build", "main\n", "trunk\n", "Branch in source"),
    (
        "same_meaning",
        "source",
        '!Equals [!Ref PermissionsBoundaryArn, ""]',
        '!Equals [!Ref Branch, ""]',
        "HasBoundary",
    ),
    (
        "linked",
        "build",
        "  BuildProjectName:\n    Description: Code",
        "  ExecutionRoleName:\n    Description: Code",
        "before build",
    ),
    (
        "linked",
        "registry",
        "Key that encrypts the alerts",
        "Key\n    Default: none",
        "has a default",
    ),
]


@cache
def product(layer: str) -> dict[str, cfn_rules.Template]:
    paths = {name: LAYERS / "model-build" / "infra" / f"{name}.yml" for name in STACKS}
    paths["data"] = LAYERS / layer / "infra" / "data.yml"
    return {name: cfn_rules.read(path) for name, path in paths.items()}


def broken(name: str, old: str, new: str) -> cfn_rules.Template:
    template = product("data-s3")[name]
    assert old in template.text, f"{name}.yml no longer holds {old!r}: mend the defect"
    return cfn_rules.parse(name, template.text.replace(old, new))


def ids(defects: list[tuple[str, ...]]) -> list[str]:
    return [f"{defect[0]}-{number}" for number, defect in enumerate(defects)]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_template_keeps_the_rules(name):
    assert cfn_rules.check(cfn_rules.read(TEMPLATES[name])) == []


@pytest.mark.parametrize("layer", PRODUCTS)
def test_the_files_of_a_product_fit_together(layer):
    assert cfn_rules.check_across(product(layer)) == []


@pytest.mark.parametrize(("rule", "name", "old", "new", "says"), DEFECTS, ids=ids(DEFECTS))
def test_the_rule_bites(rule, name, old, new, says):
    breaches = list(cfn_rules.RULES[rule](broken(name, old, new)))
    assert any(says in breach for breach in breaches), breaches


@pytest.mark.parametrize(("rule", "resource", "says"), SNIPPETS, ids=ids(SNIPPETS))
def test_the_rule_bites_what_comes_later(rule, resource, says):
    template = cfn_rules.parse("snippet", f"Resources:\n  {resource}\n")
    assert any(says in breach for breach in cfn_rules.RULES[rule](template))


@pytest.mark.parametrize(("rule", "name", "old", "new", "says"), ACROSS, ids=ids(ACROSS))
def test_the_rule_across_files_bites(rule, name, old, new, says):
    templates = {**product("data-s3"), name: broken(name, old, new)}
    breaches = list(cfn_rules.ACROSS[rule](templates))
    assert any(says in breach for breach in breaches), breaches


def test_every_rule_has_a_defect():
    assert {defect[0] for defect in [*DEFECTS, *SNIPPETS]} == set(cfn_rules.RULES)
    assert {defect[0] for defect in ACROSS} == set(cfn_rules.ACROSS)


@pytest.mark.parametrize("name", ["project", "registry", "data", "build", "source"])
def test_checkov_skips_name_their_reason(name):
    resources = product("data-s3")[name].section("Resources").values()
    skips = [s for r in resources for s in r.get("Metadata", {}).get("checkov", {}).get("skip", [])]
    assert all(set(skip) == {"id", "comment"} and skip["comment"] for skip in skips)


def test_there_are_few_skips():
    texts = [path.read_text("utf-8") for path in TEMPLATES.values()]
    assert sum(len(re.findall(r"\bCKV\w+", text)) for text in texts) <= 2


def test_the_workflow_runs_what_the_buildspec_runs():
    folder = LAYERS / "model-build"
    spec = yaml.safe_load((folder / "buildspec.yml").read_text("utf-8"))
    workflow = WORKFLOW.read_text("utf-8")
    commands = [c for phase in spec["phases"].values() for c in phase["commands"]]
    targets = [c.split()[1] for c in commands if c.startswith("make ")]
    runs = [
        step.get("run", "")
        for job in yaml.safe_load(workflow)["jobs"].values()
        for step in job["steps"]
    ]
    assert set(targets) == {run.split()[1] for run in runs if run.startswith("make ")}


def test_every_action_is_pinned_to_a_commit():
    text = WORKFLOW.read_text("utf-8")
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", use) for use in uses)


@pytest.mark.parametrize(
    "path", sorted(LAYERS.glob("*/infra/parameters-*.json.jinja")), ids=lambda p: p.name
)
def test_the_parameter_file_names_parameters(path: Path):
    values = json.loads(re.sub(r"{{.*?}}", "x", path.read_text("utf-8")))
    known = {key for t in product("data-s3").values() for key in t.section("Parameters")}
    assert set(values) <= known
