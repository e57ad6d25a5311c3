"""The project's settings, read once: config/<env>.yml, container.json and the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose, isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
# Instances with disks of their own, which hardware encrypts: SageMaker refuses a key for a volume.
# Source: VolumeKmsKeyId of ResourceConfig in botocore, and EC2's list of instance store volumes.
LOCAL_STORAGE = re.compile(r"ml\.([a-z]+\d+[a-z]*d[a-z]*|g5|gr?6e?|p5(e|en)?|trn\dn?)\.")
ACCOUNT = "000000000000"  # stands for every account that is not known yet


@dataclass(frozen=True)
class Problem:
    """What a problem type means: `group` is the name of its metrics in evaluation.json."""

    group: str
    metrics: tuple[str, ...]
    task: str
    training_metrics: tuple[str, ...]


PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        "binary_classification": Problem(
            "binary_classification_metrics",
            ("auc", "accuracy", "precision", "recall", "f1"),
            "CLASSIFICATION",
            ("auc", "logloss"),
        ),
        "multiclass_classification": Problem(
            "multiclass_classification_metrics",
            ("accuracy", "weighted_precision", "weighted_recall", "weighted_f1"),
            "CLASSIFICATION",
            ("merror", "mlogloss"),
        ),
        "regression": Problem(
            "regression_metrics", ("r2", "rmse", "mse", "mae"), "REGRESSION", ("mae", "rmse")
        ),
    }
)
ERRORS = ("rmse", "mse", "mae")  # lower is better, and they have the target's unit


class SettingsError(ValueError):
    """A wrong setting, in one line: where it stands, its value, what to write instead."""


@dataclass(frozen=True)
class Gate:
    metric: str
    threshold: float

    @property
    def lower_is_better(self) -> bool:
        return self.metric in ERRORS


@dataclass(frozen=True)
class Split:
    ratios: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Training:
    rounds: int
    early_stopping_rounds: int
    max_depth: int
    learning_rate: float
    subsample: float


@dataclass(frozen=True)
class Cloud:
    """What the project's stacks made; `missing` names the variables that placeholders stand for."""

    bucket: str
    kms_key: str
    role: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    git_commit: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    uri: str
    framework: str
    version: str


@dataclass(frozen=True)
class Settings:
    """Everything that the pipeline can be told, checked."""

    project: str
    owner: str
    region: str
    instance_type: str
    problem_type: str
    target_column: str
    gate: Gate
    data: Mapping[str, Any]  # config/data.yml: pipeline/data_source.py alone knows what it means
    split: Split
    training: Training
    model_package_group: str
    cache: str | None  # how long a step's result may be reused: an ISO 8601 duration
    image: Image
    cloud: Cloud

    @property
    def problem(self) -> Problem:
        return PROBLEMS[self.problem_type]

    @property
    def gate_path(self) -> str:
        """Where evaluation.json holds the gate's metric."""
        return f"{self.problem.group}.{self.gate.metric}.value"

    @classmethod
    def load(
        cls, env: str = "dev", environ: Mapping[str, str] = os.environ, root: Path = ROOT
    ) -> Settings:
        """Read config/dev.yml and data.yml and, for another `env`, what its file says otherwise.

        Raises:
            SettingsError: with one line, for the first value that cannot be used.
        """
        names = [file.stem for file in sorted((root / "config").glob("*.yml"))]
        if env not in names or env == "data":
            known = ", ".join(name for name in names if name != "data") or "none"
            raise SettingsError(f"config/{env}.yml does not exist: --env takes one of {known}")
        config = {"data": _read(root / "config" / "data.yml"), **_read(root / "config" / "dev.yml")}
        if env != "dev":
            config = _overlay(config, _read(root / "config" / f"{env}.yml"))
        top = Block("", config, f"config/{env}.yml")
        project, aws, problem, gate, split, training, registry = (
            top.block(name)
            for name in ("project", "aws", "problem", "gate", "split", "training", "registry")
        )
        kind = problem.choice("type", PROBLEMS)
        metric = gate.choice("metric", PROBLEMS[kind].metrics)
        most = 1.0 if metric not in ERRORS else None
        region = aws.text("region", r"[a-z]{2,3}(-[a-z]+)+-\d", "a region such as eu-west-1")
        name = project.text("name", NAME, NAME_HINT)
        settings = cls(
            project=name,
            owner=project.text("owner", r"[\w .:/=+@-]{1,256}", "letters, digits or . : / = + - @"),
            region=region,
            instance_type=aws.text(
                "instance_type", r"ml\.[a-z0-9-]+\.[a-z0-9]+", "one such as ml.m5.xlarge"
            ),
            problem_type=kind,
            target_column=problem.text("target_column", r".{1,128}", "a column's name in quotes"),
            gate=Gate(metric, gate.number("threshold", most=most)),
            data=MappingProxyType(top.take("data", dict, "the data source's settings")),
            split=Split(split.shares("ratios", 3), split.whole("seed", 0, LARGEST_SEED)),
            training=Training(
                rounds=training.whole("rounds", 1),
                early_stopping_rounds=training.whole("early_stopping_rounds", 1),
                max_depth=training.whole("max_depth", 1),
                learning_rate=training.number("learning_rate", above=0, most=1),
                subsample=training.number("subsample", above=0, most=1),
            ),
            model_package_group=registry.text("model_package_group", NAME, NAME_HINT),
            cache=_cache(top),
            image=_image(root / "config" / "container.json", region),
            cloud=_cloud(environ, region, name),
        )
        for block in (top, project, aws, problem, gate, split, training, registry):
            block.finish()
        return settings


