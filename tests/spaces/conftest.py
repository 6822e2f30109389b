"""Spaces and published data that the tests of the spaces share."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_harness.engine.streams import RunStream, RunStreams
from nasbench_harness.spaces import NASBench201Space, ProductSpace

VARIABLE = "NASBENCH_REFERENCE_DATA"


@pytest.fixture(scope="session")
def reference():
    """The published table, one row per architecture in the official order; skips where it is absent."""
    folder = Path(os.environ.get(VARIABLE) or Path(__file__).parents[3] / "shared" / "data")
    file = folder / "nb201_reference.csv.gz"
    if not file.is_file():
        pytest.skip(f"needs the reference data {file.name}: set {VARIABLE} to its folder")
    return pd.read_csv(file, dtype={"key": str})


@pytest.fixture(scope="session")
def cell_space():
    return NASBench201Space()


@pytest.fixture(scope="session", params=["nasbench201", "uneven", "shuffled"])
def space(request, cell_space):
    """A space of every kind: the real one, one of unequal decisions, and that one in another order."""
    if request.param == "nasbench201":
        return cell_space
    decisions = [["a", "b"], ["c", "d", "e", "f"], ["g", "h", "i"]]
    order = np.random.default_rng(0).permutation(24) if request.param == "shuffled" else None
    return ProductSpace(request.param, decisions, order)


@pytest.fixture
def streams():
    """Returns the streams of many runs."""

    def make(num_runs, seed=0):
        return RunStreams(np.random.default_rng(seed).integers(0, 2**64, num_runs, dtype=np.uint64))

    return make


@pytest.fixture
def stream():
    """Returns the stream of one run of ``streams``."""

    def make(run, num_runs, seed=0):
        return RunStream(np.random.default_rng(seed).integers(0, 2**64, num_runs, dtype=np.uint64)[run])

    return make
