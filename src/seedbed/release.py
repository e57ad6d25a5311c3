"""Whether a release may go out: projects of earlier versions must reach it with every edit kept."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from packaging.version import Version

from seedbed.edits import EDITS, Edited
from seedbed.errors import SeedbedError
from seedbed.upgrade import Change, changelog, checkout, git, merge, render
from seedbed.upgrade.git import Objects, Tree
from seedbed.upgrade.language import Codes, read_settings
from seedbed.upgrade.merge import SIMILAR, Merged, contents, similar
from seedbed.upgrade.questions import ANSWERS
from seedbed.upgrade.render import Project, Rendered
from seedbed.upgrade.scratch import Scratch
from seedbed.upgrade.source import Progress, Snapshot, parse_version


@dataclass(frozen=True)
class Report:
    """What was checked, what stands against the release, and what else to know."""

    version: str
    checked: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing stands against the release, else 1."""
        return int(bool(self.problems))


def check(
    repo: Path, *, since: list[str] | None = None, progress: Progress = lambda _: None
) -> Report:
    """Upgrade projects of earlier versions (`since`, or all tags) to the checkout at `repo`.

    The release is the working tree, committed or not; nothing is written. Without version tags
    HEAD stands for the earlier version, and the report says so.

    Raises:
        SeedbedError: `repo` is no template repository, or has no such version.
    """
    place = checkout.find(repo.absolute())
    with place.scratch() as scratch, Objects(scratch.path) as objects:
        release = _working_tree(scratch, place, objects)
        released = _tags(place.top)
        problems = _problems_of_version(release, released)
        notes: list[str] = []
        if since is None:
            since = [tag for tag, version in released if version < release.version]
        if not since:
            since = ["HEAD"]
            notes.append("no earlier version is tagged: checked from HEAD to the working tree")
        checked: list[str] = []
        for name in since:
            before = _earlier(name, place.top, objects)
            for template in _templates(before):
                progress(f"{name} to {release.name}: {template}")
                found = _Check(scratch, before, release, template)
                problems += [f"{name}, {template}: {problem}" for problem in found.run()]
                notes += [f"{name}, {template}: {note}" for note in found.notes]
                checked.append(
                    f"{name} {template}: {found.files} files, {len(EDITS)} kinds of edits"
                )
        return Report(release.name, tuple(checked), tuple(problems), tuple(dict.fromkeys(notes)))


@dataclass
class _Check:
    """One template from one version to the release."""

    scratch: Scratch
    before: Snapshot
    release: Snapshot
    template: str
    notes: list[str] = field(default_factory=list)
    files: int = 0

    def run(self) -> Iterator[str]:
        try:
            yield from self._problems()
        except SeedbedError as error:
            yield str(error)

    def _problems(self) -> Iterator[str]:
        codes: Codes = {}
        origin = Project("project", {"_commit": self.before.name, "_src_path": self.before.address})
        first, _ = _answered(self.before, origin, {"template": self.template}, codes)
        answers = yaml.safe_load(first.files[ANSWERS][1])
        project = replace(origin, answers={**answers, **origin.answers})
        old = render.old(self.before, project, {}, codes)
        new, sample = _answered(self.release, project, {}, codes)
        if sample:
            flags = " ".join(f"--set {name}=VALUE" for name in sample)
            self.notes.append(f"asks what has no default: projects are upgraded with {flags}")
        base, theirs = contents(old.files, self.scratch), contents(new.files, self.scratch)
        self.files = len(base)
        renames = list(self._renames(old, new, base, theirs))
        yield from renames
        if renames:
            return  # what follows from them would only hide them
        for name, edit in EDITS.items():
            edited = edit(base, self.scratch)
            change = Change(self.before, self.release, {})
            merged = merge(self.scratch, edited.tree, (old, new), change)
            for problem in self._lost(edited, merged, base, theirs, new):
                yield f"edit {name!r}: {problem}"

    def _renames(self, old: Rendered, new: Rendered, base: Tree, theirs: Tree) -> Iterator[str]:
        rows = changelog.renames(self.release, new.body, self.before.version)
        sources = {row[0] for row in rows if not row[0].endswith("/")}
        for path in sorted(sources & old.files.keys() & new.files.keys()):
            yield f"the changelog renames {path}, which is still there"
        targets = {path: changelog.renamed(path, rows) for path in base}
        for path, target in targets.items():
            if path != target and path not in theirs and target not in theirs:
                yield f"the changelog renames {path} to {target}, which is not there"
        gone = {p: base[p] for p in base if targets[p] == p and p not in theirs}
        come = {p: theirs[p] for p in theirs if p not in base and p not in targets.values()}
        for path, target, score in similar(self.scratch, gone, come):
            yield (
                f"{path} became {target} ({score}% alike, {SIMILAR}% is a rename); declare that in "
                "the layer's changelog.yml"
            )

    def _lost(
        self, edited: Edited, merged: Merged, base: Tree, theirs: Tree, new: Rendered
    ) -> Iterator[str]:
        rows = changelog.renames(self.release, new.body, self.before.version)
        touched = edited.touched | {changelog.renamed(path, rows) for path in edited.touched}
        for conflict in merged.conflicts:
            if conflict.path not in touched:
                yield f"conflict in a file that the user never touched: {conflict}"
        for path, line in edited.lines.items():
            target = changelog.renamed(path, rows)
            entry = merged.tree.get(target) or merged.tree.get(path)
            if entry is None or line not in self.scratch.read(entry.oid):
                yield f"{path}: the edit is lost"
        for path in edited.gone:
            back = {path, changelog.renamed(path, rows)} & merged.tree.keys()
            if back and not new.skip(path):
                yield f"{path}: was deleted by the user and came back"
        for path in (base.keys() | theirs.keys()) - touched - {ANSWERS}:
            expected = base.get(path) if path in base and new.skip(path) else theirs.get(path)
            if path not in edited.gone and merged.tree.get(path) != expected:
                yield f"{path}: the user never touched it, and it is not as the release has it"


