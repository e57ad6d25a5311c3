"""A generated project on the sandbox's SageMaker, with the very roles of its own stacks."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from io import BytesIO

import copier
import pytest
from waiting import until

from seedbed.catalog import CHECKOUT

DATA = "amzn-s3-demo-bucket"
KNOWN = {
    "DataLocation": f"s3://{DATA}/training-data/",
    "ModelPackageGroupName": "my-model",
    "ProjectId": "my-model",
    "ProjectName": "my-model",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A rendered project that trains briefly; its sample data lies beside it."""
    folder = tmp_path_factory.mktemp("project") / "my-model"
    template = str(CHECKOUT / "templates/model-build-s3")
    copier.run_copy(template, folder, defaults=True, quiet=True)
    config = folder / "config/dev.yml"
    config.write_text(config.read_text().replace("rounds: 400", "rounds: 20"))
    sample = "from pipeline import sample; from pathlib import Path; import sys;"
    write = f"{sample} sample.write('binary_classification', 'target', Path(sys.argv[1]))"
    run(folder, {}, "-c", write, str(folder.parent / "data.csv"))
    return folder


def run(folder, environment, *words):
    ours = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**ours, **environment},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def deploy(sandbox, folder):
    """Make the project's stacks; return all that they tell."""
    stacks, told = sandbox.client("cloudformation", "dev"), dict(KNOWN)
    for name in ("project", "registry", "data"):
        text = (folder / "infra" / f"{name}.yml").read_text()
        asked = stacks.get_template_summary(TemplateBody=text)["Parameters"]
        values = [
            {"ParameterKey": one["ParameterKey"], "ParameterValue": told[one["ParameterKey"]]}
            for one in asked
            if one["ParameterKey"] in told
        ]
        stacks.create_stack(
            StackName=name,
            TemplateBody=text,
            Parameters=values,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
        told |= {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
    return told


def test_a_generated_project_trains_and_registers_with_its_own_role(sandbox, project):
    s3 = sandbox.client("s3", "dev")
    place = {"LocationConstraint": sandbox.region}
    s3.create_bucket(Bucket=DATA, CreateBucketConfiguration=place)
    s3.upload_file(str(project.parent / "data.csv"), DATA, "training-data/data.csv")
    told = deploy(sandbox, project)
    environment = {
        **sandbox.environment("dev"),
        "ARTIFACT_BUCKET": told["ArtifactBucketName"],
        "EXECUTION_ROLE_ARN": told["ExecutionRoleArn"],
        "KMS_KEY_ARN": told["KmsKeyArn"],
    }
    run(project, environment, "-m", "pipeline", "upsert")
    sagemaker = sandbox.client("sagemaker", "dev")
    arn = sagemaker.start_pipeline_execution(
        PipelineName="my-model", PipelineParameters=[{"Name": "GitCommit", "Value": "c" * 40}]
    )["PipelineExecutionArn"]

    def ended():
        said = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return said if said["PipelineExecutionStatus"] != "Executing" else None

    execution = until(ended)
    found = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
    ran = {one["StepName"]: one for one in found["PipelineExecutionSteps"]}
    assert execution["PipelineExecutionStatus"] == "Succeeded", ran
    assert set(ran) == {"Preprocess", "Train", "Evaluate", "Gate", "Register"}
    (package,) = sagemaker.list_model_packages(ModelPackageGroupName="my-model")[
        "ModelPackageSummaryList"
    ]
    model = sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    assert model["CustomerMetadataProperties"]["GitCommit"] == "c" * 40
    uri = model["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    body = s3.get_object(Bucket=told["ArtifactBucketName"], Key=uri.split("/", 3)[3])
    assert body["SSEKMSKeyId"] == told["KmsKeyArn"]
    with tarfile.open(fileobj=BytesIO(body["Body"].read())) as archive:
        assert any(name.startswith("code/") for name in archive.getnames())
    assert sandbox.calls(decision="denied") == []
    role = told["ExecutionRoleArn"]
    assert {call["operation"] for call in sandbox.calls(principal=role)} >= {
        "CreateProcessingJob",
        "CreateTrainingJob",
        "CreateModelPackage",
        "CreateGrant",
        "PutLogEvents",
    }
