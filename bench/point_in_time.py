"""A point-in-time join over a long feature history: the template's own SQL next to pandas.

DuckDB runs jobs/feature_store.py's text as jobs/query.py translates it, within a memory limit; the
peer is merge_asof, which must hold all of it. Each runs in a process of its own; both answers are
compared. Prints a table and, last, JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

ROOT = Path(__file__).parents[1]
LAYERS = ("model-build", "data-sql", "data-featurestore")
START, SPAN = 1.6e9, 3.15e7  # seconds: a year
BATCH = 1_000_000
LATE = 0.1  # the share of records that arrive up to twelve days late
FEATURES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--versions", type=int, default=50, help="records an entity")
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--memory", default="1GB", help="DuckDB's limit")
    parser.add_argument("--work", choices=[*WORK], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(measured(options.work, options.folder, options.memory)))
        return
    with tempfile.TemporaryDirectory(prefix="seedbed-bench-") as scratch:
        folder = Path(scratch)
        generate(folder, options.entities, options.versions, options.labels)
        rows = {work: run(work, folder, options.memory) for work in WORK}
        same = compare(folder)
    ours, peer = rows["duckdb"], rows["pandas"]
    ratio = {key: round(peer[key] / ours[key], 2) for key in ("seconds", "peak_mb")}
    print(f"{'':<10}{'seconds':>9}{'peak MB':>9}")
    for work, row in rows.items():
        print(f"{work:<10}{row['seconds']:>9.1f}{row['peak_mb']:>9.0f}")
    print(f"{'ratio':<10}{ratio['seconds']:>9.2f}{ratio['peak_mb']:>9.2f}")
    size = {"records": options.entities * options.versions, "labels": options.labels}
    print(json.dumps({**size, "rows": rows, "pandas_by_duckdb": ratio, "same": same}, indent=2))
    sys.exit(not same)


def generate(folder: Path, entities: int, versions: int, labels: int) -> None:
    """Write a history with late arrivals and deletions, and labels, in pieces."""
    rng, writer = np.random.default_rng(0), None
    left = entities * versions
    while left:
        rows = min(BATCH, left)
        event = np.round(START + rng.random(rows) * SPAN, 3)
        wait = np.where(rng.random(rows) < LATE, rng.random(rows) * 1e6, rng.random(rows) * 60)
        asked = ((event + wait) * 1e6).astype("int64")
        columns = {
            "entity_id": rng.integers(0, entities, rows),
            "event_time": event,
            "write_time": pa.array(asked + 300_000_000, pa.timestamp("us")),
            "api_invocation_time": pa.array(asked, pa.timestamp("us")),
            "is_deleted": rng.random(rows) < 0.01,  # noqa: PLR2004
            **{f"f{n}": rng.normal(size=rows) for n in range(FEATURES)},
        }
        piece = pa.table(columns)
        if writer is None:
            (folder / "store").mkdir()
            writer = parquet.ParquetWriter(folder / "store" / "history.parquet", piece.schema)
        writer.write_table(piece)
        left -= rows
    writer.close()
    moments = np.round(START + rng.random(labels) * SPAN, 3)
    table = {"entity_id": rng.integers(0, entities, labels), "at": moments, "y": range(labels)}
    (folder / "labels").mkdir()
    parquet.write_table(pa.table(table), folder / "labels" / "labels.parquet")


def run(work: str, folder: Path, memory: str) -> dict[str, float]:
    """Return seconds and peak memory of one side in a process of its own."""
    command = [sys.executable, __file__, "--work", work, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--memory", memory], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured(work: str, folder: Path, memory: str) -> dict[str, float]:
    started = time.monotonic()
    WORK[work](folder, memory)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 2), "peak_mb": round(peak)}


def ours(folder: Path, memory: str) -> None:
    """Run what a project runs; the memory limit is this bench's."""
    sys.path[:0] = [str(ROOT / "layers" / layer / "jobs") for layer in LAYERS]
    import feature_store
    import query

    names = [f"f{n}" for n in range(FEATURES)]
    types = {"entity_id": "BIGINT", "event_time": "DOUBLE", **dict.fromkeys(names, "DOUBLE")}
    group = feature_store.Group(
        arn="history",
        table=("owner", "store", "history"),
        key="entity_id",
        time="event_time",
        clock="epoch",
        types=types,
        columns={name: name for name in names},
        on="entity_id",
    )
    labels = feature_store.Labels(("own", "labels", "labels"), "at", "epoch")
    asked = query.Query(
        sql=feature_store.sql([group], labels, "y"),
        parameters={"as_of": "2100-01-01T00:00:00Z"},
        catalog="own",
        database="labels",
        workgroup="primary",
        scan_limit=10**12,
    )
    query.MEMORY = memory
    out = folder / "out"
    out.mkdir()
    query.Duck(folder).run(asked, out)


def peer(folder: Path, _: str) -> None:
    """Do the same with merge_asof: ties in the order of the store, deletions empty."""
    history = pd.read_parquet(folder / "store" / "history.parquet")
    order = ["event_time", "api_invocation_time", "write_time"]
    history = history.sort_values(order, kind="stable").drop(columns=order[1:])
    labels = pd.read_parquet(folder / "labels" / "labels.parquet").sort_values("at")
    found = pd.merge_asof(labels, history, left_on="at", right_on="event_time", by="entity_id")
    names = [f"f{n}" for n in range(FEATURES)]
    found.loc[found["is_deleted"].eq(other=True), names] = np.nan
    found[["y", *names]].to_parquet(folder / "peer.parquet", index=False)


WORK = {"duckdb": ours, "pandas": peer}


def compare(folder: Path) -> bool:
    """Say whether both sides gave each label the same features."""
    names = ", ".join(f"f{n}" for n in range(FEATURES))
    one = f"SELECT y, {names} FROM '{folder}/out/*.parquet'"  # noqa: S608 (our own names)
    two = f"SELECT y, {names} FROM '{folder}/peer.parquet'"  # noqa: S608
    nan = ", ".join(f"nullif(f{n}, 'nan'::DOUBLE)" for n in range(FEATURES))
    two = f"SELECT y, {nan} FROM ({two})"  # noqa: S608
    both = f"(({one}) EXCEPT ALL ({two})) UNION ALL (({two}) EXCEPT ALL ({one}))"
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT count(*) FROM ({both})").fetchone() == (0,)  # noqa: S608


if __name__ == "__main__":
    main()
