"""The stacks fit together, allow what the pipeline does and no more, and are deployed with care."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from infra import deploy
from pipeline.pipeline import build
from pipeline.settings import ROOT, Settings

TEMPLATES = deploy.templates()
ENVS = ["dev", "prod"]
BUCKET = "seedbed-bucket"
NO_VALUE = {"Ref": "AWS::NoValue"}
CLOUD = {
    "ARTIFACT_BUCKET": BUCKET,
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:123456789012:key/0a1b",
    "EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/execution",
}


def resources(*types):
    for stack, template in TEMPLATES.items():
        for name, resource in template["Resources"].items():
            if resource["Type"].removeprefix("AWS::") in types:
                yield f"{stack}.{name}", resource


def branches(value):
    """Yield what a value may be, whichever way its Fn::If go."""
    if isinstance(value, dict) and list(value) == ["Fn::If"]:
        for branch in value["Fn::If"][1:]:
            yield from branches(branch)
    elif isinstance(value, list):
        for item in value:
            yield from branches(item)
    elif value != NO_VALUE:
        yield value


def statements():
    """Yield every statement that says what a role may do, with the name of its resource."""
    for where, resource in resources("IAM::Role", "IAM::ManagedPolicy", "IAM::Policy"):
        properties = resource["Properties"]
        inline = [policy["PolicyDocument"] for policy in branches(properties.get("Policies", []))]
        for document in [*inline, properties.get("PolicyDocument", {"Statement": []})]:
            for statement in branches(document["Statement"]):
                yield where, statement


def actions(statement):
    return list(branches(statement["Action"]))


def of_execution_role():
    """Yield what the pipeline's role may do: its own policies, and those that attach to it."""
    attached = {"registry.RegistryPolicy", "data.DataPolicy", "project.NetworkPolicy"}
    for where, statement in statements():
        if where in {"project.ExecutionRole", *attached}:
            yield statement


def may(action, name):
    """Say whether the pipeline's role may do `action` on what is called `name` in this account."""
    arn = f"arn:aws:{action.partition(':')[0]}:eu-west-1:123456789012:{name}"
    for statement in of_execution_role():
        for resource in branches(statement["Resource"]):
            text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
            pattern = re.sub(r"\$\{[^}]+\}", "*", str(text))
            if action in actions(statement) and fnmatch.fnmatch(arn, pattern):
                return True
    return False


def steps(definition):
    """Yield every step, those behind the gate too."""
    for step in definition:
        yield step
        yield from steps(step["Arguments"].get("IfSteps", []))
        yield from steps(step["Arguments"].get("ElseSteps", []))


@pytest.fixture(scope="module")
def definition():
    return json.loads(build(Settings.load("dev", CLOUD)).definition())


# Access


def test_no_role_may_do_everything():
    allowed = [(where, a) for where, s in statements() for a in actions(s)]
    assert [pair for pair in allowed if pair[1] == "*" or pair[1].endswith(":*")] == []


@pytest.mark.parametrize("name", deploy.STACKS)
def test_what_a_role_may_do_to_everything_gives_its_reason(name):
    lines = (deploy.FOLDER / f"{name}.yml").read_text("utf-8").splitlines()
    start = next((n for n, line in enumerate(lines) if "Type: AWS::IAM" in line), len(lines))
    bare = [line for line in lines[start:] if re.search(r'Resource: "\*"', line)]
    assert [line for line in bare if "# reason: " not in line] == []


def test_every_role_can_be_bounded():
    roles = dict(resources("IAM::Role"))
    assert [
        where for where, r in roles.items() if "PermissionsBoundary" not in r["Properties"]
    ] == []


def test_the_execution_role_may_run_each_step(definition):
    group = Settings.load("dev", CLOUD).model_package_group
    needs = {
        "Processing": ("ProcessingJob", "processing-job/pipelines-abc-preprocess-def"),
        "Training": ("TrainingJob", "training-job/pipelines-abc-train-def"),
        "RegisterModel": ("ModelPackage", f"model-package-group/{group}"),
    }
    kinds = {step["Type"] for step in steps(definition["Steps"])}
    assert kinds - {"Condition", "Fail"} == set(needs)
    assert [n for n in needs.values() if not may(f"sagemaker:Create{n[0]}", n[1])] == []
    assert [n for n in needs.values() if not may(f"sagemaker:Describe{n[0]}", n[1])] == []


