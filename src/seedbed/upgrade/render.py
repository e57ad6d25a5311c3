"""One version of a template with one set of answers, as files in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from unicodedata import normalize

from seedbed.errors import SeedbedError
from seedbed.upgrade.git import SUBMODULE, SYMLINK, Entry, Tree
from seedbed.upgrade.language import Codes, Language, Settings, Unsupported, read_settings
from seedbed.upgrade.questions import ANSWERS, Answers
from seedbed.upgrade.source import Snapshot

# What Copier leaves out of a template that is rendered from its root, unless it says otherwise.
_EXCLUDED = (
    "copier.yaml",
    "copier.yml",
    "~*",
    "*.py[co]",
    "__pycache__",
    ".git",
    ".DS_Store",
    ".svn",
)
_NEWLINE = re.compile(r"\r\n|\r|\n")

SECRET = "SEEDBED_SECRET_"  # noqa: S105  (and the question's name in capitals: a variable)
Matcher = Callable[[str], bool]


@dataclass(frozen=True)
class Project:
    """What a project says about itself: its folder's name and its recorded answers."""

    folder: str
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class Rendered:
    """A rendered tree: (mode, content) by path, and what the answers to the questions were.

    `body` is the folder that was rendered, `skip` and `exclude` match the paths that the template
    leaves alone once they exist or altogether; `filled` are the defaults that answered questions
    without an answer, `required` the help texts of those without a default; `runs` names what the
    template would run, given trust.
    """

    files: Mapping[str, tuple[str, bytes]]
    body: str
    skip: Matcher
    exclude: Matcher
    filled: Mapping[str, Any]
    required: Mapping[str, str]
    unknown_secrets: frozenset[str]
    runs: tuple[str, ...]


def old(snapshot: Snapshot, project: Project, given: Mapping[str, str], codes: Codes) -> Rendered:
    """Render the version that the project came from with its answers; of `given` secrets count."""
    return _render(snapshot, project, given, codes, strict=False)


def new(snapshot: Snapshot, project: Project, given: Mapping[str, str], codes: Codes) -> Rendered:
    """Render another version: `given` answers count before the project's.

    Raises:
        SeedbedError: an answer is unknown, computed or refused by its question.
    """
    return _render(snapshot, project, given, codes, strict=True)


