"""Trains an XGBoost model, and stops when the validation part no longer improves.

The same data, hyperparameters and seed give the same model, on any number of cores.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xgboost as xgb

import features
import job

# The objective, and what is reported: the last metric decides when to stop.
OBJECTIVES = {
    "binary_classification": ("binary:logistic", ["auc", "logloss"]),
    "multiclass_classification": ("multi:softprob", ["merror", "mlogloss"]),
    "regression": ("reg:squarederror", ["mae", "rmse"]),
}
SERVING = ("inference.py", "payload.py", "features.py")  # what answers requests


@dataclass(frozen=True)
class Hyperparameters:
    rounds: int
    early_stopping_rounds: int
    max_depth: int
    learning_rate: float
    subsample: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse what XGBoost would refuse in many lines, or would take for something else."""
        for name in ("rounds", "early_stopping_rounds", "max_depth", "learning_rate", "subsample"):
            value, whole = getattr(self, name), self.__annotations__[name] is int
            if not (value >= 1 if whole else 0 < value <= 1):
                remedy = "give a whole number from 1" if whole else "give a number in (0, 1]"
                raise features.InputError(f"training.{name} {value} cannot be used: {remedy}")


def fit(
    train: job.Part,
    validation: job.Part,
    spec: features.Spec,
    hyper: Hyperparameters,
    threads: int = 0,
) -> tuple[xgb.Booster, dict[str, float]]:
    """Return the model, cut to its best round, and the metrics of that round by name.

    `threads` are those that XGBoost takes, by default one a core: the model does not depend on it.
    """
    types = [feature["type"] for feature in spec["features"]]
    objective, metrics = OBJECTIVES[spec["problem_type"]]
    parameters: dict[str, Any] = {
        "objective": objective,
        "eval_metric": metrics,
        "max_depth": hyper.max_depth,
        "learning_rate": hyper.learning_rate,
        "subsample": hyper.subsample,
        "seed": hyper.seed,
        "tree_method": "hist",
        "nthread": threads,
    }
    if objective.startswith("multi:"):
        parameters["num_class"] = len(spec["target"]["labels"])
    data = {
        "train": xgb.QuantileDMatrix(*train, feature_types=types, enable_categorical=True),
        # No QuantileDMatrix: with the training part's bins it misreads an unseen category.
        "validation": xgb.DMatrix(*validation, feature_types=types, enable_categorical=True),
    }
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        parameters,
        data["train"],
        num_boost_round=hyper.rounds,
        evals=[(matrix, part) for part, matrix in data.items()],
        evals_result=history,
        early_stopping_rounds=hyper.early_stopping_rounds,
        verbose_eval=False,
    )
    best = booster.best_iteration
    reached = {
        f"{part}:{metric}": values[best]
        for part, results in history.items()
        for metric, values in results.items()
    }
    return booster[: best + 1], {**reached, "rounds": float(best + 1)}


def save(booster: xgb.Booster, spec: features.Spec, folder: Path) -> None:
    """Write what model.tar.gz is to hold: it then serves as it is, without this project."""
    (folder / "code").mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.json")
    job.write_json(folder / "features.json", spec)
    for name in SERVING:
        shutil.copyfile(Path(__file__).parent / name, folder / "code" / name)


def main(argv: Sequence[str] | None = None) -> int:
    parser = job.Parser(description=__doc__)
    for name in ("train", "validation", "features"):
        channel = os.environ.get(f"SM_CHANNEL_{name.upper()}")
        parser.add_argument(f"--{name}", type=Path, default=channel, required=channel is None)
    model_dir = os.environ.get("SM_MODEL_DIR")
    parser.add_argument("--model-dir", type=Path, default=model_dir, required=model_dir is None)
    parser.add_argument("--problem-type", choices=OBJECTIVES, required=True)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--early-stopping-rounds", type=int, default=25)
    parser.add_argument("--max-depth", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--subsample", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=42)
    return job.run(parser, _work, argv)


def _work(args: argparse.Namespace) -> None:
    spec = job.read_json(args.features / "features.json")
    if spec["problem_type"] != args.problem_type:
        line = f"problem.type {args.problem_type} is not the {spec['problem_type']}"
        raise features.InputError(f"{line} of the prepared data: run preprocessing again")
    names = Hyperparameters.__dataclass_fields__
    hyper = Hyperparameters(**{name: getattr(args, name) for name in names})
    booster, metrics = fit(job.load_part(args.train), job.load_part(args.validation), spec, hyper)
    save(booster, spec, args.model_dir)
    for name, value in metrics.items():
        print(f"{name}={value:.6g}")


if __name__ == "__main__":
    sys.exit(main())
