"""Reads the data set: every CSV or Parquet file below a folder, checked before it is used."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from features import NO_VALUE, InputError


@dataclass(frozen=True)
class Table:
    """The rows of all files, one below the other, with their origin."""

    frame: pd.DataFrame
    files: tuple[tuple[Path, int], ...]  # each with its number of rows
    sha256: str
    order: npt.NDArray[np.intp] | None = None  # which row of the files stands where

    def place(self, position: int) -> str:
        """Return the file and row of a position, as a spreadsheet counts: the header is row 1."""
        if self.order is not None:
            position = int(self.order[position])
        for path, rows in self.files:
            if position < rows:
                return f"{path.name} row {_row_number(path, position)}"
            position -= rows
        raise IndexError(position)


def load(folder: Path) -> Table:
    """Read the files below `folder`; names that start with . or _ are not data.

    Raises InputError for no file, no row, rows of unequal length, text that is not UTF-8, and
    column names that are missing, double or not the same in every file.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in {".csv", ".parquet"}
        and path.is_file()
        and not any(part[0] in "._" for part in path.relative_to(folder).parts)
    ]
    if not paths:
        raise InputError(
            f"no .csv or .parquet file in {folder}: put data there or correct the path"
        )
    digests = [_digest(path) for path in paths]
    headers = {path: _check_csv(path) for path in paths if path.suffix.lower() == ".csv"}
    frames = [_read(path, headers.get(path, []), {}) for path in paths]
    first = frames[0]
    for path, frame in zip(paths, frames, strict=True):
        odd = sorted(set(first.columns) ^ set(frame.columns))
        if odd:
            line = f"column {odd[0]!r} is in only one of {paths[0].name} and {path.name}"
            raise InputError(f"{line}: give every file the same columns")
    mixed = {str(name) for frame in frames for name in frame if frame[name].dtype == object}
    if len(paths) > 1 and mixed:  # 1 and 1.0 are one category: read text as text in every file
        dtypes: dict[str, type] = dict.fromkeys(mixed, str)
        frames = [_read(path, headers.get(path, []), dtypes) for path in paths]
    files = tuple((path, len(frame)) for path, frame in zip(paths, frames, strict=True))
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else first
    if frame.empty:
        raise InputError(f"{paths[0].name} has a header but no rows: export it again with its data")
    lines = [
        f"{digest}  {path.relative_to(folder).as_posix()}\n"
        for digest, path in zip(digests, paths, strict=True)
    ]
    whole = hashlib.sha256("".join(lines).encode()).hexdigest()
    order = None
    if any(path.suffix.lower() == ".parquet" for path in paths):
        # A query leaves its rows in any order; the same rows are to be split alike in each run.
        hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
        order = np.argsort(hashes, kind="stable")
        frame = frame.iloc[order].reset_index(drop=True)
    return Table(frame, files, digests[0] if len(paths) == 1 else whole, order)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            if b"\0" in block and path.suffix.lower() == ".csv":
                at = file.tell() - len(block) + block.index(b"\0")
                raise InputError(f"{path.name} is not UTF-8 at byte {at} (zero): save it as UTF-8")
    return digest.hexdigest()


def _check_csv(path: Path) -> list[str]:
    """Return the column names after one streaming pass over every row."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = enumerate(csv.reader(file, strict=True), start=1)
            header = next((row for number, row in rows if row), [])
            for number, row in rows:
                if len(row) != len(header) and row:
                    counts = f"{len(row)} fields where the header has {len(header)}"
                    remedy = "mend the row (a comma inside a value needs quotes around the value)"
                    raise InputError(f"{path.name} row {number} has {counts}: {remedy}")
    except UnicodeDecodeError:
        _refuse_encoding(path)
    except csv.Error as error:
        line = f"{path.name} after row {number} is not CSV ({error})"
        raise InputError(f"{line}: look for a quote that is not closed") from error
    if not header:
        raise InputError(f"{path.name} is empty: export it again with a header and rows")
    for position, name in enumerate(header, start=1):
        if not name.strip():
            raise InputError(f"{path.name} column {position} has no name: name it or remove it")
        if name in header[: position - 1]:
            raise InputError(f"{path.name} has two columns named {name!r}: rename or remove one")
    return header


def _refuse_encoding(path: Path) -> NoReturn:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                at = f"byte {offset + error.start} (0x{line[error.start]:02x}), line {number}"
                raise InputError(f"{path.name} is not UTF-8 at {at}: save it as UTF-8") from error
            offset += len(line)
    raise InputError(f"{path.name} is not UTF-8: save it as UTF-8")


def _read(path: Path, header: list[str], dtypes: dict[str, type]) -> pd.DataFrame:
    """Read one file; exact floats, so that a served row meets the very numbers of training."""
    try:
        if not header:
            frame = pd.read_parquet(path)
            frame.columns = frame.columns.map(str)
            return _plain(frame).astype(dtypes)
        return pd.read_csv(
            path,
            header=0,
            names=header,
            dtype=dtypes or None,
            index_col=False,
            na_values=sorted(NO_VALUE),
            keep_default_na=False,
            encoding="utf-8-sig",
            float_precision="round_trip",
            low_memory=False,
        )
    except InputError:  # which is a ValueError too
        raise
    except ImportError as error:
        raise InputError(f"{path.name} needs pyarrow, which is not installed: use CSV") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read ({error}): export it again") from error


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return Parquet's decimals as numbers and its dates as times: a model takes no others."""
    made = {}
    for name in frame.select_dtypes(include=[object]):
        kind = pd.api.types.infer_dtype(frame[name], skipna=True)
        if kind == "decimal":
            made[name] = frame[name].astype("float64")
        elif kind == "date":
            made[name] = pd.to_datetime(frame[name])
        elif kind in ("bytes", "mixed"):
            line = f"column {name!r} holds lists, maps or bytes, which no model takes"
            raise InputError(f"{line}: leave it out, or select its parts")
    return frame.assign(**made)


def _row_number(path: Path, position: int) -> int:
    """Return the row of a record in its file: a CSV file may hold empty lines."""
    if path.suffix.lower() != ".csv":
        return position + 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        records = (number for number, row in enumerate(csv.reader(file), start=1) if row)
        return next(number for index, number in enumerate(records) if index == position + 1)
