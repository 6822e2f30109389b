"""Files of ``proxies build`` that somebody made up or changed: one line, exit code 2, nothing written."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from nasbench_harness.cli import main
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.proxies import shipped_provenance
from nasbench_harness.tables.score_files import read_scores

ENTRY = shipped_provenance()["columns"]["meco"]
COUNT = 20


def write(path, columns=None, metadata=None):
    """A file of scores of 20 cells with some columns and metadata changed; None leaves a column out."""
    content = {
        "architecture": np.arange(COUNT, dtype=np.uint16) * 700,
        "initialization": np.zeros(COUNT, dtype=np.uint16),
        "batch": np.zeros(COUNT, dtype=np.uint16),
        "meco": np.linspace(0, 1, COUNT, dtype=np.float32),
        **(columns or {}),
    }
    content = {name: values for name, values in content.items() if values is not None}
    metadata = {"set": "a sample", "columns": {"meco": ENTRY}, **(metadata or {})}
    pq.write_table(pa.table(content).replace_schema_metadata({"provenance": json.dumps(metadata)}), path)


def test_a_whole_file_is_read_in_any_order_of_rows_and_a_missing_score_is_nan(tmp_path):
    order = np.random.default_rng(0).permutation(COUNT)
    scores = np.linspace(0, 1, COUNT)
    scores[3] = np.nan
    write(tmp_path / "a.parquet", {"architecture": np.arange(COUNT)[order], "meco": scores[order]})
    file = read_scores(tmp_path / "a.parquet")
    assert file.architectures.tolist() == list(range(COUNT))
    assert np.array_equal(file.scores["meco"][0, 0], scores, equal_nan=True)


EMPTY = {name: np.zeros(0, dtype) for name, dtype in {"architecture": int, "initialization": int, "batch": int}.items()}
INDICES = np.arange(COUNT)


@pytest.mark.parametrize(
    ("columns", "metadata", "message"),
    [
        ({**EMPTY, "meco": np.zeros(0)}, {}, "it holds no scores"),
        ({"meco": None}, {"columns": {}}, "it holds no scores"),
        ({"architecture": INDICES + 15_620}, {}, "column architecture holds 15639, and may hold 0 … 15,624"),
        ({"architecture": INDICES - 1}, {}, "column architecture holds -1"),
        ({"batch": INDICES - 1}, {}, "column batch holds -1"),
        ({"architecture": INDICES + 0.5}, {}, "column architecture does not hold whole numbers"),
        ({"architecture": [str(index) for index in INDICES]}, {}, "column architecture does not hold whole numbers"),
        ({"architecture": [None, *INDICES[1:].tolist()]}, {}, "column architecture does not hold whole numbers"),
        ({"architecture": None}, {}, "column architecture is missing"),
        ({"architecture": [0, *INDICES[:-1]]}, {}, "an architecture twice"),
        ({"batch": [1, *np.zeros(COUNT - 1, int)]}, {}, "every architecture under every initialization and batch"),
        ({"meco": [np.inf, *np.zeros(COUNT - 1)]}, {}, "column meco holds an infinite number"),
        ({"meco": [str(index) for index in INDICES]}, {}, "column meco does not hold numbers"),
        ({"meco": INDICES % 2 == 0}, {}, "column meco does not hold numbers"),
        ({}, {"columns": {"meco": ENTRY, "nwot": ENTRY}}, "column nwot is missing"),
        ({"nwot": np.zeros(COUNT)}, {}, "its metadata do not describe column nwot"),
        ({}, {"columns": {"meco": {}}}, "its metadata describe column meco incompletely"),
        ({}, {"columns": {"meco": {**ENTRY, "macro": 3}}}, "its metadata describe column meco incompletely"),
        ({}, {"columns": {"meco": {**ENTRY, "data": "\x1b[31m"}}}, "its metadata describe column meco incompletely"),
        ({"a+b": np.zeros(COUNT)}, {"columns": {"meco": ENTRY, "a+b": ENTRY}}, "column a+b incompletely"),
        ({}, {"columns": ["meco"]}, "its metadata do not describe the set"),
        ({}, {"set": 5}, "its metadata do not describe the set"),
        ({}, {"note": "\x1b[31m"}, "its metadata hold a note"),
    ],
)
def test_a_file_that_proxies_build_did_not_write_is_refused(columns, metadata, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "made-up.parquet", columns, metadata)
    result = CliRunner().invoke(main, ["proxies", "report", "made-up.parquet", "--out", "report"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert result.output.startswith("error: made-up.parquet is no file of scores, as ")
    assert message in result.output
    assert result.output.endswith(": make it again with proxies build\n")
    assert [path.name for path in tmp_path.iterdir()] == ["made-up.parquet"]


def test_two_columns_of_one_name_and_files_of_other_kinds_are_refused(tmp_path):
    table = pa.table({"architecture": [1], "initialization": [0], "batch": [0], "meco": [1.0]})
    table = table.append_column("meco", pa.array([1.0]))
    metadata = {"provenance": json.dumps({"set": "a sample", "columns": {"meco": ENTRY}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    with pytest.raises(InvalidInputError, match="two columns have one name"):
        read_scores(tmp_path / "a.parquet")
    pq.write_table(pa.table({"architecture": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InvalidInputError, match="is no file of scores: make one"):
        read_scores(tmp_path / "a.parquet")
    with pytest.raises(InvalidInputError, match="there is no file"):
        read_scores(tmp_path / "b.parquet")


LOADED_BY_ARROW = """
import os, signal, sys
from nasbench_harness.cli import main

class Finder:
    def find_spec(self, name, *rest):
        if name == "pandas.core.api":
            os.kill(os.getpid(), signal.{name})

sys.meta_path.insert(0, Finder())
main(["proxies", "report", "--out", "report"])
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_while_libraries_are_loaded_ends_the_report(name, code, tmp_path):
    """Arrow loads pandas in C++ if nobody has done so, and goes on after any exception."""
    command = [sys.executable, "-c", LOADED_BY_ARROW.format(name=name)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "\nstopped; the same command goes on from the stored results, if there are any\n"
    assert not list(tmp_path.iterdir())
