"""The plain part of Copier's language: copier.yml's settings, and the Jinja of a version.

Importing Copier costs more than a whole upgrade, so what templates commonly use is spoken here, and
`Unsupported` says the rest: then `engine.py` asks Copier itself. Contract tests hold both to the
same answers and the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from types import CodeType
from typing import Any

import jinja2
import yaml
from jinja2.sandbox import SandboxedEnvironment
from packaging.version import Version

from seedbed.errors import SeedbedError

COPIER = Version("9.19.1")  # whose language this is
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNDEFINED = {
    "jinja2.Undefined": jinja2.Undefined,
    "jinja2.StrictUndefined": jinja2.StrictUndefined,
}
_LISTS = ("_exclude", "_jinja_extensions", "_secret_questions", "_skip_if_exists")
_PLAIN = {"undefined", "keep_trailing_newline"}  # settings that leave text without tokens alone
_TOKEN = re.compile(r"\{[{%#]")
_NEWLINE = re.compile(r"\r\n|\r|\n")

Codes = dict[tuple[str, str], CodeType]  # compiled templates, by text and environment


class Unsupported(Exception):  # noqa: N818  (a signal to ask Copier, not an error)
    """The template uses a part of Copier's language that is not spoken here."""


@dataclass(frozen=True)
class Settings:
    """What copier.yml says: settings without their underscore, and questions by name."""

    values: Mapping[str, Any]
    questions: Mapping[str, Mapping[str, Any]]

    @property
    def suffix(self) -> str:
        """What marks a file that is rendered; empty when all are."""
        suffix = self.values.get("templates_suffix")
        return ".jinja" if suffix is None else str(suffix)

    @property
    def secrets(self) -> set[str]:
        """Names of questions whose answers are never recorded."""
        marked = {name for name, question in self.questions.items() if question.get("secret")}
        return marked | set(self.values.get("secret_questions", ()))


def read_settings(content: bytes) -> Settings:
    """Parse copier.yml.

    Raises:
        SeedbedError: it is no YAML, or needs a newer Copier or trust.
        Unsupported: it includes other files or uses another setting that only Copier knows.
    """
    if b"!include" in content:
        raise Unsupported("!include")
    try:
        parts = [part for part in yaml.load_all(content, Loader=LOADER) if part]
    except yaml.YAMLError as error:
        raise SeedbedError(f"copier.yml: {' '.join(str(error).split())}") from None
    if not all(isinstance(part, dict) for part in parts):
        raise Unsupported("copier.yml is no mapping")
    merged: dict[str, Any] = {}
    for part in parts:
        lists = {key: [*merged.get(key, ()), *part[key]] for key in _LISTS if key in part}
        merged |= part | lists
    values = {key[1:]: value for key, value in merged.items() if key.startswith("_")}
    oldest = values.get("min_copier_version")
    if oldest and Version(str(oldest)) > COPIER:
        raise SeedbedError(f"template: needs Copier {oldest}; install a newer seedbed")
    if values.get("jinja_extensions"):
        raise SeedbedError("template: runs Jinja extensions, which need trust; seedbed gives none")
    if "external_data" in values:
        raise Unsupported("_external_data")
    questions = {
        key: value if isinstance(value, dict) else {"default": value}
        for key, value in merged.items()
        if not key.startswith("_")
    }
    return Settings(values, questions)


class Language:
    """The Jinja of one version of a template; `codes` may be shared with another version's."""

    def __init__(self, settings: Settings, codes: Codes, load: Callable[[str], str | None]) -> None:
        """Make Copier's environment for these settings; `load` reads included files."""
        envops = {"keep_trailing_newline": True, **settings.values.get("envops", {})}
        self._plain = not envops.keys() - _PLAIN and envops["keep_trailing_newline"]
        self._codes, self._key = codes, repr(envops)
        if "undefined" in envops:
            if envops["undefined"] not in _UNDEFINED:
                raise Unsupported("_envops.undefined")
            envops["undefined"] = _UNDEFINED[envops["undefined"]]
        filters = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
        self._env = SandboxedEnvironment(
            loader=jinja2.FunctionLoader(load), extensions=filters, **envops
        )
        self._env.filters["to_json"] = partial(self._env.filters["to_json"], default=unspoken)
        self._env.globals["pathjoin"] = lambda *parts: str(PurePosixPath(*parts))

    def render(self, text: str, context: Callable[[], Mapping[str, Any]]) -> str:
        """Render `text`; a context is made only where there is something to render.

        Raises:
            Unsupported: it is not plain Jinja.
            Exception: whatever the template's own expressions raise.
        """
        if self._plain and not _TOKEN.search(text):
            return _NEWLINE.sub("\n", text) if "\r" in text else text
        key = (text, self._key)
        if key not in self._codes:
            try:
                self._codes[key] = self._env.compile(text)
            except jinja2.TemplateSyntaxError as error:
                raise Unsupported(str(error)) from None
        return jinja2.Template.from_code(
            self._env, self._codes[key], self._env.make_globals(None)
        ).render(context())


def unspoken(*_: object) -> Any:  # noqa: ANN401  (stands in for anything)
    """Stand in for a value that only Copier has.

    Raises:
        Unsupported: always.
    """
    raise Unsupported("a value that only Copier has")
