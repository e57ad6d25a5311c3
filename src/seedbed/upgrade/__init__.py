"""One project from the template version that it was made with to another, keeping every edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from seedbed.errors import SeedbedError
from seedbed.upgrade import apply, changelog, checkout, render
from seedbed.upgrade.git import Tree
from seedbed.upgrade.language import Codes
from seedbed.upgrade.merge import Merge, Merged, contents
from seedbed.upgrade.questions import ANSWERS
from seedbed.upgrade.render import Project, Rendered
from seedbed.upgrade.scratch import Scratch
from seedbed.upgrade.source import Progress, Snapshot, Source

Status = Literal["updated", "up-to-date", "conflicts"]


@dataclass(frozen=True)
class Outcome:
    """What an upgrade did, or with `check` would do.

    `changed` are paths below the project; `conflicted` are such paths, each with the reason.
    """

    status: Status
    from_version: str
    to_version: str
    changed: tuple[str, ...] = ()
    conflicted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    checked: bool = False

    @property
    def exit_code(self) -> int:
        """0 when all is well; 1 for conflicts, and for a check that found something to do."""
        return int(self.status == "conflicts" or (self.checked and self.status == "updated"))


def upgrade(
    path: Path,
    *,
    to: str | None = None,
    check: bool = False,
    set: Mapping[str, str] | None = None,  # noqa: A002  (the option's name)
    progress: Progress = lambda _: None,
) -> Outcome:
    """Upgrade the project at `path` to version `to`, or the newest; `set` are new answers.

    The outcome is staged and left to the user to commit; a conflict stands in the file and in the
    index as after a merge. With `check` nothing is written.

    Raises:
        SeedbedError: a bad input or state; nothing was touched.
    """
    path = path.absolute()
    place = checkout.find(path)
    if check and place.journal.exists():
        raise SeedbedError(f"PATH: an upgrade was interrupted; run `seedbed upgrade {path}` first")
    with nullcontext() if check else checkout.alone(place):
        done = None if check else apply.finish(place)
        if done and done.pop("path") == str(path):
            return _outcome(done)
        with place.scratch() as scratch:
            ours = scratch.files(f"{place.head}:{place.prefix}")
            project = _project(path, scratch, ours)
            with Source(str(project.answers["_src_path"]), path, progress) as source:
                before = source.at(str(project.answers["_commit"]))
                after = _target(source, before, to)
                if after.commit == before.commit and not set:
                    return Outcome("up-to-date", before.name, after.name, checked=check)
                progress(f"merging {before.name} to {after.name}")
                change = Change(before, after, set or {}, place.prefix)
                clean = partial(checkout.cleaned, place, scratch, ours)
                try:
                    merged, notes = _merge(scratch, project, ours, change, clean)
                except SeedbedError:
                    checkout.refuse_dirty(place)  # an upgrade that waits for its commit comes first
                    raise
            checkout.refuse_dirty(place)
            checkout.refuse_untracked(place, ours, merged.tree)
            outcome = _describe(ours, merged, change, notes, check=check)
            if not check and (outcome.changed or outcome.conflicted):
                told = {**asdict(outcome), "path": str(path)}
                apply.apply(place, scratch, ours, merged, told)
            return outcome


@dataclass(frozen=True)
class Change:
    """From which version to which, with which new answers, for a project in folder `prefix`."""

    before: Snapshot
    after: Snapshot
    given: Mapping[str, str]
    prefix: str = ""


def merge(
    scratch: Scratch,
    ours: Tree,
    sides: tuple[Rendered, Rendered],
    change: Change,
    clean: Callable[[Tree], Tree] = lambda tree: tree,
) -> Merged:
    """Merge what the template made of a project in two versions into the project's tree."""
    old, new = sides
    return Merge(
        scratch,
        base=clean(contents(old.files, scratch)),
        ours=ours,
        theirs=clean(contents(new.files, scratch)),
        version=change.after.name,
        prefix=change.prefix,
        renames=changelog.renames(change.after, new.body, change.before.version),
        replaced=ANSWERS,
        skip=new.skip,
        exclude=new.exclude,
    ).run()


