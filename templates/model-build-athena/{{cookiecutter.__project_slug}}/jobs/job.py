"""What the jobs share: bad input ends in one line and exit code 2; facts are kept as JSON."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from features import InputError

BAD_INPUT = 2  # the exit code

Part = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]  # features (n, m) and labels (n)


class Parser(argparse.ArgumentParser):
    """Parses a job's arguments; a wrong one is bad input like any other."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}: see python {self.prog} --help")


def add_message_file(parser: argparse.ArgumentParser) -> None:
    """Let a processing job tell why it failed where SageMaker looks: the job's ExitMessage.

    Source: "Save and Access Metadata Information About Your Processing Job" in the SageMaker
    guide: UTF-8, the first KB counts, no sensitive data. So the cell's value stays out of it.
    """
    parser.add_argument("--message-file", type=Path, metavar="FILE", help="receives the failure")


def run(
    parser: Parser, work: Callable[[argparse.Namespace], None], argv: Sequence[str] | None
) -> int:
    """Do `work` with the parsed arguments and return the exit code: 0, or 2 after bad input."""
    message_file: Path | None = None
    try:
        args = parser.parse_args(argv)
        message_file = getattr(args, "message_file", None)
        work(args)
    except InputError as error:
        print(_one_line(str(error)), file=sys.stderr)
        if message_file:
            message_file.parent.mkdir(parents=True, exist_ok=True)
            message_file.write_text(_one_line(str(error.args[0])), encoding="utf-8")
        return BAD_INPUT
    return 0


def _one_line(text: str) -> str:
    return " ".join(text.split())


def load_part(folder: Path) -> Part:
    """Return features (n, m) and labels (n) as preprocessing wrote them."""
    try:
        return np.load(folder / "features.npy"), np.load(folder / "labels.npy")
    except OSError as error:
        raise InputError(f"{error}: run the preprocessing step first") from error


def read_json(path: Path) -> Any:  # noqa: ANN401 (JSON is what it is)
    """Return what the JSON file holds. Raises InputError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): run the step that writes it") from error


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON: the same value gives the same bytes; NaN is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
