"""Executions of pipelines: real jobs, conditions and models, all as the execution role."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from access import allow, document, make_role, refused, trusting
from waiting import until

BUCKET = "seedbed-runs"
ROLE = "arn:aws:iam::333333333333:role/runner"
IMAGE = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5"
PREPARE = """
import json, os, pathlib, sys
into, factor, out = pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
total = sum(int(line) for line in (into / "rows").read_text().split()) * factor
print("total is", total)
if total < 0:
    message = pathlib.Path(sys.argv[4])
    message.parent.mkdir(parents=True, exist_ok=True)
    message.write_text("rows are negative")
    sys.exit(2)
(out / "sum.json").write_text(json.dumps({"sum": {"value": total}}))
(out / "keys").write_text(str("AWS_ACCESS_KEY_ID" in os.environ))
"""
TRAIN = """
import argparse, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
said = parser.parse_args()
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "sum.json").read_text()
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(f"{said.depth} {rows}")
"""
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
STEPS = [
    allow(
        [
            "sagemaker:CreateProcessingJob",
            "sagemaker:DescribeProcessingJob",
            "sagemaker:StopProcessingJob",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:AddTags",
        ],
        "arn:aws:sagemaker:*:*:*-job/pipelines-*",
    ),
    allow(
        "sagemaker:CreateTrainingJob",
        "arn:aws:sagemaker:*:*:training-job/pipelines-*",
        Condition={"Bool": {"sagemaker:NetworkIsolation": "true"}},
    ),
    allow("sagemaker:CreateModelPackage", "arn:aws:sagemaker:*:*:model-package/churn/*"),
    allow(
        "iam:PassRole",
        ROLE,
        Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
    allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
    allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"),
    allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/runs/*"),
    allow(["kms:GenerateDataKey", "kms:Decrypt"]),
    allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]),
]


def got(path):
    return {"Get": path}


def run_address(name):
    values = [f"s3://{BUCKET}/runs", got("Execution.PipelineExecutionId"), name]
    return {"Std:Join": {"On": "/", "Values": values}}


def processing(name="Prepare", *, isolated=True, key=None):
    data = {"S3Uri": got("Parameters.Data"), "LocalPath": f"{INPUT}/data"}
    code = {"S3Uri": f"s3://{BUCKET}/code/", "LocalPath": f"{INPUT}/code"}
    common = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
    said = {"S3Uri": run_address(name), "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"}
    factor = {"Std:Join": {"On": "", "Values": [got("Parameters.Factor")]}}
    words = [f"{INPUT}/data", factor, OUTPUT, "/opt/ml/output/message"]
    sealed = {"KmsKeyId": key} if key else {}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "VolumeSizeInGB": 30,
                }
            },
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", f"{INPUT}/code/prepare.py"],
                "ContainerArguments": words,
            },
            "RoleArn": ROLE,
            "ProcessingInputs": [
                {"InputName": "data", "AppManaged": False, "S3Input": {**data, **common}},
                {"InputName": "code", "AppManaged": False, "S3Input": {**code, **common}},
            ],
            "ProcessingOutputConfig": {
                "Outputs": [{"OutputName": "sums", "AppManaged": False, "S3Output": said}],
                **sealed,
            },
            "NetworkConfig": {"EnableNetworkIsolation": isolated},
        },
        "PropertyFiles": [
            {"PropertyFileName": "sums", "OutputName": "sums", "FilePath": "sum.json"}
        ],
    }


def training(**more):
    place = "Steps.Prepare.ProcessingOutputConfig.Outputs['sums'].S3Output.S3Uri"

    def channel(name, uri):
        source = {"S3DataType": "S3Prefix", "S3Uri": uri}
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}}

    return {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": run_address("Train")},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "ResourceConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 30,
            },
            "RoleArn": ROLE,
            "InputDataConfig": [
                channel("code", f"s3://{BUCKET}/code.tar.gz"),
                channel("train", got(place)),
            ],
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": "/opt/ml/input/data/code/code.tar.gz",
                "depth": "3",
            },
            "EnableNetworkIsolation": True,
            **more,
        },
    }


def register():
    model = got("Steps.Train.ModelArtifacts.S3ModelArtifacts")
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "churn",
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": IMAGE, "ModelDataUrl": model}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }


def gate(then, otherwise):
    file = got("Steps.Prepare.PropertyFiles.sums")
    left = {"Std:JsonGet": {"PropertyFile": file, "Path": "sum.value"}}
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": left, "RightValue": 10}
    return {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {"Conditions": [condition], "IfSteps": then, "ElseSteps": otherwise},
    }


def fail():
    return {"Name": "Reject", "Type": "Fail", "Arguments": {"ErrorMessage": "too small"}}


def definition(*steps):
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Parameters": [
                {"Name": "Data", "Type": "String", "DefaultValue": f"s3://{BUCKET}/data/rows"},
                {"Name": "Factor", "Type": "Integer", "DefaultValue": 1},
            ],
            "Steps": list(steps),
        }
    )


WHOLE = (processing(), training(), gate([register()], [fail()]))


@pytest.fixture
def sagemaker(sandbox):
    trust = trusting({"Service": "sagemaker.amazonaws.com"})
    make_role(sandbox, "runner", *STEPS, trust=trust)
    s3 = sandbox.client("s3", "dev")
    place = {"LocationConstraint": sandbox.region}
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    s3.put_object(Bucket=BUCKET, Key="data/rows", Body=b"5\n7\n")
    s3.put_object(Bucket=BUCKET, Key="code/prepare.py", Body=PREPARE)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("train.py")
        info.size = len(TRAIN)
        archive.addfile(info, io.BytesIO(TRAIN.encode()))
    s3.put_object(Bucket=BUCKET, Key="code.tar.gz", Body=packed.getvalue())
    client = sandbox.client("sagemaker", "dev")
    client.create_model_package_group(ModelPackageGroupName="churn")
    return client


def start(client, *steps, **more):
    known = client.list_pipelines()["PipelineSummaries"]
    said = {"PipelineName": "churn", "PipelineDefinition": definition(*steps), "RoleArn": ROLE}
    (client.update_pipeline if known else client.create_pipeline)(**said)
    return client.start_pipeline_execution(PipelineName="churn", **more)["PipelineExecutionArn"]


def ended(client, arn):
    """Wait for an execution's end and return it."""

    def look():
        found = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        return found if found["PipelineExecutionStatus"] not in {"Executing", "Stopping"} else None

    return until(look)


