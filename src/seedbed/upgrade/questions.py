"""A template's questions, answered as `copier copy --defaults` answers them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jinja2
import yaml

from seedbed.errors import SeedbedError
from seedbed.upgrade.language import LOADER, Language, Settings, Unsupported, unspoken

ANSWERS = ".copier-answers.yml"
MISSING: Any = object()
_FALSE = {"", "n", "no", "f", "false", "off", "~", "null", "none"}


class _Unset(jinja2.UndefinedError):
    """`UNSET` in a default: there is none."""


class _Conf(dict[str, Any]):
    def __missing__(self, key: str) -> Any:  # noqa: ANN401
        raise Unsupported(f"_copier_conf.{key}")


@dataclass
class Answers:
    """The answers to `settings`, in the order of the questions.

    `given` are answers that count first, `last` those recorded by the version before; `metadata` is
    what the template knows about itself (`_commit`, `_src_path`); `folder` is the project's name.
    Unless `strict`, validators do not run: what was rendered once is rendered again.
    """

    settings: Settings
    language: Language
    given: Mapping[str, Any]
    last: Mapping[str, Any]
    metadata: Mapping[str, str]
    folder: str
    strict: bool = True
    user: dict[str, Any] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    required: dict[str, str] = field(default_factory=dict)
    filled: dict[str, Any] = field(default_factory=dict)

    def ask(self) -> None:
        """Answer every question; one that has neither an answer nor a default goes to `required`.

        Raises:
            SeedbedError: an answer that the question refuses.
        """
        known = dict(self.last)
        for name, question in self.settings.questions.items():
            try:
                self._answer(name, question, known)
            except (Unsupported, SeedbedError):
                if not self.required:  # what follows a missing answer may lean on it
                    raise
            except Exception as error:  # noqa: BLE001  (Copier says what is wrong with the question)
                if not self.required:
                    raise Unsupported(str(error)) from None
        self.last = known

    def context(self, phase: str = "render") -> dict[str, Any]:
        """Return what a template sees."""
        combined = self._combined()
        conf = {
            "answers_file": ANSWERS,
            "sep": "/",
            "os": {"linux": "linux", "darwin": "macos"}.get(sys.platform),
            "vcs_ref": self.metadata["_commit"],
        }
        return {
            "now": unspoken,
            "make_secret": unspoken,
            **combined,
            "_copier_answers": self.remembered(combined),
            "_copier_conf": _Conf(conf),
            "_folder_name": self.folder,
            "_copier_python": sys.executable,
            "_copier_phase": phase,
        }

    def remembered(self, combined: Mapping[str, Any]) -> dict[str, Any]:
        """Return what belongs into the answers file."""
        secrets = self.settings.secrets
        return dict(self.metadata) | {
            name: value
            for name, value in combined.items()
            if name in self.settings.questions
            and name not in self.hidden
            and name not in secrets
            and isinstance(value, (dict, list, str, int, float, bool, type(None)))
        }

    def value(self, template: Any, extra: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Render a value of copier.yml where it is a string, each part where it is a list."""
        if isinstance(template, list):
            return [self.value(part, extra) for part in template]
        if not isinstance(template, str):
            return template
        return self.language.render(template, lambda: self.context("prompt") | dict(extra or {}))

    def _combined(self) -> dict[str, Any]:
        return {**self.last, **self.metadata, **self.given, **self.user}

    def _answer(self, name: str, question: Mapping[str, Any], known: dict[str, Any]) -> None:
        shown = _true(self.value(question.get("when", True)))
        asked = _true(self.value(question.get("ask", True)))
        if shown and name in known and name not in self.given:
            self._checked(name, question, known[name])  # Copier would drop a bad one silently
        if not shown:
            self.hidden.add(name)
            known.pop(name, None)
            self.last = known
            if self._default(name, question, known, shown=shown) is MISSING:
                return
        self.last = known
        if name in self.given:
            self.user[name] = self._checked(name, question, self.given[name])
            return
        if name in known and not asked:
            return
        answer = self._default(name, question, known, shown=shown)
        if answer is not MISSING:
            self.user[name] = answer
            if shown and asked and name not in known and name not in self.settings.secrets:
                self.filled[name] = answer
        elif asked:
            self.required[name] = str(self.value(question.get("help", "")))

    def _checked(self, name: str, question: Mapping[str, Any], raw: Any) -> Any:  # noqa: ANN401
        answer = self._parse(name, question, raw)
        if not self.strict:
            return answer
        try:
            said = str(self.value(question.get("validator", ""), {name: answer})).strip()
        except Unsupported:
            raise
        except Exception as error:  # noqa: BLE001  (as Copier: a validator that fails refuses)
            said = str(error)
        if said:
            raise SeedbedError(f"{name}: {raw!r} {said}; answer with --set {name}=VALUE")
        return answer

    def _default(
        self, name: str, question: Mapping[str, Any], known: Mapping[str, Any], *, shown: bool
    ) -> Any:  # noqa: ANN401
        if name in self.given:
            raw = self.given[name]
        elif name in known:
            raw = known[name]
        else:
            unset = jinja2.StrictUndefined("UNSET", exc=_Unset)
            try:
                raw = self.value(question.get("default", MISSING), {"UNSET": unset})
            except _Unset:
                raw = MISSING
            if raw is MISSING:
                return MISSING
        if shown and not question.get("secret"):
            return self._checked(name, question, raw)
        return self._parse(name, question, raw)

    def _parse(self, name: str, question: Mapping[str, Any], raw: Any) -> Any:  # noqa: ANN401
        default = type(question.get("default", MISSING)).__name__
        kind = self.value(question.get("type", "")) or (default if default in _CASTS else "yaml")
        if kind not in _CASTS or question.get("multiselect"):
            raise Unsupported(f"type {kind}")
        answer = _cast(name, kind, raw)
        choices = self._choices(question.get("choices") or ())
        if not choices:
            return answer
        allowed = [_cast(name, kind, value) for value, refused in choices if not refused]
        if answer in allowed:
            return answer
        why = [
            refused for value, refused in choices if refused and _cast(name, kind, value) == answer
        ]
        listed = ", ".join(str(value) for value in allowed)
        reason = why[0] if why else f"is not among {listed}"
        raise SeedbedError(f"{name}: {raw!r} {reason}; answer with --set {name}=VALUE")

    def _choices(self, choices: Any) -> list[tuple[Any, str]]:  # noqa: ANN401
        if isinstance(choices, str):
            choices = yaml.load(self.value(choices), Loader=LOADER)  # noqa: S506  (safe)
        rows: list[tuple[Any, str]] = []
        for choice in choices.items() if isinstance(choices, dict) else choices:
            value = choice[1] if isinstance(choice, (tuple, list)) else choice
            refused = ""
            if isinstance(value, dict):
                refused, value = self.value(value.get("validator", "")), value["value"]
            rows.append((self.value(value), refused))
        return rows


