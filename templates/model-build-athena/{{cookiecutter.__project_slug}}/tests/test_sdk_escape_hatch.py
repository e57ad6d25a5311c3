"""What the builder lacks, the SDK has: a TuningStep of SageMaker SDK v3 goes into our graph."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from pipeline import check, definition, local
from pipeline.pipeline import build
from pipeline.settings import Settings

if find_spec("sagemaker") is None:
    pytest.skip("needs the SDK: docs/pipeline.md says how to install it", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK's own, by the dozen


@pytest.fixture
def graph(monkeypatch):
    """Our pipeline with the SDK's TuningStep, which reads what our Preprocess and Train have."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    import boto3
    from sagemaker.core.parameter import IntegerParameter
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.mlops.workflow.steps import TuningStep
    from sagemaker.train.configs import Compute, InputData, OutputDataConfig
    from sagemaker.train.model_trainer import ModelTrainer
    from sagemaker.train.tuner import HyperparameterTuner

    definition.accept_in_sdk()
    ours = build(Settings.load(environ={}))
    steps = {step.name: step for step in ours.steps}
    preprocess, train = steps["Preprocess"], steps["Train"]
    session = PipelineSession(
        boto_session=boto3.Session(region_name="eu-west-1"), default_bucket="bucket"
    )
    trainer = ModelTrainer(
        sagemaker_session=session,
        role=train.role,
        training_image=train.training_image,
        training_input_mode="File",
        compute=Compute(instance_type="ml.m5.xlarge", instance_count=1, volume_size_in_gb=30),
        hyperparameters={k: v for k, v in train.hyperparameters.items() if k != "max-depth"},
        output_data_config=OutputDataConfig(s3_output_path="s3://bucket/tuning"),
    )
    tuner = HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name="validation:auc",
        hyperparameter_ranges={"max-depth": IntegerParameter(2, 8)},
        metric_definitions=[dict(item) for item in train.metric_definitions],
        max_jobs=4,
    )
    channels = [
        InputData(channel_name=item.channel_name, data_source=item.data_source)
        for item in train.input_data_config
    ]
    tune = TuningStep("Tune", step_args=tuner.tune(inputs=channels), depends_on=[preprocess])
    return replace(ours, steps=[*ours.steps, tune])


def test_a_tuning_step_of_the_sdk_compiles_and_passes_the_checks(graph):
    compiled = json.loads(graph.definition())
    tune = compiled["Steps"][-1]
    assert (tune["Type"], tune["DependsOn"]) == ("Tuning", ["Preprocess"])
    assert "Steps.Preprocess.ProcessingOutputConfig.Outputs['train']" in json.dumps(tune)
    assert check.findings(compiled) == []


def test_what_only_aws_can_run_stops_a_local_run_before_it_starts(graph, tmp_path):
    compiled = json.loads(graph.definition())
    with pytest.raises(local.LocalError, match="Tune is a Tuning step"):
        local.run(compiled, parameters={}, mounts={}, root=tmp_path)
    assert list(tmp_path.iterdir()) == []
