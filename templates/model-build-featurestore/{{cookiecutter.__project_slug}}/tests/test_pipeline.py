"""The project's graph: what holds for every problem type, and what caching relies on."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline import check, data_source
from pipeline.cloud import package
from pipeline.definition import ParameterString
from pipeline.pipeline import build
from pipeline.settings import PROBLEMS, ROOT, Gate, Settings
from pipeline.steps import Jobs

METRICS = [(problem, metric) for problem, facts in PROBLEMS.items() for metric in facts.metrics]
JOBS = ("Processing", "Training")
CACHED = (
    "AppSpecification",
    "ProcessingInputs",
    "Environment",
    "HyperParameters",
    "InputDataConfig",
)


def settings(problem=None, metric=None, **changes):
    loaded = Settings.load(environ={})
    if problem:
        changes |= {
            "problem_type": problem,
            "gate": Gate(metric or PROBLEMS[problem].metrics[0], 1),
        }
    return replace(loaded, **changes)


def steps(changed):
    """Return the compiled steps by name, those in the gate's branches too."""
    compiled = json.loads(build(changed).definition())["Steps"]
    gates = [step["Arguments"] for step in compiled if step["Type"] == "Condition"]
    inner = [step for gate in gates for step in [*gate["IfSteps"], *gate["ElseSteps"]]]
    return {step["Name"]: step for step in [*compiled, *inner]}


def fetching(changed):
    """Return the names of the data source's own steps: they alone have to reach AWS."""
    instance_type = ParameterString("InstanceType", changed.instance_type)
    jobs = Jobs(changed, package(changed).code, instance_type)
    return {step.name for step in data_source.source(jobs).steps}


@pytest.mark.parametrize(("problem", "metric"), METRICS)
def test_the_definition_is_right_for_every_metric(problem, metric):
    compiled = json.loads(build(settings(problem, metric)).definition())
    assert check.findings(compiled) == []


@pytest.mark.parametrize(("problem", "metric"), METRICS)
def test_the_gate_wants_errors_low_and_the_rest_high(problem, metric):
    (condition,) = steps(settings(problem, metric))["Gate"]["Arguments"]["Conditions"]
    low = metric in ("rmse", "mse", "mae")
    assert condition["Type"] == ("LessThanOrEqualTo" if low else "GreaterThanOrEqualTo")
    path = condition["LeftValue"]["Std:JsonGet"]["Path"]
    assert path == f"{PROBLEMS[problem].group}.{metric}.value"


def test_compiling_is_offline_light_and_the_same_bytes_in_every_process(tmp_path):
    heavy = {"pandas", "xgboost", "sklearn", "boto3", "numpy", "sagemaker"}
    script = (
        "import sys; from pipeline.__main__ import main\n"
        "code = main(['compile', '--output', sys.argv[1]])\n"
        f"assert not {heavy} & set(sys.modules); sys.exit(code)"
    )
    texts = set()
    for seed in ("1", "2"):
        target = tmp_path / seed
        environ = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, str(target)]
        subprocess.run(command, cwd=ROOT, env=environ, check=True)
        texts.add(target.read_bytes())
    assert len(texts) == 1


def test_every_job_is_isolated_and_encrypted_with_the_projects_key():
    changed = settings()
    key = changed.cloud.kms_key
    for name, step in steps(changed).items():
        request = step["Arguments"]
        if step["Type"] not in JOBS:
            continue
        network = request.get("NetworkConfig", request)
        cluster = request.get("ResourceConfig") or request["ProcessingResources"]["ClusterConfig"]
        results = request.get("OutputDataConfig") or request["ProcessingOutputConfig"]
        assert network["EnableNetworkIsolation"] is (name not in fetching(changed))
        assert network["EnableInterContainerTrafficEncryption"]
        assert (cluster["VolumeKmsKeyId"], results["KmsKeyId"]) == (key, key)
        assert request["StoppingCondition"]["MaxRuntimeInSeconds"] > 0


@pytest.mark.parametrize("instance_type", ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.r5d.2xlarge"])
def test_an_instance_with_disks_of_its_own_gets_no_key_for_a_volume(instance_type):
    compiled = build(settings(instance_type=instance_type)).definition()
    assert "VolumeKmsKeyId" not in compiled
    assert check.findings(json.loads(compiled)) == []


def test_every_job_runs_in_the_vpc_where_there_is_one():
    loaded = settings()
    cloud = replace(loaded.cloud, subnets=("subnet-1",), security_groups=("sg-1",))
    compiled = steps(replace(loaded, cloud=cloud))
    expected = {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    for step in compiled.values():
        if step["Type"] in JOBS:
            request = step["Arguments"]
            assert request.get("NetworkConfig", request)["VpcConfig"] == expected


def test_all_steps_use_the_one_image():
    changed = settings()
    text = build(changed).definition()
    jobs = [step for step in steps(changed).values() if step["Type"] in JOBS]
    assert text.count(".dkr.ecr.") == text.count(changed.image.uri) == len(jobs) + 1


def test_nothing_that_changes_by_itself_stands_in_what_the_cache_compares():
    changed = settings(cache="P30D")
    for name, step in steps(changed).items():
        if step["Type"] in JOBS and name not in fetching(changed):
            assert step["CacheConfig"] == {"Enabled": True, "ExpireAfter": "P30D"}
            compared = json.dumps({key: step["Arguments"].get(key) for key in CACHED})
            assert "Execution." not in compared
            assert "GitCommit" not in compared


def test_the_cache_can_be_switched_off():
    assert "CacheConfig" not in json.dumps(steps(settings(cache=None)))


def test_the_model_is_registered_pending_with_all_that_it_came_from():
    package = steps(settings())["Register"]["Arguments"]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    known = {"CodeSha256", "GitCommit", "PipelineExecutionArn", "SplitSeed", "GateMetric"}
    assert known <= set(package["CustomerMetadataProperties"])
    assert set(package["ModelMetrics"]) == {"ModelQuality", "ModelDataQuality"}
    assert set(package["DriftCheckBaselines"]) == {"ModelQuality", "ModelDataQuality"}


def test_the_reason_of_a_rejection_tells_metric_value_and_threshold():
    reason = steps(settings())["Reject"]["Arguments"]["ErrorMessage"]["Std:Join"]["Values"]
    assert any("Std:JsonGet" in part for part in reason if isinstance(part, dict))
    assert {"Get": "Parameters.GateThreshold"} in reason
