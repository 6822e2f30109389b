"""Importing tables: values to the last bit, and one clear line with file, row and column for every mistake."""

import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from nasbench_harness import run
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.importers.files.build import extend_table, extended_table, import_table, read_table
from nasbench_harness.tables.registry import load_table, task_names

CSV = """a,b,val,test,cost
x,1,10.5,9,100
x,2,20.25,19,200
y,1,0.1,29,300
y,2,40.123456789012345,39,400
"""
SPEC = """
name = "small"
source = "nowhere"
license = "MIT"
[space]
kind = "product"
decisions = { a = ["x", "y"], b = [1, 2] }
[datasets.one]
title = "One"
[datasets.one.metrics.val_accuracy]
columns = "val"
unit = "%"
direction = "maximize"
role = "search"
[datasets.one.metrics.test_accuracy]
columns = "test"
unit = "%"
direction = "maximize"
role = "test"
[datasets.one.metrics.train_cost_s]
columns = "cost"
unit = "s"
direction = "minimize"
role = "cost"
"""
COST = """[datasets.one.metrics.eval_cost_s]
columns = "test"
unit = "s"
direction = "minimize"
role = "cost"
"""
LIST = SPEC.replace(
    'kind = "product"\ndecisions = { a = ["x", "y"], b = [1, 2] }', 'kind = "list"\nkey = "test"\ncolumns = ["a", "b"]'
).replace(SPEC[SPEC.index("[datasets.one.metrics.test") : SPEC.index("[datasets.one.metrics.train")], "")
CELLS = SPEC.replace('kind = "product"\ndecisions = { a = ["x", "y"], b = [1, 2] }', 'kind = "nasbench201"\nkey = "a"')
CURVES = SPEC.replace('columns = "val"', 'prefix = "val_"').replace('"cost"', '{ 1 = "c1", 2 = "c2" }', 1)
CURVES_CSV = "a,b,val_1,val_02,test,c1,c2\nx,1,1,2,3,10,20\ny,2,4,5,6,11,21\n"


@pytest.fixture
def read(tmp_path):
    """Reads a table from texts of a CSV and a specification."""

    def call(csv=CSV, spec=SPEC, name=None):
        (tmp_path / "t.csv").write_text(csv, encoding="utf-8")
        (tmp_path / "t.toml").write_text(spec, encoding="utf-8")
        return read_table(tmp_path / "t.csv", tmp_path / "t.toml", name)

    return call


def values(table, metric="val_accuracy"):
    return table.column("one", metric).values


def test_values_are_those_of_the_file_to_the_last_bit(read):
    table = read()
    assert table.datasets["one"].space.to_strings(range(4)) == ["x:1", "x:2", "y:1", "y:2"]
    assert values(table)[:, 0, 0].tolist() == [10.5, 20.25, 0.1, 40.123456789012345]
    assert values(table, "train_cost_s")[:, 0, 0].tolist() == [100, 200, 300, 400]
    assert table.datasets["one"].fidelities == ()
    assert table.provenance.sha256["t.csv"]


def test_random_numbers_round_trip(read):
    numbers = np.random.default_rng(0).normal(size=(4, 3)) * 10.0 ** np.random.default_rng(1).integers(
        -300, 300, (4, 3)
    )
    rows = [f"{'xxyy'[i]},{'1212'[i]},{n[0]!r},{n[1]!r},{abs(n[2])!r}" for i, n in enumerate(numbers.tolist())]
    table = read("a,b,val,test,cost\n" + "\n".join(rows), SPEC.replace('"%"', '"points"'))
    assert values(table)[:, 0, 0].tolist() == numbers[:, 0].tolist()
    assert values(table, "test_accuracy")[:, 0, 0].tolist() == numbers[:, 1].tolist()


def test_csv_gz_and_parquet_hold_the_same(read, tmp_path):
    expected = read()
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    columns = list(zip(*(line.split(",") for line in CSV.splitlines()), strict=True))
    names, cells = [column[0] for column in columns], [column[1:] for column in columns]
    arrays = [pa.array(cells[0]), pa.array(map(int, cells[1])), *(pa.array(map(float, cell)) for cell in cells[2:])]
    pyarrow.parquet.write_table(pa.table(dict(zip(names, arrays, strict=True))), tmp_path / "t.parquet")
    for name in ("t.csv.gz", "t.parquet"):
        table = read_table(tmp_path / name, tmp_path / "t.toml")
        for metric in ("val_accuracy", "test_accuracy", "train_cost_s"):
            np.testing.assert_array_equal(values(table, metric), values(expected, metric))


def test_errors_in_percent_may_be_above_100(read):
    table = read(CSV.replace("20.25", "120.5"), SPEC.replace("maximize", "minimize"))
    assert values(table)[1].tolist() == [[120.5]]


