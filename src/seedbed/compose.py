"""Make templates/ from layers/: copy, overlay, wrap Jinja tokens, assemble questions."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from seedbed import catalog as catalogs
from seedbed import engines
from seedbed.catalog import Catalog, Question
from seedbed.errors import SeedbedError

CHANGELOG = "changelog.yml"  # a layer's own: `seedbed upgrade` reads declared renames there
TOKEN = re.compile(r"\{\{|\{%|\{#")
IGNORED = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", ".DS_Store"}


@dataclass(frozen=True)
class File:
    """A composed file: its bytes, and whether it is executable."""

    content: bytes
    executable: bool = False


Tree = dict[PurePosixPath, File]


def compose(base: Path) -> Tree:
    """Return every composed file of the repository at `base`, by its path below `base`."""
    catalog = catalogs.load(base)
    version = (
        "v" + tomllib.loads((base / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    )
    questions = {name: catalogs.questions(base, t) for name, t in catalog.templates.items()}
    tree: Tree = {PurePosixPath("copier.yml"): _text(engines.chooser(catalog, questions))}
    tree[PurePosixPath(".pre-commit-config.yaml")] = _text(_git_hooks(base, "repository"))
    for name in catalog.templates:
        for path, file in _template(base, catalog, name, version, questions[name]).items():
            tree[PurePosixPath("templates") / name / path] = file
    return tree


def drift(base: Path, tree: Mapping[PurePosixPath, File]) -> list[str]:
    """Return the paths below `base` that are not as composed: changed, missing or left over."""
    found = {path for path in tree if _read(base / path) != tree[path]}
    found |= {path for path in _composed(base) if path not in tree}
    return sorted(str(path) for path in found)


def write(base: Path, tree: Mapping[PurePosixPath, File]) -> list[str]:
    """Write what drifted, remove what is left over, and return those paths."""
    changed = drift(base, tree)
    for name in changed:
        target = base / name
        file = tree.get(PurePosixPath(name))
        if file is None:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(0o755 if file.executable else 0o644)
    for folder in sorted((base / "templates").rglob("*"), reverse=True):
        if folder.is_dir() and (folder.name in IGNORED or not any(folder.iterdir())):
            shutil.rmtree(folder)
    return changed


def _template(
    base: Path, catalog: Catalog, name: str, version: str, questions: Mapping[str, Question]
) -> Tree:
    hook = (base / "hooks" / "pre_gen_project.py").read_text("utf-8")
    tree: Tree = {
        PurePosixPath("copier.yml"): _text(engines.copier(name, questions)),
        PurePosixPath("cookiecutter.json"): _text(engines.cookiecutter(questions)),
        PurePosixPath("hooks/pre_gen_project.py"): _text(engines.validation_hook(hook, questions)),
    }
    body = PurePosixPath(engines.BODY)
    for layer in catalog.templates[name].layers:
        for path, file in _layer(base / "layers" / layer):
            tree[body / path] = file
        if changelog := _read(base / "layers" / layer / CHANGELOG):
            tree[PurePosixPath("changelog") / f"{layer}.yml"] = changelog
    answers = engines.answers(catalog, name, version, questions)
    tree[body / ".copier-answers.yml"] = _text(answers)
    tree[body / ".pre-commit-config.yaml"] = _text(_git_hooks(base, "project"))
    return tree


def _layer(folder: Path) -> Iterator[tuple[PurePosixPath, File]]:
    if not folder.is_dir():
        raise SeedbedError(f"layers: there is no folder {folder}; create it or mend catalog.yml")
    for path in sorted(folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        file = _read(path)
        if (
            file is None
            or relative.name == CHANGELOG
            or IGNORED.intersection(relative.parts)
            or path.suffix == ".pyc"
        ):
            continue
        if path.suffix == ".jinja":
            yield relative.with_suffix(""), file
        else:
            yield relative, File(_plain(path, file.content), file.executable)


def _plain(path: Path, content: bytes) -> bytes:
    """Keep Jinja's tokens in a file that isn't rendered: `${{ github.sha }}` stays as it is."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    if not TOKEN.search(text):
        return content
    if "endraw" in text:
        raise SeedbedError(
            f"{path}: holds an endraw tag; name it {path.name}.jinja and escape it there"
        )
    return ("{% raw %}" + text + "{% endraw %}").encode("utf-8")


def _git_hooks(base: Path, place: str) -> str:
    """Return pre-commit's configuration: hooks/pre-commit.yml less what is for the other place."""
    hooks = yaml.safe_load((base / "hooks" / "pre-commit.yml").read_text("utf-8"))
    chosen = [
        {key: value for key, value in hook.items() if key != "only"}
        for hook in hooks
        if hook.get("only", place) == place
    ]
    return engines.to_yaml({"repos": [{"repo": "local", "hooks": chosen}]})


def _text(text: str) -> File:
    return File(text.encode("utf-8"))


def _read(path: Path) -> File | None:
    if not path.is_file():
        return None
    return File(path.read_bytes(), bool(path.stat().st_mode & 0o100))


def _composed(base: Path) -> Iterator[PurePosixPath]:
    for path in (base / "templates").rglob("*"):
        if path.is_file() and not IGNORED.intersection(path.parts):
            yield PurePosixPath(path.relative_to(base).as_posix())
