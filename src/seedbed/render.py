"""A new project from a template: a thin, friendly front of Copier."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from seedbed import catalog as catalogs
from seedbed.errors import SeedbedError
from seedbed.pairs import parse_pairs

# Copier itself takes any other word for true.
BOOLEANS = {"true", "false", "yes", "no", "on", "off", "1", "0"}


def new(template: str, destination: Path, answers: Mapping[str, Any], *, ask: bool = False) -> Path:
    """Write a new project to `destination`, which must be absent or empty, and return its path.

    Answers that are not given take their defaults, or are asked for if `ask`. The project is
    rendered beside its place and moved there whole: a failure leaves nothing behind.

    Raises:
        SeedbedError: an unknown template or answer, an answer that a question refuses, or a
            destination that holds something.
    """
    base = catalogs.root()
    _refuse(answers, template, base)
    destination = destination.absolute()
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise SeedbedError(f"DEST: {destination} exists and is not empty; name a new folder")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=destination.parent, prefix=".seedbed-")
    except OSError as error:
        line = f"DEST: cannot write to {destination.parent}: {error.strerror}"
        raise SeedbedError(f"{line}; name another folder") from None
    with made as scratch:
        rendered = Path(scratch) / "project"
        _copy(base / "templates" / template, rendered, answers, ask=ask)
        if destination.exists():
            destination.rmdir()
        os.replace(rendered, destination)  # noqa: PTH105  (says that it is atomic)
    return destination


def read_answers(data_file: Path | None, pairs: list[str]) -> dict[str, Any]:
    """Return the answers of a YAML file, overlaid by `key=value` pairs.

    Raises:
        SeedbedError: the file cannot be read as a mapping, or a pair has no `=`.
    """
    answers: dict[str, Any] = {}
    if data_file is not None:
        try:
            content = yaml.safe_load(data_file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise SeedbedError(f"--data-file: {data_file}: {reason}; give a YAML file") from None
        if not isinstance(content, dict):
            raise SeedbedError(f"--data-file: {data_file} is no mapping; write lines `key: value`")
        answers |= content
    return answers | parse_pairs(pairs)


def _refuse(answers: Mapping[str, Any], template: str, base: Path) -> None:
    questions = catalogs.questions(base, catalogs.get(catalogs.load(base), template))
    known = [name for name, question in questions.items() if not question.hidden]
    for key in answers:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose among {', '.join(known)}"
            raise SeedbedError(f"{key}: {template} has no such question; {hint}")
        if questions[key].type == "bool" and str(answers[key]).lower() not in BOOLEANS:
            raise SeedbedError(f"{key}: {answers[key]!r} must be true or false")


def _copy(source: Path, target: Path, answers: Mapping[str, Any], *, ask: bool) -> None:
    import copier
    from copier.errors import CopierError

    try:
        copier.run_copy(str(source), target, data=dict(answers), defaults=not ask, quiet=not ask)
    except (ValueError, CopierError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise SeedbedError(_one_line(str(error), answers)) from None


def _one_line(message: str, answers: Mapping[str, Any]) -> str:
    """Turn Copier's "Validation error for question 'x': must be ..." into our form."""
    line = " ".join(message.split())
    before, _, rule = line.partition("': ")
    name = before.rpartition("'")[2]
    value = f" {answers[name]!r}" if name in answers else ""
    return f"{name}:{value} {rule}" if rule else line
