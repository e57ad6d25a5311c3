"""Writes a small data set to start with: scikit-learn's own, so nothing is downloaded."""

from pathlib import Path

from sklearn import datasets  # type: ignore[import-untyped] # scikit-learn carries no types

LOADERS = {
    "binary_classification": datasets.load_breast_cancer,
    "multiclass_classification": datasets.load_wine,
    "regression": datasets.load_diabetes,
}


def write(problem_type: str, target_column: str, path: Path) -> Path:
    """Write a CSV file to learn `problem_type` from, the same bytes each time; return `path`.

    Binary: 569 tumours, malignant or benign. Multiclass: 178 wines of three growers. Regression:
    442 patients and how their diabetes progressed. Raises ValueError for another problem type.
    """
    if problem_type not in LOADERS:
        known = ", ".join(LOADERS)
        raise ValueError(f"problem.type {problem_type!r} has no sample: choose one of {known}")
    bunch = LOADERS[problem_type](as_frame=True)
    # A feature may have the name that the project gave to its target.
    frame = bunch.data.rename(columns={target_column: f"{target_column} (feature)"})
    names = getattr(bunch, "target_names", None)  # the labels in words; a regression has none
    frame[target_column] = bunch.target if names is None else names[bunch.target]
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n")
    return path