def _answered(
    snapshot: Snapshot, project: Project, given: Mapping[str, str], codes: Codes
) -> tuple[Rendered, dict[str, str]]:
    """Render, with sample answers where a question has no default; return those too."""
    rendered = render.new(snapshot, project, given, codes)
    if not rendered.required:
        return rendered, {}
    asked = read_settings(snapshot.read("copier.yml") or b"").questions
    sample = {name: _sample(asked[name]) for name in rendered.required}
    return render.new(snapshot, project, {**given, **sample}, codes), sample


def _sample(question: Mapping[str, Any]) -> str:
    choices = question.get("choices") or ["1"]
    values = list(choices.values() if isinstance(choices, dict) else choices)
    first = values[0]
    return str(first[1] if isinstance(first, (list, tuple)) else first)


def _working_tree(scratch: Scratch, place: checkout.Checkout, objects: Objects) -> Snapshot:
    """Return the checkout as it is, with what is not committed yet."""
    for step in (("read-tree", place.head), ("add", "-A", "--", ".")):
        code, _, said = scratch.git(*step)
        if code:
            raise SeedbedError(f"git {step[0]}: {said}")
    _, tree, _ = scratch.git("write-tree")
    commit = scratch.commit(tree.decode().strip())
    version = _version(objects, commit, str(place.top))
    return Snapshot(f"v{version}", commit, version, str(place.top), objects)


def _earlier(name: str, top: Path, objects: Objects) -> Snapshot:
    code, out, _ = git.attempt("rev-parse", "--verify", "-q", f"{name}^{{commit}}", cwd=top)
    if code or name.startswith("-"):
        raise SeedbedError(f"--since: there is no version {name!r} in {top}; name a tag or commit")
    commit = out.decode().strip()
    version = parse_version(name) or _version(objects, commit, name)
    return Snapshot(name, commit, version, str(top), objects)


def _version(objects: Objects, commit: str, where: str) -> Version:
    found = objects.get(f"{commit}:pyproject.toml")
    try:
        return Version(tomllib.loads(found[2].decode())["project"]["version"] if found else "")
    except (ValueError, KeyError):
        raise SeedbedError(
            f"{where}: pyproject.toml tells no version; this is no template repository"
        ) from None


def _tags(top: Path) -> list[tuple[str, Version]]:
    tags = git.run("for-each-ref", "--format=%(refname:strip=2)", "refs/tags", cwd=top)
    names = tags.decode().split()
    found = [(tag, version) for tag in names if (version := parse_version(tag))]
    return sorted(found, key=lambda row: row[1])


def _templates(snapshot: Snapshot) -> list[str]:
    """Return the names that the question `template` offers."""
    settings = read_settings(snapshot.read("copier.yml") or b"")
    question = settings.questions.get("template")
    if not question or not question.get("choices"):
        raise SeedbedError(f"{snapshot.name}: copier.yml offers no templates to check")
    choices = question["choices"]
    return [str(value) for value in (choices.values() if isinstance(choices, dict) else choices)]


def _problems_of_version(release: Snapshot, released: list[tuple[str, Version]]) -> list[str]:
    problems = []
    text = (release.read("CHANGELOG.md") or b"").decode("utf-8", "replace")
    if not re.search(rf"^##\s+\[?v?{re.escape(str(release.version))}\b", text, re.MULTILINE):
        problems.append(f"CHANGELOG.md: has no section `## {release.version}`; write it")
    same = [tag for tag, version in released if version == release.version]
    if same:
        tree = git.run("rev-parse", f"{same[0]}^{{tree}}", cwd=Path(release.address))
        mine = release.objects.get(f"{release.commit}^{{tree}}")
        if mine is None or mine[0] != tree.decode().strip():
            problems.append(f"pyproject.toml: version {release.version} is released; raise it")
    return problems
