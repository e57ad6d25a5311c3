"""The runner executes a definition: stub jobs stand for the real ones."""

import io
import json
import os
import tarfile
import textwrap

import pytest

from pipeline import local
from pipeline.definition import (
    ConditionGreaterThanOrEqualTo,
    ConditionStep,
    FailStep,
    InputData,
    Join,
    JsonGet,
    ParameterFloat,
    ParameterString,
    Pipeline,
    ProcessingInput,
    ProcessingOutput,
    ProcessingStep,
    PropertyFile,
    RegisterModel,
    TrainingStep,
)

JOBS = {
    "prepare.py": """
        import os, pathlib, sys
        assert "PYTHONPATH" not in os.environ
        source, target, seed = map(pathlib.Path, sys.argv[1:])
        rows = (source / "rows.csv").read_text()
        if "bad" in rows:
            sys.exit(print("rows.csv: row 1 is bad: mend it") or 2)
        if "broken" in rows:
            raise RuntimeError("no such luck")
        (source / "rows.csv").write_text("mine now")
        (target / "part").mkdir()
        (target / "part" / "rows.txt").write_text(rows + str(seed))
    """,
    "train.py": """
        import json, os, pathlib, sys
        model = pathlib.Path(os.environ["SM_MODEL_DIR"])
        rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "part", "rows.txt").read_text()
        facts = {"rows": rows, "arguments": sys.argv[1:], "rate": os.environ["SM_HP_RATE"]}
        (model / "model.json").write_text(json.dumps(facts))
        (model / "code").mkdir()
        (model / "code" / "serve.py").write_text("")
    """,
    "judge.py": """
        import json, pathlib, sys, tarfile
        with tarfile.open(pathlib.Path(sys.argv[1], "model.tar.gz")) as archive:
            assert "model.json" in archive.getnames()
        pathlib.Path(sys.argv[2], "metrics.json").write_text('{"good": {"value": 0.8}}')
    """,
}
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
METRICS = PropertyFile(name="metrics", output_name="metrics", path="metrics.json")


def processing(name, script, inputs, output, *arguments):
    return ProcessingStep(
        name,
        image_uri="image",
        role="role",
        instance_type="ml.m5.xlarge",
        entrypoint=["python3", f"{INPUT}/code/{script}"],
        arguments=arguments,
        inputs=[
            ProcessingInput(input_name=key, s3_uri=uri, local_path=f"{INPUT}/{key}")
            for key, uri in {"code": "s3://bucket/code/jobs/", **inputs}.items()
        ],
        outputs=[
            ProcessingOutput(output_name=output, s3_uri=f"s3://bucket/{name}", local_path=OUTPUT)
        ],
        property_files=[METRICS] if output == "metrics" else [],
    )


def definition(*more, uri="s3://data/rows/"):
    data, limit = ParameterString("Data", uri), ParameterFloat("Limit", 0.5)
    prepare = processing(
        "Prepare", "prepare.py", {"data": data}, "rows", f"{INPUT}/data", OUTPUT, "7"
    )
    train = TrainingStep(
        "Train",
        training_image="image",
        role="role",
        instance_type="ml.m5.xlarge",
        hyperparameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": "/opt/ml/input/data/code/jobs.tar.gz",
            "rate": "0.10",
            "kind": "a b",
        },
        input_data_config=[
            InputData(channel_name="code", data_source="s3://bucket/code/jobs.tar.gz"),
            InputData(
                channel_name="train",
                data_source=prepare.properties.ProcessingOutputConfig.Outputs[
                    "rows"
                ].S3Output.S3Uri,
            ),
        ],
        output_path="s3://bucket/models",
    )
    model = train.properties.ModelArtifacts.S3ModelArtifacts
    judge = processing("Judge", "judge.py", {"model": model}, "metrics", f"{INPUT}/model", OUTPUT)
    measured = JsonGet("Judge", METRICS, "good.value")
    register = RegisterModel(
        "Register",
        model_package_group_name="group",
        containers=[{"Image": "image", "ModelDataUrl": model}],
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=["ml.m5.large"],
        transform_instances=["ml.m5.large"],
        customer_metadata_properties={"Limit": limit.to_string()},
    )
    reject = FailStep("Reject", error_message=Join(values=["good is ", measured, ", not ", limit]))
    compare = ConditionGreaterThanOrEqualTo(left=measured, right=limit)
    gate = ConditionStep("Gate", conditions=[compare], if_steps=[register], else_steps=[reject])
    steps = [prepare, train, judge, gate, *more]
    return json.loads(Pipeline("p", [data, limit], steps).definition())


