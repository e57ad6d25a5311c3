# ruff: noqa: S608 (the texts are our own)
"""What DuckDB answers for Athena's SQL: the same, or a refusal by name; never something else.

The expected values are worked out from Trino's documentation, which Athena's engine 3 follows;
docs/sql-dialect.md holds the same constructs as a table.
"""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal

import duckdb
import pytest

from seedbed import catalog

LAYERS = catalog.CHECKOUT / "layers"
sys.path[:0] = [str(LAYERS / "data-sql" / "jobs"), str(LAYERS / "model-build" / "jobs")]
import query  # noqa: E402 (found through the line above)
from features import InputError  # noqa: E402

DOCUMENT = catalog.CHECKOUT / "docs" / "sql-dialect.md"
LAKE = {"db": {"t": {"a": "BIGINT", "x": "DOUBLE", "s": "VARCHAR", "d": "DATE", "at": "TIMESTAMP"}}}
ROWS = "(VALUES (1, 1.5e0, 'b', DATE '2024-02-27'), (2, NULL, NULL, NULL)) AS v(a, x, s, d)"
D = dt.date
T = dt.datetime
NO = "not supported locally"

# construct -> expressions with the value that Athena gives, or with words of the refusal
EXPRESSIONS = {
    "integer division and modulo": {
        "7 / 2": 3,
        "-7 / 2": -3,
        "7 % -2": 1,
        "mod(-7, 3)": -1,
        "7 / 2e0": 3.5,
        "CAST(7 AS double) / 2": 3.5,
        "7 / 2.0": NO,
        "CAST(7 AS decimal(10, 2)) / 2": NO,
        "5.5 % 2": NO,
    },
    "decimals": {
        "0.1 + 0.2": Decimal("0.3"),
        "1.5 * 2": Decimal("3.0"),
        "CAST(2.5 AS integer)": 3,
        "CAST(-2.5 AS integer)": -3,
        "CAST(0.1 AS double)": 0.1,
    },
    "rounding": {
        "round(2.5e0)": 3.0,
        "round(-2.5e0)": -3.0,
        "round(1.25, 1)": Decimal("1.3"),
        "floor(1.5e0)": 1.0,
        "ceil(1.2e0)": 2.0,
        "truncate(-1.9e0)": -1.0,
        "abs(-3)": 3,
        "sign(-2)": -1,
        "power(2, 3)": 8.0,
        "sqrt(9e0)": 3.0,
        "ln(1e0)": 0.0,
        "log10(100e0)": 2.0,
        "cbrt(27)": NO,
    },
    "CAST": {
        "CAST(2.5e0 AS bigint)": 3,
        "CAST(3.5e0 AS bigint)": 4,
        "CAST('12' AS integer)": 12,
        "CAST('1.5' AS double)": 1.5,
        "CAST('2024-02-27' AS date)": D(2024, 2, 27),
        "CAST('2024-02-27 10:00:00' AS timestamp)": T(2024, 2, 27, 10),
        "CAST(DATE '2024-02-27' AS varchar)": "2024-02-27",
        "CAST(true AS integer)": 1,
        "CAST(7 AS varchar)": "7",
        "CAST(1.5e0 AS varchar)": NO,
        "CAST(1.50 AS varchar)": NO,
        "CAST(TIMESTAMP '2024-01-01 00:00:00' AS varchar)": NO,
        "CAST('abcdef' AS varchar(3))": NO,
        "CAST(' 12' AS integer)": NO,
        "CAST('yes' AS boolean)": NO,
        "CAST('1' AS decimal(5, 2))": NO,
    },
    "TRY_CAST": {
        "TRY_CAST('12' AS integer)": 12,
        "TRY_CAST('x' AS integer)": None,
        "TRY_CAST('1.5' AS integer)": None,
        "TRY_CAST(' 1' AS integer)": None,
        "TRY_CAST('1e3' AS double)": 1000.0,
        "TRY_CAST('abc' AS double)": None,
        "TRY_CAST('2024-02-27' AS date)": D(2024, 2, 27),
        "TRY_CAST('soon' AS date)": None,
        "TRY(1 / 0)": NO,
    },
    "date and time": {
        "date_add('day', 3, DATE '2024-02-27')": D(2024, 3, 1),
        "date_add('month', 1, DATE '2024-01-31')": D(2024, 2, 29),
        "date_add('hour', 2, TIMESTAMP '2024-02-27 23:00:00')": T(2024, 2, 28, 1),
        "DATE '2024-01-31' + INTERVAL '1' DAY": D(2024, 2, 1),
        "TIMESTAMP '2024-01-01 00:00:00' - INTERVAL '90' MINUTE": T(2023, 12, 31, 22, 30),
        "date_diff('day', DATE '2024-02-27', DATE '2024-03-01')": 3,
        "date_diff('week', DATE '2024-02-24', DATE '2024-02-27')": 0,
        "date_diff('hour', TIMESTAMP '2024-01-31 00:59:00', TIMESTAMP '2024-01-31 01:01:00')": 0,
        "date_diff('month', DATE '2024-01-31', DATE '2024-02-29')": NO,
        "DATE '2024-03-01' - DATE '2024-02-01'": NO,
        "date_trunc('week', DATE '2024-02-28')": D(2024, 2, 26),
        "date_trunc('month', TIMESTAMP '2024-02-28 10:00:00')": T(2024, 2, 1),
        "year(DATE '2024-02-25')": 2024,
        "extract(month FROM DATE '2024-02-25')": 2,
        "day_of_week(DATE '2024-02-25')": 7,
        "extract(dow FROM DATE '2024-02-25')": NO,
        "week(DATE '2024-01-01')": 1,
        "hour(TIMESTAMP '2024-02-25 10:30:00')": 10,
        "date_parse('2024-01-02 03:04:05', '%Y-%m-%d %H:%i:%s')": T(2024, 1, 2, 3, 4, 5),
        "date_format(TIMESTAMP '2024-01-02 03:04:05', '%Y/%m/%d %H:%i')": "2024/01/02 03:04",
        "date_format(TIMESTAMP '2024-01-02 03:04:05', '%W')": NO,
        "from_iso8601_date('2024-01-02')": D(2024, 1, 2),
    },
    "instants and time zones": {
        "to_unixtime(from_iso8601_timestamp('2024-01-02T03:04:05+02:00'))": 1704157445.0,
        "to_unixtime(TIMESTAMP '2024-01-01 00:00:00 UTC')": 1704067200.0,
        "to_unixtime(from_unixtime(1700000000))": 1700000000.0,
        "from_unixtime(1.5e0)": NO,
        "hour(from_unixtime(1700000000))": NO,
        "TIMESTAMP '2024-01-01 00:00:00' AT TIME ZONE 'Europe/Berlin'": NO,
        "from_iso8601_timestamp('2024-01-02 03:04:05')": NO,
    },
    "JSON": {
        """json_extract_scalar('{"a": "x"}', '$.a')""": "x",
        """json_extract_scalar('{"a": {"b": 7}}', '$.a.b')""": "7",
        """json_extract_scalar('{"a": true}', '$.a')""": "true",
        """json_extract_scalar('{"a": {"b": 1}}', '$.a')""": None,
        """json_extract_scalar('{"a": null}', '$.a')""": None,
        "json_extract_scalar('no json', '$.a')": None,
        """json_extract_scalar('{"a": 1.50}', '$.a')""": NO,
        """json_extract('{"a": 1}', '$.a')""": NO,
        "json_parse('{}')": NO,
        "json_array_length('[1, 2]')": NO,
    },
    "text": {
        "upper('ab')": "AB",
        "length('aé')": 2,
        "trim('\t a \n')": "a",
        "ltrim('  a ')": "a ",
        "substr('abc', 2, 1)": "b",
        "substr('abc', 0)": NO,
        "substr('abc', -1)": NO,
        "split_part('a,b', ',', 2)": "b",
        "split_part('a,b', ',', 3)": None,
        "strpos('abc', 'c')": 3,
        "replace('aa', 'a', 'b')": "bb",
        "lpad('1', 3, '0')": "001",
        "reverse('ab')": "ba",
        "'a' || CAST(NULL AS varchar)": None,
        "concat('a', 'b')": "ab",
        "concat_ws(',', 'a', NULL, 'b')": "a,b",
        "'a' || 1": NO,
        "'abc' LIKE 'A%'": False,
        "'x#y' LIKE 'x##y' ESCAPE '#'": True,
    },
    "regular expressions": {
        r"regexp_like('abc1', '\d')": True,
        r"regexp_extract('abc1', '\d')": "1",
        "regexp_extract('abc', 'z')": None,
        "regexp_extract('a1', '(a)(1)', 2)": "1",
        "regexp_extract('a', '(a)(1)?', 2)": NO,
        "regexp_replace('aab', 'a', 'x')": "xxb",
        "regexp_replace('ab', '(a)', '$1$1')": "aab",
        "regexp_like('ab', 'a(?=b)')": NO,
    },
    "arrays and maps": {
        "element_at(ARRAY[5, 6], 2)": 6,
        "element_at(ARRAY[5, 6], 9)": None,
        "element_at(MAP(ARRAY['k'], ARRAY[1]), 'k')": 1,
        "element_at(MAP(ARRAY['k'], ARRAY[1]), 'z')": None,
        "ARRAY[5, 6][1]": NO,
        "cardinality(ARRAY[5, 6])": 2,
        "cardinality(MAP(ARRAY['k'], ARRAY[1]))": NO,
        "contains(ARRAY[5, 6], 6)": True,
        "array_join(ARRAY['a', 'b'], '-')": "a-b",
        "element_at(transform(ARRAY[1, 2], x -> x + 1), 2)": NO,
        "cardinality(split('a.b', '.'))": 2,
        "reduce(ARRAY[1, 2], 0, (s, x) -> s + x, s -> s)": NO,
        "array_distinct(ARRAY[1, 1])": NO,
        "array_max(ARRAY[1, 2])": NO,
    },
    "NULL": {
        "greatest(1, NULL)": None,
        "least(2, 1)": 1,
        "coalesce(NULL, 7)": 7,
        "nullif(1, 1)": None,
        "1 IN (2, NULL)": None,
        "1 NOT IN (1, NULL)": False,
        "CAST(NULL AS integer) IS NULL": True,
        "NULL IS DISTINCT FROM 1": True,
        "CASE WHEN NULL THEN 1 ELSE 2 END": 2,
    },
    "comparisons of different types": {
        "1 < 1.5": True,
        "DATE '2024-01-02' > TIMESTAMP '2024-01-01 00:00:00'": True,
        "'1' = 1": "compares no",
        "DATE '2024-01-01' = '2024-01-01'": "compares no",
        "1 BETWEEN '0' AND '2'": "compares no",
        "1 IN ('1')": "compares no",
    },
    "what no two runs answer alike": {
        "random()": NO,
        "approx_distinct(1)": NO,
        "approx_percentile(1, 0.5)": NO,
        "arbitrary(1)": NO,
        "typeof(1)": NO,
    },
}
# construct -> queries with their rows, in any order, or with words of the refusal
QUERIES = {
    "window functions": {
        f"SELECT row_number() OVER (ORDER BY a DESC) AS n FROM {ROWS}": [(1,), (2,)],
        f"SELECT rank() OVER (ORDER BY x DESC) AS n, a FROM {ROWS}": [(1, 1), (2, 2)],
        f"SELECT lag(a, 1, 0) OVER (ORDER BY a) AS n FROM {ROWS}": [(0,), (1,)],
        f"SELECT last_value(s) IGNORE NULLS OVER (ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING"
        f" AND CURRENT ROW) AS n FROM {ROWS}": [("b",), ("b",)],
        f"SELECT sum(a) OVER (ORDER BY a) AS n FROM {ROWS}": [(1,), (3,)],
        f"SELECT percent_rank() OVER (ORDER BY a) AS n FROM {ROWS}": [(0.0,), (1.0,)],
        f"SELECT ntile(2) OVER (ORDER BY a) AS n FROM {ROWS}": [(1,), (2,)],
        f"SELECT a AS n FROM {ROWS} QUALIFY row_number() OVER (ORDER BY a) = 1": "cannot be read",
    },
    "aggregates": {
        f"SELECT count(*) AS n, count(x) AS m, sum(a) AS s FROM {ROWS}": [(2, 1, 3)],
        f"SELECT avg(a) AS n FROM {ROWS}": [(1.5,)],
        f"SELECT avg(CAST(a AS decimal(5, 2))) AS n FROM {ROWS}": NO,
        f"SELECT max_by(s, a) AS n FROM {ROWS}": [(None,)],
        f"SELECT count(DISTINCT s) AS n FROM {ROWS}": [(1,)],
        f"SELECT count(*) FILTER (WHERE a > 1) AS n FROM {ROWS}": [(1,)],
        f"SELECT sum(a) AS n FROM {ROWS} WHERE false": [(None,)],
        f"SELECT count_if(a > 1) AS n, bool_and(a > 0) AS m FROM {ROWS}": [(1, True)],
        f"SELECT stddev(a) AS n FROM {ROWS} WHERE a = 1": [(None,)],
        f"SELECT s AS k, sum(a) AS n FROM {ROWS} GROUP BY GROUPING SETS ((s), ())": [
            ("b", 1),
            (None, 2),
            (None, 3),
        ],
        f"SELECT map_agg(s, a) AS n FROM {ROWS}": NO,
    },
    "UNNEST": {
        "SELECT u.n AS n FROM UNNEST(ARRAY[5, 6]) AS u(n)": [(5,), (6,)],
        "SELECT u.n AS n, u.i AS i FROM UNNEST(ARRAY[5, 6]) WITH ORDINALITY AS u(n, i)": [
            (5, 1),
            (6, 2),
        ],
        "SELECT u.k AS k FROM UNNEST(MAP(ARRAY['a'], ARRAY[1])) AS u(k, v)": NO,
        "SELECT u.n AS n FROM UNNEST(ARRAY[1], ARRAY[2]) AS u(n, m)": NO,
    },
    "NULL order": {
        f"SELECT rank() OVER (ORDER BY s) AS n, a FROM {ROWS}": [(1, 1), (2, 2)],
        f"SELECT rank() OVER (ORDER BY s DESC) AS n, a FROM {ROWS}": [(1, 1), (2, 2)],
        f"SELECT rank() OVER (ORDER BY s NULLS FIRST) AS n, a FROM {ROWS}": [(1, 2), (2, 1)],
    },
    "set operations and subqueries": {
        "SELECT 1 AS n UNION ALL SELECT 1 AS n": [(1,), (1,)],
        "SELECT 1 AS n UNION SELECT 1 AS n": [(1,)],
        "SELECT 1 AS n EXCEPT SELECT 1 AS n": [],
        f"WITH w AS (SELECT a FROM {ROWS}) SELECT a AS n FROM w WHERE a IN (SELECT 1)": [(1,)],
        f"SELECT v.a AS n FROM {ROWS} LEFT JOIN (SELECT 1 AS b) AS r ON r.b = v.a": [(1,), (2,)],
        f"SELECT a AS n FROM {ROWS} TABLESAMPLE BERNOULLI (10)": NO,
    },
    "names": {
        "SELECT V.A AS N FROM (VALUES 7) AS v(a)": [(7,)],
        """SELECT "a" AS "b c" FROM (VALUES 7) AS v(a)""": [(7,)],
        "SELECT a + 1 FROM (VALUES 7) AS v(a)": "has no name",
        "SELECT a, a AS a FROM (VALUES 7) AS v(a)": "two columns named 'a'",
        "SELECT nowhere AS n FROM t": "could not be resolved.*t has a, x, s, d, at",
        "SELECT a FROM nowhere": "table db.nowhere does not exist on this machine, which has db.t",
    },
    "hostile text": {
        "SELECT a FROM read_csv('/etc/passwd')": NO,
        "SELECT a FROM t; DROP TABLE t": "a semicolon",
        "SELECT ';' AS n FROM (VALUES 1) AS v(a) -- ; nothing": [(";",)],
        "DROP TABLE t": "begins with 'DROP",
        "COPY t TO 'x'": "begins with .COPY",
        "SELECT 'open AS n FROM t": "an open quote",
        "SELECT a FROM t /* open": "an open comment",
        "SELECT a FROM t WHERE a = ?": "a question mark",
        "WITH w AS (DELETE FROM t) SELECT a FROM w": "could not be resolved",
        "SELECT getenv('HOME') AS n": NO,
        "SELECT a INTO u FROM t": "table db.u does not exist",
    },
}
CASES = [
    *(
        (group, f"SELECT {text} AS n", value)
        for group, all_ in EXPRESSIONS.items()
        for text, value in all_.items()
    ),
    *((group, text, value) for group, all_ in QUERIES.items() for text, value in all_.items()),
]


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'")
        made.execute("SET default_null_order = 'NULLS_LAST'")
        yield made