def inputs(
    project: Project, given: Mapping[str, str], secrets: AbstractSet[str], *, strict: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the answers that count first, and those recorded before.

    A secret is never recorded: it comes from `given` or the environment, for the old version as for
    the new one, so that the lines that hold it are nobody's change.
    """
    recorded = {key: value for key, value in project.answers.items() if not key.startswith("_")}
    held = {name: os.environ.get(SECRET + name.upper()) for name in secrets}
    known = {name: value for name, value in held.items() if value is not None} | dict(given)
    if strict:
        return known, recorded
    return recorded | {name: value for name, value in known.items() if name in secrets}, {}


def _render(
    snapshot: Snapshot,
    project: Project,
    given: Mapping[str, str],
    codes: Codes,
    *,
    strict: bool,
) -> Rendered:
    content = snapshot.read("copier.yml") or snapshot.read("copier.yaml")
    if content is None:
        raise SeedbedError(f"template {snapshot.name}: has no copier.yml at its root")
    try:
        settings = read_settings(content)
        rendered = _Renderer(snapshot, settings, codes).render(project, given, strict=strict)
    except Unsupported:
        from seedbed.upgrade import engine  # Copier costs more than an upgrade

        rendered = engine.render(snapshot, project, given, strict=strict)
    for path in rendered.files:
        if path.startswith("/") or {"..", ".git", "."} & set(path.split("/")):
            raise SeedbedError(f"template: would write {path!r}, outside the project; report it")
    return rendered


class _Renderer:
    def __init__(self, snapshot: Snapshot, settings: Settings, codes: Codes) -> None:
        self.snapshot, self.settings = snapshot, settings
        self.language = Language(settings, codes, self._included)
        self.context: dict[str, Any] = {}

    def render(self, project: Project, given: Mapping[str, str], *, strict: bool) -> Rendered:
        known, last = inputs(project, given, self.settings.secrets, strict=strict)
        commit = self.snapshot.name if strict else str(project.answers["_commit"])
        metadata = {"_commit": commit, "_src_path": self.snapshot.address}
        answers = Answers(
            self.settings, self.language, known, last, metadata, project.folder, strict
        )
        if strict:
            _refuse_unknown(given, self.settings)
        answers.ask()
        self.context = answers.context()
        values = self.settings.values
        subdirectory = str(values.get("subdirectory", ""))
        files: dict[str, tuple[str, bytes]] = {}
        body, skip, exclude = "", _matcher(()), _matcher(())
        if not answers.required:
            body = str(PurePosixPath(self._string(subdirectory) or ".")).removeprefix(".")
            skip = _matcher(self._string(line) for line in values.get("skip_if_exists", ()))
            standard = () if PurePosixPath(subdirectory).parts else _EXCLUDED
            patterns = [self._string(line) for line in values.get("exclude", standard)]
            exclude = _matcher(line for text in patterns for line in _NEWLINE.split(text))
            files = dict(self._files(body, exclude))
        return Rendered(
            files,
            body,
            skip,
            exclude,
            answers.filled,
            answers.required,
            frozenset(self.settings.secrets - answers.hidden - known.keys()),
            tuple(key for key in ("tasks", "migrations") if values.get(key)),
        )

    def _files(self, body: str, exclude: Matcher) -> Iterable[tuple[str, tuple[str, bytes]]]:
        tree = self.snapshot.files(body)
        if tree is None:
            raise SeedbedError(f"template {self.snapshot.name}: has no folder {body!r} to render")
        self.snapshot.objects.load(entry.oid for entry in tree.values() if entry.mode != SUBMODULE)
        for path, entry in tree.items():
            target = self._target(path, tree)
            if target and not exclude(target):
                yield target, self._file(body, path, entry)

    def _target(self, path: str, tree: Tree) -> str:
        """Return where `path` goes, or nothing: a part of it rendered to nothing."""
        suffix = self.settings.suffix
        rendered = path.endswith(suffix)
        if suffix and path + suffix in tree:
            return ""
        if suffix and rendered:
            path = str(PurePosixPath(path).with_suffix(""))
        parts = [self._string(part) for part in path.split("/")]
        if ANSWERS in parts[1:]:
            raise Unsupported("an answers file in a folder")
        if not rendered and self.snapshot.read("/".join(parts) + suffix) is not None:
            return ""
        return "/".join(parts) if all(parts) else ""

    def _file(self, body: str, path: str, entry: Entry) -> tuple[str, bytes]:
        content = b"" if entry.mode == SUBMODULE else self.snapshot.blob(entry)
        rendered = path.endswith(self.settings.suffix)
        if entry.mode == SYMLINK:
            if not self.settings.values.get("preserve_symlinks"):
                raise Unsupported("a followed symlink")
            return SYMLINK, self._string(content.decode()).encode() if rendered else content
        if entry.mode == SUBMODULE:
            raise SeedbedError(f"template: {body}/{path} is a submodule; seedbed follows none")
        return entry.mode, self._content(content) if rendered else content

    def _content(self, content: bytes) -> bytes:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            if self.settings.suffix:
                raise Unsupported("an undecodable template") from None
            return content
        return self._string(text).encode()

    def _string(self, text: str) -> str:
        try:
            return self.language.render(text, lambda: self.context)
        except Unsupported:
            raise
        except Exception as error:  # noqa: BLE001  (Copier says what is wrong with the template)
            raise Unsupported(str(error)) from None

    def _included(self, name: str) -> str | None:
        content = self.snapshot.read(name)
        return None if content is None else content.decode("utf-8")


def _refuse_unknown(given: Mapping[str, Any], settings: Settings) -> None:
    for name in given:
        question = settings.questions.get(name)
        if question is None or question.get("when", True) is False:
            known = [n for n, q in settings.questions.items() if q.get("when", True) is not False]
            raise SeedbedError(f"--set {name}: no such question; choose among {', '.join(known)}")


def _matcher(patterns: Iterable[str]) -> Matcher:
    lines = [normalize("NFD", pattern) for pattern in patterns]
    if not lines:
        return lambda _: False
    import pathspec  # few templates have patterns

    return pathspec.PathSpec.from_lines("gitignore", lines).match_file