@pytest.fixture
def place(tmp_path):
    """A folder with stub jobs where the definition expects them, and rows to read."""
    jobs = tmp_path / "local/s3/bucket/code/jobs"
    jobs.mkdir(parents=True)
    for name, text in JOBS.items():
        (jobs / name).write_text(textwrap.dedent(text))
    with (jobs.parent / "jobs.tar.gz").open("wb") as target:
        local.pack({path.name: path for path in jobs.iterdir()}, target)
    (tmp_path / "rows.csv").write_text("1,2")
    return tmp_path


def run(place, compiled=None, parameters=None, **more):
    return local.run(
        compiled or definition(),
        parameters=parameters or {},
        mounts={"s3://data/rows": place / "rows.csv"},
        root=place / "local",
        **more,
    )


def statuses(result):
    return {step.name: step.status for step in result.steps}


def test_a_good_model_is_registered_and_versions_count_up(place, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")  # a job asserts that it does not see it
    first, second = run(place), run(place)
    assert (first.code, first.failure) == (0, None)
    assert statuses(first)["Reject"] == "Skipped"
    record = json.loads(second.model_package.read_text())
    assert record["ModelPackageVersion"] == 2
    assert record["ModelApprovalStatus"] == "PendingManualApproval"
    assert record["CustomerMetadataProperties"] == {"Limit": "0.5"}
    assert (second.model_package.parent / "model.tar.gz").is_file()


def test_training_sees_what_the_toolkit_would_show_it(place):
    result = run(place)
    with tarfile.open(result.model_package.parent / "model.tar.gz") as archive:
        assert archive.getnames() == ["code/serve.py", "model.json"]
        facts = json.load(archive.extractfile("model.json"))
    assert facts == {"rows": "1,27", "arguments": ["--kind", "a b", "--rate", "0.1"], "rate": "0.1"}


def test_below_the_threshold_the_run_fails_with_the_message(place):
    result = run(place, parameters={"Limit": "0.9"})
    assert (result.code, result.model_package) == (1, None)
    assert (result.failure.name, result.failure.reason) == ("Reject", "good is 0.8, not 0.9")
    assert statuses(result)["Register"] == "Skipped"


def test_bad_input_ends_the_run_with_the_jobs_own_line(place):
    (place / "rows.csv").write_text("bad")
    result = run(place)
    assert (result.code, result.failure.reason) == (2, "rows.csv: row 1 is bad: mend it")
    assert set(statuses(result).values()) == {"Failed", "NotRun"}


def test_a_crash_ends_the_run_with_its_last_line_and_keeps_the_log(place):
    (place / "rows.csv").write_text("broken")
    result = run(place)
    assert result.code == 1
    assert result.failure.reason == "the job ended with code 1: RuntimeError: no such luck"
    assert "Traceback" in local.tail(result.failure.log)[0]


def test_what_a_killed_run_leaves_does_not_disturb_the_next(place):
    for leftover in ("runs/1/Train/opt/ml/model", "registry/group/1"):
        (place / "local" / leftover).mkdir(parents=True)
    result = run(place)
    assert result.code == 0
    assert result.model_package.parent.name == "2"


def test_an_interruption_ends_the_job_too(place):
    jobs = place / "local/s3/bucket/code/jobs"
    note = f"open({str(place / 'pid')!r}, 'w').write(str(os.getpid()))"
    (jobs / "prepare.py").write_text(f"import os, time\n{note}\ntime.sleep(60)")

    def interrupt(step):
        if step.seconds:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(place, on_progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((place / "pid").read_text()), 0)


def test_a_job_may_change_a_small_input_and_gets_a_large_one_without_a_copy(place, monkeypatch):
    run(place)
    assert (place / "rows.csv").read_text() == "1,2"
    monkeypatch.setattr(local, "LARGE", 0)
    files = local.S3(place / "local/s3", {"s3://data/rows": place / "rows.csv"})
    files.download("s3://data/rows", place / "in", "input")
    assert (place / "in/rows.csv").samefile(place / "rows.csv")


def test_progress_tells_each_step_from_its_start_to_its_end(place):
    told = []
    run(place, on_progress=lambda step: told.append((step.name, step.status)))
    quick = [entry for index, entry in enumerate(told) if entry not in told[:index]]
    assert quick[:4] == [
        ("Prepare", "Executing"),
        ("Prepare", "Succeeded"),
        ("Train", "Executing"),
        ("Train", "Succeeded"),
    ]
    assert quick[-1] == ("Reject", "Skipped")


class Tuning:
    """A step that has no local equivalent."""

    name = "Tune"

    def to_request(self):
        return {"Name": "Tune", "Type": "Tuning", "Arguments": {}}


def test_what_cannot_run_here_stops_the_run_before_it_starts(place):
    with pytest.raises(local.LocalError, match="Tune is a Tuning step, which has no local"):
        run(place, definition(Tuning()))
    assert not (place / "local/runs").exists()


def test_a_built_in_algorithm_cannot_run_here(place):
    compiled = definition()
    del compiled["Steps"][1]["Arguments"]["HyperParameters"]["sagemaker_program"]
    with pytest.raises(local.LocalError, match="Train trains a built-in algorithm"):
        run(place, compiled)


def test_what_cannot_run_here_can_be_left_out_with_all_that_needs_it(place):
    after = FailStep("After", error_message="never", depends_on=["Tune"])
    result = run(place, definition(Tuning(), after), skip_unsupported=True)
    assert result.code == 0
    told = {step.name: step.reason for step in result.steps if step.status == "Skipped"}
    assert told["After"] == "needs Tune, which was skipped"
    assert told["Tune"].startswith("Tune is a Tuning step")


@pytest.mark.parametrize(
    ("depends_on", "line"),
    [(["Nowhere"], "Last needs Nowhere"), (["Last"], "Last wait for each other: a cycle")],
)
def test_an_order_that_does_not_exist_is_told(place, depends_on, line):
    with pytest.raises(local.LocalError, match=line):
        run(place, definition(FailStep("Last", error_message="x", depends_on=depends_on)))


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"Limits": "1"}, "there is no parameter Limits: use one of Data, Limit"),
        ({"Limit": "high"}, "parameter Limit is 'high': it takes type Float"),
        ({"Limit": "nan"}, "parameter Limit is 'nan': it takes type Float"),
    ],
)
def test_a_wrong_parameter_is_named(place, given, line):
    with pytest.raises(local.LocalError, match=line):
        run(place, parameters=given)


