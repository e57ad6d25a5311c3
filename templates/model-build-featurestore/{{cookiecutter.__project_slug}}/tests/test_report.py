from html.parser import HTMLParser

import pytest

from pipeline import report
from pipeline.report_svg import number

VOID = {"br", "hr", "img", "input", "link", "meta"}
STEPS = ["Preprocess", "Train", "Evaluate", "Gate", "Register", "Reject"]
METRICS = {
    "binary_classification": "auc",
    "multiclass_classification": "accuracy",
    "regression": "rmse",
}
PROBLEMS = list(METRICS)
HOSTILE = "<script>alert('$x')</script>\"&"


class Page(HTMLParser):
    """Collects what a page holds and insists that every element is closed in order."""

    def __init__(self, markup):
        super().__init__()
        self.markup, self.open, self.elements, self.words = markup, [], [], ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words += f"{data}\n"

    def all(self, attribute):
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]


def definition(metric):
    def output(step, name):
        return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}

    value = {
        "Std:JsonGet": {
            "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.evaluation"},
            "Path": f"some_metrics.{metric}.value",
        },
    }
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    gate = {
        "Conditions": [{"Type": "LessThanOrEqualTo", "LeftValue": value, "RightValue": 1}],
        "IfSteps": [{"Name": "Register", "Type": "RegisterModel", "Arguments": {"Url": model}}],
        "ElseSteps": [{"Name": "Reject", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
    }
    train = {"InputDataConfig": [output("Preprocess", "train"), output("Preprocess", "features")]}
    evaluate = {"ProcessingInputs": [{"Std:Join": {"On": "", "Values": [model]}}]}
    return {
        "Version": "2020-12-01",
        "Parameters": [],
        "Steps": [
            {"Name": "Preprocess", "Type": "Processing", "Arguments": {}},
            {"Name": "Train", "Type": "Training", "Arguments": train},
            {
                "Name": "Evaluate",
                "Type": "Processing",
                "Arguments": evaluate,
                "DependsOn": ["Preprocess"],
            },
            {"Name": "Gate", "Type": "Condition", "Arguments": gate},
        ],
    }


def details(problem, classes=3, features=25, rows=40):
    labels = [f"class {place}" for place in range(classes)]
    is_regression = problem == "regression"
    curves = labels[-1:] if problem == "binary_classification" else labels
    steps = [place / 500 for place in range(501)]
    return {
        "problem_type": problem,
        "labels": labels,
        "rows": rows,
        "importance": [{"feature": f"f{n}", "gain": features - n} for n in range(features)],
        "confusion_matrix": None
        if is_regression
        else {"labels": labels, "counts": [[7] * classes for _ in labels]},
        "roc": []
        if is_regression
        else [{"label": label, "auc": 0.75, "fpr": steps, "tpr": steps} for label in curves],
        "residuals": [
            {"actual": n * 37 % 1009 + 0.5, "predicted": n * 61 % 997 + 0.25} for n in range(rows)
        ]
        if is_regression
        else [],
        "positive_label": labels[-1] if problem == "binary_classification" else None,
    }


def run(problem="binary_classification", **changes):
    package = {
        "ModelPackageGroupName": "models",
        "ModelPackageVersion": 3,
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": {"GitCommit": "abc"},
    }
    steps = [
        {"name": name, "type": "any", "status": "Succeeded", "seconds": 1.0} for name in STEPS[:-1]
    ]
    steps.append({"name": "Reject", "type": "Fail", "status": "Skipped", "seconds": None})
    return {
        "project": "churn",
        "problem_type": problem,
        "definition": definition(METRICS[problem]),
        "steps": steps,
        "metrics": {METRICS[problem]: 0.75},
        "gate": {"metric": METRICS[problem], "threshold": 0.7, "passed": True},
        "rows": {"total": 100, "train": 70, "validation": 15, "test": 15},
        "seconds": {"Train": 1.0, "total": 6.0},
        "details": details(problem),
        "warnings": [],
        "model_package": "registry/models/3/package.json",
        "package": package,
        "data": "data/sample.csv",
        **changes,
    }


def stopped_early():
    steps = [{"name": name, "type": "any", "status": "NotRun", "seconds": None} for name in STEPS]
    steps[0].update(status="Failed", seconds=0.5, reason="column 'target' is missing")
    nothing = {"metrics": {}, "rows": {}, "details": None, "model_package": None, "package": None}
    gate = {"metric": "auc", "threshold": 0.7, "passed": None}
    return run(steps=steps, gate=gate, seconds={"total": 0.6}, **nothing)


@pytest.fixture
def page(tmp_path):
    def write(facts):
        report.write(facts, tmp_path / "report.html")
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("known", [True, False], ids=["details", "no details"])
def test_page_is_well_formed(page, problem, known):
    facts = run(problem) if known else run(problem, details=None)
    assert "\nchurn\n" in page(facts).words


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_step_is_drawn_once(page, problem):
    assert sorted(page(run(problem)).all("data-step")) == sorted(STEPS)


@pytest.mark.parametrize(
    ("problem", "heading"),
    [
        ("binary_classification", "ROC curve"),
        ("multiclass_classification", "Confusion matrix"),
        ("regression", "Predicted and actual"),
    ],
)
def test_plots_fit_the_problem(page, problem, heading):
    assert f"\n{heading}\n" in page(run(problem)).words
    assert f"\n{heading}\n" not in page(run(problem, details=None)).words


def test_edges_come_from_references_and_dependencies(page):
    words = page(run()).words
    assert "Preprocess to Train: train, features" in words
    assert "Train to Evaluate: model" in words
    assert "Preprocess to Evaluate: order only" in words
    assert "Gate to Register: yes" in words
    assert "Gate to Reject: no" in words


def test_only_the_first_step_of_a_branch_hangs_on_its_condition(page):
    facts = run()
    branch = facts["definition"]["Steps"][-1]["Arguments"]["IfSteps"]
    branch.append({"Name": "Tell", "Type": "Lambda", "Arguments": {}, "DependsOn": ["Register"]})
    words = page(facts).words
    assert "Register to Tell: order only" in words
    assert "Gate to Tell" not in words


def test_the_way_not_taken_is_muted(page):
    kinds = [kind for kind in page(run()).all("class") if kind and kind.startswith("link")]
    assert kinds.count("link mute") == 1


@pytest.mark.parametrize(
    ("passed", "headline"), [(True, "Gate passed"), (False, "Gate failed"), (None, "not reached")]
)
def test_verdict_tells_at_a_glance(page, passed, headline):
    gate = {"metric": "auc", "threshold": 0.7, "passed": passed}
    assert headline in page(run(gate=gate, package=None)).words


def test_threshold_is_compared_as_the_definition_says(page):
    assert "auc; at most 0.7 needed" in page(run()).words


def test_early_stop_names_the_step_and_its_reason(page):
    words = page(stopped_early()).words
    assert "Preprocess failed" in words
    assert "column 'target' is missing" in words
    assert "Registered model" not in words


def test_text_is_escaped(page):
    facts = run(project=HOSTILE, data=HOSTILE, warnings=[HOSTILE], metrics={HOSTILE: 1.0})
    facts["steps"][0]["reason"] = HOSTILE
    facts["package"]["CustomerMetadataProperties"] = {HOSTILE: HOSTILE}
    facts["details"]["importance"][0]["feature"] = HOSTILE
    facts["details"]["roc"][0]["label"] = HOSTILE
    facts["details"]["confusion_matrix"]["labels"][0] = HOSTILE
    shown = page(facts)
    assert "<script" not in shown.markup
    assert shown.words.count(HOSTILE) >= 7


@pytest.mark.parametrize("problem", PROBLEMS)
def test_nothing_is_loaded(page, problem):
    shown = page(run(problem))
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(
        tag for tag, _ in shown.elements
    )
    assert not shown.all("src") + shown.all("href") + shown.all("xlink:href")
    assert not any(word in shown.markup for word in ("://", "url(", "@import"))


def test_drawings_are_described(page):
    drawings = [attrs for tag, attrs in page(run()).elements if tag == "svg" and "role" in attrs]
    assert len(drawings) == 2
    assert all(attrs["aria-label"] for attrs in drawings)


def test_same_run_same_bytes(tmp_path):
    for name in ("one", "two"):
        report.write(run("regression"), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("problem", "size"),
    [
        ("regression", {"rows": 2000}),
        ("multiclass_classification", {"classes": 16}),
        ("multiclass_classification", {"classes": 200}),
        ("binary_classification", {"features": 5000}),
    ],
)
def test_page_stays_small(page, problem, size):
    assert len(page(run(problem, details=details(problem, **size))).markup) < 150_000


def test_importance_shows_twenty_and_counts_the_rest(page):
    words = page(run()).words
    assert "\nf19\n" in words
    assert "\nf20\n" not in words
    assert "and 5 more" in words


@pytest.mark.parametrize("actual", [[3.0, 3.0], [0.0, 0.0], [-1e12, 1e12], [1e-9, 2e-9], [5.0]])
def test_few_or_odd_residuals_are_drawn(page, actual):
    known = details("regression")
    known["residuals"] = [{"actual": value, "predicted": actual[0]} for value in actual]
    assert "Predicted and actual" in page(run("regression", details=known)).words


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "NaN"])
def test_what_is_no_number_is_shown_as_such(page, value):
    known = details("binary_classification")
    known["roc"] = [{"label": "a", "auc": value, "fpr": [0, value, 1], "tpr": [0, value, 1]}]
    assert "n/a" in page(run(metrics={"auc": value}, details=known)).words


def test_a_value_is_never_rounded_onto_its_threshold():
    assert number(0.899999, apart_from=0.9) == "0.899999"
    assert number(0.987654, apart_from=0.9) == "0.9877"


def test_a_file_name_that_is_no_text_does_no_harm(page):
    assert "Data: data/?.csv" in page(run(data="data/\udcff.csv")).words