NAME = r"(?=.{1,63}$)[a-zA-Z0-9](-*[a-zA-Z0-9])*"
LARGEST_SEED = 2**31 - 1  # any integer type holds it; beyond 64 bits XGBoost takes none
LONGEST_VALUE = 200  # characters: a container's argument has at most 256, its name included
NAME_HINT = "1 to 63 letters, digits or hyphens, with a letter or digit at both ends"


class _Missing:
    """Stands in a message for a value that is not there."""

    def __repr__(self) -> str:
        return "missing"


class Block:
    """One block of a configuration file: hands out its values, checked, and knows what is left."""

    def __init__(self, name: str, values: Mapping[str, Any], file: str) -> None:
        self.name, self.values, self.file = name, values, file
        self.taken: list[str] = []

    def wrong(self, key: str, value: object, remedy: str) -> SettingsError:
        where = f"{self.name}.{key}".lstrip(".")
        return SettingsError(f"{self.file}: {where} is {value!r}: write {remedy}")

    def take(self, key: str, kind: type | tuple[type, ...], remedy: str) -> Any:  # noqa: ANN401
        self.taken.append(key)
        value = self.values.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.wrong(key, value if key in self.values else _Missing(), remedy)
        return value

    def block(self, key: str) -> Block:
        return Block(key, self.take(key, dict, "a block of settings"), self.file)

    def text(self, key: str, pattern: str, remedy: str) -> str:
        value = self.take(key, (str, int, float), remedy)  # a column may be called 2024
        if not re.fullmatch(pattern, str(value)):
            raise self.wrong(key, value, remedy)
        return str(value)

    def choice(self, key: str, choices: Mapping[str, object] | tuple[str, ...]) -> str:
        remedy = f"one of {', '.join(choices)}"
        value = self.take(key, str, remedy)
        if value not in choices:
            raise self.wrong(key, value, remedy)
        return str(value)

    def number(self, key: str, above: float | None = None, most: float | None = None) -> float:
        limits = [f"above {above}"] if above is not None else []
        limits += [f"of at most {most:g}"] if most is not None else []
        remedy = f"a number {' and '.join(limits)}".rstrip()
        value = float(self.take(key, (int, float), remedy))
        low = above is not None and value <= above
        if not isfinite(value) or low or (most is not None and value > most):
            raise self.wrong(key, value, remedy)
        return value

    def whole(self, key: str, least: int, most: int | None = None) -> int:
        remedy = f"a whole number from {least}" + (f" to {most}" if most else "")
        value = self.take(key, int, remedy)
        if value < least or (most and value > most):
            raise self.wrong(key, value, remedy)
        return int(value)

    def shares(self, key: str, count: int) -> tuple[float, ...]:
        remedy = f"{count} numbers above 0 that add up to 1, such as [0.7, 0.15, 0.15]"
        values = self.take(key, list, remedy)
        plain = [v for v in values if isinstance(v, int | float) and v > 0]
        if len(values) != count or plain != values or not isclose(sum(plain), 1, abs_tol=1e-6):
            raise self.wrong(key, values, remedy)
        return tuple(float(value) for value in values)

    def named(self, key: str) -> dict[str, str | int | float]:
        """Return named numbers and short texts: they become parameters of the pipeline."""
        found = self.take(key, dict, "a block of names and values, or {}")
        for name, value in found.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", str(name)):
                raise self.wrong(key, name, "names of lower-case letters, digits or _")
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            if not fits and not (isinstance(value, str) and 0 < len(value) <= LONGEST_VALUE):
                remedy = f"a number, or text of 1 to {LONGEST_VALUE} characters in quotes"
                raise self.wrong(f"{key}.{name}", value, remedy)
        return dict(found)

    def finish(self) -> None:
        """Name a key that nothing reads: most likely it is misspelt."""
        for key in self.values:
            if key not in self.taken:
                where = f"{self.name}.{key}".lstrip(".")
                known = ", ".join(self.taken)
                raise SettingsError(f"{self.file}: {where} is no setting: use one of {known}")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a block: YAML would silently take the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position] and key != "<<":
                line = node.value[position][0].start_mark.line + 1
                raise yaml.YAMLError(f"{key} stands twice, again in line {line}")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    where = f"{path.parent.name}/{path.name}"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (safe)
    except FileNotFoundError:
        raise SettingsError(f"{where} does not exist: bring it back from git") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise SettingsError(f"{where} cannot be read ({detail}): mend it") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{where} holds no settings: write blocks such as `project:`")
    return content


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with the values of `above`, block by block."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = {**below[key], **value} if both else value
    return merged


