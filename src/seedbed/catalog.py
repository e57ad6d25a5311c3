"""What there is: the templates and their questions, as `layers/` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seedbed.errors import SeedbedError

PACKAGED = Path(__file__).parent / "_data"
CHECKOUT = Path(__file__).parents[2]
T = TypeVar("T", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Strict):
    """One question, asked by both engines; a hidden one is computed from the others.

    `pattern` is a regular expression for the whole answer (anchored at the start by compose, at the
    end by itself), `check` a Jinja expression over the answers; both engines enforce both.
    """

    type: Literal["str", "bool"] = "str"
    help: str = ""
    default: str | bool = ""
    choices: dict[str, str] = Field(default_factory=dict)
    pattern: str = ""
    check: str = ""
    message: str = ""
    hidden: bool = False


class Template(_Strict):
    """One template: its one-line purpose, the layers from below to above, the question files.

    `differs` names every path in which a project may differ from one of the first template.
    """

    title: str
    layers: list[str]
    questions: list[str]
    differs: list[str] = Field(default_factory=list, max_length=8)


class Catalog(_Strict):
    """All templates, and the address from which projects are updated."""

    repository: str
    templates: dict[str, Template]


def root() -> Path:
    """Return the folder that holds layers/ and templates/: the checkout, else the package."""
    return CHECKOUT if (CHECKOUT / "layers" / "catalog.yml").is_file() else PACKAGED


def load(base: Path) -> Catalog:
    """Read `base`/layers/catalog.yml.

    Raises:
        SeedbedError: the file is missing or has a field that is unknown or of another type.
    """
    return _parse(Catalog, base / "layers" / "catalog.yml", _read(base / "layers" / "catalog.yml"))


def questions(base: Path, template: Template) -> dict[str, Question]:
    """Return the template's questions by name, in the order in which they are asked."""
    found: dict[str, Question] = {}
    for name in template.questions:
        path = base / "layers" / "questions" / f"{name}.yml"
        for key, value in _read(path).items():
            found[key] = _parse(Question, path, value, key)
    return found


def get(catalog: Catalog, name: str) -> Template:
    """Return the template called `name`.

    Raises:
        SeedbedError: there is none.
    """
    if name not in catalog.templates:
        known = ", ".join(catalog.templates)
        raise SeedbedError(f"template: there is no {name!r}; choose one of {known}")
    return catalog.templates[name]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SeedbedError(f"{path}: missing; run seedbed in a checkout of the templates") from None
    except yaml.YAMLError as error:
        raise SeedbedError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}


def _parse(model: type[T], path: Path, value: object, key: str = "") -> T:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # a misspelt field is also a missing one: the misspelling says more
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in (key, *first["loc"]) if part != "")
        raise SeedbedError(f"{path}: {field}: {first['msg']}") from None
