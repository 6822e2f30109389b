"""The trainings of the table of trained cells can be repeated."""

import numpy as np
import pytest
import torch

from nasbench_harness.tables.cells_file import read_cells
from nasbench_harness.tables.location import TRAINED_CELLS
from nasbench_harness.trainer import load_data, recipe_of, table_rules
from nasbench_harness.trainer.building import train_class
from nasbench_harness.trainer.data.batches import DeviceImages
from nasbench_harness.trainer.loop.devices import processor_name

from .conftest import ON_CPU

NUM_AGAIN = 20


def test_the_shipped_table_was_trained_by_the_rules_of_today():
    record, rules = read_cells(TRAINED_CELLS).record, dict(table_rules().digests)
    if not is_same_torch(record):
        rules.pop("origin")  # it holds the version of torch
    assert rules.items() <= record.digests.items()


def is_same_torch(record):
    """Whether this version of torch trains as that of the table did: patches do."""
    return {one.rpartition(".")[0] for one in record.versions["torch"]} == {torch.__version__.rpartition(".")[0]}


@pytest.mark.slow
def test_random_cells_trained_again_have_the_same_bytes_or_differ_by_noise():
    """The same bytes on the same machine and version of torch. Elsewhere the difference of two means of three seeds is
    noise of replicates."""
    cells = read_cells(TRAINED_CELLS)
    rows = np.random.default_rng(0).choice(len(cells.architectures), NUM_AGAIN, replace=False)
    recipe, data = recipe_of("animals8-10"), load_data("animals8")
    device, differences, num_equal = torch.device("cpu"), [], 0
    with ON_CPU.applied(device):
        images = DeviceImages(data, recipe, device, torch.float32)
        for row in rows:
            again = train_class(int(cells.architectures[row]), recipe, data, images)
            valid, test = cells.valid_correct[row], cells.test_correct[row]
            num_equal += again.valid_correct == valid.tolist() and again.test_correct == test.tolist()
            differences.append((np.array(again.valid_correct)[-1] - valid[-1]).mean())
    print(f"{num_equal} of {NUM_AGAIN} cells have the same bytes")
    if is_same_torch(cells.record) and cells.record.processors == (processor_name(),):
        assert num_equal == NUM_AGAIN
    noise = np.sqrt(cells.valid_correct[:, -1].var(axis=1, ddof=1).mean() * 2 / 3)
    assert np.abs(differences).max() < 4 * noise
    assert abs(np.mean(differences)) < 4 * noise / np.sqrt(NUM_AGAIN)
