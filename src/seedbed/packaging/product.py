"""Turns a project's infrastructure into one product: its files merged, its form from the questions.

The files link by name: a parameter called like an output of an earlier file is that output, and a
question's parameter has its name in capitals: data_location is DataLocation. A file's Metadata says
where that does not hold, below `Seedbed`: `Answers` of questions, and parameters that are `Derived`
from others, so that nobody is asked for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from seedbed import cfn
from seedbed.catalog import Question
from seedbed.cfn import Template, walk
from seedbed.errors import SeedbedError

INTERFACE = "AWS::CloudFormation::Interface"
OURS = "Seedbed"
# SageMaker injects these two into every project template.
INJECTED = {"ProjectName": "SageMakerProjectName", "ProjectId": "SageMakerProjectId"}
INJECTED_RULES = {
    # SageMaker's names may have capitals and begin with a digit; a bucket's and a module's may not.
    "SageMakerProjectName": {
        "AllowedPattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        "MinLength": 2,
        "ConstraintDescription": (
            "must be 2 to 32 lower-case letters, digits and inner hyphens, begun with a letter"
        ),
    },
    # The launch role may touch only what is named after such an id: servicecatalog/spoke/roles.yml.
    "SageMakerProjectId": {
        "AllowedPattern": "^p-[a-z0-9]+(-[a-z0-9]+)*$",
        "ConstraintDescription": "must be p- and lower-case letters or digits, as SageMaker makes",
    },
}
# Questions that a parameter of another name answers.
ANSWERED = {
    "project_name": "SageMakerProjectName",
    "aws_region": "AWS::Region",
    "model_package_group": "ModelPackageGroupName",
    "git_host": "GitHost",
    "github_actions": "GitHubActions",
}
FIXED = {"Environment": "dev"}  # a project in Studio is born in dev: config/dev.yml
FIRST = ("data", "source", "seed")  # the files whose groups come after the model's own
LAST = ("Model registry", "Project", "Network and guard rails")


def build(
    name: str,
    title: str,
    files: Mapping[str, Template],
    questions: Mapping[str, Question],
    *,
    defaults: Mapping[str, str],
    release: Mapping[str, str],
) -> Template:
    """Return the product's template.

    Args:
        name: the product's, for messages.
        title: what the product does, in a line.
        files: the project's templates in the order of their deployment, the seeding part last.
        questions: the template's questions, of which each visible one becomes a parameter.
        defaults: values that the platform team gives to parameters.
        release: Name, Version, Address and Bundle of the template, for the seeding part.

    Raises:
        SeedbedError: two files disagree, or `defaults` names no parameter or breaks its rules.
    """
    merged = merge(name, files)
    parameters = merged["Parameters"]
    for key, rule in INJECTED_RULES.items():
        if key in parameters:
            parameters[key] = parameters[key] | rule
    answers: dict[str, Any] = {}
    told = {key: value for file in files.values() for key, value in _ours(file, "Answers").items()}
    for key, question in questions.items():
        if question.hidden:
            continue
        if key in told:
            answers[key] = renamed(told[key])
            continue
        parameter = ANSWERED.get(key, camel(key))
        if parameter not in parameters and not parameter.startswith("AWS::"):
            parameters[parameter] = as_parameter(question)
        answers[key] = {"Ref": parameter}
    set_defaults(name, parameters, defaults)
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{title} (template {release['Name']} {release['Version']})",
        "Metadata": {
            INTERFACE: _interface(files, parameters, questions),
            # Studio's form demands a value for each parameter that is not named here.
            "SagemakerTemplateParameterRules": {
                key: {"Optional": True} for key, p in parameters.items() if p.get("Default") == ""
            },
        },
        **{key: merged[key] for key in ("Parameters", "Rules", "Mappings") if merged[key]},
        "Conditions": merged["Conditions"],
        "Resources": merged["Resources"],
        "Outputs": merged["Outputs"],
    }
    seed = template["Resources"].get("Repository", {}).get("Properties")
    if seed is not None:
        seed["Answers"] = answers
        template["Mappings"]["Release"]["Template"] = dict(release)
        # A pipeline runs as soon as it is there: it would find an empty repository.
        for key in ("Pipeline", "SourceRule"):
            if key in template["Resources"]:
                template["Resources"][key]["DependsOn"] = "Repository"
    return template


def merge(name: str, files: Mapping[str, Template]) -> Template:
    """Return one template from several that link by name."""
    merged: Template = {
        section: {}
        for section in ("Parameters", "Rules", "Mappings", "Conditions", "Resources", "Outputs")
    }
    outputs: dict[str, Any] = {}
    for file, template in files.items():
        linked = {key: outputs[key] for key in template.get("Parameters", {}) if key in outputs}
        linked |= _ours(template, "Derived")
        for section, entries in merged.items():
            for key, entry in template.get(section, {}).items():
                if section == "Parameters" and key in linked:
                    continue
                if section in ("Conditions", "Rules") and (used := _refers(entry, linked)):
                    where = f"product {name}: {file}.yml: {section} {key}"
                    raise SeedbedError(f"{where} reads {used}, an output: decide by a parameter")
                ours = decided(renamed(substituted(entry, linked)), {})
                own = INJECTED.get(key, key) if section == "Parameters" else key
                if entries.get(own, ours) != ours or (section == "Resources" and own in entries):
                    where = f"product {name}: {file}.yml: {section} {key}"
                    raise SeedbedError(f"{where} stands otherwise in an earlier file: make it one")
                entries[own] = ours
        for key, output in template.get("Outputs", {}).items():
            value = substituted(output["Value"], linked)
            if condition := output.get("Condition"):
                value = {"Fn::If": [condition, value, ""]}
            outputs[key] = value
    return merged


def _ours(template: Template, key: str) -> dict[str, Any]:
    """Return a part of what a file's Metadata tells us; empty if it tells nothing."""
    found: dict[str, Any] = template.get("Metadata", {}).get(OURS, {}).get(key, {})
    return found