def test_registering_reaches_the_group_and_its_packages_only():
    found = [s for s in of_execution_role() if "sagemaker:CreateModelPackage" in actions(s)]
    ends = [r["Fn::Sub"].partition("{AWS::AccountId}:")[2] for s in found for r in s["Resource"]]
    group = "${ModelPackageGroupName}"
    assert ends == [f"model-package-group/{group}", f"model-package/{group}/*"]


def test_a_job_may_write_where_the_pipeline_puts_results_and_nowhere_else(definition):
    requests = [step["Arguments"] for step in steps(definition["Steps"])]
    written = [
        output["S3Output"]["S3Uri"]
        for request in requests
        for output in request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    ]
    written += [r["OutputDataConfig"]["S3OutputPath"] for r in requests if "OutputDataConfig" in r]
    assert {address["Std:Join"]["Values"][0] for address in written} == {f"s3://{BUCKET}/runs"}
    assert may("s3:PutObject", f"{BUCKET}/runs/abc/Train/model.tar.gz")
    assert not may("s3:PutObject", f"{BUCKET}/code/abc/jobs.tar.gz")


def test_a_job_may_read_the_code_that_the_build_uploads(definition):
    text = json.dumps(definition)
    keys = {found.partition(BUCKET)[2] for found in re.findall(rf"s3://{BUCKET}/code[^\"]*", text)}
    assert keys
    assert [key for key in keys if not may("s3:GetObject", BUCKET + key)] == []
    uploads = [
        s for where, s in statements() if where == "build.BuildPolicy" and "PutObject" in str(s)
    ]
    assert [s["Resource"]["Fn::Sub"].rpartition("}")[2] for s in uploads] == ["/code/*"]


def test_a_job_may_pull_the_one_image():
    container = json.loads((ROOT / "config" / "container.json").read_text("utf-8"))
    assert may("ecr:BatchGetImage", f"repository/{container['repository']}")


def test_the_build_may_change_the_projects_own_pipeline_only():
    own = "${AWS::AccountId}:pipeline/${ProjectName}"
    found = [
        s for where, s in statements() if where == "build.BuildPolicy" and "Pipeline" in str(s)
    ]
    assert [s["Resource"]["Fn::Sub"] for s in found if own not in str(s["Resource"])] == []


# Reliability


def test_what_holds_models_outlives_its_stack():
    kinds = ("S3::Bucket", "KMS::Key", "SageMaker::ModelPackageGroup", "S3::BucketPolicy")
    gone = [
        where
        for where, resource in resources(*kinds)
        if resource.get("DeletionPolicy") != "RetainExceptOnCreate"
        or resource.get("UpdateReplacePolicy") != "Retain"
    ]
    assert gone == []


def test_no_event_is_lost_silently():
    targets = [
        t for _, r in resources("Events::Rule") for t in branches(r["Properties"]["Targets"])
    ]
    assert targets
    assert [t["Id"] for t in targets if not {"DeadLetterConfig", "RetryPolicy"} <= set(t)] == []


# One product


def test_a_push_is_built_once():
    """By GitHub Actions or by CodePipeline, whose source never looks by itself."""
    source = TEMPLATES["source"]
    pipeline = source["Resources"]["Pipeline"]["Properties"]
    condition, triggers, otherwise = pipeline["Triggers"]["Fn::If"]
    assert (len(triggers), otherwise) == (1, NO_VALUE)
    assert {"Condition": "HasGitHubActions"} in source["Conditions"][condition]["Fn::Not"][0][
        "Fn::Or"
    ]
    actions = list(branches(pipeline["Stages"][0]["Actions"]))
    looks = [action["Configuration"] for action in actions]
    assert [one.get("DetectChanges", one.get("PollForSourceChanges")) for one in looks] == [
        False
    ] * 2


def test_logical_ids_are_unique_across_the_files():
    ids = [name for template in TEMPLATES.values() for name in template["Resources"]]
    assert len(ids) == len(set(ids))


def test_a_parameter_is_given_by_a_file_or_an_earlier_stack():
    values = deploy.given("dev", Settings.load("dev", CLOUD))
    known = set(values)
    for name, template in TEMPLATES.items():
        rules = template["Parameters"]
        needed = {parameter for parameter, rule in rules.items() if "Default" not in rule}
        assert needed - known == set(), name
        known |= set(template["Outputs"])


@pytest.mark.parametrize("env", ENVS)
def test_the_projects_own_parameters_are_accepted(env):
    deploy.check(TEMPLATES, deploy.given(env, Settings.load(env, CLOUD)))