def answer(connection, text, **parameters):
    asked = query.Query(text, parameters, "AwsDataCatalog", "db", "w", 10**9)
    translated, _ = query.translated(asked, LAKE)
    return connection.execute(translated, parameters).fetchall()


@pytest.mark.parametrize(("group", "text", "expected"), CASES, ids=[case[1][:70] for case in CASES])
def test_the_laptop_answers_as_athena_or_says_that_it_cannot(connection, group, text, expected):
    refusal = isinstance(expected, str) and (group in QUERIES or expected in (NO, "compares no"))
    if refusal:
        with pytest.raises((InputError, duckdb.Error), match=expected):
            answer(connection, text)
        return
    rows = answer(connection, text)
    wanted = expected if group in QUERIES else [(expected,)]
    key = [tuple((value is None, str(value)) for value in row) for row in wanted]
    assert sorted(tuple((v is None, str(v)) for v in row) for row in rows) == sorted(key)
    for row, other in zip(sorted(rows, key=str), sorted(wanted, key=str), strict=True):
        assert [type(v) for v in row] == [type(v) for v in other]


def test_division_by_zero_fails_as_in_athena(connection):
    for text in ("SELECT 1 / 0 AS n", "SELECT 1 % 0 AS n"):
        with pytest.raises(duckdb.Error, match=r"(?i)division by zero|modulo"):
            answer(connection, text)


def test_a_parameter_is_bound_whatever_it_holds(connection):
    hostile = "x' OR 1 = 1 --"
    text = "SELECT a AS n FROM (VALUES (1, 'b')) AS v(a, s) WHERE s = :who"
    assert answer(connection, text, who=hostile) == []
    assert answer(connection, text, who="b") == [(1,)]


def test_a_parameter_stands_in_where_only(connection):
    with pytest.raises(InputError, match="stands outside of WHERE"):
        answer(connection, "SELECT :who AS n", who="b")


def test_the_document_has_every_construct_and_no_other():
    lines = DOCUMENT.read_text("utf-8").splitlines()
    told = {line.split("|")[1].strip() for line in lines if line.startswith("| ")}
    assert told - {"Construct"} == set(EXPRESSIONS) | set(QUERIES)
