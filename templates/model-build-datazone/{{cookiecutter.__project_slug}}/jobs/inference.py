"""Answers predictions: in the SageMaker XGBoost container, and on the laptop from the same file.

    python inference.py model.tar.gz < rows.csv

The container calls model_fn, input_fn, predict_fn and output_fn (SageMaker SDK guide, "Use
XGBoost with the SageMaker Python SDK"). A row holds the columns of the training data in their
order, without the target; with a header row, or as JSON objects, the order is free.
"""

import argparse
import csv
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost as xgb

import payload
from features import InputError, Spec, Where, encode, parse
from payload import CSV, JSON, Rows


class Model(NamedTuple):
    """A booster and the encoding that it was trained with."""

    booster: xgb.Booster
    spec: Spec


def load(path: Path) -> Model:
    """Load a model from its folder or its model.tar.gz; nothing of the archive is unpacked."""
    try:
        if (path / "model.json").exists():
            parts = [(path / name).read_bytes() for name in ("model.json", "features.json")]
        else:
            with tarfile.open(path / "model.tar.gz" if path.is_dir() else path) as archive:
                parts = [_member(archive, name) for name in ("model.json", "features.json")]
        booster = xgb.Booster()
        booster.load_model(bytearray(parts[0]))
        return Model(booster, json.loads(parts[1]))
    except (OSError, KeyError, ValueError, tarfile.TarError, xgb.core.XGBoostError) as error:
        reason = str(error).strip().partition("\n")[0]
        line = f"no model in {path} ({reason})"
        raise InputError(f"{line}: give a model.tar.gz or the folder that holds it") from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read()


def model_fn(model_dir: str) -> Model:
    return load(Path(model_dir))


def input_fn(body: str | bytes, content_type: str) -> Rows:
    with _bad_request():
        return payload.rows(body, content_type)


def predict_fn(rows: Rows, model: Model) -> list[dict[str, Any]]:
    """Return a prediction a row: label and probabilities by label, or value in a regression."""
    with _bad_request():
        kinds = {column["name"]: column["kind"] for column in model.spec["columns"]}
        values = {
            name: parse(pd.Series(cells, dtype=object), kinds[name], _locator(name))
            for name, cells in payload.columns(rows, model.spec).items()
        }
    scored, labels = scores(model, encode(values, model.spec)), model.spec["target"]["labels"]
    if labels is None:
        return [{"value": float(score)} for score in scored]
    return [
        {
            "label": labels[int(np.argmax(row))],
            "probabilities": dict(zip(labels, map(float, row), strict=True)),
        }
        for row in scored
    ]


def output_fn(predictions: list[dict[str, Any]], accept: str) -> str:
    """Return the answer: JSON, or CSV with label and probabilities in the order of the labels."""
    media = payload.media_type(accept)
    if media in {JSON, "*/*", ""}:
        return json.dumps({"predictions": predictions})
    with _bad_request():
        if media != CSV:
            raise InputError(f"accept {accept!r} is not served: ask for {JSON} or {CSV}")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in predictions:
        probabilities = row.get("probabilities", {}).values()
        writer.writerow([row["label"], *probabilities] if probabilities else [row["value"]])
    return out.getvalue()


def scores(model: Model, matrix: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Return the probabilities (n, classes) for encoded rows (n, features), or values (n)."""
    types = [feature["type"] for feature in model.spec["features"]]
    data = xgb.DMatrix(matrix, feature_types=types, enable_categorical=True)
    scored: npt.NDArray[Any] = model.booster.predict(data)
    if model.spec["problem_type"] == "binary_classification":
        return np.column_stack([1 - scored, scored])
    return scored


def _locator(name: str) -> Where:
    return lambda position: f"column {name!r}, row {position + 1}"


@contextmanager
def _bad_request() -> Iterator[None]:
    """Let the serving toolkit answer bad input with 400: on its own it would say 500."""
    try:
        yield
    except InputError as error:
        toolkit = sys.modules.get("sagemaker_inference.errors")
        refusal = getattr(toolkit, "GenericInferenceToolkitError", None)
        if refusal is None:
            raise
        raise refusal(400, " ".join(str(error).split())) from error


def predict(model: Path, body: str | bytes, content_type: str = CSV, accept: str = JSON) -> str:
    """Answer `body` as an endpoint does, with the model in a folder or a model.tar.gz."""
    return output_fn(predict_fn(input_fn(body, content_type), load(model)), accept)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="model.tar.gz, or the folder that holds it")
    parser.add_argument("--accept", default=JSON, choices=[JSON, CSV], help="what to print")
    args = parser.parse_args(argv)
    body = sys.stdin.buffer.read()
    content_type = JSON if body.lstrip()[:1] in {b"{", b"["} else CSV
    try:
        print(predict(args.model, body, content_type, args.accept).rstrip())
    except InputError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