def test_the_build_knows_all_that_the_pipeline_asks_of_the_environment():
    build_project = TEMPLATES["build"]["Resources"]["BuildProject"]["Properties"]
    names = {variable["Name"] for variable in build_project["Environment"]["EnvironmentVariables"]}
    assert set(CLOUD) | {"SUBNET_IDS", "SECURITY_GROUP_IDS"} <= names
    assert Settings.load("dev", {name: CLOUD.get(name, "") for name in names}).cloud.missing == ()


def test_the_buildspec_uses_targets_that_exist():
    spec = yaml.safe_load((ROOT / "buildspec.yml").read_text("utf-8"))
    used = re.findall(r"^make (\w+)", "\n".join(spec["phases"]["build"]["commands"]), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert used == ["lint", "test", "compile", "upsert", "start"]
    assert [
        target for target in used if not re.search(rf"^{target}:", makefile, re.MULTILINE)
    ] == []


# infra/deploy.py

VALUES = {"ProjectName": "churn", "ProjectId": "churn"}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ProjctName", "churn", "mend the name"),
        ("ProjectName", "Churn", "lower-case"),
        ("ProjectId", "x" * 21, "at most 20"),
        ("GitHost", "gitea", "must be github"),
        ("ReaderAccountIds", "123456789012,42", "12 digits"),
        ("Branch", "main*", "branch name"),
        ("RepositoryId", "owner/*", "owner/repository"),
        ("PackageIndexUrl", "https://me:x@h/", "credentials"),  # pragma: allowlist secret
        ("ModelPackageGroupName", "Churn", "lower-case"),
    ],
)
def test_a_wrong_value_is_told_before_aws_is_asked(name, value, says):
    with pytest.raises(deploy.InputError, match=says) as told:
        deploy.check(TEMPLATES, {**VALUES, name: value})
    assert name in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["churn", "a-project-of-thirty-two-letters-", "a" * 32])
def test_an_id_fits_and_differs_where_the_name_does(name):
    first, second = deploy.project_id(name + "1"), deploy.project_id(name + "2")
    assert first != second
    assert max(len(first), len(second)) <= deploy.ID_LENGTH
    deploy.check(TEMPLATES, {"ProjectId": first})


def test_two_environments_have_their_own_ids():
    ids = [deploy.given(env, Settings.load(env, CLOUD))["ProjectId"] for env in ENVS]
    assert len(set(ids)) == len(ENVS)


class CloudFormation:
    """Answers as CloudFormation does, and notes what it is asked to do."""

    class exceptions:  # noqa: N801 (boto3's own name)
        ClientError = deploy.ClientError

    def __init__(self, reason="", status="CREATE_COMPLETE"):
        self.reason, self.status = reason, status
        self.stacks, self.asked, self.given = {}, [], {}

    def describe_stacks(self, StackName):  # noqa: N803
        name = StackName.removeprefix("id-")
        if name not in self.stacks:
            error = {"Code": "ValidationError", "Message": f"{name} does not exist"}
            raise deploy.ClientError({"Error": error}, "DescribeStacks")
        return {"Stacks": [self.stacks[name]]}

    def create_change_set(self, **request):
        name = request["StackName"]
        self.asked.append(f"create {name}")
        self.given[name] = {p["ParameterKey"]: p["ParameterValue"] for p in request["Parameters"]}
        review = {"StackId": f"id-{name}", "StackStatus": "REVIEW_IN_PROGRESS"}
        self.stacks.setdefault(name, review)

    def describe_change_set(self, **_):
        change = {"Action": "Add", "LogicalResourceId": "Key", "ResourceType": "AWS::KMS::Key"}
        if self.reason:
            return {"Status": "FAILED", "StatusReason": self.reason}
        return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change}]}

    def delete_change_set(self, **request):
        self.asked.append(f"discard {request['StackName']}")

    def delete_stack(self, StackName):  # noqa: N803
        self.stacks.pop(StackName)

    def execute_change_set(self, StackName, **_):  # noqa: N803
        self.asked.append(f"execute {StackName}")
        outputs = TEMPLATES[StackName.rpartition("-")[2]]["Outputs"]
        made = [
            {"OutputKey": k, "OutputValue": k} for k, o in outputs.items() if "Condition" not in o
        ]
        self.stacks[StackName] |= {"StackStatus": self.status, "Outputs": made}

    def describe_stack_events(self, **_):
        first = {"LogicalResourceId": "Key", "ResourceStatus": "CREATE_FAILED"}
        later = {**first, "LogicalResourceId": "Bucket", "ResourceStatusReason": "cancelled"}
        return {"StackEvents": [later, {**first, "ResourceStatusReason": "no such key"}]}


