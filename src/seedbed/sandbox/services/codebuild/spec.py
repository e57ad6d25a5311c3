"""A buildspec, version 0.2: read, and refused by name where the sandbox cannot honour it.

Source: the "Build specification reference" of the CodeBuild user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
# The parts that are read; `cache` is read and kept nowhere, as a first build would find it.
TOP = frozenset({"version", "env", "phases", "artifacts", "cache"})
ENV = frozenset(
    {
        "shell",
        "variables",
        "parameter-store",
        "secrets-manager",
        "exported-variables",
        "git-credential-helper",
    }
)
PHASE = frozenset({"runtime-versions", "commands", "finally", "on-failure"})
FILES = frozenset(
    {
        "files",
        "name",
        "base-directory",
        "discard-paths",
        "exclude-paths",
        "enable-symlinks",
        "secondary-artifacts",
    }
)
KNOWN = {
    "env": ENV,
    "artifacts": FILES,
    "": TOP | {"reports", "proxy", "batch", "run-as"},
    "phase": PHASE | {"run-as"},
}
INLINE = re.compile(r"\n|^\s*[{]|^\s*version\s*:")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SpecError(ValueError):
    """What is wrong with a buildspec, as CodeBuild's YAML_FILE_ERROR tells it."""


class Unsupported(Exception):  # noqa: N818 (no error of the build's: a limit of the sandbox)
    """What the sandbox does not emulate, by its name."""


@dataclass(frozen=True)
class Phase:
    """The commands of a phase; `on_failure` is empty, ABORT or CONTINUE."""

    commands: tuple[str, ...] = ()
    finally_: tuple[str, ...] = ()
    on_failure: str = ""


@dataclass(frozen=True)
class Files:
    """Which files make up an artifact."""

    files: tuple[str, ...]
    base: str = "."
    exclude: tuple[str, ...] = ()
    discard_paths: bool = False
    name: str = ""


@dataclass(frozen=True)
class Spec:
    """A buildspec as far as it is honoured."""

    shell: str
    phases: Mapping[str, Phase]
    variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    exported: tuple[str, ...] = ()
    credential_helper: bool = False
    artifacts: Files | None = None
    secondary: Mapping[str, Files] = field(default_factory=dict)


def is_inline(text: str) -> bool:
    """Tell whether a project's `buildspec` is one, rather than the path of one."""
    return bool(INLINE.search(text))


def parse(text: str) -> Spec:
    """Return the buildspec.

    Raises:
        SpecError: It is no valid buildspec.
        Unsupported: It is valid, and asks for what the sandbox does not emulate.
    """
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"the buildspec is no YAML: {' '.join(str(error).split())}") from None
    _check(said, "", TOP)
    if str(said.get("version")) == "0.1":
        raise Unsupported("version 0.1 of a buildspec")
    if str(said.get("version")) != "0.2":
        raise SpecError(f"the buildspec's version is {said.get('version')!r}: it must be 0.2")
    env, files = said.get("env") or {}, said.get("artifacts")
    _check(env, "env", ENV)
    shell = str(env.get("shell") or "sh")
    if shell not in {"sh", "/bin/sh", "bash"}:
        raise Unsupported(f"the shell {shell} of a buildspec")
    secondary = _mapping((files or {}).get("secondary-artifacts"), "secondary-artifacts")
    return Spec(
        shell=shell.removeprefix("/bin/"),
        phases=_phases(said.get("phases")),
        variables=_variables(env, "variables"),
        parameters=_variables(env, "parameter-store"),
        secrets=_variables(env, "secrets-manager"),
        exported=_strings(env.get("exported-variables"), "exported-variables"),
        credential_helper=_yes(env.get("git-credential-helper")),
        artifacts=_files(files, "artifacts") if files and files.get("files") else None,
        secondary={str(name): _files(one, str(name)) for name, one in secondary.items()},
    )


def _phases(said: object) -> dict[str, Phase]:
    phases = _mapping(said, "phases")
    if not phases:
        raise SpecError("the buildspec has no phases")
    if unknown := sorted(set(phases) - set(PHASES)):
        raise SpecError(f"the buildspec has a phase {unknown[0]}: there is none of that name")
    found = {}
    for name, phase in phases.items():
        part = phase or {}
        _check(part, "phase", PHASE)
        for runtime in _mapping(part.get("runtime-versions"), "runtime-versions"):
            if runtime != "python":  # the host's Python stands for any version of it
                raise Unsupported(f"the runtime {runtime} of a buildspec")
        on_failure = str(part.get("on-failure") or "")
        if on_failure.startswith("RETRY"):
            raise Unsupported(f"on-failure: {on_failure} of a buildspec")
        if on_failure not in {"", "ABORT", "CONTINUE"}:
            raise SpecError(f"on-failure of {name} is {on_failure!r}: it is ABORT or CONTINUE")
        commands = _strings(part.get("commands"), f"the commands of {name}")
        finally_ = _strings(part.get("finally"), f"finally of {name}")
        found[str(name)] = Phase(commands, finally_, on_failure)
    return found


def _files(said: object, where: str) -> Files:
    part = _mapping(said, where)
    _check(part, "artifacts", FILES)
    if _yes(part.get("enable-symlinks")):
        raise Unsupported("enable-symlinks of a buildspec")
    files = _strings(part.get("files"), f"files of {where}")
    if not files:
        raise SpecError(f"{where} of the buildspec has no files")
    return Files(
        files=files,
        base=str(part.get("base-directory") or "."),
        exclude=_strings(part.get("exclude-paths"), f"exclude-paths of {where}"),
        discard_paths=_yes(part.get("discard-paths")),
        name=str(part.get("name") or ""),
    )


def _check(said: object, where: str, served: frozenset[str]) -> None:
    for name in _mapping(said, where or "the buildspec"):
        if name in served:
            continue
        if name in KNOWN[where] or where == "artifacts":
            raise Unsupported(f"{name} of a buildspec")
        raise SpecError(f"the buildspec has an unknown {name} in {where or 'it'}")


def _mapping(said: object, where: str) -> Mapping[Any, Any]:
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise SpecError(f"{where} of the buildspec is no mapping")
    return said


def _strings(said: object, where: str) -> tuple[str, ...]:
    items = [] if said is None else said
    if not isinstance(items, list) or any(isinstance(one, list | Mapping) for one in items):
        raise SpecError(f"{where} in the buildspec is no list of strings")
    return tuple(str(one) for one in items)


def _variables(env: Mapping[str, Any], key: str) -> dict[str, str]:
    said = _mapping(env.get(key), key)
    found = {
        str(name): str(one).lower() if isinstance(one, bool) else str(one)
        for name, one in said.items()
    }
    if bad := [name for name in found if not NAME.fullmatch(name)]:
        raise SpecError(f"{bad[0]} in {key} of the buildspec is no name of a variable")
    return found


def _yes(said: object) -> bool:
    return said is True or str(said).lower() == "yes"
