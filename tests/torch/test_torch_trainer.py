"""The package's trainer under a verification: device, processes, sizes and estimates."""

import dataclasses

import pytest

pytest.importorskip("torch", reason="needs the extra torch")

import torch

from nasbench_harness import trainer
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer import Execution, recipe_of
from nasbench_harness.trainer.networks.network import Network
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.verification import torch_trainer
from nasbench_harness.verification.torch_trainer import TorchTrainer, chosen_device, makespan
from nasbench_harness.verification.verify import VerifyOptions

SPACE = NASBench201Space()
RECIPE = recipe_of("animals8-10")
SMALL, MIDDLE, LARGE = (SPACE.to_string(SPACE.from_key(key)) for key in ("000100", "300130", "333333"))


def test_parameters_are_those_of_the_network_that_is_trained():
    """Dead convolutions are not in it; a convolution of a dead node leaves its bias."""
    found = TorchTrainer(RECIPE, VerifyOptions(device="cpu"))
    for index in [*range(0, 15_625, 500), *map(SPACE.from_key, ("300333", "023023", "000000", "333333"))]:
        text = SPACE.to_string(index)
        network = Network(structure_of(text, RECIPE.num_cells, RECIPE.channels, 1, 10), [0])
        assert found.num_params(text) == sum(parameter.numel() for parameter in network.parameters()), text


@pytest.mark.parametrize(("num_cores", "expected"), [(2, "auto"), (4, "cpu"), (64, "cpu")])
def test_auto_keeps_small_recipes_on_a_cpu_of_enough_cores(monkeypatch, num_cores, expected):
    monkeypatch.setattr("nasbench_harness.trainer.loop.processes.cpu_count", lambda: num_cores)
    assert chosen_device("auto", RECIPE) == expected
    assert chosen_device("auto", recipe_of("nb201-200")) == "auto"
    assert chosen_device("cuda", RECIPE) == "cuda"


def test_several_processes_on_a_gpu_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = "--jobs 4: on cuda trainings run one after the other: leave --jobs out, or use --device cpu"
    with pytest.raises(InvalidInputError, match=message):
        TorchTrainer(RECIPE, VerifyOptions(device="cuda", jobs=4))
    for jobs in (None, 1):
        TorchTrainer(RECIPE, VerifyOptions(device="cuda", jobs=jobs))


def test_estimates_weigh_operations_and_processes(monkeypatch):
    """The ends are measured: 1 s and 10 s for a stack of two. What is between follows its operations."""
    measured = {SMALL: 1.0, LARGE: 10.0}
    monkeypatch.setattr(trainer, "estimate_seconds", lambda one, *_: measured[one], raising=False)
    found = TorchTrainer(RECIPE, VerifyOptions(device="cpu", jobs=2))
    sizes = [structure_of(one, 1, 8, 1, 10).flops(8) for one in (SMALL, MIDDLE, LARGE)]
    middle = 1 + 9 * (sizes[1] - sizes[0]) / (sizes[2] - sizes[0])
    estimate = found.estimate({MIDDLE: 2, LARGE: 1, SMALL: 4})  # three stacks of two and two of them full
    assert estimate.seconds == pytest.approx(10 + middle + 2 * 1)
    assert estimate.elapsed_s == pytest.approx(max(10, middle + 2))
    assert (estimate.num_processes, estimate.device) == (2, "cpu")
    assert found.estimate({LARGE: 2}).num_processes == 1


def test_the_longest_jobs_are_given_out_first():
    assert makespan([1, 1, 1, 3], 2) == 3
    assert makespan([2, 2, 2], 2) == 4
    assert makespan([5], 3) == 5


@pytest.mark.parametrize(
    ("changes", "unlike"),
    [
        ({"split_origin": "file"}, ""),
        ({"split_origin": "drawn"}, "the halves of the images are not the official ones (--split)"),
        (
            {"split_origin": "drawn", "part": "6 of the 9 published images"},
            "only 6 of the 9 published images were there",
        ),
    ],
)
def test_other_images_than_the_tables_are_named(monkeypatch, changes, unlike):
    data = dataclasses.replace(trainer.load_data(), **changes)
    monkeypatch.setattr(trainer, "load_data", lambda *_: data, raising=False)
    assert TorchTrainer(RECIPE, VerifyOptions(device="cpu")).unlike == unlike


def test_the_largest_stack_is_bounded():
    found = TorchTrainer(RECIPE, VerifyOptions(device="cpu", training_seeds=20))
    assert found._recipe.stack == torch_trainer._LARGEST_STACK
    assert Execution("cpu").checked_device().type == "cpu"