def test_large_whole_numbers_are_the_nearest_numbers_in_every_kind_of_file(read, tmp_path):
    large = 2**53 + 1
    spec = SPEC.replace('"%"', '"points"')
    csv = read(f"a,b,val,test,cost\nx,1,{large},9,1\n", spec)
    columns = {"a": ["x"], "b": [1], "val": [large], "test": [9], "cost": [1]}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    for table in (csv, read_table(tmp_path / "t.parquet", tmp_path / "t.toml")):
        assert values(table)[0, 0, 0] == float(large)


def test_rows_in_any_order_and_absent_ones(read):
    lines = CSV.splitlines()
    table = read("\n".join([lines[0], lines[4], lines[1]]))
    np.testing.assert_array_equal(values(table)[:, 0, 0], [10.5, np.nan, np.nan, 40.123456789012345])
    task = make_task(table, "one")
    answers = task.under(Protocol()).oracle.evaluate(np.array([0, 1]), np.zeros(2, int), np.full(2, -1))
    assert answers.status.tolist() == [Status.OK, Status.MISSING]
    assert task.scores["val"].optimum == 3
    assert table.index_of("one", "x:1") == 0
    with pytest.raises(InvalidInputError, match="small-one has no result of the architecture x:2"):
        table.index_of("one", "x:2")


def test_replicates_fidelities_and_resolution(read):
    table = read(CURVES_CSV, CURVES)
    assert table.datasets["one"].fidelities == (1, 2)
    assert values(table)[[0, 3], 0].tolist() == [[1, 2], [4, 5]]
    assert values(table, "train_cost_s")[[0, 3], 0].tolist() == [[10, 20], [11, 21]]
    table = read(CSV, SPEC.replace('"val"', '["val", "test"]'))
    assert values(table)[:, :, 0].tolist() == [[10.5, 9], [20.25, 19], [0.1, 29], [40.123456789012345, 39]]
    noisy = CSV.replace("20.25", "20.2499999").replace("40.123456789012345", "40").replace("0.1,", "0.25,")
    table = read(noisy, SPEC.replace('"val"', '"val"\nresolution = "1/4"'))
    assert values(table)[:, 0, 0].tolist() == [10.5, 20.25, 0.25, 40]
    assert table.column("one", "val_accuracy").metric.resolution == 0.25


@pytest.mark.parametrize(("key_format", "keys"), [
    ("digits", ["421211", "000000"]),
    ("index", ["0", "13714"]),
    ("string", [
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ]),
])  # fmt: skip
def test_cells_are_named_in_three_ways(read, key_format, keys):
    spec = CELLS.replace('key = "a"', f'key = "a"\nkey_format = "{key_format}"')
    table = read("a,val,test,cost\n" + "".join(f"{key},{2 * row},9,1\n" for row, key in enumerate(keys)), spec)
    space = table.datasets["one"].space
    found = np.flatnonzero(~np.isnan(values(table)[:, 0, 0]))
    assert values(table)[0, 0, 0] == 0
    if key_format != "index":
        assert [space.to_key(index) for index in found] == sorted(["421211", "000000"], key=space.from_key)


def test_lists(read):
    table = read(spec=LIST)
    space = table.datasets["one"].space
    assert space.to_strings(range(4)) == ["9", "19", "29", "39"]
    assert values(table)[:, 0, 0].tolist() == [10.5, 20.25, 0.1, 40.123456789012345]
    assert space.neighbors(np.array([0])).tolist() == [[2, 1]]


def test_one_key_column_of_a_product(read):
    spec = SPEC.replace('kind = "product"', 'kind = "product"\nkey = "arch"\nseparator = ""')
    table = read("arch,val,test,cost\ny2,1,9,1\nx1,2,9,1\n", spec)
    np.testing.assert_array_equal(values(table)[:, 0, 0], [2, np.nan, np.nan, 1])


