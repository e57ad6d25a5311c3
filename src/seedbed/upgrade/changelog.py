"""What a layer's changelog declares: renames, by the version that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import yaml
from packaging.version import InvalidVersion, Version

from seedbed.errors import SeedbedError
from seedbed.upgrade.source import Snapshot

FOLDER = "changelog"


def renames(snapshot: Snapshot, body: str, since: Version) -> list[tuple[str, str]]:
    """Return (old, new) paths that the layers of the template rename after `since`, oldest first.

    `body` is the folder that is rendered; the changelogs stand beside it, one a layer, as
    `changelog/LAYER.yml`: a mapping of versions to `changes` (lines for people) and `renames`
    (old path: new path, as in a project; a trailing slash means the whole folder).

    Raises:
        SeedbedError: a changelog has another form.
    """
    folder = str(PurePosixPath(body).parent / FOLDER)
    found: list[tuple[Version, str, str]] = []
    for path, entry in sorted((snapshot.files(folder) or {}).items() if body else ()):
        if path.endswith(".yml"):
            for version, old, new in parse(snapshot.blob(entry), f"{folder}/{path}"):
                if version > since:
                    found.append((version, old, new))
    found.sort(key=lambda row: row[0])
    return [(old, new) for _, old, new in found]


def renamed(path: str, rows: Sequence[tuple[str, str]]) -> str:
    """Follow `path` through all the renames, oldest first."""
    for old, new in rows:
        if path == old:
            path = new
        elif old.endswith("/") and path.startswith(old):
            path = new + path.removeprefix(old)
    return path


def parse(content: bytes, where: str) -> list[tuple[Version, str, str]]:
    """Return the (version, old, new) rows of one changelog.

    Raises:
        SeedbedError: it is not of the form that `renames` describes.
    """
    try:
        versions = yaml.safe_load(content) or {}
        rows = [
            (Version(str(version)), str(old), str(new))
            for version, entry in versions.items()
            for old, new in (entry.get("renames") or {}).items()
        ]
    except (yaml.YAMLError, InvalidVersion, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise SeedbedError(
            f"{where}: {reason}; write `'1.2.0': {{renames: {{old/path: new/path}}}}`"
        ) from None
    for _, old, new in rows:
        for path in (old, new):
            parts = path.removesuffix("/").split("/")
            if ".." in parts or "" in parts or old.endswith("/") != new.endswith("/"):
                raise SeedbedError(f"{where}: renames: {old!r} to {new!r}; give paths of a project")
    return rows