def test_an_empty_address_fails_the_step_that_reads_it(place):
    result = run(place, definition(uri="s3://elsewhere/rows"))
    assert result.failure.name == "Prepare"
    assert "there is nothing at s3://elsewhere/rows" in result.failure.reason


@pytest.mark.parametrize("name", ["../outside.py", "/absolute.py", "link"])
def test_an_archive_cannot_write_outside_its_folder(place, name):
    archive = place / "local/s3/bucket/code/jobs.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(member, io.BytesIO())
    result = run(place)
    assert result.failure.name == "Train"
    assert "is not safe" in result.failure.reason


def test_a_path_outside_the_jobs_folder_is_refused(place):
    compiled = definition()
    compiled["Steps"][0]["Arguments"]["ProcessingInputs"][1]["S3Input"]["LocalPath"] = "/srv/data"
    result = run(place, compiled)
    assert result.failure.reason == "/srv/data is not below /opt/ml"


def test_an_archive_is_the_same_for_the_same_content(tmp_path):
    def packed(folder, time):
        folder.mkdir()
        for name in ("b", "a"):
            (folder / name).write_text(name)
            os.utime(folder / name, (time, time))
        target = io.BytesIO()
        local.pack({path.name: path for path in folder.iterdir()}, target)
        return target.getvalue()

    one, two = packed(tmp_path / "one", 1), packed(tmp_path / "two", 2)
    assert one == two
    assert one[4:8] == bytes(4)  # gzip's own time


def test_values_are_looked_up_by_member_name_and_number():
    value = {"Outputs": [{"OutputName": "a", "S3Uri": "x"}], "a.b": {"c": [1, 2]}}
    assert local.look_up(value, "Outputs['a'].S3Uri") == "x"
    assert local.look_up(value, "['a.b'].c[1]") == 2
    for path in ("Outputs['b']", "a", "['a.b'].c[2]", "Outputs.S3Uri"):
        with pytest.raises(local.StepError, match="there is no"):
            local.look_up(value, path)
