"""Checks a pipeline definition before it is sent: requests, references, dependencies, names.

The requests are held against the shapes of botocore's service model, the references against what
the steps' Describe calls answer. The SDK's steps are checked like ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from typing import Any

from pipeline.definition import VERSION, ExecutionVariables
from pipeline.local import COMPARE, LocalError, Node, flatten, order
from pipeline.settings import LOCAL_STORAGE

# Step type: its request, what its properties come from, and the name that SageMaker fills in.
REQUESTS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "Processing": (
        "CreateProcessingJobRequest",
        ("DescribeProcessingJobResponse",),
        "ProcessingJobName",
    ),
    "Training": ("CreateTrainingJobRequest", ("DescribeTrainingJobResponse",), "TrainingJobName"),
    "Tuning": (
        "CreateHyperParameterTuningJobRequest",
        (
            "DescribeHyperParameterTuningJobResponse",
            "ListTrainingJobsForHyperParameterTuningJobResponse",
        ),
        "HyperParameterTuningJobName",
    ),
    "Transform": (
        "CreateTransformJobRequest",
        ("DescribeTransformJobResponse",),
        "TransformJobName",
    ),
    "Model": ("CreateModelInput", ("DescribeModelOutput",), "ModelName"),
    "RegisterModel": ("CreateModelPackageInput", ("DescribeModelPackageOutput",), ""),
    "AutoML": ("CreateAutoMLJobV2Request", ("DescribeAutoMLJobV2Response",), "AutoMLJobName"),
}
# These are no single call of SageMaker's: their arguments are looked at for references only.
UNSHAPED = ("Callback", "Lambda", "QualityCheck", "ClarifyCheck", "EMR", "EMRServerless")
CONDITIONS = (*COMPARE, "In", "Not", "Or")
EXECUTION = [item.name for item in vars(ExecutionVariables).values() if hasattr(item, "expr")]
NAMED = {"Outputs": "OutputName", "ProcessingInputs": "InputName", "InputDataConfig": "ChannelName"}
KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}
TAKES = {"integer": ("long",), "long": ("integer",), "float": ("integer",), "double": ("float",)}
PARAMETERS = {"String": "string", "Integer": "integer", "Float": "float", "Boolean": "boolean"}
DURATION = re.compile(r"P?(?=.)(\d+[YMWD])*(T(\d+[HMS])+)?", re.IGNORECASE)
# Java's classes of characters as far as botocore's patterns use them. Where Python has no equal it
# is a wider one: AWS may refuse what passes here, but nothing that AWS takes is refused here.
CLASSES = {
    "L": r"\w",
    "N": r"\d",
    "Z": r"\s",
    "M": "",
    "S": r"\S",
    "P": r"\S",
    "Alnum": "a-zA-Z0-9",
}


@dataclass(frozen=True)
class Unknown:
    """A value that only the run will know: its type, and the length of what is known of it."""

    kind: str
    length: int = 0


def findings(
    definition: Mapping[str, Any], values: Mapping[str, object] | None = None
) -> list[str]:
    """Return what is wrong, one line each: where, what, and what to do instead.

    Args:
        definition: the parsed JSON.
        values: what a start gives to parameters in place of their defaults.
    """
    return Checker(definition, values or {}).run()


@cache
def shapes() -> Mapping[str, Any]:
    """Return the shapes of botocore's service model for SageMaker."""
    from botocore.loaders import Loader  # type: ignore[import-untyped]

    model: Mapping[str, Any] = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    return model


@cache
def pattern(text: str) -> re.Pattern[str]:
    """Return one of botocore's patterns as Python understands it."""
    text = re.sub(r"\\p\{(\w+)\}", lambda match: CLASSES[match[1]], text)
    text = re.sub(r"\$\{\d+,\d+\}$", "", text)  # CustomerMetadataValue's ends like this
    try:
        return re.compile(text)
    except re.error:
        return re.compile(r"[\S\s]*")


