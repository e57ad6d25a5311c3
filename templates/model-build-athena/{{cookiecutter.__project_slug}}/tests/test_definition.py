"""What the builder writes, and how it answers what it cannot write."""

import importlib
import json

import pytest

from pipeline.definition import (
    CacheConfig,
    ConditionGreaterThanOrEqualTo,
    ConditionStep,
    DefinitionError,
    ExecutionVariables,
    FailStep,
    Join,
    JsonGet,
    ParameterFloat,
    ParameterString,
    Pipeline,
    ProcessingInput,
    ProcessingOutput,
    ProcessingStep,
    PropertyFile,
)

FILE = PropertyFile(name="metrics", output_name="out", path="metrics.json")


def processing(name="Work", **changes):
    arguments = {
        "image_uri": "image",
        "role": "role",
        "instance_type": "ml.m5.xlarge",
        "entrypoint": ["python3", "/opt/ml/processing/input/code/work.py"],
        "arguments": ["--fast"],
        "inputs": [],
        "outputs": [ProcessingOutput(output_name="out", s3_uri="s3://b/o", local_path="/opt/ml/o")],
    }
    return ProcessingStep(name, **(arguments | changes))


def compiled(*steps, parameters=()):
    pipeline = Pipeline(name="p", parameters=parameters, steps=steps)
    return json.loads(pipeline.definition())["Steps"]


class Foreign:
    """A step that is none of ours: only its to_request() is known."""

    name = "Tune"

    def __init__(self, arguments, depends_on=()):
        self.request = {"Name": "Tune", "Type": "Tuning", "Arguments": arguments}
        self.request["DependsOn"] = list(depends_on)

    def to_request(self):
        return self.request


def test_every_variable_is_written_as_sagemaker_reads_it():
    work = processing()
    written = {
        '{"Get": "Parameters.Data"}': ParameterString("Data"),
        '{"Get": "Execution.PipelineExecutionId"}': ExecutionVariables.PIPELINE_EXECUTION_ID,
        '{"Get": "Steps.Work.ProcessingOutputConfig.Outputs[\'out\'].S3Output.S3Uri"}': (
            work.properties.ProcessingOutputConfig.Outputs["out"].S3Output.S3Uri
        ),
        '{"Get": "Steps.Work.TrainingJobSummaries[0].TrainingJobName"}': (
            work.properties.TrainingJobSummaries[0].TrainingJobName
        ),
        '{"Std:Join": {"On": "/", "Values": ["a", {"Get": "Parameters.B"}]}}': (
            Join(on="/", values=["a", ParameterString("B")])
        ),
        '{"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Limit"}]}}': (
            ParameterFloat("Limit").to_string()
        ),
        '{"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Work.PropertyFiles.metrics"}, '
        '"Path": "auc.value"}}': JsonGet("Work", FILE, "auc.value"),
    }
    for expected, variable in written.items():
        (step,) = compiled(FailStep("End", error_message=variable))
        assert step["Arguments"]["ErrorMessage"] == json.loads(expected)


def test_a_step_holds_what_it_was_given_and_nothing_empty():
    cache = CacheConfig(enable_caching=True, expire_after="P30D")
    (step,) = compiled(processing(cache_config=cache, property_files=[FILE]))
    assert step["CacheConfig"] == {"Enabled": True, "ExpireAfter": "P30D"}
    assert step["PropertyFiles"] == [
        {"PropertyFileName": "metrics", "OutputName": "out", "FilePath": "metrics.json"}
    ]
    assert "DependsOn" not in step
    assert "Environment" not in step["Arguments"]
    assert "VpcConfig" not in step["Arguments"]["NetworkConfig"]


def test_branches_and_dependencies_are_written_by_name():
    work = processing()
    end = FailStep("End", error_message="too low")
    compare = ConditionGreaterThanOrEqualTo(left=JsonGet("Work", FILE, "x"), right=0.5)
    gate = ConditionStep("Gate", conditions=[compare], else_steps=[end], depends_on=[work])
    step = compiled(work, gate)[1]
    assert step["DependsOn"] == ["Work"]
    assert [inner["Name"] for inner in step["Arguments"]["ElseSteps"]] == ["End"]
    assert step["Arguments"]["Conditions"][0]["RightValue"] == 0.5


def test_the_same_pipeline_is_the_same_bytes():
    def text():
        data = ParameterString("Data", "s3://b/d")
        source = ProcessingInput(input_name="data", s3_uri=data, local_path="/opt/ml/data")
        return Pipeline("p", [data], [processing(inputs=[source])]).definition()

    assert text() == text()


def test_any_object_with_a_request_is_a_step_and_its_variables_are_written():
    class Theirs:
        expr = {"Get": "Parameters.Theirs"}  # noqa: RUF012 (as the SDK's variables look)

    work = processing()
    ours = work.properties.ProcessingOutputConfig.Outputs["out"].S3Output.S3Uri
    tune = compiled(work, Foreign({"A": Theirs(), "B": [ours], "C": None}, [work, "Other"]))[1]
    assert tune["Arguments"] == {"A": {"Get": "Parameters.Theirs"}, "B": [ours.expr]}
    assert tune["DependsOn"] == ["Work", "Other"]


def test_an_unknown_argument_is_answered_with_the_known_ones_and_the_way_out():
    with pytest.raises(DefinitionError, match=r"no argument 'spot'; it takes name.*to_request"):
        processing(spot=True)


def test_an_unknown_step_is_answered_with_the_known_ones_and_the_way_out():
    with pytest.raises(DefinitionError, match=r"no TuningStep; .*TrainingStep.*to_request"):
        importlib.import_module("pipeline.definition").TuningStep  # noqa: B018 (asks for it)


@pytest.mark.parametrize("wrong", ["a text", object(), {"Name": "Half"}])
def test_what_is_no_step_is_refused(wrong):
    with pytest.raises(DefinitionError, match="neither a value nor a step; the steps are"):
        compiled(wrong)


def test_what_is_no_value_is_refused():
    with pytest.raises(DefinitionError, match="neither a value nor a step"):
        compiled(FailStep("End", error_message=object()))


def test_a_variable_does_not_end_up_in_a_text_unnoticed():
    with pytest.raises(DefinitionError, match="use Join"):
        f"{ParameterString('Data')}/part"
