"""Fixtures for the whole suite: the real tables, and studies that are run once."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nasbench_harness import compare

pytest_plugins = ["pytester"]
REFERENCE_DATA = "NASBENCH_REFERENCE_DATA"


@pytest.fixture(scope="session")
def reference():
    """The published table, one row per architecture in the official order; skips where it is absent."""
    folder = Path(os.environ.get(REFERENCE_DATA) or Path(__file__).parents[2] / "shared" / "data")
    file = folder / "nb201_reference.csv.gz"
    if not file.is_file():
        pytest.skip(f"needs the reference data {file.name}: set {REFERENCE_DATA} to its folder")
    return pd.read_csv(file, dtype={"key": str})


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """All registered strategies on two tasks, 40 seeds × 60 evaluations, with its report; not to be changed."""
    return compare(
        tasks=["nb201-cifar100", "nb201-imagenet16-120"],
        seeds=40,
        evaluations=60,
        out=tmp_path_factory.mktemp("studies") / "study",
    )


@pytest.fixture
def cli(tmp_path):
    """Run the command line in an empty folder; returns the finished process."""

    def call(*arguments, cwd=tmp_path, **environment):
        return subprocess.run(
            [sys.executable, "-m", "nasbench_harness", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )

    return call
