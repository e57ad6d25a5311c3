"""Judges the model on the test part, in the layout that SageMaker Model Monitor uses.

Source of evaluation.json: "Model quality metrics" in the SageMaker guide
(model-monitor-model-quality-metrics). details.json holds what the report draws.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics  # type: ignore[import-untyped] # scikit-learn carries no types

import inference
import job

ROC_POINTS = 200
RESIDUALS = 2000

Array = npt.NDArray[Any]
Facts = dict[str, Any]


def evaluate(model: inference.Model, matrix: Array, actual: Array) -> tuple[Facts, Facts]:
    """Return evaluation.json and details.json for test features (n, m) and labels (n)."""
    problem_type, labels = model.spec["problem_type"], model.spec["target"]["labels"]
    scores = inference.scores(model, matrix)
    details: Facts = {
        "problem_type": problem_type,
        "labels": labels or [],
        "positive_label": labels[-1] if problem_type == "binary_classification" else None,
        "rows": len(actual),
        "importance": importance(model),
        "confusion_matrix": None,
        "roc": [],
        "residuals": [],
    }
    if labels is None:
        details["residuals"] = residuals(actual, scores)
        return {"regression_metrics": _regression(actual, scores)}, details
    predicted = scores.argmax(axis=1)
    counts = metrics.confusion_matrix(actual, predicted, labels=range(len(labels))).tolist()
    details["confusion_matrix"] = {"labels": labels, "counts": counts}
    scored = range(1, 2) if problem_type == "binary_classification" else range(len(labels))
    details["roc"] = [_roc(labels[code], actual == code, scores[:, code]) for code in scored]
    facts: Facts = {"confusion_matrix": _nested(labels, counts)}
    if problem_type == "binary_classification":
        curve = details["roc"][0]
        facts |= _binary(actual, predicted, curve["auc"])
        facts["receiver_operating_characteristic_curve"] = {
            "false_positive_rates": curve["fpr"],
            "true_positive_rates": curve["tpr"],
        }
    else:
        facts |= _multiclass(actual, predicted)
    return {f"{problem_type}_metrics": facts}, details


def _metric(value: float) -> Facts:
    return {"value": float(value), "standard_deviation": "NaN"}  # Model Monitor's own word


def _binary(actual: Array, predicted: Array, auc: float) -> Facts:
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        actual, predicted, average="binary", zero_division=0
    )
    return {
        "auc": _metric(auc),
        "accuracy": _metric(metrics.accuracy_score(actual, predicted)),
        "precision": _metric(precision),
        "recall": _metric(recall),
        "f1": _metric(f1),
    }


def _multiclass(actual: Array, predicted: Array) -> Facts:
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        actual, predicted, average="weighted", zero_division=0
    )
    return {
        "accuracy": _metric(metrics.accuracy_score(actual, predicted)),
        "weighted_precision": _metric(precision),
        "weighted_recall": _metric(recall),
        "weighted_f1": _metric(f1),
    }


def _regression(actual: Array, predicted: Array) -> Facts:
    mse = metrics.mean_squared_error(actual, predicted)
    return {
        "mae": _metric(metrics.mean_absolute_error(actual, predicted)),
        "mse": _metric(mse),
        "rmse": _metric(mse**0.5),
        "r2": _metric(metrics.r2_score(actual, predicted)),
    }


def _nested(labels: list[Any], counts: list[list[int]]) -> Facts:
    """Return {actual: {predicted: rows}}."""
    return {
        actual: dict(zip(labels, row, strict=True))
        for actual, row in zip(labels, counts, strict=True)
    }


def _roc(label: object, actual: Array, score: Array) -> Facts:
    """Return the curve of one class against the rest, thinned to what an eye can tell apart."""
    fpr, tpr, _ = metrics.roc_curve(actual, score)
    kept = np.unique(np.linspace(0, len(fpr) - 1, ROC_POINTS).astype("int64"))
    auc = float(metrics.auc(fpr, tpr))
    return {"label": label, "auc": auc, "fpr": fpr[kept].tolist(), "tpr": tpr[kept].tolist()}


def importance(model: inference.Model) -> list[Facts]:
    """Return the share of the total gain that each column of the data brought, largest first."""
    gains = model.booster.get_score(importance_type="total_gain")
    shares = dict.fromkeys((column["name"] for column in model.spec["columns"]), 0.0)
    for position, feature in enumerate(model.spec["features"]):
        shares[feature["column"]] += float(np.sum(gains.get(f"f{position}", 0.0)))
    total = sum(shares.values()) or 1.0
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return [{"feature": name, "gain": gain / total} for name, gain in ranked]


def residuals(actual: Array, predicted: Array) -> list[Facts]:
    """Return at most 2000 rows, the same ones each time."""
    size = min(RESIDUALS, len(actual))
    chosen = np.sort(np.random.default_rng(0).choice(len(actual), size, replace=False))
    return [{"actual": float(actual[row]), "predicted": float(predicted[row])} for row in chosen]


def main(argv: Sequence[str] | None = None) -> int:
    parser = job.Parser(description=__doc__)
    parser.add_argument("--model-dir", type=Path, required=True, help="holds model.tar.gz")
    parser.add_argument("--test-dir", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    job.add_message_file(parser)
    return job.run(parser, _work, argv)


def _work(args: argparse.Namespace) -> None:
    model = inference.load(args.model_dir)
    evaluation, details = evaluate(model, *job.load_part(args.test_dir))
    job.write_json(args.output_dir / "evaluation.json", evaluation)
    job.write_json(args.output_dir / "details.json", details)
    for name, fact in next(iter(evaluation.values())).items():
        if "value" in fact:
            print(f"test:{name}={fact['value']:.6g}")


if __name__ == "__main__":
    sys.exit(main())