def _cache(top: Block) -> str | None:
    top.taken.append("cache")
    value = top.values.get("cache", False)
    if value in (False, "off"):  # YAML 1.1 reads a bare `off` as false
        return None
    # The form of ISO 8601 that "Turn on step caching" in the SageMaker guide describes.
    if not re.fullmatch(r"P(?=.)(\d+[YMWD])*(T(\d+[HMS])+)?", str(value)):
        raise top.wrong("cache", value, "a duration such as P30D (days) or PT12H (hours), or off")
    return str(value)


def _image(path: Path, region: str) -> Image:
    """Return the one image of all steps in `region`."""
    try:
        container = json.loads(path.read_text(encoding="utf-8"))
        registries, domains = dict(container["registries"]), dict(container["domains"])
        repository, framework, version = (
            str(container[name]) for name in ("repository", "framework", "version")
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        line = f"config/{path.name} cannot be used ({type(error).__name__}: {error})"
        raise SettingsError(f"{line}: it is the template's, bring it back from git") from None
    if region not in registries:
        known = ", ".join(registries)
        raise SettingsError(f"aws.region is {region!r}, which has no image: write one of {known}")
    host = f"{registries[region]}.dkr.ecr.{region}.{domains.get(region, 'amazonaws.com')}"
    return Image(f"{host}/{repository}:{version}", framework, version)


def partition(region: str) -> str:
    """Return the partition that a region belongs to: the second word of each ARN there."""
    for prefix, name in (
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
    ):
        if region.startswith(prefix):
            return name
    return "aws"


def _cloud(environ: Mapping[str, str], region: str, project: str) -> Cloud:
    """Read what the stacks made from the environment; placeholders stand for what is not set."""
    arn = f"arn:{partition(region)}"
    variables = {
        "ARTIFACT_BUCKET": (
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            f"{project.lower()[:50]}-{ACCOUNT}",
        ),
        "KMS_KEY_ARN": (
            r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[\w-]+",
            f"{arn}:kms:{region}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
        ),
        "EXECUTION_ROLE_ARN": (
            r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]+",
            f"{arn}:iam::{ACCOUNT}:role/placeholder",
        ),
    }
    values = {}
    for name, (pattern, placeholder) in variables.items():
        values[name] = environ.get(name) or placeholder
        if not re.fullmatch(pattern, values[name]):
            raise _unset(name, values[name], f"set it as `make infra` prints it, as {placeholder}")
    lists = {}
    for name, start in (("SUBNET_IDS", "subnet-"), ("SECURITY_GROUP_IDS", "sg-")):
        lists[name] = tuple(filter(None, re.split(r"[,\s]+", environ.get(name, ""))))
        for value in lists[name]:
            if not value.startswith(start):
                raise _unset(name, value, f"separate ids such as {start}0a1b2c by commas")
    if bool(lists["SUBNET_IDS"]) != bool(lists["SECURITY_GROUP_IDS"]):
        empty = next(name for name, value in lists.items() if not value)
        raise _unset(empty, "", "set both lists, or neither to run outside a VPC")
    commit = environ.get("GIT_COMMIT") or "unknown"
    if not re.fullmatch(r"[\w./:=+@-]{1,256}", commit):
        raise _unset("GIT_COMMIT", commit, "set a commit's id")
    return Cloud(
        bucket=values["ARTIFACT_BUCKET"],
        kms_key=values["KMS_KEY_ARN"],
        role=values["EXECUTION_ROLE_ARN"],
        subnets=lists["SUBNET_IDS"],
        security_groups=lists["SECURITY_GROUP_IDS"],
        git_commit=commit,
        missing=tuple(name for name in variables if not environ.get(name)),
    )


def _unset(name: str, value: str, remedy: str) -> SettingsError:
    return SettingsError(f"environment: {name} is {value!r}: {remedy}")