class Session:
    def __init__(self, cloudformation):
        self.cloudformation = cloudformation

    def client(self, service):
        return self.cloudformation if service == "cloudformation" else self

    def get_caller_identity(self):
        return {"Account": "123456789012"}


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs deploy.py against a CloudFormation: exit code and output."""

    def run_it(cloudformation, *arguments, answer="n"):
        monkeypatch.setattr("stack.FIRST_PAUSE", 0)
        monkeypatch.setattr(deploy.boto3, "Session", lambda **_: Session(cloudformation))
        monkeypatch.setattr("builtins.input", answer if callable(answer) else lambda _: answer)
        monkeypatch.setattr("sys.argv", ["deploy.py", *arguments])
        return deploy.main(), "".join(capsys.readouterr())

    return run_it


def test_a_plan_changes_nothing(run):
    aws = CloudFormation()
    code, said = run(aws, "--plan")
    assert code == 0
    assert "Add     Key AWS::KMS::Key" in said
    assert aws.stacks == {}
    assert not [call for call in aws.asked if call.startswith("execute")]


def test_no_means_no(run):
    aws = CloudFormation()
    code, _ = run(aws, answer="n")
    assert code == 1
    assert aws.stacks == {}
    assert not [call for call in aws.asked if call.startswith("execute")]


def test_yes_deploys_in_order_and_hands_outputs_on(run):
    aws = CloudFormation()
    code, said = run(aws, "--yes")
    executed = [call.rpartition("-")[2] for call in aws.asked if call.startswith("execute")]
    assert code == 0
    assert executed == ["project", "registry", "data", "build"]  # no repository yet: no source
    given = next(values for name, values in aws.given.items() if name.endswith("-build"))
    assert given["ExecutionRoleArn"] == "ExecutionRoleArn"
    assert given["NetworkPolicyArn"] == ""  # there is no VPC
    assert "export ARTIFACT_BUCKET=ArtifactBucketName" in said


def test_nothing_to_change_is_no_failure(run):
    aws = CloudFormation()
    run(aws, "--yes")
    aws.reason = "The submitted information didn't contain changes."
    code, said = run(aws, "--yes")
    assert code == 0
    assert "project: nothing changes" in said


@pytest.mark.parametrize(
    ("aws", "says"),
    [
        (CloudFormation(reason="Parameter VpcId is odd"), "VpcId is odd"),
        (CloudFormation(status="DELETE_COMPLETE"), "Key: no such key"),
    ],
)
def test_a_failure_gives_its_first_reason(run, aws, says):
    code, said = run(aws, "--yes")
    assert code == 1
    assert says in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("end", "code", "says"), [(EOFError, 1, "--yes"), (KeyboardInterrupt, 130, "interrupted")]
)
def test_who_gives_no_answer_leaves_no_change_set(run, end, code, says):
    def ask(_):
        raise end

    aws = CloudFormation()
    ended, said = run(aws, answer=ask)
    assert (ended, aws.stacks) == (code, {})
    assert aws.asked[-1].startswith("discard")
    assert says in said


@pytest.mark.parametrize(("account", "code"), [("123456789012", 2), ("210987654321", 0)])
def test_what_studio_created_is_not_deployed_beside_itself(run, monkeypatch, account, code):
    born = {"account": account, "region": Settings.load("dev", CLOUD).region}
    born |= {"project_name": "churn", "project_id": "p-abcdefghijkl"}
    monkeypatch.setattr(deploy, "read_marker", lambda: born)
    ended, said = run(CloudFormation(), "--plan")
    assert ended == code
    assert ("churn (p-abcdefghijkl)" in said) == bool(code)


def test_a_parameter_file_that_is_no_object_is_one_line(run, monkeypatch, tmp_path):
    shutil.copytree(deploy.FOLDER, tmp_path / "infra")
    (tmp_path / "infra" / "parameters-dev.json").write_text("[]")
    monkeypatch.setattr(deploy, "FOLDER", tmp_path / "infra")
    code, said = run(CloudFormation(), "--plan")
    assert code == 2
    assert "infra/parameters-dev.json" in said
    assert "Traceback" not in said


def test_a_missing_parameter_file_is_one_line(run, monkeypatch, tmp_path):
    for name in deploy.STACKS:
        (tmp_path / f"{name}.yml").write_bytes((Path(deploy.FOLDER) / f"{name}.yml").read_bytes())
    monkeypatch.setattr(deploy, "FOLDER", tmp_path)
    code, said = run(CloudFormation(), "--plan")
    assert code == 2
    assert "parameters-dev.json" in said
