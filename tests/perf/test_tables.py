"""What importing a table costs beside reading its file, and opening one beside mapping its arrays."""

import json

import numpy as np
import pandas as pd
import pytest

from nasbench_harness.importers.files.build import import_table
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.cache import open_table
from nasbench_harness.tables.registry import load_table

from .conftest import gates, least_cpu_seconds, least_ratio

SPEC = """
name = "large"
source = "random numbers"
license = "MIT"
[space]
kind = "nasbench201"
key = "key"
[datasets.one]
title = "One"
"""
METRIC = """[datasets.one.metrics.m{0}]
columns = "c{0}"
unit = "fraction"
direction = "maximize"
role = "{1}"
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Folder with a CSV of 15,625 rows × 40 columns and its specification."""
    folder, space = tmp_path_factory.mktemp("large"), NASBench201Space()
    columns = {f"c{column}": np.random.default_rng(column).random(15_625).round(8) for column in range(39)}
    keys = [space.to_key(index) for index in range(space.num_architectures)]
    pd.DataFrame({"key": keys, **columns}).to_csv(folder / "large.csv", index=False)
    text = SPEC + "".join(METRIC.format(column, "proxy" if column else "search") for column in range(39))
    (folder / "large.toml").write_text(text)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()


def ratio(function, control, repeats):
    seconds, control_seconds = least_cpu_seconds(function, control, repeats=repeats)
    return seconds / control_seconds


@gates(gate=5, bar=4)
def test_importing_costs_a_few_times_reading(large, cache, gate):
    def measure():
        return ratio(
            lambda: import_table(large / "large.csv", large / "large.toml", replace=True),
            lambda: pd.read_csv(large / "large.csv", dtype={"key": str}),
            repeats=5,
        )

    assert least_ratio(measure, gate) <= gate


def test_opening_an_imported_table_costs_at_most_three_times_its_arrays_and_json(large, cache):
    folder = import_table(large / "large.csv", large / "large.toml").folder

    def bare():
        json.loads((folder / "table.json").read_text(encoding="utf-8"))
        for path in folder.glob("*.npy"):
            np.load(path, mmap_mode="r")

    assert least_ratio(lambda: ratio(lambda: open_table(folder), bare, repeats=20), 3) <= 3
