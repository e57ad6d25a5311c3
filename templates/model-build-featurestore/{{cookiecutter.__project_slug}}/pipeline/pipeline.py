"""The graph: Preprocess -> Train -> Evaluate -> Gate -> Register, or Reject."""

from __future__ import annotations

from pipeline import data_source, steps
from pipeline.cloud import package
from pipeline.definition import ParameterFloat, ParameterInteger, ParameterString, Pipeline
from pipeline.settings import Settings


def build(settings: Settings) -> Pipeline:
    """Return the pipeline. Raises SettingsError for a setting that the data source cannot use."""
    instance_type = ParameterString("InstanceType", settings.instance_type)
    threshold = ParameterFloat("GateThreshold", settings.gate.threshold)
    seed = ParameterInteger("SplitSeed", settings.split.seed)
    commit = ParameterString("GitCommit", "unknown")

    jobs = steps.Jobs(settings, package(settings).code, instance_type)
    source = data_source.source(jobs)

    preprocess = steps.preprocess(jobs, source.uri, seed)
    train = steps.train(jobs, preprocess, seed)
    evaluate = steps.evaluate(jobs, preprocess, train)
    provenance = {
        **source.provenance,
        "GitCommit": commit,
        "SplitSeed": seed.to_string(),
        "GateThreshold": threshold.to_string(),
    }
    register = steps.register(jobs, preprocess, train, evaluate, provenance)
    reject = steps.reject(jobs, evaluate, threshold)
    gate = steps.gate(jobs, evaluate, threshold, if_steps=[register], else_steps=[reject])

    return Pipeline(
        name=settings.project,
        parameters=[*source.parameters, instance_type, threshold, seed, commit],
        steps=[*source.steps, preprocess, train, evaluate, gate],
    )
