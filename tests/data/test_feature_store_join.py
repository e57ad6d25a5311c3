"""The training set's SQL against a naive reference, over random histories of feature groups.

A history is what happens to one identifier: records that are put, put again, late or at one
instant, deletions, records made again, labels before and after. Thousands of them share a query.
"""

import random
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

for layer in ("model-build", "data-sql", "data-featurestore"):
    sys.path.append(str(ROOT / "layers" / layer / "jobs"))

import feature_store  # noqa: E402
import query  # noqa: E402

START = datetime(2024, 3, 31, tzinfo=UTC).timestamp()  # the day when Europe's clocks change
HOUR = 3600
ZONES = [0, 0, 60, 120, -330, 720]  # minutes
END = START + 30 * HOUR
# Names that the SQL uses for itself must do as features, too.
FIRST = {"k": "BIGINT", "value-1": "VARCHAR", "q": "DOUBLE"}
SECOND = {"s0": "BIGINT", "is": "VARCHAR"}


@dataclass
class Record:
    event: float
    asked: float
    written: float
    deleted: bool
    known: dict


@dataclass
class History:
    """What two groups and the label table hold of one identifier."""

    groups: tuple[list[Record], list[Record]] = field(default_factory=lambda: ([], []))
    labels: list[float | None] = field(default_factory=list)


def known(records, at, *, until, as_known=False):
    """Return the features that a store knows at an instant, or None: the definition itself."""
    seen = [r for r in records if r.written <= until and at is not None and r.event <= at]
    seen = [r for r in seen if not as_known or r.written <= at]
    if not seen:
        return None
    last = max(seen, key=lambda r: (r.event, r.asked, r.written, r.deleted))
    return None if last.deleted else last.known


def latest(records, *, until):
    return known(records, float("inf"), until=until)


# Histories


class Maker:
    """Makes histories from a source of small numbers; values are unlike each other."""

    def __init__(self, draw):
        self.draw, self.count = draw, 0

    def features(self, types):
        self.count += 1
        own = {"BIGINT": self.count, "VARCHAR": f"v{self.count}", "DOUBLE": self.count + 0.5}
        return {name: None if self.draw(9) == 0 else own[kind] for name, kind in types.items()}

    def record(self, types):
        event = START + HOUR * self.draw(7) + 0.25 * self.draw(1)
        late = [0, 0, 0, HOUR, 5 * HOUR][self.draw(4)]
        asked = event + late + self.draw(2)
        deleted = self.draw(4) == 0
        # The service empties a deletion marker's features; the flag alone must do as well.
        values = dict.fromkeys(types) if deleted and self.draw(1) else self.features(types)
        return Record(event, asked, asked + [60, 60, 120, HOUR][self.draw(3)], deleted, values)

    def records(self, types):
        drawn = [self.record(types) for _ in range(self.draw(6))]
        # Two that differ in their values alone cannot be: the store would not know which is later.
        made = list({(r.event, r.asked, r.written, r.deleted): r for r in drawn}.values())
        again = [r for r in made if self.draw(4) == 0]  # retried ingests: nothing differs
        return made + again

    def history(self):
        labels = [START + HOUR * (self.draw(9) - 1) for _ in range(1 + self.draw(3))]
        if self.draw(19) == 0:
            labels.append(None)
        labels += labels[: int(self.draw(4) == 0)]  # the same label twice is two rows
        return History((self.records(FIRST), self.records(SECOND)), labels)


def iso(moment, number):
    """Return an instant as text in some zone, or without one, which is UTC."""
    if number % 5 == 4:
        return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat()
    zone = timezone(timedelta(minutes=ZONES[number % len(ZONES)]))
    text = datetime.fromtimestamp(moment, zone).isoformat()
    return text.replace("+00:00", "Z") if number % 2 else text


def table(histories, n, types):
    rows = [
        {"ID": f"id{h}" if n == 0 else h, "when": r.event, "write_time": r.written}
        | {"api_invocation_time": r.asked, "is_deleted": r.deleted, **r.known}
        for h, history in enumerate(histories)
        for r in history.groups[n]
    ]
    random.Random(n).shuffle(rows)  # noqa: S311
    frame = pd.DataFrame(
        rows, columns=["ID", "when", "write_time", "api_invocation_time", "is_deleted", *types]
    )
    for column in ("write_time", "api_invocation_time"):
        frame[column] = pd.to_datetime(frame[column].astype(float), unit="s").astype(
            "datetime64[us]"
        )
    kinds = {"BIGINT": "Int64", "VARCHAR": "string", "DOUBLE": "Float64"}
    frame = frame.astype({name: kinds[kind] for name, kind in types.items()})
    frame = frame.astype({"ID": "string" if n == 0 else "Int64", "is_deleted": "boolean"})
    if n == 0:
        frame["when"] = pd.array([iso(v, i) for i, v in enumerate(frame["when"])], dtype="string")
    else:
        frame["when"] = frame["when"].astype("Float64")
    return frame