def steps(client, arn):
    found = client.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
    return {one["StepName"]: one for one in found["PipelineExecutionSteps"]}


def job_of(client, arn):
    """Return the name of the step's job once it has one."""
    metadata = steps(client, arn).get("Prepare", {}).get("Metadata", {})
    return metadata.get("ProcessingJob", {}).get("Arn", "").rpartition("/")[2]


def job_status(client, name):
    return client.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"]


def executed(client, *given, **more):
    """Run a pipeline to its end; return the execution and its steps by name."""
    arn = start(client, *given, **more)
    return ended(client, arn), steps(client, arn)


def body(sandbox, uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return sandbox.client("s3", "dev").get_object(Bucket=bucket, Key=key)["Body"].read()


def test_a_pipeline_runs_its_jobs_and_registers_its_model(sandbox, sagemaker):
    found, ran = executed(sagemaker, *WHOLE)
    assert found["PipelineExecutionStatus"] == "Succeeded"
    assert [one["StepStatus"] for one in ran.values()] == ["Succeeded"] * 4
    assert list(ran) == ["Prepare", "Train", "Gate", "Register"]
    assert ran["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    number = found["PipelineExecutionArn"].rpartition("/")[2]
    job = sagemaker.describe_processing_job(
        ProcessingJobName=ran["Prepare"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    )
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ProcessingJobName"].startswith(f"pipelines-{number}-Prepare-")
    assert body(sandbox, f"s3://{BUCKET}/runs/{number}/Prepare/keys") == b"False"
    trained = sagemaker.describe_training_job(
        TrainingJobName=ran["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    )
    assert trained["TrainingJobStatus"] == trained["SecondaryStatus"] == "Completed"
    uri = trained["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == (
        f"s3://{BUCKET}/runs/{number}/Train/{trained['TrainingJobName']}/output/model.tar.gz"
    )
    with tarfile.open(fileobj=io.BytesIO(body(sandbox, uri))) as archive:
        assert archive.extractfile("model.txt").read() == b'3 {"sum": {"value": 12}}'
    package = sagemaker.describe_model_package(
        ModelPackageName=ran["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == uri
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    for kind in ("Processing", "Training"):
        (call,) = sandbox.calls(service="sagemaker", operation=f"Create{kind}Job")
        assert call["principal"] == ROLE
        actions = {one["action"] for one in call["actions"]}
        assert {f"sagemaker:Create{kind}Job", "sagemaker:AddTags", "iam:PassRole"} <= actions


def test_the_output_of_a_job_is_in_its_log(sandbox, sagemaker):
    executed(sagemaker, processing())
    events = sandbox.client("logs", "dev").filter_log_events(
        logGroupName="/aws/sagemaker/ProcessingJobs"
    )["events"]
    assert [one["message"] for one in events] == ["total is 12"]
    assert events[0]["logStreamName"].startswith("pipelines-")


def test_parameters_decide_and_a_rejected_model_fails_the_execution(sagemaker):
    arn = start(sagemaker, *WHOLE, PipelineParameters=[{"Name": "Factor", "Value": "0"}])
    found, ran = ended(sagemaker, arn), steps(sagemaker, arn)
    assert found["PipelineExecutionStatus"] == "Failed"
    assert ran["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert ran["Reject"]["StepStatus"] == "Failed"
    assert ran["Reject"]["FailureReason"] == "too small"
    assert "Register" not in ran
    told = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert told["PipelineParameters"] == [{"Name": "Factor", "Value": "0"}]
    assert (
        sagemaker.list_model_packages(ModelPackageGroupName="churn")["ModelPackageSummaryList"]
        == []
    )


def test_a_job_that_fails_says_why(sagemaker):
    found, ran = executed(sagemaker, *WHOLE, PipelineParameters=[{"Name": "Factor", "Value": "-1"}])
    assert (found["PipelineExecutionStatus"], list(ran)) == ("Failed", ["Prepare"])
    assert "rows are negative" in ran["Prepare"]["FailureReason"]
    assert "exit code: 2" in ran["Prepare"]["FailureReason"]
    (job,) = sagemaker.list_processing_jobs(StatusEquals="Failed")["ProcessingJobSummaries"]
    assert job["ExitMessage"] == "rows are negative"


def test_an_input_that_is_not_there_fails_the_job(sagemaker):
    nowhere = [{"Name": "Data", "Value": f"s3://{BUCKET}/none/"}]
    _, ran = executed(sagemaker, processing(), PipelineParameters=nowhere)
    assert "No S3 objects found" in ran["Prepare"]["FailureReason"]


LACKS = [
    ("sagemaker:CreateProcessingJob", "Prepare"),
    ("sagemaker:AddTags", "Prepare"),
    ("sagemaker:DescribeProcessingJob", "Prepare"),
    ("sagemaker:CreateTrainingJob", "Train"),
    ("sagemaker:CreateModelPackage", "Register"),
    ("iam:PassRole", "Prepare"),
    ("s3:ListBucket", "Prepare"),
    ("s3:GetObject", "Prepare"),
    ("s3:PutObject", "Prepare"),
]


@pytest.mark.parametrize(("action", "step"), LACKS)
def test_without_a_grant_the_step_fails_that_needs_it(sandbox, sagemaker, action, step):
    less = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [*STEPS, {"Effect": "Deny", "Action": action, "Resource": "*"}],
        }
    )
    iam = sandbox.client("iam", "dev")
    iam.put_role_policy(RoleName="runner", PolicyName="own", PolicyDocument=less)
    found, ran = executed(sagemaker, *WHOLE)
    assert found["PipelineExecutionStatus"] == "Failed"
    assert list(ran)[-1] == step
    assert action in ran[step]["FailureReason"]


def test_a_role_may_demand_network_isolation(sandbox, sagemaker):
    _, ran = executed(sagemaker, processing(), training(EnableNetworkIsolation=False))
    assert "sagemaker:CreateTrainingJob" in ran["Train"]["FailureReason"]
    exposed = {"Bool": {"sagemaker:NetworkIsolation": "false"}}
    denial = allow("sagemaker:CreateProcessingJob", Condition=exposed) | {"Effect": "Deny"}
    sandbox.client("iam", "dev").put_role_policy(
        RoleName="runner", PolicyName="isolated", PolicyDocument=document(denial)
    )
    _, ran = executed(sagemaker, processing(isolated=False))
    assert "sagemaker:CreateProcessingJob" in ran["Prepare"]["FailureReason"]
    assert executed(sagemaker, processing())[0]["PipelineExecutionStatus"] == "Succeeded"


def test_a_job_with_a_network_has_its_roles_credentials(sandbox, sagemaker):
    found, _ = executed(sagemaker, processing(isolated=False))
    number = found["PipelineExecutionArn"].rpartition("/")[2]
    assert body(sandbox, f"s3://{BUCKET}/runs/{number}/Prepare/keys") == b"True"


def test_outputs_are_sealed_with_the_key_that_the_job_names(sandbox, sagemaker):
    key = sandbox.client("kms", "dev").create_key()["KeyMetadata"]["Arn"]
    found, _ = executed(sagemaker, processing(key=key))
    number = found["PipelineExecutionArn"].rpartition("/")[2]
    head = sandbox.client("s3", "dev").head_object(
        Bucket=BUCKET, Key=f"runs/{number}/Prepare/sum.json"
    )
    assert head["SSEKMSKeyId"] == key


def test_the_volumes_key_needs_a_grant(sandbox, sagemaker):
    key = sandbox.client("kms", "dev").create_key()["KeyMetadata"]["Arn"]
    sealed = processing()
    cluster = sealed["Arguments"]["ProcessingResources"]["ClusterConfig"]
    sealed["Arguments"]["ProcessingResources"] = {
        "ClusterConfig": {**cluster, "VolumeKmsKeyId": key}
    }
    _, ran = executed(sagemaker, sealed)
    assert "kms:CreateGrant" in ran["Prepare"]["FailureReason"]
    granted = allow(
        "kms:CreateGrant", key, Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}}
    )
    text = json.dumps({"Version": "2012-10-17", "Statement": [*STEPS, granted]})
    sandbox.client("iam", "dev").put_role_policy(
        RoleName="runner", PolicyName="own", PolicyDocument=text
    )
    found, _ = executed(sagemaker, sealed)
    assert found["PipelineExecutionStatus"] == "Succeeded"


def test_a_stopped_execution_stops_its_job(sandbox, sagemaker):
    sandbox.client("s3", "dev").put_object(
        Bucket=BUCKET, Key="code/prepare.py", Body="import time; time.sleep(600)"
    )
    arn = start(sagemaker, processing())
    name = until(lambda: job_of(sagemaker, arn))
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert ended(sagemaker, arn)["PipelineExecutionStatus"] == "Stopped"
    assert steps(sagemaker, arn)["Prepare"]["StepStatus"] == "Stopped"
    assert job_status(sagemaker, name) == "Stopped"
    with refused("ConflictException", "Stopped"):
        sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)


def test_the_clock_ends_a_job(sandbox, sagemaker):
    sandbox.client("s3", "dev").put_object(
        Bucket=BUCKET, Key="code/prepare.py", Body="import time; time.sleep(600)"
    )
    limited = processing()
    limited["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 900}
    arn = start(sagemaker, limited)
    name = until(lambda: job_of(sagemaker, arn))
    until(
        lambda: "ProcessingStartTime" in sagemaker.describe_processing_job(ProcessingJobName=name)
    )
    sandbox.advance(890)
    assert job_status(sagemaker, name) == "InProgress"
    sandbox.advance(11)
    assert ended(sagemaker, arn)["PipelineExecutionStatus"] == "Failed"
    assert job_status(sagemaker, name) == "Stopped"


def test_executions_are_listed_latest_first_and_keep_their_definition(sagemaker):
    first, _ = executed(sagemaker, processing(), PipelineExecutionDisplayName="one")
    second, _ = executed(sagemaker, processing(), fail())
    found = sagemaker.list_pipeline_executions(PipelineName="churn")["PipelineExecutionSummaries"]
    arns = [first["PipelineExecutionArn"], second["PipelineExecutionArn"]]
    assert [one["PipelineExecutionArn"] for one in found] == arns[::-1]
    assert found[1]["PipelineExecutionDisplayName"] == "one"
    told = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arns[0])
    assert told["PipelineDefinition"] == definition(processing())


def test_a_token_starts_one_execution(sagemaker):
    token = "t" * 32
    one = start(sagemaker, processing(), ClientRequestToken=token)
    assert start(sagemaker, processing(), ClientRequestToken=token) == one
    ended(sagemaker, one)


@pytest.mark.parametrize(
    ("steps", "more", "code", "word"),
    [
        ([{**fail(), "Type": "Lambda"}], {}, "NotImplementedInSandbox", "Lambda"),
        (
            [processing()],
            {"SelectiveExecutionConfig": {"SelectedSteps": [{"StepName": "Prepare"}]}},
            "NotImplementedInSandbox",
            "SelectiveExecutionConfig",
        ),
        (
            [processing()],
            {"PipelineParameters": [{"Name": "No", "Value": "1"}]},
            "ValidationException",
            "No",
        ),
        ([processing(), {**fail(), "DependsOn": ["Absent"]}], {}, "ValidationException", "Absent"),
    ],
)
def test_what_cannot_run_is_refused_at_the_start(sagemaker, steps, more, code, word):
    with refused(code, word):
        start(sagemaker, *steps, **more)
    assert (
        sagemaker.list_pipeline_executions(PipelineName="churn")["PipelineExecutionSummaries"] == []
    )


def test_what_a_job_cannot_be_is_named_by_its_step(sagemaker):
    wide = processing()
    cluster = {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
    wide["Arguments"]["ProcessingResources"] = {"ClusterConfig": cluster}
    _, ran = executed(sagemaker, wide)
    assert "more than one instance" in ran["Prepare"]["FailureReason"]


def test_a_role_that_does_not_trust_sagemaker_starts_nothing(sandbox, sagemaker):
    other = make_role(sandbox, "other", *STEPS)
    said = {"PipelineDefinition": definition(processing()), "RoleArn": other}
    sagemaker.create_pipeline(PipelineName="churn", **said)
    with refused("ValidationException", "Could not assume role"):
        sagemaker.start_pipeline_execution(PipelineName="churn")


def test_a_job_runs_without_a_pipeline_and_needs_a_role_that_trusts(sandbox, sagemaker):
    said = processing()["Arguments"]
    said["ProcessingInputs"][0]["S3Input"]["S3Uri"] = f"s3://{BUCKET}/data/"
    said["AppSpecification"]["ContainerArguments"][1] = "2"
    said["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = f"s3://{BUCKET}/runs/own"
    other = make_role(sandbox, "other", *STEPS)
    with refused("ValidationException", "Could not assume role"):
        sagemaker.create_processing_job(ProcessingJobName="own", **{**said, "RoleArn": other})
    sagemaker.create_processing_job(ProcessingJobName="own", **said)
    with refused("ResourceInUse", "own"):
        sagemaker.create_processing_job(ProcessingJobName="own", **said)
    until(lambda: job_status(sagemaker, "own") == "Completed")
    assert json.loads(body(sandbox, f"s3://{BUCKET}/runs/own/sum.json"))["sum"]["value"] == 24


def test_a_missing_pipeline_is_not_found(sagemaker):
    said = {"PipelineName": "absent", "PipelineDefinition": definition(fail()), "RoleArn": ROLE}
    for call in (
        lambda: sagemaker.update_pipeline(**said),
        lambda: sagemaker.describe_pipeline(PipelineName="absent"),
        lambda: sagemaker.delete_pipeline(PipelineName="absent"),
        lambda: sagemaker.start_pipeline_execution(PipelineName="absent"),
    ):
        with refused("ResourceNotFound", "absent"):
            call()
    with refused("ValidationException", "parse"):
        sagemaker.create_pipeline(**{**said, "PipelineDefinition": "{"})


def test_a_caller_needs_the_pipelines_permission(sandbox, sagemaker):
    executed(sagemaker, processing())
    arn = "arn:aws:sagemaker:eu-west-1:333333333333:pipeline/churn"
    watching = ["sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps"]
    make_role(
        sandbox,
        "able",
        allow("sagemaker:StartPipelineExecution", arn),
        allow(watching, f"{arn}/execution/*"),
    )
    make_role(sandbox, "unable", allow(["sagemaker:StartPipelineExecution", *watching], f"{arn}2"))
    able, unable = (sandbox.client("sagemaker", role=one) for one in ("able", "unable"))
    made = able.start_pipeline_execution(PipelineName="churn")["PipelineExecutionArn"]
    assert ended(able, made)["CreatedBy"]["IamIdentity"]["Arn"].endswith("able/sandbox")
    assert steps(able, made)
    for call in (
        lambda: unable.start_pipeline_execution(PipelineName="churn"),
        lambda: ended(unable, made),
        lambda: steps(unable, made),
    ):
        with refused("AccessDeniedException", "sagemaker:"):
            call()


def test_events_tell_of_the_execution_and_its_steps(sandbox, sagemaker):
    executed(sagemaker, processing())
    told = [
        (entry["DetailType"], entry["Detail"])
        for call in sandbox.calls(service="events", operation="PutEvents")
        for entry in call["params"]["Entries"]
    ]
    kind = "SageMaker Model Building Pipeline Execution"
    states = [text for name, text in told if name == f"{kind} Status Change"]
    assert '"currentPipelineExecutionStatus": "Executing"' in states[0]
    assert '"currentPipelineExecutionStatus": "Succeeded"' in states[-1]
    steps = [text for name, text in told if name == f"{kind} Step Status Change"]
    assert '"currentStepStatus": "Succeeded"' in steps[-1]
    jobs = [text for name, text in told if name == "SageMaker Processing Job State Change"]
    assert len(jobs) == 2
