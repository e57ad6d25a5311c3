"""The project's definition is the one that SageMaker SDK v3 compiles for the same pipeline."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import pytest
from conftest import PROJECTS, SITUATIONS, definitions, importing, session
from normalise import compare


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_definitions_are_equal(project, situation):
    assert compare(*definitions(project, situation)) == []


def test_every_template_comes_in_every_problem_type():
    with importing(PROJECTS[0]) as load:
        known = sorted(load("settings").PROBLEMS)
    for template, projects in groupby(PROJECTS, lambda path: path.parent.name):
        assert sorted(path.name for path in projects) == known, template


def test_the_same_metrics_are_errors(project):
    import sdk_pipeline

    with importing(project) as load:
        module = load("settings")
        metrics = module.PROBLEMS[project.name].metrics
        lower = {metric for metric in metrics if module.Gate(metric, 0.0).lower_is_better}
    assert lower == sdk_pipeline.LOWER_IS_BETTER & set(metrics)


def waiting(fail: Any, condition: Any) -> list[Any]:
    """Return steps that wait for a step, a name, and both; no argument refers to another step."""
    first = fail("First", error_message="x")
    second = fail("Second", error_message="x", depends_on=[first])
    third = condition(
        "Third",
        depends_on=["First", second],
        conditions=[],
        if_steps=[fail("Inner", error_message="x", depends_on=["Second"])],
        else_steps=[],
    )
    return [first, second, third]


def test_dependencies_are_written_as_the_sdk_writes_them(project):
    import sdk_pipeline as sdk

    steps = waiting(sdk.FailStep, sdk.ConditionStep)
    theirs = json.loads(sdk.Pipeline("x", steps=steps, sagemaker_session=session()).definition())
    with importing(project) as load:
        module = load("definition")
        steps = waiting(module.FailStep, module.ConditionStep)
        ours = json.loads(module.Pipeline(name="x", parameters=[], steps=steps).definition())
    assert ours["Steps"][2]["DependsOn"] == ["First", "Second"]
    assert compare(ours["Steps"], theirs["Steps"]) == []