class Checker:
    """Gathers what is wrong with one definition."""

    def __init__(self, definition: Mapping[str, Any], values: Mapping[str, object]) -> None:
        self.definition, self.values = definition, values
        self.parameters = {item["Name"]: item for item in definition.get("Parameters", ())}
        self.steps = list(flatten(definition["Steps"]))
        self.nodes = {node.name: node for node in self.steps}
        self.found: list[str] = []

    def run(self) -> list[str]:
        self._frame()
        for node in self.steps:
            self._step(node)
        return self.found

    def say(self, where: str, what: str) -> None:
        line = " ".join(f"{where}: {what}".split())
        if line not in self.found:
            self.found.append(line)

    def _frame(self) -> None:
        """Check what concerns the definition as a whole."""
        if self.definition.get("Version") != VERSION:
            self.say("Version", f"is {self.definition.get('Version')!r}: write {VERSION}")
        size, most = len(json.dumps(self.definition)), shapes()["PipelineDefinition"]["max"]
        if size > most:
            self.say("definition", f"has {size} characters: at most {most} are allowed")
        declared = [item["Name"] for item in self.definition.get("Parameters", ())]
        for kind, names in ("parameters", declared), ("steps", [node.name for node in self.steps]):
            for name in sorted({name for name in names if names.count(name) > 1}):
                self.say(name, f"names {names.count(name)} {kind}: rename all but one")
        for name, item in self.parameters.items():
            where, shape = f"Parameters.{name}", PARAMETERS.get(item["Type"])
            self._match(name, "PipelineParameterName", where)
            default = item.get("DefaultValue")
            if shape is None:
                self.say(where, f"has type {item['Type']!r}: use one of {', '.join(PARAMETERS)}")
            elif default is not None and not is_a(default, shape):
                self.say(where, f"has the default {default!r}, which is no {item['Type']}")
        try:
            order(self.definition["Steps"])
        except LocalError as error:
            self.say("steps", str(error))

    def _step(self, node: Node) -> None:
        where, arguments = node.name, node.request["Arguments"]
        self._match(node.name, "StepName", f"{where}.Name")
        if node.type in REQUESTS:
            shape, _, filled = REQUESTS[node.type]
            self._match(arguments, shape, f"{where}.Arguments", filled)
        elif node.type == "Condition":
            if not arguments.get("Conditions"):
                self.say(f"{where}.Conditions", "is empty: give it a condition")
            for item in arguments.get("Conditions", ()):
                self._condition(item, f"{where}.Conditions")
        elif node.type == "Fail":
            self._match(
                arguments.get("ErrorMessage"), "FailStepErrorMessage", f"{where}.ErrorMessage"
            )
        elif node.type in UNSHAPED:
            self._walk(arguments, f"{where}.Arguments")
        else:
            known = ", ".join((*REQUESTS, "Condition", "Fail", *UNSHAPED))
            self.say(f"{where}.Type", f"is {node.type!r}: use one of {known}")
        self._machine(arguments, where)
        for file in node.request.get("PropertyFiles", ()):
            if file["OutputName"] not in (names := outputs(node)):
                known = ", ".join(names) or "none"
                what = f"is in output {file['OutputName']!r}: the step has {known}"
                self.say(f"{where}.PropertyFiles.{file['PropertyFileName']}", what)
        expiry = node.request.get("CacheConfig", {}).get("ExpireAfter")
        if expiry is not None and not DURATION.fullmatch(expiry):
            self.say(
                f"{where}.CacheConfig", f"{expiry!r} is no ISO 8601 duration: write one as P30D"
            )

    def _machine(self, arguments: Mapping[str, Any], where: str) -> None:
        processing = arguments.get("ProcessingResources", {}).get("ClusterConfig", {})
        machine = arguments.get("ResourceConfig", processing)
        kind = str(self._value(machine.get("InstanceType"), where))
        if "VolumeKmsKeyId" in machine and LOCAL_STORAGE.match(kind):
            self.say(f"{where}.VolumeKmsKeyId", f"must not be there: {kind} has disks of its own")

    def _condition(self, condition: Mapping[str, Any], where: str) -> None:
        kind = condition.get("Type")
        if kind not in CONDITIONS:
            self.say(where, f"has type {kind!r}: use one of {', '.join(CONDITIONS)}")
        elif kind in COMPARE:
            sides = [condition.get(side) for side in ("LeftValue", "RightValue")]
            if None in sides:
                self.say(where, f"{kind} needs a LeftValue and a RightValue")
        self._walk(condition, where)

    def _walk(self, value: object, where: str) -> None:
        """Check the expressions in a part of the definition that has no shape."""
        if is_expression(value):
            self._value(value, where)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                self._walk(item, f"{where}.{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._walk(item, f"{where}[{index}]")

    def _value(self, value: Any, where: str) -> Any:  # noqa: ANN401 (JSON is what it is)
        """Return what an expression stands for: its value, if it is known by now, or Unknown."""
        if not is_expression(value):
            return value
        if path := value.get("Get"):
            return self._get(path, where)
        if source := value.get("Std:JsonGet"):
            return self._json_get(source, where)
        join = value["Std:Join"]
        parts = [self._value(part, where) for part in join["Values"]]
        known = [str(part) for part in parts if not isinstance(part, Unknown)]
        if len(known) == len(parts):
            return str(join["On"]).join(known)
        fixed = sum(map(len, known)) + len(join["On"]) * (len(parts) - 1)
        return Unknown("string", fixed + sum(p.length for p in parts if isinstance(p, Unknown)))

    def _get(self, path: str, where: str) -> Any:  # noqa: ANN401
        source, _, rest = path.partition(".")
        if source == "Parameters":
            if rest not in self.parameters:
                self._unknown(where, f"parameter {rest!r}", self.parameters)
                return Unknown("any")
            item = self.parameters[rest]
            value = self.values.get(rest, item.get("DefaultValue"))
            return value if value is not None else Unknown(PARAMETERS.get(item["Type"], "any"))
        if source == "Execution":
            if rest not in EXECUTION:
                self._unknown(where, f"execution variable {rest!r}", EXECUTION)
            return Unknown("string")
        if source == "Steps":
            return self._property(rest, where)
        if source != "PipelineExperimentConfig":
            self.say(where, f"refers to {path!r}: use Parameters, Execution or Steps")
        return Unknown("string")

    def _property(self, path: str, where: str) -> Unknown:
        """Follow a reference to a step through the shapes of its Describe call."""
        name, *rest = re.findall(r"[\w-]+|\['[^']*'\]|\[\d+\]", path)
        node = self.nodes.get(name)
        if node is None:
            self._unknown(where, f"step {name!r}", self.nodes)
        elif node.type == "Condition" and rest != ["Outcome"]:
            self.say(where, f"refers to {path!r}: a condition has only an Outcome")
        elif node.type == "Fail":
            self.say(where, f"refers to {path!r}: a Fail step has no properties")
        elif node.type in REQUESTS:
            self._named(node, rest, where)
            kinds = [self._leads(shape, rest) for shape in REQUESTS[node.type][1]]
            kind = next(filter(None, kinds), None)
            if kind is None:
                self.say(where, f"refers to {path!r}: {name} has no such property")
            elif kind not in KINDS:
                self.say(where, f"refers to {path!r}, which is a {kind}: name a value in it")
            else:
                return Unknown(kind)
        return Unknown("any")

    def _leads(self, shape: str, path: Sequence[str]) -> str | None:
        """Return the type of what a path in a shape leads to, if it leads anywhere."""
        for part in path:
            kind = shapes()[shape]
            if kind["type"] == "structure" and part in kind["members"]:
                shape = kind["members"][part]["shape"]
            elif kind["type"] in ("list", "map") and part.startswith("["):
                shape = kind["member" if kind["type"] == "list" else "value"]["shape"]
            else:
                return None
        return str(shapes()[shape]["type"])

    def _named(self, node: Node, path: Sequence[str], where: str) -> None:
        """Check that an output, input or channel that a path names is one of the step's."""
        value: Any = node.request["Arguments"]
        for member, part in pairwise(path):
            value = value.get(member, {}) if isinstance(value, Mapping) else {}
            if member in NAMED and part.startswith("['") and isinstance(value, list):
                names = [item.get(NAMED[member]) for item in value]
                if part[2:-2] not in names:
                    self._unknown(where, f"{NAMED[member]} {part[2:-2]!r} of {node.name}", names)

    def _json_get(self, source: Mapping[str, Any], where: str) -> Unknown:
        if not source.get("Path"):
            self.say(where, "JsonGet has no Path: give it one as metrics.auc.value")
        if "S3Uri" in source:
            self._value(source["S3Uri"], where)
            return Unknown("any")
        target = str(source.get("PropertyFile", {}).get("Get", ""))
        _, step, _, name = [*target.split(".", 3), "", "", "", ""][:4]
        if step not in self.nodes:
            self._unknown(where, f"step {step!r}", self.nodes)
        else:
            files = self.nodes[step].request.get("PropertyFiles", ())
            names = [file["PropertyFileName"] for file in files]
            if name not in names:
                self._unknown(where, f"property file {name!r} of {step}", names)
        return Unknown("any")

    def _unknown(self, where: str, what: str, names: Iterable[str]) -> None:
        self.say(where, f"refers to {what}, which does not exist: use one of {', '.join(names)}")

    def _match(self, value: object, shape: str, where: str, filled: str = "") -> None:
        """Hold a value against a shape; `filled` is a member that SageMaker adds by itself."""
        rules = shapes().get(shape, {"type": "string"})
        kind, value = rules["type"], self._value(value, where)
        if isinstance(value, Unknown):
            self._match_unknown(value, rules, where)
        elif kind == "structure":
            self._match_structure(value, shape, where, filled)
        elif kind == "list":
            if not isinstance(value, list):
                self.say(where, f"is {value!r}: give it a list")
                return
            self._limits(len(value), rules, f"{where} has {len(value)} items")
            for index, item in enumerate(value):
                self._match(item, rules["member"]["shape"], f"{where}[{index}]")
        elif kind == "map":
            if not isinstance(value, Mapping):
                self.say(where, f"is {value!r}: give it names and values")
                return
            self._limits(len(value), rules, f"{where} has {len(value)} items")
            for key, item in value.items():
                self._match(key, rules["key"]["shape"], f"{where}.{key}")
                self._match(item, rules["value"]["shape"], f"{where}.{key}")
        else:
            self._match_scalar(value, rules, where)

    def _match_unknown(self, value: Unknown, rules: Mapping[str, Any], where: str) -> None:
        kind, most = rules["type"], rules.get("max", value.length)
        if value.kind not in ("any", kind, *TAKES.get(kind, ())):
            remedy = ": wrap it in Join" if kind == "string" else ""
            what = f"takes type {kind}, and the reference gives type {value.kind}{remedy}"
            self.say(where, what)
        elif value.length > most:
            self.say(where, f"has at least {value.length} characters: at most {most} is allowed")

    def _match_structure(self, value: object, shape: str, where: str, filled: str) -> None:
        if not isinstance(value, Mapping):
            self.say(where, f"is {value!r}: give it members")
            return
        rules = shapes()[shape]
        for member in value:
            if member not in rules["members"]:
                close = get_close_matches(member, rules["members"]) or sorted(rules["members"])
                self.say(
                    f"{where}.{member}", f"{shape} has no such member: did you mean {close[0]}?"
                )
            else:
                inner = rules["members"][member]["shape"]
                self._match(value[member], inner, f"{where}.{member}")
        for member in rules.get("required", ()):
            if member not in value and member != filled:
                self.say(f"{where}.{member}", f"is missing: {shape} requires it")

    def _match_scalar(self, value: object, rules: Mapping[str, Any], where: str) -> None:
        kind = rules["type"]
        if kind in KINDS and not is_a(value, kind):
            remedy = "write it as text, or wrap it in Join" if kind == "string" else "mend it"
            self.say(where, f"is {value!r}, and it takes type {kind}: {remedy}")
        elif value not in (allowed := rules.get("enum", [value])):
            close = get_close_matches(str(value), allowed, cutoff=0) if allowed else []
            self.say(where, f"is {value!r}: use a known value such as {', '.join(close)}")
        elif isinstance(value, str):
            self._limits(len(value), rules, f"{where} has {len(value)} characters")
            if "pattern" in rules and not pattern(rules["pattern"]).fullmatch(value):
                self.say(where, f"is {value!r}: it must match {rules['pattern']}")
        elif isinstance(value, int | float):
            self._limits(value, rules, f"{where} is {value}")

    def _limits(self, size: float, rules: Mapping[str, Any], what: str) -> None:
        least, most = rules.get("min", size), rules.get("max", size)
        if not least <= size <= most:
            bound = f"at least {least}" if size < least else f"at most {most}"
            self.say(what, f"{bound} is allowed")


def is_expression(value: object) -> bool:
    """Tell whether a value is one that the run works out."""
    return isinstance(value, Mapping) and len(value) == 1 and not value.keys().isdisjoint(FUNCTIONS)


FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")


def is_a(value: object, kind: str) -> bool:
    """Tell whether a value is of a shape's type; a bool is no number."""
    return isinstance(value, KINDS[kind]) and isinstance(value, bool) == (kind == "boolean")


def outputs(node: Node) -> list[str]:
    """Return the names of a processing step's outputs."""
    config = node.request["Arguments"].get("ProcessingOutputConfig", {})
    return [item["OutputName"] for item in config.get("Outputs", ())]
