import dataclasses

import pytest
import torch

from nasbench_harness.errors import HarnessError, InvalidInputError
from nasbench_harness.trainer import Execution, estimate_seconds, train
from nasbench_harness.trainer.loop.devices import (
    is_out_of_memory,
    needed_memory,
    release_memory,
    stated_arithmetic,
    synchronize,
    torch_device,
    watch_memory,
)
from nasbench_harness.trainer.loop.fitting import with_fitting_stack
from nasbench_harness.trainer.loop.training import StackTraining

from ..conftest import ON_CPU, cell

CELL = cell("320142")
CPU = torch.device("cpu")


def settings():
    return (
        torch.get_num_threads(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )


@pytest.fixture
def limited(monkeypatch):
    """Memory that holds at most so many stacked seeds; returns the sizes of the stacks and batches that were tried."""

    def limit(most, message="CUDA out of memory. Tried to allocate 2 GiB"):
        tried = []
        epoch = StackTraining.epoch

        def checked(self, number):
            tried.append((len(self.seeds), self.recipe.batch_size))
            if len(self.seeds) > most:
                raise torch.OutOfMemoryError(message)
            return epoch(self, number)

        monkeypatch.setattr(StackTraining, "epoch", checked)
        return tried

    return limit


@pytest.mark.parametrize("deterministic", [False, True])
def test_settings_hold_inside_and_are_put_back(deterministic):
    before = settings()
    with stated_arithmetic(CPU, deterministic):
        assert settings() == (1, False, deterministic, deterministic)
    with pytest.raises(ZeroDivisionError), stated_arithmetic(CPU, deterministic):
        _ = 1 / 0
    assert settings() == before


def test_deterministic_training_is_the_same_on_a_cpu(recipe, data):
    one, other = (train(CELL, recipe, data, [1, 2, 3], Execution("cpu", deterministic=how)) for how in (False, True))
    assert [result.train_loss for result in one] == [result.train_loss for result in other]


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_a_gpu_is_initialized_before_its_memory_is_watched(monkeypatch, name):
    calls = []
    monkeypatch.setattr(torch.cuda, "init", lambda: calls.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", calls.append)
    watch_memory(torch.device(name))
    assert calls == ["init", torch.device(name)]


def test_too_small_a_memory_halves_the_stack_and_never_the_batch(recipe, data, limited):
    recipe = dataclasses.replace(recipe, stack=4)
    tried = limited(1)
    results = train(CELL, recipe, data, [5, 6, 7], ON_CPU)
    assert list(dict.fromkeys(tried)) == [(4, 8), (2, 8), (1, 8)]
    assert [result.stack for result in results] == [1, 1, 1]
    assert all("trained 1 at a time" in result.notice for result in results)
    alone = train(CELL, dataclasses.replace(recipe, stack=1), data, [5, 6, 7], ON_CPU)
    assert [result.train_loss for result in results] == [result.train_loss for result in alone]
    assert [result.notice for result in alone] == ["", "", ""]


def test_an_estimate_halves_the_stack_too(recipe, data, monkeypatch):
    steps = StackTraining.steps

    def checked(self, epoch):
        if len(self.seeds) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return steps(self, epoch)

    monkeypatch.setattr(StackTraining, "steps", checked)
    assert estimate_seconds(cell("320142"), recipe, data, ON_CPU) > 0

    def never(self, epoch):
        raise MemoryError

    monkeypatch.setattr(StackTraining, "steps", never)
    with pytest.raises(HarnessError, match="does not fit into the memory"):
        estimate_seconds(cell("320142"), recipe, data, ON_CPU)


def test_a_memory_too_small_for_one_seed_is_one_line(recipe, data, limited):
    limited(0, "not enough memory: you tried to allocate 4096 bytes\nmore lines")
    with pytest.raises(HarnessError, match=r"\|nor_conv_3x3.* memory of cpu: .*4096 bytes$") as error:
        train(CELL, recipe, data, [1], ON_CPU)
    assert "\n" not in str(error.value)


def test_a_real_fault_keeps_its_traceback(recipe, data, monkeypatch):
    def broken(self, number):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(StackTraining, "epoch", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        train(CELL, recipe, data, [1], ON_CPU)


def test_a_huge_allocation_is_recognized():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
    assert str(2**60) in needed_memory(CPU, error.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_the_message_on_a_gpu_has_the_need_of_this_network_and_what_is_free_without_it(recipe, data, monkeypatch):
    """The peak is that since the last try began; memory is asked for when reserves are given back."""
    calls = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "init", lambda: calls.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: calls.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: calls.append("peak") or 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("release"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: calls.append("free") or (2 * 2**20, 9 * 2**20))

    def full(*_):
        calls.append("try")
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(HarnessError, match=r"of cuda: it takes more than 3 MB, 2 MB are free$"):
        with_fitting_stack(CELL, dataclasses.replace(recipe, stack=1), Execution("cuda"), full)
    assert calls == ["init", "reset", "try", "peak", "release", "free"]


def test_mps_is_waited_for_and_gives_its_reserves_back(monkeypatch):
    """Its calls return at once; a clock around them would measure nothing."""
    calls = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: calls.append("wait"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: calls.append("release"))
    synchronize(torch.device("mps"))
    assert release_memory(torch.device("mps")) == ""
    assert calls == ["wait", "release"]


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto").type == "cpu"


def test_devices_by_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert torch_device("cuda:1").index == 1
    with pytest.raises(InvalidInputError, match="device cuda:2 is not there"):
        torch_device("cuda:2")
    for name in ("cuda:x", "cpu:1:1", "", "CUDA"):
        with pytest.raises(InvalidInputError, match="unknown device"):
            torch_device(name)
