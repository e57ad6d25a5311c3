"""Archives that are the same for the same content: zips for Lambda, git bundles for templates."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from seedbed.errors import SeedbedError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
PLAIN_FILE = 0o644 << 16
AUTHOR = "Seedbed release"
# No delta and no second thread: what packs the objects has no choice left to make.
PACK = (
    *("pack-objects", "-q", "--stdout", "--threads=1", "--window=0", "--compression=9"),
    *("--no-reuse-delta", "--no-reuse-object"),
)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files by their names, without times, owners and their own order."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr, info.create_system = (
                PLAIN_FILE,
                3,
            )  # as on Unix, wherever it is made
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return packed.getvalue()


def bundle(repository: Path, paths: Sequence[str], tags: Mapping[str, str]) -> bytes:
    """Return a git bundle of `paths` alone, with one commit and tag for each of `tags`.

    Args:
        repository: the templates' git repository.
        paths: the files and folders that the bundle holds, such as templates/<name>.
        tags: version -> commit of the repository, the oldest first. Each version is a commit upon
            the one before it, so that `copier update` finds any of them in the newest bundle.

    Raises:
        SeedbedError: git refuses, or a commit holds none of the paths.
    """
    with tempfile.TemporaryDirectory(prefix="seedbed-bundle-") as scratch:
        bare = Path(scratch) / "bundle.git"
        _git(Path(scratch), "init", "-q", "--bare", "-b", "main", str(bare))
        objects = _git(repository, "rev-parse", "--path-format=absolute", "--git-path", "objects")
        (bare / "objects/info").mkdir(exist_ok=True)
        (bare / "objects/info/alternates").write_text(objects.decode())
        heads: dict[str, str] = {}
        for version, commit in tags.items():
            entries = _git(repository, "ls-tree", "-rz", "--full-tree", commit, "--", *paths)
            if not entries:
                line = f"bundle: {version} has none of {', '.join(paths)}: mend the tag"
                raise SeedbedError(line)
            seconds = _git(repository, "show", "-s", "--format=%ct", f"{commit}^{{commit}}")
            date = f"{seconds.decode().strip()} +0000"
            parents = [word for sha in list(heads.values())[-1:] for word in ("-p", sha)]
            heads[version] = _commit(bare, entries, date, version, parents)
        newest = next(reversed(heads.values()))
        listing = _git(bare, "rev-list", "--objects", "--no-object-names", *heads.values())
        ordered = b"\n".join(sorted(set(listing.split()))) + b"\n"
        pack = _git(bare, *PACK, given=ordered)
    refs = {f"refs/tags/{version}": sha for version, sha in heads.items()}
    refs = {"HEAD": newest, "refs/heads/main": newest, **dict(sorted(refs.items()))}
    header = "".join(f"{sha} {ref}\n" for ref, sha in refs.items())
    return f"# v2 git bundle\n{header}\n".encode() + pack


def _commit(bare: Path, entries: bytes, date: str, version: str, parents: Sequence[str]) -> str:
    index = {"GIT_INDEX_FILE": str(bare / f"index-{version}")}
    _git(bare, "update-index", "-z", "--index-info", given=entries, environment=index)
    tree = _git(bare, "write-tree", environment=index).decode().strip()
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", AUTHOR), ("EMAIL", "seedbed"), ("DATE", date))
    }
    made = _git(bare, "commit-tree", *parents, tree, given=f"{version}\n".encode(), environment=who)
    return made.decode().strip()


def _git(
    folder: Path, *words: str, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> bytes:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    settings = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}
    done = subprocess.run(  # noqa: S603 (git, with words of ours)
        ["git", *words],  # noqa: S607 (the user's own git)
        cwd=folder,
        input=given,
        env={**clean, **settings, **(environment or {})},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        detail = " ".join(done.stderr.decode(errors="replace").split())
        raise SeedbedError(f"bundle: git {words[0]} failed in {folder}: {detail}")
    return done.stdout


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content`, in hex."""
    return hashlib.sha256(content).hexdigest()
