"""The report of a local run: one page that needs no network, made with the standard library."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from string import Template
from typing import TYPE_CHECKING, Any

from pipeline.report_svg import (
    Step,
    duration,
    graph,
    histogram,
    is_number,
    mark,
    number,
    read_steps,
    roc,
    scatter,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TEMPLATE = Path(__file__).with_name("report.html")
MOST_FEATURES = 20
LONG_NAME = 52
MOST_LABELS = 16  # a larger confusion matrix becomes a list of its largest confusions
SMALL_MATRIX = 6  # up to here a cell has room for its share of the row
COMPARISONS = {"LessThanOrEqualTo": "at most", "LessThan": "below", "GreaterThan": "above"}
MEANINGS = {
    "auc": "area under the ROC curve",
    "accuracy": "share of rows predicted right",
    "precision": "share of the predicted positives that are positive",
    "recall": "share of the positives that were found",
    "f1": "harmonic mean of precision and recall",
    "weighted_precision": "precision, averaged over the classes by their rows",
    "weighted_recall": "recall, averaged over the classes by their rows",
    "weighted_f1": "f1, averaged over the classes by their rows",
    "mae": "mean absolute error, in the target's unit",
    "mse": "mean squared error",
    "rmse": "root of the mean squared error, in the target's unit",
    "r2": "share of the variance explained",
}


def write(run: Mapping[str, Any], path: Path) -> None:
    """Write the page about one local run to `path`: the same run gives the same bytes.

    `run` holds project, problem_type, data, definition (the compiled pipeline), steps (name, type,
    status, seconds, and optionally the reason of a failure), metrics, gate, rows, seconds,
    warnings, details (details.json), package (the registry's record) and model_package (its file).
    What a run that stopped early has not got is empty or None.
    """
    steps, details = read_steps(run), run.get("details") or {}
    headline, verdict = _verdict(run, steps)
    sections = [
        verdict,
        _warnings(run.get("warnings") or []),
        _pipeline(steps, (run.get("seconds") or {}).get("total")),
        _metrics(run),
        _rows(run.get("rows") or {}),
        _confusion(details.get("confusion_matrix") or {}, details.get("positive_label")),
        _roc(details.get("roc") or []),
        _residuals(details.get("residuals") or [], details.get("rows")),
        _importance(details.get("importance") or []),
        f'<div class="stack">{_package(run)}{_next(run)}</div>',
    ]
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=text(f"{run['project']}: {headline}"),
        kind=text(f"Local run, {run['problem_type'].replace('_', ' ')}"),
        project=text(run["project"]),
        data=text(f"Data: {run['data']}"),
        body="\n".join(section for section in sections if section),
    )
    # A file name may hold bytes that are no text: the page is written all the same.
    path.write_text(page, encoding="utf-8", errors="replace", newline="\n")


def _card(title: str, body: str, note: str = "", kind: str = "") -> str:
    """Return a section of the page: `title` and `note` are plain text, `body` is markup."""
    note = f'<p class="note">{text(note)}</p>' if note else ""
    return f'<section class="card {kind}"><h2>{text(title)}</h2>{note}{body}</section>'


def _table(head: str, rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table of markup: a column whose name in `head` starts with # holds numbers."""
    columns = [(name.strip("#"), ' class="num"' * name.startswith("#")) for name in head.split("|")]
    top = "".join(f'<th scope="col"{aligned}>{name}</th>' for name, aligned in columns)
    body = ""
    for row in rows:
        cells = zip(row, columns, strict=True)
        body += (
            "<tr>" + "".join(f"<td{aligned}>{cell}</td>" for cell, (_, aligned) in cells) + "</tr>"
        )
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _bar(share: float) -> str:
    return f'<span class="bar" style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></span>'


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "n/a"


def _verdict(run: Mapping[str, Any], steps: Sequence[Step]) -> tuple[str, str]:
    """Return the headline, and the banner that tells at a glance how the run ended."""
    gate, package = run["gate"], run.get("package")
    failed = next((step for step in steps if step.status == "Failed"), None)
    if gate["passed"] is False:
        status, headline = "Failed", "gate failed"
    elif failed:
        status, headline = "Failed", f"{failed.name} failed"
    elif gate["passed"]:
        status, headline = "Succeeded", "gate passed"
    else:
        status, headline = "NotRun", "gate not reached"
    reason = f"{failed.reason.rstrip('. ')}. " if failed and failed.reason else ""
    story = {
        True: "The gate passed, but no model was registered.",
        False: "" if reason else "No model was registered.",
        None: "The gate was not reached, so no model was registered.",
    }[gate["passed"]]
    if package:
        version, group = package["ModelPackageVersion"], package["ModelPackageGroupName"]
        story = f"Registered as version {version} of {group}, {package['ModelApprovalStatus']}."
    tone = {"Succeeded": "good", "Failed": "bad", "NotRun": "off"}[status]
    body = (
        f'<div><h2><svg viewBox="0 0 20 20" aria-hidden="true">{mark(status)}</svg>'
        f"{text(headline[0].upper() + headline[1:])}</h2><p>{text(reason + story)}</p></div>"
    )
    value = (run.get("metrics") or {}).get(gate["metric"])
    if is_number(value):
        body += _gauge(gate["metric"], value, gate["threshold"], _comparison(run))
    return headline, f'<section class="card wide verdict {tone}">{body}</section>'


def _comparison(run: Mapping[str, Any]) -> str:
    """Say how the definition compares the gate's metric with its threshold."""
    for step in run["definition"]["Steps"]:
        for condition in step.get("Arguments", {}).get("Conditions", []):
            if f".{run['gate']['metric']}." in str(condition):
                return COMPARISONS.get(condition["Type"], "at least")
    return "at least"


def _gauge(metric: str, value: float, threshold: float, comparison: str) -> str:
    low, high = min(0.0, value, threshold), max(value, threshold)
    span = (1.0 if high <= 1 else 1.25 * high) - low
    share, place = (100 * (point - low) / span for point in (value, threshold))
    shown, limit = number(value, apart_from=threshold), f"{comparison} {threshold:.12g}"
    label = text(f"{metric} {shown}, {limit} needed")
    return (
        f'<div><p class="figure">{shown} <small>{text(metric)}; {limit} needed</small></p>'
        f'<div class="gauge" role="img" aria-label="{label}"><i style="width:{share:.1f}%"></i>'
        f'<b style="left:{place:.1f}%"></b>'
        f'<span style="left:{min(max(place, 4), 96):.1f}%">{threshold:.12g}</span></div></div>'
    )


def _warnings(warnings: Sequence[str]) -> str:
    items = "".join(f"<li>{text(warning)}</li>" for warning in warnings)
    title = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    return _card(title, f'<ul class="plain">{items}</ul>', kind="wide warn") if warnings else ""


def _pipeline(steps: Sequence[Step], total: float | None) -> str:
    conditions = {step.name for step in steps if step.kind == "Condition"}
    longest = max((step.seconds or 0 for step in steps), default=0) or 1
    rows = []
    for step in steps:
        takes = [
            f"{source}: {', '.join(what) or (step.branch if source in conditions else 'first')}"
            for source, what in step.takes.items()
        ]
        pill = f'<span class="pill {step.tone}">{step.word}</span>'
        bar = _bar(step.seconds / longest) if step.seconds else ""
        inputs = text("; ".join(takes))
        if step.reason:
            inputs += f'<p class="note">{text(step.reason)}</p>'
        rows.append((text(step.name), pill, inputs, bar, duration(step.seconds)))
    note = "" if total is None else f"{duration(total)} in all"
    table = _table("Step|Status|Inputs|Time|#", rows, "steps")
    return _card("Pipeline", f'<div class="scroll">{graph(steps)}{table}</div>', note, "wide")


def _metrics(run: Mapping[str, Any]) -> str:
    gate, rows = run["gate"], []
    for name, value in (run.get("metrics") or {}).items():
        limit = gate["threshold"] if name == gate["metric"] else None
        asked = f"gate: {_comparison(run)} {gate['threshold']:.12g}"
        pill = "" if limit is None else f'<span class="pill off">{asked}</span>'
        rows.append((text(name), f"{MEANINGS.get(name, '')} {pill}", number(value, limit)))
    note = "On the test part, which neither training nor early stopping has seen."
    return _card("Metrics", _table("Metric|Meaning|#Value", rows, "metrics"), note) if rows else ""


def _rows(rows: Mapping[str, int]) -> str:
    parts = [(part, rows[part]) for part in ("train", "validation", "test") if part in rows]
    if not parts:
        return ""
    total = rows.get("total") or sum(count for _, count in parts)
    strip = "".join(f'<i style="flex:{count} 0 0"></i>' for _, count in parts)
    lines = [
        (f'<span class="swatch"></span>{part}', f"{count:,}", _percent(count, total))
        for part, count in parts
    ]
    body = f'<div class="split" aria-hidden="true">{strip}</div>'
    return _card("Rows", body + _table("Part|#Rows|#Share", lines), f"{total:,} in all")


def _confusion(matrix: Mapping[str, Any], positive: object) -> str:
    if not matrix:
        return ""
    labels, counts = matrix["labels"], matrix["counts"]
    if len(labels) > MOST_LABELS:
        return _confusions(labels, counts)
    heads = "".join(
        f'<th scope="col" title="{text(label)}">{text(label, 40)}</th>' for label in labels
    )
    body = ""
    for place, (actual, row) in enumerate(zip(labels, counts, strict=True)):
        cells, total = "", sum(row) or 1
        for other, (label, count) in enumerate(zip(labels, row, strict=True)):
            share = (
                f"<small>{_percent(count, total)}</small>" if len(labels) <= SMALL_MATRIX else ""
            )
            kind = f"{'hit' if place == other else ''}{'' if count else ' zero'}".strip()
            title = f' title="actual {text(actual)}, predicted {text(label)}"' if count else ""
            cells += f'<td class="{kind}" style="--share:{count / total:.3g}"{title}>'
            cells += f"{count:,}{share}</td>"
        body += f'<tr><th scope="row" title="{text(actual)}">{text(actual, 40)}</th>{cells}</tr>'
    note = "Outlined: predicted right; shade: share of the actual class."
    note += f" The positive class is {positive}." if positive is not None else ""
    heads = f"<thead><tr><th>actual ↓<br>predicted →</th>{heads}</tr></thead>"
    table = f'<table class="heat" style="--n:{len(labels)}">{heads}<tbody>{body}</tbody></table>'
    kind = "" if len(labels) <= SMALL_MATRIX else "wide"
    return _card("Confusion matrix", f'<div class="scroll">{table}</div>', note, kind)


def _confusions(labels: Sequence[object], counts: Sequence[Sequence[int]]) -> str:
    """Return the largest confusions, for a matrix that is too large to look at."""
    found = [
        (-count, actual, predicted)
        for actual, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and actual != predicted
    ]
    rows = [
        (text(labels[i]), text(labels[j]), f"{-count:,}", _percent(-count, sum(counts[i])))
        for count, i, j in sorted(found)[:MOST_LABELS]
    ]
    note = f"The most frequent among {len(found)} kinds of wrong prediction, {len(labels)} classes."
    head = "Actual|Predicted|#Rows|#Of the actual class"
    return _card("Largest confusions", _table(head, rows), note)


def _roc(curves: Sequence[Mapping[str, Any]]) -> str:
    note = "With the area under the curve; dashed diagonal: guessing."
    if len(curves) > 1:
        note = "Each class against the rest, the weakest first; dashed diagonal: guessing."
    return _card("ROC curve", roc(curves), note) if curves else ""


def _residuals(residuals: Sequence[Mapping[str, Any]], total: int | None) -> str:
    pairs = [(point["actual"], point["predicted"]) for point in residuals]
    pairs = [pair for pair in pairs if all(map(is_number, pair))]
    if not pairs:
        return ""
    errors = [actual - predicted for actual, predicted in pairs]
    part = f"{len(pairs):,} of {total:,} test rows" if total else f"{len(pairs):,} test rows"
    half = f"Half of the predictions are at most {number(median(map(abs, errors)))} off."
    return _card(
        "Predicted and actual", scatter(pairs), f"{part}; on the dashed line both agree."
    ) + _card("Errors", histogram(errors), half)


def _importance(importance: Sequence[Mapping[str, Any]]) -> str:
    total = sum(entry["gain"] for entry in importance)
    if not total:
        return ""
    best, rest = importance[:MOST_FEATURES], importance[MOST_FEATURES:]
    rows = [
        (
            _name(entry["feature"]),
            _bar(entry["gain"] / best[0]["gain"]),
            _percent(entry["gain"], total),
        )
        for entry in best
    ]
    share = _percent(sum(entry["gain"] for entry in rest), total)
    more = f'<p class="note">and {len(rest)} more, together {share}</p>' if rest else ""
    note = "Each feature's share of the gain that splits brought in training."
    return _card("Feature importance", _table("Feature||#Share", rows, "bars") + more, note)


def _name(feature: str) -> str:
    # Long names often share their beginning: cut from the middle, they stay apart.
    short = feature if len(feature) <= LONG_NAME else f"{feature[:24]}…{feature[-26:]}"
    return f'<span title="{text(feature)}">{text(short)}</span>'


def _package(run: Mapping[str, Any]) -> str:
    package = run.get("package")
    if not package:
        return ""
    facts = {
        "Group": package["ModelPackageGroupName"],
        "Version": package["ModelPackageVersion"],
        "Approval": package["ModelApprovalStatus"],
        "File": run.get("model_package") or "none",
        **(package.get("CustomerMetadataProperties") or {}),
    }
    body = "".join(f"<dt>{text(name)}</dt><dd>{text(fact)}</dd>" for name, fact in facts.items())
    return _card("Registered model", f"<dl>{body}</dl>")


def _next(run: Mapping[str, Any]) -> str:
    if run.get("package"):
        commands = {
            "make train DATA=path.csv": "train on other data",
            "make compile": "write the pipeline definition that SageMaker gets",
            "make upsert": "create or update the pipeline in your AWS account",
            "make start": "start it there",
        }
    elif run["gate"]["passed"] is False:
        commands = {
            "config/dev.yml": "holds the gate and the training's settings",
            "make train": "try again",
            "make train DATA=path.csv": "try other data",
        }
    else:
        commands = {"make train": "try again, once the cause is mended"}
    items = "".join(f"<dt><code>{name}</code></dt><dd>{why}</dd>" for name, why in commands.items())
    return _card("Where to go next", f"<dl>{items}</dl>")
