"""Simulated seconds of a supernet's passes, in the currency of the task that it is compared on."""

from __future__ import annotations

from dataclasses import dataclass

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.training_data import TrainingData
from nasbench_harness.spaces.nasbench201 import EDGES, OPERATIONS, cell_string
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.trainer.recipe import RECIPES
from nasbench_harness.trainer.supernet.settings import JUDGING, Settings

COST_MODELS = ("table-linear", "published")
# Seconds of 25,000 images, fitted to the training times of NAS-Bench-201 (R² .993): a constant, and the share of each
# operation on one edge. In the table an epoch of CIFAR-100 or ImageNet16-120 costs 2 or 6.068 times one of CIFAR-10,
# and has so many times 25,000 images: an image costs the same on all three.
_IMAGES, _CONSTANT = 25_000, 3.549
_SHARES = {"none": 0.0, "skip_connect": -0.189, "nor_conv_1x1": 1.733, "nor_conv_3x3": 2.283, "avg_pool_3x3": 0.832}
_DATASETS = ("cifar10", "cifar10-valid", "cifar100", "imagenet16-120")
_TRAINED_HERE = "animals8"
# GPU seconds of a whole search as Chen, Gong and Wang, "Neural Architecture Search on ImageNet in Four GPU Hours",
# ICLR 2021, table 1, quote them for the settings of NAS-Bench-201.
_PUBLISHED_S = {"darts-first": 10_889.87, "darts-second": 29_901.67, "gdas": 28_925.91, "enas": 13_314.51}


@dataclass(frozen=True)
class Passes:
    """Images that go through a supernet forward and backward; a forward pass alone counts as a third of one.

    Attributes:
        joint: Images that go through all operations.
        path: Images that go through one operation per edge.
    """

    joint: float = 0.0
    path: float = 0.0


def epoch_passes(method: str, settings: Settings, data: TrainingData, derives: bool) -> Passes:
    """Passes of one epoch.

    Args:
        method: Name of the method.
        settings: All values of the search.
        data: The two halves.
        derives: Whether a cell is derived after the epoch.

    Returns:
        Of the images that train weights: DARTS two joint passes, second order five; GDAS two paths (``gradient=paper``:
        a path and a joint pass); RSPS and ENAS one path; SETN a path and a joint pass. A controller's samples and the
        judged candidates are forward passes.
    """
    num_images = len(data.weight_labels)
    joint, path = _PASSES[method]
    if method == "gdas" and settings.gradient == "paper":
        joint, path = 1, 1
    forward = 0
    if method == "enas":
        forward += settings.controller_updates * settings.controller_samples * settings.reward_images
    if method in JUDGING and derives:
        forward += settings.num_judged * min(settings.judged_images, len(data.selection_labels))
    return Passes(joint * num_images, path * num_images + forward / 3)


_PASSES = {
    "darts-first": (2, 0),
    "darts-second": (5, 0),
    "gdas": (0, 2),
    "rsps": (0, 1),
    "setn": (1, 1),
    "enas": (0, 1),
}


@dataclass(frozen=True)
class PassCost:
    """Seconds per image of a forward and a backward pass.

    Attributes:
        joint_s: Through all operations.
        path_s: Through one operation per edge, on average over the cells.
    """

    joint_s: float
    path_s: float

    def seconds(self, passes: Passes) -> float:
        """Seconds of passes."""
        return self.joint_s * passes.joint + self.path_s * passes.path


def pass_cost(task: str, settings: Settings, data: TrainingData) -> PassCost:
    """Cost of a supernet's passes on a task.

    On the data sets of NAS-Bench-201 a pass costs seconds of the table, whatever network computes it here; an image
    costs the same on all three. On a task of the package's own trainer it costs 3 · operations / 1e10, as a training
    there does.

    Args:
        task: Name of the task.
        settings: The supernet's size.
        data: Images, whose side decides the operations.

    Raises:
        InvalidInputError: The task's training times have no model.

    >>> PassCost(joint_s=0.02, path_s=0.01).seconds(Passes(joint=100, path=50))
    2.5
    """
    if task.endswith(tuple(f"-{name}" for name in _DATASETS)):
        joint = _CONSTANT + len(EDGES) * sum(_SHARES.values())
        path = _CONSTANT + len(EDGES) * sum(_SHARES.values()) / len(_SHARES)
        return PassCost(joint / _IMAGES, path / _IMAGES)
    if task.endswith(f"-{_TRAINED_HERE}"):
        bare, full = _flops(settings, data)
        path = bare + (full - bare) / len(OPERATIONS)
        per_flop = 3 / RECIPES["animals8-10"].flops_per_s
        return PassCost(full * per_flop, path * per_flop)
    raise InvalidInputError(
        f"task {task} has no cost model for supernets: use CIFAR-10, CIFAR-100 or ImageNet16-120 of NAS-Bench-201, or "
        f"a task on {_TRAINED_HERE}"
    )


def _flops(settings: Settings, data: TrainingData) -> tuple[int, int]:
    """Multiply-accumulates of one image: of the skeleton alone, and with all operations on all edges."""

    def with_everywhere(kind: str) -> int:
        cell = cell_string([kind] * len(EDGES))
        network = structure_of(cell, settings.num_cells, settings.channels, data.channels, data.num_classes)
        return network.flops(data.side)

    bare = with_everywhere("none")
    convolutions = sum(with_everywhere(kind) - bare for kind in ("nor_conv_1x1", "nor_conv_3x3"))
    return bare, bare + convolutions


def published_epoch_s(method: str, settings: Settings) -> float:
    """Published seconds of one epoch: those of the whole search over its epochs.

    Raises:
        InvalidInputError: No seconds are published for this method or preset.
    """
    if settings.name != "nb201-official" or method not in _PUBLISHED_S:
        raise InvalidInputError(
            f"cost_model published: seconds are known for {', '.join(_PUBLISHED_S)} under preset nb201-official, not "
            f"for {method} under {settings.name}"
        )
    epochs = 50 if method.startswith("darts") else 250
    return _PUBLISHED_S[method] / epochs


def epoch_seconds(
    cost_model: str, method: str, task: str, settings: Settings, data: TrainingData, derives: bool
) -> float:
    """Simulated seconds of one epoch.

    Args:
        cost_model: ``table-linear`` charges the passes; ``published`` the published seconds.
        method: Name of the method.
        task: Name of the task.
        settings: All values of the search.
        data: The two halves.
        derives: Whether a cell is derived after the epoch.

    Raises:
        UnknownNameError: There is no such model.
        InvalidInputError: It does not fit the method, preset or task.
    """
    if cost_model not in COST_MODELS:
        raise UnknownNameError("cost_model", cost_model, COST_MODELS)
    seconds = pass_cost(task, settings, data).seconds(epoch_passes(method, settings, data, derives))
    return published_epoch_s(method, settings) if cost_model == "published" else seconds
