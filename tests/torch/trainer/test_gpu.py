"""What only a GPU can show: speed at the official size, and the table's own accuracy."""

import dataclasses
import os
import time
from pathlib import Path

import pytest
import torch

from nasbench_harness.trainer import Execution, load_data, recipe_of, train
from nasbench_harness.verification.torch_trainer import _ENOUGH_CORES

from .conftest import cell, small_data
from .test_speed import median_ratio, plain_training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CIFAR = "NASBENCH_CIFAR10"
SPLIT = "NASBENCH_CIFAR10_SPLIT"
WITHIN_PP = 1.5


@pytest.mark.slow
@pytest.mark.parametrize("execution", [Execution("cuda"), Execution("cuda", compiled=True)])
def test_five_times_as_fast_as_the_plain_loop_at_the_official_size(execution):
    """Both include everything of an epoch; wall time, because the device's time is no CPU time."""
    data = small_data(5_120, 1_024, channels=3, side=32, num_classes=10)
    recipe = dataclasses.replace(recipe_of("nb201-200"), epochs=1)
    train(cell("333132"), recipe, data, [0], execution)
    ratio = median_ratio(
        lambda: plain_training("333132", recipe, data, 1, "cuda"),
        lambda: train(cell("333132"), recipe, data, [1], execution),
        clock=time.perf_counter,
    )
    print(f"GPU, 32 × 32, {execution}: {ratio:.2f}")
    assert ratio >= 5


@pytest.mark.slow
def test_the_small_recipe_on_this_gpu_and_on_a_core():
    """``--device auto`` keeps small recipes on a CPU of four cores: a GPU must not be four times a core."""
    images, recipe = load_data(), dataclasses.replace(recipe_of("animals8-10"), epochs=1)
    for device in ("cuda", "cpu"):
        train(cell("333132"), recipe, images, [0, 1, 2], Execution(device))
    ratio = median_ratio(
        lambda: train(cell("333132"), recipe, images, [0, 1, 2], Execution("cpu")),
        lambda: train(cell("333132"), recipe, images, [0, 1, 2], Execution("cuda")),
        clock=time.perf_counter,
    )
    print(f"animals8-10, seconds of one core / of this GPU: {ratio:.2f}")
    assert ratio <= _ENOUGH_CORES


@pytest.mark.slow
def test_twelve_official_epochs_come_near_the_table(reference):
    folder = os.environ.get(CIFAR)
    if folder is None:
        pytest.skip(f"needs the official batches of CIFAR-10: set {CIFAR} to their folder")
    split = os.environ.get(SPLIT)
    data = load_data("cifar10", Path(folder), None if split is None else Path(split))
    (result,) = train(cell("333132"), recipe_of("nb201-12"), data, [777], Execution("cuda"))
    expected = float(reference.loc[reference["key"] == "333132", "val12_cifar10"].iloc[0])
    print(f"trained {result.accuracy:.2f}, table {expected:.2f}")
    assert abs(result.accuracy - expected) <= WITHIN_PP


def test_deterministic_trainings_repeat_their_bits(recipe, data):
    recipe = dataclasses.replace(recipe, gpu_dtype="float32")
    runs = [train(cell("320142"), recipe, data, [1, 2], Execution("cuda", deterministic=True)) for _ in range(2)]
    assert [r.train_loss for r in runs[0]] == [r.train_loss for r in runs[1]]


def test_a_compiled_training_is_the_plain_one(recipe, data):
    """Three epochs of two full batches and a smaller one."""
    recipe = dataclasses.replace(recipe, epochs=3, gpu_dtype="float32")
    plain, other = (
        train(cell("320142"), recipe, data, [1, 2], Execution("cuda", **how)) for how in ({}, {"compiled": True})
    )
    for one, found in zip(plain, other, strict=True):
        assert one.train_loss == pytest.approx(found.train_loss, rel=1e-2)


@pytest.mark.parametrize(("gpu_dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 5e-2)])
def test_a_gpu_trains_what_a_cpu_trains(recipe, data, gpu_dtype, tolerance):
    """One epoch: the same order, crops and start, so losses agree up to rounding."""
    recipe = dataclasses.replace(recipe, epochs=1, gpu_dtype=gpu_dtype)
    there, here = (train(cell("320142"), recipe, data, [1, 2, 3], Execution(device)) for device in ("cuda", "cpu"))
    for one, other in zip(there, here, strict=True):
        assert one.train_loss[0] == pytest.approx(other.train_loss[0], rel=tolerance)