def groups():
    first = {"ID": "VARCHAR", "when": "VARCHAR", **FIRST}
    second = {"ID": "BIGINT", "when": "DOUBLE", **SECOND}
    one, two = (("features", "store", name) for name in ("one", "two"))
    return [
        feature_store.Group("a", one, "ID", "when", "iso", first, {n: n for n in FIRST}, "ID"),
        feature_store.Group(
            "b", two, "ID", "when", "epoch", second, {n: f"b_{n}" for n in SECOND}, "other id"
        ),
    ]


LABELS = feature_store.Labels(("own", "lab", "labels"), "at", "iso")


def write(histories, lake):
    for folder in ("store", "lab"):
        (lake / folder).mkdir(parents=True, exist_ok=True)
    table(histories, 0, FIRST).to_parquet(lake / "store" / "one.parquet", index=False)
    table(histories, 1, SECOND).to_parquet(lake / "store" / "two.parquet", index=False)
    rows = [(h, at) for h, history in enumerate(histories) for at in history.labels]
    frame = pd.DataFrame(
        {
            "ID": pd.array([f"id{h}" for h, _ in rows], dtype="string"),
            "other id": pd.array([h for h, _ in rows], dtype="Int64"),
            "at": pd.array(
                [None if at is None else iso(at, 3 * n) for n, (_, at) in enumerate(rows)],
                dtype="string",
            ),
            "label": range(len(rows)),
        }
    )
    frame.to_parquet(lake / "lab" / "labels.parquet", index=False)
    return rows


def run(text, lake, folder, until):
    asked = query.Query(
        sql=text,
        parameters={"as_of": datetime.fromtimestamp(until, UTC).isoformat()},
        catalog="own",
        database="lab",
        workgroup="primary",
        scan_limit=10**9,
    )
    folder.mkdir(parents=True, exist_ok=True)
    query.Duck(lake).run(asked, folder)
    frame = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])
    return frame.astype(object).where(frame.notna(), None)


def expected(history, at, until, as_known):
    one = known(history.groups[0], at, until=until, as_known=as_known) or dict.fromkeys(FIRST)
    two = known(history.groups[1], at, until=until, as_known=as_known) or dict.fromkeys(SECOND)
    return {**one, **{f"b_{name}": value for name, value in two.items()}}


def differences(histories, folder, *, until=END, as_known=False, mutate=lambda text: text):
    """Return the labels for which the SQL and the reference disagree, lost or doubled ones too."""
    rows = write(histories, folder / "lake")
    text = mutate(feature_store.sql(groups(), LABELS, "label", as_known=as_known))
    found = run(text, folder / "lake", folder / "out", until)
    if sorted(found["label"]) != list(range(len(rows))):
        return ["labels are lost or doubled"]
    answers = found.set_index("label").to_dict("index")
    wrong = []
    for label, (h, at) in enumerate(rows):
        right = expected(histories[h], at, until, as_known)
        if answers[label] != right:
            wrong.append(f"{histories[h]} at {at}: {answers[label]} is not {right}")
    return wrong


def drawn(seed, count):
    source = random.Random(seed)  # noqa: S311 (repeatable)
    maker = Maker(lambda most: source.randint(0, most))
    return [maker.history() for _ in range(count)]


@pytest.mark.parametrize("until", [END, START + 4 * HOUR], ids=["all", "as it was"])
@pytest.mark.parametrize("as_known", [False, True], ids=["by event", "as known"])
@pytest.mark.parametrize("seed", range(3))
def test_each_label_gets_what_was_known(seed, as_known, until, tmp_path):
    wrong = differences(drawn(seed, 1000), tmp_path, until=until, as_known=as_known)
    assert not wrong, wrong[0]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), as_known=st.booleans())
def test_the_smallest_history_that_is_wrong(data, as_known, tmp_path_factory):
    maker = Maker(lambda most: data.draw(st.integers(0, most)))
    histories = [maker.history() for _ in range(data.draw(st.integers(1, 4)))]
    assert differences(histories, tmp_path_factory.mktemp("lake"), as_known=as_known) == []