def required(version: str, rendered: Rendered) -> None:
    """Refuse to go on while a question has neither an answer nor a default.

    Raises:
        SeedbedError: it has; with the flags that answer it.
    """
    if rendered.required:
        asked = "; ".join(
            f"{name} ({text or 'no help'})" for name, text in rendered.required.items()
        )
        flags = " ".join(f"--set {name}=VALUE" for name in rendered.required)
        raise SeedbedError(f"{version} asks {asked} and has no default: answer with {flags}")


def _merge(
    scratch: Scratch,
    project: Project,
    ours: Tree,
    change: Change,
    clean: Callable[[Tree], Tree],
) -> tuple[Merged, list[str]]:
    codes: Codes = {}
    old = render.old(change.before, project, change.given, codes)
    if old.required:
        names = ", ".join(old.required)
        raise SeedbedError(
            f"{ANSWERS}: {names}: missing, and {change.before.name} has no default; add it"
        )
    new = render.new(change.after, project, change.given, codes)
    required(change.after.name, new)
    merged = merge(scratch, ours, (old, new), change, clean)
    notes = [
        f"{name}: a new question, answered with its default {value!r} "
        f"(--set {name}=VALUE for another)"
        for name, value in new.filled.items()
    ]
    notes += [
        f"{name}: a secret, not given (--set {name}=VALUE or {render.SECRET}{name.upper()}): "
        "lines that hold it are kept"
        for name in sorted(new.unknown_secrets)
    ]
    if new.runs:
        notes.append(
            f"the template's {' and '.join(new.runs)} were not run: seedbed gives no trust"
        )
    return merged, [*notes, *merged.notes]


def _project(path: Path, scratch: Scratch, ours: Tree) -> Project:
    entry = ours.get(ANSWERS)
    if entry is None:
        there = "is not committed" if (path / ANSWERS).exists() else "is missing"
        raise SeedbedError(
            f"PATH: {path / ANSWERS} {there}; only a project made from a template can be upgraded"
        )
    try:
        answers = yaml.safe_load(scratch.read(entry.oid))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SeedbedError(
            f"{ANSWERS}: {' '.join(str(error).split())}; restore it from git"
        ) from None
    for key in ("_src_path", "_commit"):
        if not isinstance(answers, dict) or not answers.get(key):
            raise SeedbedError(f"{ANSWERS}: {key}: missing; add the template's address and version")
    return Project(path.name, answers)


def _describe(
    ours: Tree, merged: Merged, change: Change, notes: list[str], *, check: bool
) -> Outcome:
    paths = ours.keys() | merged.tree.keys()
    changed = tuple(sorted(p for p in paths if ours.get(p) != merged.tree.get(p)))
    status: Status = "updated" if changed else "up-to-date"
    if merged.conflicts:
        status = "conflicts"
    conflicted = tuple(str(conflict) for conflict in merged.conflicts)
    versions = change.before.name, change.after.name
    return Outcome(status, *versions, changed, conflicted, tuple(notes), check)


def _outcome(told: Mapping[str, Any]) -> Outcome:
    lists = {key: tuple(told[key]) for key in ("changed", "conflicted")}
    notes = ("finished the upgrade that was interrupted", *told["notes"])
    return Outcome(**{**told, **lists, "notes": notes})


def _target(source: Source, before: Snapshot, to: str | None) -> Snapshot:
    if to is None:
        return source.newest(before.version) or before
    after = source.at(to)
    if after.version < before.version:
        raise SeedbedError(
            f"--to: {after.name} is older than the project's {before.name}, and an upgrade only "
            "goes forward; restore the older state from git instead"
        )
    return after
