"""Steps from a recording. Graphs themselves need a GPU; a stand-in shows that a step can be recorded at all."""

import dataclasses
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer import Execution, cache_key, devices, estimate_seconds, train
from nasbench_harness.trainer.batches import DeviceImages, draw_epoch
from nasbench_harness.trainer.graphs import NUM_WARM_UPS, RecordedStep
from nasbench_harness.trainer.training import StackTraining, network_structure

from .conftest import cell
from .recording import record

CPU = torch.device("cpu")


def trained(recipe, data, key, recorder, seeds=(1, 2, 3), epochs=3):
    structure = network_structure(cell(key), recipe, data)
    run = StackTraining(structure, recipe, DeviceImages(data, recipe, CPU, torch.float64), seeds, record=recorder)
    return run, [run.epoch(epoch) for epoch in range(epochs)]


@pytest.fixture
def recordings():
    """Records, and counts the recordings made and repeated."""
    counts = {"made": 0, "repeated": 0}

    def counted(work):
        counts["made"] += 1
        repeat = record(work)

        def again():
            counts["repeated"] += 1
            repeat()

        return again

    counted.counts = counts
    return counted


@pytest.mark.parametrize("key", ["320142", "333132", "000000", "111111"])
@pytest.mark.parametrize("schedule", ["cosine_per_step", "cosine_per_epoch"])
def test_a_recorded_training_is_the_plain_one(recipe, data, recordings, key, schedule):
    """Batches of 8, 8, 6: the third full one is the last that runs as it is, smaller ones always do."""
    recipe = dataclasses.replace(recipe, epochs=4, schedule=schedule, warmup_steps=3)
    plain, expected = trained(recipe, data, key, None, epochs=4)
    recorded, found = trained(recipe, data, key, recordings, epochs=4)
    assert recordings.counts == {"made": 1, "repeated": 8 - NUM_WARM_UPS}
    for (accuracies, losses, finite), (found_accuracies, found_losses, found_finite) in zip(
        expected, found, strict=True
    ):
        assert (found_accuracies, found_finite) == (accuracies, finite)
        assert found_losses == pytest.approx(losses, rel=1e-6)  # the rate on a device is float32
    # The same steps with the rate on the device, each done as it is: every bit is the same.
    stepwise, exact = trained(recipe, data, key, lambda work: work, epochs=4)
    assert found == exact
    for value, other in zip(
        stepwise.network.state_dict().values(), recorded.network.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other)
    for (name, value), other in zip(
        plain.network.state_dict().items(), recorded.network.state_dict().values(), strict=True
    ):
        assert torch.allclose(value, other, rtol=1e-5, atol=1e-7), name


class Devices(TorchDispatchMode):
    """Devices of all tensors that operations take and make; the fused step has no form without numbers."""

    def __init__(self):
        super().__init__()
        self.seen, self.num_operations = set(), 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        is_fused_step = operation is torch.ops.aten._fused_sgd_.tensor_lr
        results = None if is_fused_step else operation(*args, **kwargs)
        self.seen |= {one.device.type for one in tree_leaves([args, kwargs, results]) if isinstance(one, torch.Tensor)}
        self.num_operations += 1
        return results


@pytest.mark.parametrize("key", ["320142", "333132", "000000"])
def test_a_step_neither_leaves_the_device_nor_asks_for_its_numbers(recipe, data, monkeypatch, key):
    """On the device that has no numbers: a transfer, or a number needed in Python, cannot be recorded."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **how: nullcontext())  # not there without numbers
    images = DeviceImages(data, recipe, torch.device("meta"), torch.float32)
    run = StackTraining(network_structure(cell(key), recipe, data), recipe, images, [1, 2, 3], record=record)
    run.optimizer.is_fused = True
    devices = Devices()
    for drawn in images.batch_draws(draw_epoch([1, 2, 3], 0, 22, 1, True), 8):
        rate = torch.full((), 0.1, device="meta")
        with devices:
            run._step(*drawn, rate)
    assert devices.seen == {"meta"}
    assert devices.num_operations > 100


def test_a_seed_that_diverges_is_seen_in_a_recording_too(recipe, data, recordings):
    _, epochs = trained(dataclasses.replace(recipe, learning_rate=1e30), data, "320142", recordings)
    assert epochs[-1][2] == [False] * 3
    assert recordings.counts["repeated"]


def test_a_step_that_reads_what_changes_would_be_found(recordings):
    """The stand-in repeats operations, not Python: a number from outside stays what it was."""
    total, rates = torch.zeros(()), iter(range(1, 9))
    repeated = RecordedStep(recordings)
    for _ in range(NUM_WARM_UPS + 3):
        repeated(lambda rate: total.add_(rate * next(rates)), torch.ones(()))
    assert total == sum(range(1, NUM_WARM_UPS + 1)) + 3 * (NUM_WARM_UPS + 1)


def test_inputs_of_another_shape_run_as_they_are(recordings):
    seen, done = [], torch.zeros(())
    repeated = RecordedStep(recordings)

    def step(values):
        seen.append(len(values))
        done.add_(values.sum())

    for size in (4, 2, 4, 2, 4, 2, 4, 4, 2):
        repeated(step, torch.ones(size))
    assert seen == [4, 2, 4, 2, 4, 2, 4, 2]
    assert recordings.counts == {"made": 1, "repeated": 2}
    assert done == 28


def test_training_and_estimating_record_where_that_is_asked_for(recipe, data, recordings, monkeypatch):
    monkeypatch.setattr(Execution, "checked_device", lambda self: CPU)
    monkeypatch.setattr(devices, "recordable", lambda device: nullcontext())
    monkeypatch.setattr(devices, "cuda_graph", recordings)
    expected = train(cell("320142"), recipe, data, [1, 2, 3, 4], Execution())
    assert recordings.counts["made"] == 0
    found = train(cell("320142"), recipe, data, [1, 2, 3, 4], Execution(cuda_graphs=True))
    assert recordings.counts == {"made": 2, "repeated": 2}  # two stacks of two full batches in each of two epochs
    for one, other in zip(expected, found, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
    recipe = dataclasses.replace(recipe, batch_size=2)
    assert estimate_seconds(cell("320142"), recipe, data, Execution(cuda_graphs=True)) > 0
    assert recordings.counts == {"made": 3, "repeated": 2 + 11 - NUM_WARM_UPS}


def test_graphs_are_for_gpus(recipe, data, monkeypatch):
    with pytest.raises(InvalidInputError, match="no CUDA graphs on cpu: leave --cuda-graphs out"):
        train(cell("320142"), recipe, data, [1], Execution("cpu", cuda_graphs=True))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    keys = [cache_key("x", 1, recipe, data, Execution("cuda", cuda_graphs=one)) for one in (False, True)]
    assert keys[0] != keys[1]