@pytest.mark.parametrize("until", [END, START + 4 * HOUR], ids=["all", "as it was"])
def test_without_labels_it_is_the_latest_record_of_each_identifier(until, tmp_path):
    histories = drawn(7, 1000)
    write(histories, tmp_path / "lake")
    one, two = groups()
    # The second group joins on a feature of the first that nobody asked for.
    one = feature_store.Group(**{**vars(one), "columns": {n: n for n in FIRST if n != "k"}})
    two = feature_store.Group(**{**vars(two), "on": "k"})
    for h, history in enumerate(histories):
        for record in history.groups[0]:
            record.known["k"] = (h * 7) % len(histories)
    write(histories, tmp_path / "lake")
    text = feature_store.sql([one, two], None, "q")
    found = run(text, tmp_path / "lake", tmp_path / "out", until)
    right = []
    for history in histories:
        mine = latest(history.groups[0], until=until)
        if mine:
            theirs = latest(histories[mine["k"]].groups[1], until=until) or dict.fromkeys(SECOND)
            kept = {name: value for name, value in mine.items() if name != "k"}
            right.append({**kept, **{f"b_{name}": value for name, value in theirs.items()}})
    right = pd.DataFrame(right).astype(object)
    right = right.where(right.notna(), None)
    assert sorted(map(str, found.to_numpy().tolist())) == sorted(
        map(str, right.to_numpy().tolist())
    )
    assert len(right) > 100


# What the tests above must see: each slip, made on purpose


def replaced(*pairs):
    def mutate(text):
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return text

    return mutate


RANK = "a ASC NULLS FIRST, w ASC NULLS FIRST, d ASC"
MUTATIONS = {
    "a record at the label's own instant is left out": replaced(
        ("NULLS FIRST, q", "NULLS FIRST, q DESC")
    ),
    "ties are broken by nothing": replaced((f"t ASC, {RANK}", "t ASC")),
    "ties are broken the wrong way": replaced(("a ASC NULLS FIRST", "a DESC NULLS LAST")),
    "write_time breaks no tie": replaced((", w ASC NULLS FIRST", ", w DESC NULLS LAST")),
    "ties are not broken at all": replaced(("(next IS NULL OR next > t) AND NOT d", "NOT d")),
    "deletions are ignored": replaced((" AND NOT d", "")),
    "deleted rows are dropped at once": replaced(
        ("    AND to_unixtime(write_time)", "    AND NOT is_deleted AND to_unixtime(write_time)")
    ),
    "time zones are ignored": replaced(
        (
            'from_iso8601_timestamp(CAST("when" AS VARCHAR))',
            'from_iso8601_timestamp(substr(CAST("when" AS VARCHAR), 1, 19))',
        )
    ),
    "the future is known": replaced(("AND CURRENT ROW", "AND UNBOUNDED FOLLOWING")),
    "a label without an instant gets the latest": replaced(("t NULLS FIRST, q", "t NULLS LAST, q")),
    "identifiers are mixed": replaced(
        ("PARTITION BY k ORDER BY t NULLS", "PARTITION BY 1 ORDER BY t NULLS")
    ),
    "what was written later counts": replaced(
        ("    AND to_unixtime(write_time) <=", "    AND 0 <=")
    ),
    "labels without a record are lost": replaced(("LEFT JOIN", "JOIN")),
    "groups join on another's identifier": replaced(("v1.k = labels.k1", "v1.k = labels.k1 + 1")),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_slip_in_the_sql_is_seen(mutation, tmp_path):
    wrong = differences(drawn(0, 300), tmp_path, until=START + 6 * HOUR, mutate=MUTATIONS[mutation])
    assert wrong


KNOWN_MUTATIONS = {
    "late arrivals are known at their event time": replaced(
        ("greatest(t, to_unixtime(w))", "greatest(t, 0)")
    ),
    "a late, older record replaces a newer one": replaced(
        ("WHERE before IS NULL OR place > before", "WHERE place > 0")
    ),
}


@pytest.mark.parametrize("mutation", KNOWN_MUTATIONS)
def test_a_slip_in_what_was_known_is_seen(mutation, tmp_path):
    slip = KNOWN_MUTATIONS[mutation]
    assert differences(drawn(0, 300), tmp_path, as_known=True, mutate=slip) != []


def test_the_sql_names_no_value():
    text = feature_store.sql(groups(), LABELS, 'ta"rget')
    assert '"ta""rget"' in text
    assert text.count(":as_of") == 4
    assert "'" not in text
