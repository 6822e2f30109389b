"""Spaces that the tests of the spaces share."""

import numpy as np
import pytest

from nasbench_harness.engine.streams import RunStream, RunStreams
from nasbench_harness.spaces import NASBench201Space, ProductSpace


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