def substituted(value: Any, linked: Mapping[str, Any]) -> Any:  # noqa: ANN401 (any part)
    """Return `value` with each parameter in `linked` replaced by what it is linked to."""
    if not linked:
        return value

    def change(part: dict[str, Any]) -> Any:  # noqa: ANN401
        if list(part) == ["Ref"]:
            return linked.get(part["Ref"], part)
        if list(part) == ["Fn::Sub"]:
            return _sub(part, linked)
        return part

    return walk(value, change)


def _sub(part: dict[str, Any], linked: Mapping[str, Any]) -> dict[str, Any]:
    """Put what is linked into a Fn::Sub: as text where it has one, otherwise as a variable."""
    text, variables = part["Fn::Sub"], {}
    if isinstance(text, list):
        text, variables = text[0], {k: substituted(v, linked) for k, v in text[1].items()}
    for key, value in linked.items():
        if f"${{{key}}}" not in text or key in variables:
            continue
        if (plain := _text(value)) is not None:
            text = text.replace(f"${{{key}}}", plain)
        else:
            variables[key] = value
    return {"Fn::Sub": [text, variables] if variables else text}


def _text(value: Any) -> str | None:  # noqa: ANN401 (a value of an output)
    """Return a value as Fn::Sub would write it, or None if it has no such form."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"${{{resource}.{attribute}}}"
        case {"Fn::Sub": str() as text} | (str() as text):
            return text
    return None


def renamed(value: Any) -> Any:  # noqa: ANN401 (any part of a template)
    """Return `value` with the names that SageMaker injects."""

    def change(part: dict[str, Any]) -> Any:  # noqa: ANN401
        if list(part) == ["Ref"] and part["Ref"] in INJECTED:
            return {"Ref": INJECTED[part["Ref"]]}
        if list(part) == ["Fn::Sub"]:
            text, *rest = (
                part["Fn::Sub"] if isinstance(part["Fn::Sub"], list) else [part["Fn::Sub"]]
            )
            for old, new in INJECTED.items():
                text = text.replace(f"${{{old}}}", f"${{{new}}}")
            return {"Fn::Sub": [text, renamed(rest[0])] if rest else text}
        return part

    return walk(value, change)


def decided(value: Any, known: Mapping[str, bool]) -> Any:  # noqa: ANN401 (any part of a template)
    """Return `value` without each Fn::If whose condition a surrounding one has decided."""
    if isinstance(value, list):
        return [decided(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) != ["Fn::If"]:
        return {key: decided(item, known) for key, item in value.items()}
    condition, yes, no = value["Fn::If"]
    if condition in known:
        return decided(yes if known[condition] else no, known)
    branches = [decided(part, {**known, condition: c}) for part, c in ((yes, True), (no, False))]
    return {"Fn::If": [condition, *branches]}


def _refers(value: Any, names: Mapping[str, Any]) -> str:  # noqa: ANN401 (any part of a template)
    """Return a name of `names` that `value` reads; empty if there is none."""
    found: list[str] = []

    def look(part: dict[str, Any]) -> dict[str, Any]:
        text = str(part.get("Ref", "")), str(part.get("Fn::Sub", ""))
        found.extend(name for name in names if name == text[0] or f"${{{name}}}" in text[1])
        return part

    walk(value, look)
    return found[0] if found else ""


def camel(key: str) -> str:
    """Return a question's name as a parameter's."""
    return "".join(word.capitalize() for word in key.split("_"))


def as_parameter(question: Question) -> dict[str, Any]:
    """Return a question as a parameter; a computed default is left to the template."""
    computed = isinstance(question.default, str) and "{{" in question.default
    default = "" if computed else question.default
    default = str(default).lower() if isinstance(default, bool) else default
    hint = " (empty: the template's own)" if computed else ""
    parameter: dict[str, Any] = {
        "Description": f"{question.help.strip()}{hint}",
        "Type": "String",
        "Default": default,
    }
    if question.type == "bool":
        parameter["AllowedValues"] = ["true", "false"]
        parameter["ConstraintDescription"] = "must be true or false"
    elif question.choices:
        parameter["AllowedValues"] = [*([""] if computed else []), *question.choices]
        parameter["ConstraintDescription"] = f"must be one of {', '.join(question.choices)}"
    else:
        # Python's \Z is the $ of Java's regular expressions, by which CloudFormation matches.
        pattern = question.pattern.replace(r"\Z", "$") or r"[^\n]{1,256}$"
        parameter["AllowedPattern"] = f"^$|^{pattern}" if computed else f"^{pattern}"
        parameter["ConstraintDescription"] = question.message or "must be one line of text"
    return parameter


def set_defaults(
    name: str,
    parameters: dict[str, Any],
    defaults: Mapping[str, str],
    fixed: Mapping[str, str] = FIXED,
) -> None:
    """Give values to a product's parameters; `fixed` are for those that it has.

    Raises:
        SeedbedError: `defaults` names no parameter, or a value breaks its rules.
    """
    for key, value in {**fixed, **defaults}.items():
        if key not in parameters:
            if key in fixed:
                continue
            known = ", ".join(sorted(parameters))
            raise SeedbedError(
                f"product {name}: defaults: {key} is no parameter; use one of {known}"
            )
        rule = parameters[key]
        if wrong := cfn.misfit(rule, value):
            raise SeedbedError(f"product {name}: defaults: {key} is {wrong}")
        parameters[key] = {**rule, "Default": value}


def _interface(
    files: Mapping[str, Template],
    parameters: Mapping[str, Any],
    questions: Mapping[str, Question],
) -> dict[str, Any]:
    """Return the form: the files' groups with what is left to ask, the model's questions first."""
    groups: dict[str, list[str]] = {}
    labels: dict[str, Any] = {}
    hidden = {*INJECTED, *INJECTED.values()}
    for name in sorted(files, key=lambda name: (*FIRST, name).index(name)):
        interface = files[name].get("Metadata", {}).get(INTERFACE, {})
        labels |= interface.get("ParameterLabels", {})
        for group in interface.get("ParameterGroups", []):
            if shown := [p for p in group["Parameters"] if p in parameters and p not in hidden]:
                groups.setdefault(group["Label"]["default"], []).extend(shown)
    grouped = {member for members in groups.values() for member in members}
    asked = [ANSWERED.get(key, camel(key)) for key, q in questions.items() if not q.hidden]
    own = [p for p in asked if p in parameters and p not in grouped | hidden]
    of_data = [p for p in own if p.startswith("Data")]
    groups = {"Model": [p for p in own if p not in of_data], **groups}
    if of_data:
        groups["Data"] = [*groups.get("Data", []), *of_data]
    seen: set[str] = set()
    kept: list[dict[str, Any]] = []
    for label, members in groups.items():
        fresh = [m for m in dict.fromkeys(members) if m not in seen]
        seen.update(fresh)
        if fresh:
            kept.append({"Label": {"default": label}, "Parameters": fresh})
    ends = {label: place for place, label in enumerate(LAST, start=1)}
    kept.sort(key=lambda group: ends.get(group["Label"]["default"], 0))
    known = {p: labels.get(p, {"default": _words(p)}) for p in sorted(seen)}
    return {"ParameterGroups": kept, "ParameterLabels": known}


def _words(name: str) -> str:
    """Return a parameter's name in words: `TargetColumn` is "Target column"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).capitalize()
