"""What each engine reads: one set of questions told to Copier, to cookiecutter and to its hook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jinja2
import jinja2.meta
import yaml

from seedbed.catalog import Catalog, Question

MARK = "# Composed by `seedbed compose` from layers/: edit there.\n"
BODY = "{{cookiecutter.__project_slug}}"
COPIER = {
    "_min_copier_version": "9.19.0",
    "_templates_suffix": "",
    "_envops": {"undefined": "jinja2.StrictUndefined"},
}


def chooser(catalog: Catalog, questions: Mapping[str, Mapping[str, Question]]) -> str:
    """Return the repository's copier.yml: which template, then that template's questions."""
    asked_by: dict[str, list[str]] = {}
    every: dict[str, Question] = {}
    for name, of_template in questions.items():
        for key, question in of_template.items():
            asked_by.setdefault(key, []).append(name)
            every[key] = question
    first = next(iter(catalog.templates))
    document: dict[str, Any] = {
        **COPIER,
        "_subdirectory": "templates/{{ template }}/{% raw %}" + BODY + "{% endraw %}",
        "template": {
            "type": "str",
            "help": "Which template?",
            "choices": {f"{name}: {t.title}": name for name, t in catalog.templates.items()},
            "default": first,
        },
    }
    for key, question in every.items():
        document[key] = _copier_question(key, question)
        if len(asked_by[key]) < len(catalog.templates):
            document[key].setdefault("when", "{{ template in " + repr(asked_by[key]) + " }}")
    document["cookiecutter"] = _shared_context(every)
    return to_yaml(document)


def copier(name: str, questions: Mapping[str, Question]) -> str:
    """Return a template's own copier.yml; `template` is recorded and never asked."""
    document: dict[str, Any] = {**COPIER, "_subdirectory": "{% raw %}" + BODY + "{% endraw %}"}
    document["template"] = {"type": "str", "default": name, "ask": False}
    document |= {key: _copier_question(key, question) for key, question in questions.items()}
    document["cookiecutter"] = _shared_context(questions)
    return to_yaml(document)


def _copier_question(key: str, question: Question) -> dict[str, Any]:
    asked: dict[str, Any] = {"type": question.type, "default": question.default}
    if question.hidden:
        return asked | {"when": False}
    asked["help"] = question.help
    if question.choices:
        asked["choices"] = {f"{value}: {text}": value for value, text in question.choices.items()}
    rules = [f"{key} | regex_search({_anchored(question)})"] if question.pattern else []
    rules += [question.check] if question.check else []
    if rules:
        condition = " and ".join(f"({rule})" for rule in rules)
        asked["validator"] = "{% if not (" + condition + ") %}" + question.message + "{% endif %}"
    return asked


def _anchored(question: Question) -> str:
    return json.dumps(r"\A" + question.pattern)


def _shared_context(questions: Mapping[str, Question]) -> dict[str, Any]:
    """Give the body's `cookiecutter.x` to Copier too: json, because yaml broke on emoji."""
    pairs = ", ".join(f"'{_key(key, question)}': {key}" for key, question in questions.items())
    return {"type": "json", "when": False, "default": "{{ {" + pairs + "} | to_json }}"}


def _key(name: str, question: Question) -> str:
    return f"__{name}" if question.hidden else name


def cookiecutter(questions: Mapping[str, Question]) -> str:
    """Return a template's cookiecutter.json: computed values are its private variables."""
    context: dict[str, Any] = {}
    prompts: dict[str, Any] = {}
    for name, question in questions.items():
        default = question.default
        if question.choices:
            context[name] = sorted(question.choices, key=lambda value: value != default)
            prompts[name] = {"__prompt__": question.help, **question.choices}
            continue
        if isinstance(default, str):
            default = _bound(default, questions) + default
        context[_key(name, question)] = default
        if not question.hidden:
            prompts[name] = question.help
    return json.dumps({**context, "__prompts__": prompts}, indent=2, ensure_ascii=False) + "\n"


def _bound(expression: str, questions: Mapping[str, Question]) -> str:
    """Bind the bare names of a Copier expression for cookiecutter, which has one object."""
    tree = jinja2.Environment(autoescape=True).parse(expression)
    names = sorted(jinja2.meta.find_undeclared_variables(tree) & set(questions))
    return "".join(f"{{% set {n} = cookiecutter.{_key(n, questions[n])} %}}" for n in names)


def validation_hook(source: str, questions: Mapping[str, Question]) -> str:
    """Return cookiecutter's hook: `source` with the questions' rules filled in."""
    rules = {
        name: {"pattern": r"\A" + question.pattern, "message": question.message}
        for name, question in questions.items()
        if question.message
    }
    checks = ",\n".join(
        _bound("{{ " + q.check + " }}", questions) + f'    "{name}": {{{{ {q.check} }}}}'
        for name, q in questions.items()
        if q.check
    )
    table = "{% raw %}" + json.dumps(rules, indent=2) + "{% endraw %}"
    source = source.replace("RULES = {}", f'RULES = json.loads(r"""{table}""")')
    return source.replace("CHECKS = {}", "CHECKS = {\n" + checks + ",\n}")


def answers(catalog: Catalog, name: str, version: str, questions: Mapping[str, Question]) -> str:
    """Return the answers file, written line by line so that both engines can."""
    known = "_copier_answers is defined and _copier_answers.{0} is defined"
    lines = ["# Written by the template: change answers through an update, not here.\n"]
    for key, canonical in (("_commit", version), ("_src_path", catalog.repository)):
        value = f"_copier_answers.{key} if {known.format('_commit')} else '{canonical}'"
        lines.append(f"{key}: {_quoted(f'({value})')}\n")
    recorded = {"template": f"template: {name}\n"}
    for key, question in questions.items():
        if question.type == "bool":
            recorded[key] = f"{key}: {{{{ cookiecutter.{key} | lower }}}}\n"
        elif not question.hidden:
            recorded[key] = f"{key}: {_quoted(f'cookiecutter.{key}')}\n"
    return "".join(lines) + "".join(recorded[key] for key in sorted(recorded))


def _quoted(expression: str) -> str:
    return "'{{ " + expression + """ | replace("'", "''") }}'"""


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return `document` as marked, composed YAML in the order given."""
    return MARK + yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=1000)
