"""Second implementations, written with loops and NumPy, to compare the scores with."""

import numpy as np
import pytest
import torch

from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer.proxies import Macro, build_network, make_batch

torch.set_num_threads(1)
SPACE = NASBench201Space()
SMALL = Macro(num_cells=1, channels=4, side=8, num_classes=10, batch_size=12)
# Dead sources (230240, 033300), dead targets (330001), disconnected (000000, 000321), pools and skips only, all 3 × 3.
KEYS = ["333333", "333132", "230240", "033300", "330001", "444444", "111111", "421211", "303101", "204314", "000000"]
DISCONNECTED = ["000000", "000321"]


def cell(key):
    return SPACE.to_string(SPACE.from_key(key))


def choices(keys):
    return np.array([[int(digit) for digit in key] for key in keys])


def network(key, macro=SMALL, seed=0):
    return build_network(cell(key), macro, seed)


@pytest.fixture(scope="session")
def batch():
    return make_batch("noise", SMALL)