MISTAKES = {
    "unknown choice": (CSV.replace("y,1", "z,1"), SPEC, r"t\.csv, line 4, column 'a': 'z' is no choice of a \(x, y\)"),
    "duplicate": (CSV.replace("y,1", "x,1"), SPEC, r"line 4, column 'a': .* stands in line 2 already; does a column"),
    "no number": (CSV.replace("19", "oops"), SPEC, r"t\.csv, line 3, column 'test': 'oops' is no number"),
    "empty": (CSV.replace("19", ""), SPEC, r"line 3, column 'test': is empty.*may_be_missing"),
    "nan": (CSV.replace("19", "nan"), SPEC, r"line 3, column 'test': is empty"),
    "infinite": (CSV.replace("19", "-inf"), SPEC, r"line 3, column 'test': infinity"),
    "after a blank line": (CSV.replace("x,2", "\n\nx,2").replace("19", "?"), SPEC, r"line 5, column 'test': '\?'"),
    "choice after a blank line": (CSV.replace("x,2", "\n\nz,2"), SPEC, r"line 5, column 'a': 'z'"),
    "missing cell": (CSV.replace(",300", ""), SPEC, r"line 4: 4 cells where the header has 5"),
    "missing column": (CSV.replace("test", "tests"), SPEC, r"unknown column 'test' in .*t\.csv: did you mean 'tests'"),
    "two columns": (CSV.replace("test", "val"), SPEC, r"2 columns named 'val'"),
    "delimiter": (CSV.replace(",", ";"), SPEC, r"single one, 'a;b;val;test;cost': is the delimiter right"),
    "no rows": ("a,b,val,test,cost\n", SPEC, "has a header but no rows"),
    "no file content": ("", SPEC, "is empty: its first line must name the columns"),
    "empty choice": (CSV.replace("x,1", ",1"), SPEC, r"line 2, column 'a': is empty"),
    "size": (CSV, SPEC.replace('"product"', '"product"\nnum_architectures = 5'), "has 4 architectures .* expects 5"),
    "off grid": (CSV, SPEC.replace('"val"', '"val"\nresolution = 0.25'), r"line 4, column 'val': 0.1 is no multiple"),
    "negative cost": (CSV.replace("300", "-300"), SPEC, r"line 4, column 'cost': a cost cannot be negative"),
    "falling cost": (CURVES_CSV.replace("21", "10"), CURVES, r"line 3, column 'c2': is less than at an earlier epoch"),
    "cost behind a gap": (
        "a,b,val_1,val_2,val_3,test,c1,c2,c3\nx,1,1,2,3,3,10,,5\n",
        CURVES.replace('2 = "c2" }', '2 = "c2", 3 = "c3" }\nmay_be_missing = true'),
        r"line 2, column 'c3': is less than at an earlier epoch",
    ),
    "cost in hours": (CSV, SPEC.replace('unit = "s"', 'unit = "h"'), 'a cost is in seconds: say unit = "s"'),
    "cost as a gain": (CSV, SPEC[::-1].replace("minimize"[::-1], "maximize"[::-1], 1)[::-1], "a cost is in seconds"),
    "above 100 %": (CSV.replace("19", "150"), SPEC, r"line 3, column 'test': 150 is no .*0 … 100: say another unit"),
    "below 0 %": (CSV.replace("19", "-1"), SPEC, r"line 3, column 'test': -1 is no percentage.*, or missing_value"),
    "error below 0 %": (CSV.replace("19", "-1"), SPEC.replace("maximize", "minimize"), "-1 is no .*, at least 0: say"),
    "fractions": ("a,b,val,test,cost\nx,1,0.91,9,1\nx,2,1,8,2\n", SPEC, r"no value of val_accuracy is above 1 %"),
    "mixed epochs": (CURVES_CSV.replace("val_02", "val_3"), CURVES, "columns of 2 epochs, but the data set has 3"),
    "same epoch": (CURVES_CSV.replace("val_02", "val_01"), CURVES, "'val_1' and 'val_01' are the same epoch"),
    "no prefix": (CURVES_CSV.replace("val_", "v_"), CURVES, "no columns 'val_' . epoch"),
    "mixed replicates": (CSV, SPEC.replace('"val"', '{ 1 = ["val"], 2 = ["test", "cost"] }'), "same number of repl"),
    "one value": (CURVES_CSV, CURVES.replace('{ 1 = "c1", 2 = "c2" }', '"c2"'), "or proportional_to_epochs"),
    "unknown key": (CSV, SPEC.replace("unit", "unnit", 1), r"unknown key 'unnit' in .*one.metrics.val_acc.*'unit'"),
    "unknown key in space": (CSV, SPEC.replace("decisions", "decision"), r"unknown key 'decision' .*'decisions'"),
    "unknown key above": (CSV, SPEC.replace("license", "licence"), r"unknown key 'licence' .*'license'"),
    "role": (CSV, SPEC.replace('"search"', '"sarch"'), r"val_accuracy\.role: .*'search'.*not 'sarch'"),
    "no unit": (CSV, SPEC.replace('unit = "%"\n', "", 1), r"val_accuracy\.unit is missing"),
    "no TOML": (CSV, SPEC + "=", r"t\.toml is no TOML"),
    "one choice": (CSV, SPEC.replace('["x", "y"]', '["x"]'), "space.decisions: a needs a list of at least two"),
    "line break": (CSV, SPEC.replace('["x", "y"]', r'["x", "y\ny"]'), "line break or another invisible"),
    "quote in header": (CSV.replace("val", '"val', 1).replace("10.5", '"'), SPEC, "is a quote missing"),
    "line break in a key": (CSV, SPEC + '"a\\nb" = 1', r"unknown key"),
    "huge": (CSV, SPEC.replace("[1, 2]", str(list(range(10**4))) + ", c = " + str(list(range(10**4)))), "10,000,000"),
    "no name": (CSV, SPEC.replace('name = "small"', ""), "the table has no name: give --name"),
    "bad name": (CSV, SPEC.replace('"small"', '"../small"'), "cannot name a table"),
    "embedded": (CSV, SPEC.replace('"small"', '"nb201"'), "comes with an installed package"),
    "free test": (CSV, SPEC.replace('role = "test"', 'role = "test"\nfree = true'), "only hardware and proxy"),
    "foreign key": (CSV, SPEC.replace('"product"', '"product"\ncolumns = "a"'), "does not belong to the kind product"),
    "cell": (CSV, CELLS, r"line 2, column 'a': 'x' is no architecture of the space nasbench201"),
    "lost zeros": ("a,val,test,cost\n12,1,1,1\n", CELLS, r"line 2, column 'a': '12' is no architecture"),
    "index": ("a,val,test,cost\n15625,1,1,1\n", CELLS.replace('"a"', '"a"\nkey_format = "index"'), "15625 is no index"),
    "list key": (CSV.replace("29", "9"), LIST, r"line 4, column 'test': the architecture stands in line 2"),
    "list choices": (CSV.replace("y,1", "x,1"), LIST, "in line 2 already under another key: name a column"),
    "list column": (CSV.replace("y", "x").replace("x,", "x,", 1), LIST, "same value in all rows"),
    "blank cell": (CSV.replace("19", " "), SPEC, r"line 3, column 'test': ' ' is no number"),
    "wide delimiter": (CSV, 'delimiter = "é"' + SPEC, "a delimiter is one ASCII character, not 'é'"),
    "open text": (CSV, SPEC.replace('"nowhere"', '"CHECK: where"'), "source: it still says CHECK"),
    "colon in a choice": (CSV, SPEC.replace('"x", "y"', '"x:1", "y"'), "holds the separator ':': name another"),
    "no separator": (CSV, SPEC.replace('"product"', '"product"\nseparator = ""'), "an empty separator needs key"),
    "two costs": (CSV, SPEC.replace('"test"\nunit', '"b"\nunit') + COST, "can be the cost, not train_cost_s and"),
    "escape sequence": (CSV, SPEC.replace('"product"', '"product"\nname = "a\\u001b[31m"'), "space.name: it holds"),
    "key as metric": (CSV, LIST.replace('"val"', '"a"'), "names architectures and cannot be a metric"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_place(read, mistake):
    csv, spec, message = MISTAKES[mistake]
    with pytest.raises(InvalidInputError, match=message) as caught:
        read(csv, spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.txt", "missing.csv", "binary.csv", "truncated.csv.gz", "truncated.parquet"])
def test_files_that_cannot_be_read(tmp_path, name):
    (tmp_path / "t.toml").write_text(SPEC)
    content = {
        "binary.csv": b"a,b\xff\n1",
        "truncated.csv.gz": gzip.compress(CSV.encode())[:-9],
        "truncated.parquet": b"PAR1",
    }
    if name in content:
        (tmp_path / name).write_bytes(content[name])
    with pytest.raises(InvalidInputError, match=name):
        read_table(tmp_path / name, tmp_path / "t.toml")


def test_a_row_of_a_parquet_file_is_named(tmp_path):
    (tmp_path / "t.toml").write_text(SPEC)
    columns = {"a": ["x", "q"], "b": [1, 2], "val": [1.0, 2.0], "test": [1.0, 2.0], "cost": [1, 2]}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match=r"t\.parquet, row 2, column 'a': 'q' is no choice"):
        read_table(tmp_path / "t.parquet", tmp_path / "t.toml")
    pyarrow.parquet.write_table(pa.table({**columns, "val": ["1", "2"]}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="column 'val' holds string, no numbers"):
        read_table(tmp_path / "t.parquet", tmp_path / "t.toml")


EXTEND = """
name = "more"
source = "a meter"
license = "CC0"
key = "arch"
[datasets.one.metrics.energy_mj]
columns = "energy"
unit = "mJ"
direction = "minimize"
role = "hardware"
free = true
"""


@pytest.fixture
def extend(read, tmp_path):
    """Extends the small table by texts of a CSV and a specification."""
    base = read()

    def call(csv="arch,energy\ny:1,5\nx:1,6\n", spec=EXTEND):
        (tmp_path / "e.csv").write_text(csv)
        (tmp_path / "e.toml").write_text(spec)
        return extended_table(base, tmp_path / "e.csv", tmp_path / "e.toml")

    return call


def test_extending_joins_by_key(extend, read):
    table = extend()
    assert table.name == "more"
    np.testing.assert_array_equal(values(table, "energy_mj")[:, 0, 0], [6, np.nan, 5, np.nan])
    np.testing.assert_array_equal(values(table), values(read()))
    assert table.provenance.source == "nowhere; with a meter"
    assert table.provenance.license == "MIT; CC0"
    assert set(table.provenance.sha256) == {"t.csv", "e.csv"}
    by_decisions = extend("b,a,energy\n1,y,5\n1,x,6\n", EXTEND.replace('"arch"', '["a", "b"]'))
    np.testing.assert_array_equal(values(by_decisions, "energy_mj"), values(table, "energy_mj"))
    by_index = extend("arch,energy\n2,5\n0,6\n", EXTEND.replace('"arch"', '"arch"\nkey_format = "index"'))
    np.testing.assert_array_equal(values(by_index, "energy_mj"), values(table, "energy_mj"))


@pytest.mark.parametrize(
    ("csv", "spec", "message"),
    [
        ("arch,energy\ny:3,5\n", EXTEND, r"e\.csv, line 2, column 'arch': 'y:3' is no architecture"),
        ("arch,energy\ny:1,5\ny:1,5\n", EXTEND, "line 3, column 'arch': the architecture stands in line 2"),
        ("arch,energy\ny:1,5\n", EXTEND.replace(".one.", ".two."), "unknown data set 'two' in table small"),
        ("arch,energy\ny:1,5\n", EXTEND.replace("energy_mj", "test_accuracy"), "has a metric test_accuracy already"),
        ("arch,energy\ny:1,5\n", EXTEND.replace("key =", "keys ="), "unknown key 'keys' .*did you mean 'key'"),
        (
            "arch,energy\n1,5\n",
            EXTEND.replace('"arch"', '"arch"\nkey_format = "digits"'),
            "column 'arch': '1' is no architecture",
        ),
        ("arch,energy\ny:1,5\n", EXTEND.replace('"arch"', '["arch", "nope"]'), "unknown column 'nope'"),
    ],
)
def test_mistakes_in_extensions(extend, csv, spec, message):
    with pytest.raises(InvalidInputError, match=message):
        extend(csv, spec)


@pytest.mark.parametrize("key", ['["op1", "op2"]', '["op2", "op1"]'])
def test_decisions_are_joined_by_their_names(cache, tmp_path, key):
    spec = SPEC.replace('{ a = ["x", "y"], b = [1, 2] }', '{ op1 = ["x", "y"], op2 = ["x", "y"] }')
    (tmp_path / "t.csv").write_text(CSV.replace("a,b", "op1,op2").replace(",1,", ",x,").replace(",2,", ",y,"))
    (tmp_path / "t.toml").write_text(spec)
    base = import_table(tmp_path / "t.csv", tmp_path / "t.toml")
    (tmp_path / "e.csv").write_text("op1,op2,energy\nx,y,5\n")
    (tmp_path / "e.toml").write_text(EXTEND.replace('"arch"', key))
    table = extended_table(base, tmp_path / "e.csv", tmp_path / "e.toml")
    expected = pytest.approx([np.nan, 5, np.nan, np.nan], nan_ok=True)
    assert values(table, "energy_mj")[:, 0, 0].tolist() == expected
    more = extend_table(base.name, tmp_path / "e.csv", tmp_path / "e.toml", "more")
    (tmp_path / "e.toml").write_text((tmp_path / "e.toml").read_text().replace("energy_mj]", "power_mj]"))
    most = extended_table(more, tmp_path / "e.csv", tmp_path / "e.toml", "most")
    assert values(most, "power_mj")[:, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("csv", "spec", "message"),
    [
        (
            re.sub(r",(9|.9),", ",,", CSV),
            SPEC.replace('"test"\n', '"test"\nmay_be_missing = true\n', 1),
            r"t\.toml: task small-one: test_accuracy has no value at all",
        ),
        (CSV.replace("10.5", "1e120"), SPEC.replace('"%"', '"1"', 1), r"1e\+120, which cannot be averaged"),
        (CSV.replace("10.5", "-1e30"), SPEC.replace('"%"', '"1"', 1), "cannot be told apart"),
        (CSV.replace("10.5", "1e30"), SPEC.replace('"%"', '"1"', 1).replace("max", "min", 1), "cannot be told apart"),
    ],
)
def test_a_table_that_cannot_be_scored_is_not_imported(cache, tmp_path, csv, spec, message):
    (tmp_path / "t.csv").write_text(csv)
    (tmp_path / "t.toml").write_text(spec)
    with pytest.raises(InvalidInputError, match=message):
        import_table(tmp_path / "t.csv", tmp_path / "t.toml")
    assert not (cache / "imported").exists()


def test_only_products_are_joined_by_their_decisions(read, tmp_path):
    (tmp_path / "e.csv").write_text("a,b,energy\nx,1,5\n")
    (tmp_path / "e.toml").write_text(EXTEND.replace('"arch"', '["a", "b"]'))
    with pytest.raises(InvalidInputError, match="of the space small is named by one column: give one as key"):
        extended_table(read(spec=LIST), tmp_path / "e.csv", tmp_path / "e.toml")


def test_an_extension_keeps_the_digest_of_a_file_of_the_same_name(read, tmp_path):
    base = read()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "t.csv").write_text("arch,energy\ny:1,5\n")
    (tmp_path / "e.toml").write_text(EXTEND)
    digests = extended_table(base, tmp_path / "sub" / "t.csv", tmp_path / "e.toml").provenance.sha256
    assert list(digests) == ["t.csv", "t.csv (2)"]
    assert digests["t.csv"] == base.provenance.sha256["t.csv"]


def test_an_extended_table_has_a_name_of_its_own(read, tmp_path):
    (tmp_path / "e.csv").write_text("arch,energy\ny:1,5\n")
    (tmp_path / "e.toml").write_text(EXTEND)
    with pytest.raises(InvalidInputError, match="needs another name than small"):
        extended_table(read(), tmp_path / "e.csv", tmp_path / "e.toml", "small")
    for call in (read, lambda name: extended_table(read(), tmp_path / "e.csv", tmp_path / "e.toml", name)):
        with pytest.raises(InvalidInputError, match="has no name: give --name"):
            call(name="")


def test_a_file_whose_name_cannot_be_kept_replaces_nothing(cache, tmp_path):
    for name in ("t.csv", "t<v2>.csv"):
        (tmp_path / name).write_text(CSV)
    (tmp_path / "t.toml").write_text(SPEC)
    digest = import_table(tmp_path / "t.csv", tmp_path / "t.toml").digest
    with pytest.raises(InvalidInputError, match=r"t<v2>\.csv holds an HTML tag: rename the file"):
        import_table(tmp_path / "t<v2>.csv", tmp_path / "t.toml", replace=True)
    assert load_table("small").digest == digest


def test_texts_may_begin_with_the_letters_check_and_choices_hold_a_colon(read):
    spec = SPEC.replace('"nowhere"', '"CHECKPOINTS of a cluster"').replace('["x", "y"]', '["1:2", "2:1"]')
    table = read(CSV.replace("x", "1:2").replace("y", "2:1"), spec.replace('"product"', '"product"\nseparator = "|"'))
    assert table.provenance.source == "CHECKPOINTS of a cluster"
    assert table.datasets["one"].space.to_string(3) == "2:1|2"


def test_an_extension_adds_no_second_cost(extend):
    cost = (
        EXTEND.replace("energy_mj", "eval_cost_s").replace('"mJ"', '"s"').replace('"hardware"\nfree = true', '"cost"')
    )
    with pytest.raises(InvalidInputError, match="small-one has a cost already: give eval_cost_s another role"):
        extend(spec=cost)


def test_small_optima_are_printed(cache, tmp_path, cli):
    (tmp_path / "t.csv").write_text("a,b,val,test,cost\nx,1,9e-8,9,1\nx,2,5e-8,8,2\n")
    spec = SPEC.replace('"%"', '"1"', 1).replace("maximize", "minimize", 1)
    (tmp_path / "t.toml").write_text(spec)
    import_table(tmp_path / "t.csv", tmp_path / "t.toml")
    shown = cli("tables", "info", "small", NASBENCH_HARNESS_CACHE=str(cache))
    assert "optimum 5e-08 at x:2\n" in shown.stdout, shown.stderr


def test_a_scale_turns_fractions_into_percent_and_a_number_can_mean_missing(read):
    spec = SPEC.replace('"val"', '"val"\nscale = 100\nmissing_value = -1\nresolution = "1/100"')
    table = read("a,b,val,test,cost\nx,1,0.8193,9,1\nx,2,-1,8,2\ny,1,0.5,7,3\n", spec)
    np.testing.assert_array_equal(values(table)[:, 0, 0], [81.93, np.nan, 50, np.nan])
    milli = read("a,b,val,test,cost\nx,1,2,9,1500\n", SPEC.replace('"cost"', '"cost"\nscale = "1/1000"', 1))
    assert values(milli, "train_cost_s")[0, 0, 0] == 1.5
    with pytest.raises(InvalidInputError, match="line 3, column 'val': is empty"):
        read("a,b,val,test,cost\nx,1,0.8,9,1\nx,2,,8,2\n", spec)
    for wrong in ("scale = 0", "scale = -1", 'scale = "x"', "missing_value = nan", 'missing_value = "-1"'):
        with pytest.raises(InvalidInputError, match=r"t\.toml: datasets\.one\.metrics\.val_accuracy"):
            read(spec=SPEC.replace('"val"', f'"val"\n{wrong}'))


@pytest.mark.parametrize(("separator", "keys"), [("-", ["x-1", "y-2"]), ("", ["x1", "y2"]), ("::", ["x::1", "y::2"])])
def test_architectures_are_written_as_the_file_writes_them(cache, tmp_path, cli, separator, keys):
    spec = SPEC.replace('kind = "product"', f'kind = "product"\nkey = "arch"\nseparator = "{separator}"')
    (tmp_path / "t.csv").write_text(f"arch,val,test,cost\n{keys[1]},5,9,1\n{keys[0]},2,9,1\n")
    (tmp_path / "t.toml").write_text(spec)
    space = import_table(tmp_path / "t.csv", tmp_path / "t.toml").datasets["one"].space
    assert [space.to_string(index) for index in (0, 3)] == keys
    assert [space.from_string(key) for key in keys] == [0, 3]
    with pytest.raises(InvalidInputError):
        space.from_string(f"x{separator}3")
    shown = cli("tables", "info", "small", NASBENCH_HARNESS_CACHE=str(cache))
    assert f"optimum 5.0 at {keys[1]}\n" in shown.stdout, shown.stderr


@pytest.mark.parametrize("spec", [SPEC, LIST])
def test_a_column_may_say_which_networks_are_equal(read, spec):
    rows = [f"{line},{same}" for line, same in zip(CSV.splitlines(), ["same", "p", "q", "p", "r"], strict=True)]
    kind = 'kind = "product"' if spec is SPEC else 'kind = "list"'
    table = read("\n".join(rows) + "\n", spec.replace(kind, f'{kind}\nclasses = "same"'))
    assert table.datasets["one"].space.canonical(np.arange(4)).tolist() == [0, 1, 0, 3]
    assert read(spec=spec).datasets["one"].space.canonical(np.arange(4)).tolist() == [0, 1, 2, 3]


def test_extend_says_how_much_the_file_covers(cache, tmp_path, cli):
    (tmp_path / "e.csv").write_text("arch,energy\n421211,5\n000000,6\n334131,7\n")
    (tmp_path / "e.toml").write_text(
        'source = "s"\nlicense = "l"\nkey = "arch"\nkey_format = "digits"\n[datasets.cifar10.metrics.energy_mj]\n'
        'columns = "energy"\nunit = "mJ"\ndirection = "minimize"\nrole = "hardware"\n'
    )
    place = {"NASBENCH_HARNESS_CACHE": str(cache)}
    done = cli("tables", "extend", "nb201", "e.csv", "--spec", "e.toml", "--name", "more", **place)
    assert "  more-cifar10: the file covers 3 of 15,625 architectures\n" in done.stdout, done.stderr
    assert "more-cifar100: the file covers" not in done.stdout
    done = cli("tables", "extend", "nb201", "e.csv", "--spec", "e.toml", "--name", "more", "--json", **place)
    assert json.loads(done.stdout)["covered"] == {"more-cifar10": 3}


def test_lists_whose_rows_have_no_neighbors_say_so(cache, tmp_path, cli):
    rows = np.random.default_rng(0).integers(0, 3, (60, 12))
    header = ",".join(["key", *(f"c{column}" for column in range(12)), "val"])
    lines = [",".join([f"k{number}", *map(str, row), str(number)]) for number, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join([header, *lines]) + "\n")
    columns = str([f"c{column}" for column in range(12)]).replace("'", '"')
    spec = LIST.replace('key = "test"\ncolumns = ["a", "b"]', f'key = "key"\ncolumns = {columns}')
    (tmp_path / "t.toml").write_text(spec[: spec.index("[datasets.one.metrics.train")])
    import_table(tmp_path / "t.csv", tmp_path / "t.toml")
    shown = cli("tables", "info", "small", NASBENCH_HARNESS_CACHE=str(cache)).stdout
    assert "60 of 60 architectures have fewer than 8 neighbors that differ in one column (58 have none)" in shown


@pytest.mark.thorough
def test_two_processes_import_the_same_file_at_once(cache, tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    (tmp_path / "t.toml").write_text(SPEC)
    command = [sys.executable, "-m", "nasbench_harness", "tables", "import", "t.csv", "--spec", "t.toml"]
    both = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[1] for process in both] == ["", ""]
    assert [process.returncode for process in both] == [0, 0]
    assert [path.name for path in (cache / "imported").iterdir()] == ["small"]
    assert "small-one" in task_names()
    load_table("small")


def test_another_file_under_the_same_name_needs_replace(cache, tmp_path):
    (tmp_path / "t.toml").write_text(SPEC)
    (tmp_path / "t.csv").write_text(CSV)
    import_table(tmp_path / "t.csv", tmp_path / "t.toml")
    (tmp_path / "t.csv").write_text(CSV.replace("10.5", "11"))
    with pytest.raises(InvalidInputError, match="another table named small"):
        import_table(tmp_path / "t.csv", tmp_path / "t.toml")
    import_table(tmp_path / "t.csv", tmp_path / "t.toml", "other")
    import_table(tmp_path / "t.csv", tmp_path / "t.toml", replace=True)
    assert values(load_table("small")).max() == 40.123456789012345
    assert values(load_table("small"))[0, 0, 0] == 11


def test_an_unknown_table_cannot_be_extended(cache, cli):
    done = cli("tables", "extend", "nb2O1", "e.csv", "--spec", "e.toml")
    assert done.returncode == 2
    assert "did you mean 'nb201'" in done.stderr
    with pytest.raises(UnknownNameError):
        load_table("nb2O1")


def test_every_strategy_searches_imported_tables(cache, tmp_path):
    """A list, a product with missing rows, and learning curves at a named fidelity."""
    rows = [(a, b) for a in range(4) for b in range(5) if (a * 7 + b * 3) % 4]
    csv = "key,a,b,val,test,cost,val_1,val_2,c1,c2\n"
    csv += "".join(f"k{i},{a},{b},{a}.{b},{i},{i + 1},{i},{i * 2},{i},{i + 9}\n" for i, (a, b) in enumerate(rows))
    (tmp_path / "t.csv").write_text(csv)
    grid = SPEC.replace('["x", "y"]', "[0, 1, 2, 3]").replace("[1, 2]", "[0, 1, 2, 3, 4]")
    listed = LIST.replace('key = "test"', 'key = "key"')
    curves = grid.replace('columns = "val"', 'prefix = "val_"').replace('"cost"', '{ 1 = "c1", 2 = "c2" }', 1)
    for name, spec in {"listed": listed, "grid": grid, "curves": curves}.items():
        (tmp_path / "t.toml").write_text(spec)
        import_table(tmp_path / "t.csv", tmp_path / "t.toml", name)
    study = run(tasks=["listed-one", "grid-one"], seeds=20, evaluations=40, out=tmp_path / "s")
    assert study.frame().groupby("task")["regret_pp"].min().tolist() == [0, 0]
    assert study.frame()["regret_pp"].notna().all()
    study = run(tasks=["curves-one"], seeds=10, evaluations=30, fidelity=1, out=tmp_path / "c")
    assert study.frame()["regret_pp"].notna().all()


def test_graphs_are_extended_by_their_digits_and_their_strings(tmp_path):
    graph = load_table("graph")
    space = graph.datasets["cora"].space
    for key_format, name in (("digits", space.to_key), ("string", space.to_string)):
        (tmp_path / "e.csv").write_text(f"arch,energy\n{name(7)},5\n{name(26_205)},6\n")
        spec = EXTEND.replace(".one.", ".cora.").replace('"arch"', f'"arch"\nkey_format = "{key_format}"')
        (tmp_path / "e.toml").write_text(spec)
        table = extended_table(graph, tmp_path / "e.csv", tmp_path / "e.toml")
        energy = table.column("cora", "energy_mj").values[:, 0, 0]
        assert np.flatnonzero(~np.isnan(energy)).tolist() == [7, 26_205]
        assert list(table.datasets) == list(graph.datasets)


def test_the_limits_of_parquet_hold_for_names_with_a_dot(tmp_path):
    columns = {"arch.key": ["421211", "334131"], "val": [1.0, 2.0], "test": [1.0, 2.0], "cost": [1.0, 2.0]}
    path, spec = tmp_path / "t.parquet", tmp_path / "t.toml"
    encoding = {"use_dictionary": False, "column_encoding": {"arch.key": "DELTA_BYTE_ARRAY"}}
    pa.parquet.write_table(pa.table(columns), path, **encoding)
    spec.write_text(CELLS.replace('key = "a"', 'key = "arch.key"'))
    with pytest.raises(InvalidInputError, match=r"column 'arch\.key' is encoded as"):
        read_table(path, spec)
