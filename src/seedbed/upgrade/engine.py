"""Copier itself, for templates that use more of its language than `questions.py` speaks.

The only place that touches Copier's private parts; tests/test_upgrade.py holds each of them to its
contract. The version is pinned in pyproject.toml.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from copier._main import Worker
from copier._settings import SettingsModel
from copier._template import Template
from copier.errors import CopierError
from packaging.version import Version

from seedbed.errors import SeedbedError
from seedbed.upgrade.git import SYMLINK
from seedbed.upgrade.questions import ANSWERS
from seedbed.upgrade.render import Project, Rendered, inputs
from seedbed.upgrade.source import Snapshot


class _Template(Template):
    """A template whose files were exported once, so that nothing is cloned."""

    exported: Path
    snapshot: Snapshot

    vcs = "git"  # a property there, which looks at the address

    @cached_property
    def local_abspath(self) -> Path:
        return self.exported

    @cached_property
    def commit(self) -> str | None:
        return self.snapshot.name

    @cached_property
    def commit_hash(self) -> str | None:
        return self.snapshot.commit

    @cached_property
    def version(self) -> Version | None:
        return self.snapshot.version

    @cached_property
    def git_index_modes(self) -> Mapping[Any, int]:
        return {}  # the export has the modes


class _Worker(Worker):
    """A worker on an exported template, without a git process for each file."""

    exported: _Template

    @cached_property
    def template(self) -> Template:
        return self.exported

    def _sync_git_index_executable_bit(self, dst_relpath: Path, src_mode: int) -> None:
        """Do nothing: modes go into git's index with the whole tree."""


def render(
    snapshot: Snapshot,
    project: Project,
    given: Mapping[str, str],
    *,
    strict: bool,
) -> Rendered:
    """Render as `render.old` (not `strict`) and `render.new` do, through Copier.

    Raises:
        SeedbedError: whatever Copier refuses, in one line.
    """
    with tempfile.TemporaryDirectory(prefix="seedbed-copier-") as folder:
        template = _Template(snapshot.address, snapshot.name)
        template.exported, template.snapshot = Path(folder, "template").resolve(), snapshot
        _export(snapshot, template.exported)
        target = Path(folder, "project", project.folder)
        target.mkdir(parents=True)
        secrets = template.secret_questions
        known, last = inputs(project, given, secrets, strict=strict)
        if last:
            recorded = {"_commit": snapshot.name, "_src_path": snapshot.address, **last}
            (target / ANSWERS).write_text(yaml.safe_dump(recorded), "utf-8")
        worker = _Worker(
            src_path=snapshot.address,
            dst_path=target,
            data=known,
            settings=SettingsModel(),
            defaults=True,
            overwrite=True,
            quiet=True,
            skip_tasks=True,
        )
        worker.exported = template
        try:
            worker.run_copy()
        except (ValueError, CopierError) as error:
            raise SeedbedError(_one_line(str(error), snapshot.name)) from None
        body = worker.template_copy_root.relative_to(template.local_abspath).as_posix()
        skip, exclude, hidden = worker.match_skip, worker.match_exclude, worker.answers.hidden
        filled = {
            name: value
            for name, value in worker.answers.user.items()
            if name not in {*hidden, *known, *last, *secrets}
        }
        return Rendered(
            dict(_read(target)),
            body.removeprefix("."),
            lambda path: skip(Path(path)),
            lambda path: exclude(Path(path)),
            filled,
            {},
            frozenset(secrets - hidden - known.keys()),
            tuple(key for key in ("tasks", "migrations") if key in template.config_data),
        )


def _one_line(said: str, version: str) -> str:
    line = " ".join(said.split())
    missing = re.fullmatch(r'Question "(.+)" is required', line)
    if missing:
        return (
            f"{version} asks {missing[1]} and has no default: answer with --set {missing[1]}=VALUE"
        )
    return f"template {version}: {line}"


def _export(snapshot: Snapshot, folder: Path) -> None:
    for path, entry in (snapshot.files() or {}).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = snapshot.blob(entry)
        if entry.mode == SYMLINK:
            target.symlink_to(os.fsdecode(content))
        else:
            target.write_bytes(content)
            target.chmod(int(entry.mode[-3:], 8))


def _read(folder: Path) -> list[tuple[str, tuple[str, bytes]]]:
    found: list[tuple[str, tuple[str, bytes]]] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found.append((name, (SYMLINK, os.fsencode(path.readlink()))))
        elif path.is_file():
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
            found.append((name, (mode, path.read_bytes())))
    return found