def _cast(name: str, kind: str, raw: Any) -> Any:  # noqa: ANN401
    if raw is None and kind not in {"json", "yaml"}:
        raise SeedbedError(f"{name}: has no value; answer with --set {name}=VALUE")
    try:
        return _CASTS[kind](raw)
    except (TypeError, AttributeError):
        if kind in {"json", "yaml"}:
            return raw
        raise SeedbedError(
            f"{name}: {raw!r} is no {kind}; answer with --set {name}=VALUE"
        ) from None
    except (ValueError, yaml.YAMLError):
        raise SeedbedError(
            f"{name}: {raw!r} is no {kind}; answer with --set {name}=VALUE"
        ) from None


def _true(value: Any) -> bool:  # noqa: ANN401
    try:
        return bool(float(value))
    except (TypeError, ValueError):
        pass
    if isinstance(value, str):
        word = value.strip().lower()
        return word not in _FALSE
    return bool(value)


def _string(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(value)


def _yaml(value: Any) -> Any:  # noqa: ANN401
    return yaml.load(value, Loader=LOADER)  # noqa: S506  (safe)


_CASTS: dict[str, Callable[[Any], Any]] = {
    "bool": _true,
    "float": float,
    "int": int,
    "json": json.loads,
    "str": _string,
    "yaml": _yaml,
    "path": str,
}
