"""Architectures that the trainer can build, and which of them are alike in size."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import cache, cached_property
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.task import Task
from nasbench_harness.spaces import NASBench201Space, ProductSpace, SearchSpace
from nasbench_harness.trainer.networks.structure import structure_of

_WIDTHS = tuple(str(width) for width in range(8, 65, 8))
_NUM_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
_USUAL_CLASSES = 10  # of data sets that are not official
_NUM_NEAREST = 64
_WEIGHTS_OF_KERNELS = np.array([1, 9])  # of a 1×1 and a 3×3 convolution, for each pair of channels
# Data sets of official tables: those of the built-in one, and those of official archives with their schedule.
_OFFICIAL = re.compile(r"(cifar10|cifar100|imagenet16-120)(?:-valid)?(?:-(12|90|200))?")


class Pool(NamedTuple):
    """Possible controls of an architecture.

    Attributes:
        members: Architectures, shape (n,).
        note: Note for the reader if they are not of exactly the same size.
    """

    members: Ints
    note: str = ""


class Trainable(ABC):
    """The architectures of a space that the trainer can build.

    Args:
        space: Cells of NAS-Bench-201, or the widths of NATS-Bench.
        num_classes: Classes of the table's data, for the number of parameters.

    Attributes:
        kind: Kind of networks that a recipe must train.
        default_recipe: Name of the reduced recipe for them.
    """

    kind: Literal["cells", "widths"]
    default_recipe: str

    def __init__(self, space: SearchSpace, num_classes: int = _USUAL_CLASSES) -> None:
        self.space, self.num_classes = space, num_classes

    @cached_property
    def classes(self) -> Ints:
        """Isomorphism class of each architecture, shape (num_architectures,)."""
        return self.space.canonical(np.arange(self.space.num_architectures))

    def name(self, architecture: int) -> str:
        """Short name of an architecture."""
        return self.space.to_string(architecture)

    @abstractmethod
    def is_fit(self) -> Bools:
        """Which architectures can learn at all, shape (num_architectures,)."""

    @cached_property
    def params_m(self) -> Floats:
        """Parameters of the table's networks in millions, shape (num_architectures,)."""
        return self._params_m()

    @abstractmethod
    def _params_m(self) -> Floats: ...

    @abstractmethod
    def alike(self, architecture: int, free: Bools, wanted: int) -> Pool:
        """Free architectures of the same size: at least ``wanted`` if there are so many.

        Args:
            architecture: Index.
            free: Which may be taken, shape (num_architectures,).
            wanted: Number of controls.
        """


class Cells(Trainable):
    """Cells of NAS-Bench-201. Two have the same size if they have the same number of live convolutions of each kernel.

    A convolution is live if it is on a path from input to output. The trainer leaves out the others.
    """

    kind = "cells"
    default_recipe = "animals8-10"
    space: NASBench201Space

    def name(self, architecture: int) -> str:
        """The key of six digits."""
        return self.space.to_key(architecture)

    def is_fit(self) -> Bools:
        """Those with a path from input to output."""
        return self.space.is_connected()

    def _params_m(self) -> Floats:
        return self.space.params_m(self.num_classes)

    def alike(self, architecture: int, free: Bools, wanted: int) -> Pool:
        """Those with the same live convolutions; the nearest in their parameters if they are too few."""
        members = np.flatnonzero(free & (self._live == self._live[architecture]).all(axis=1))
        if len(members) < wanted:
            note = (
                f"fewer than {wanted} unused architectures have the size of {self.name(architecture)}: its controls "
                "are the nearest in parameters"
            )
            return Pool(_nearest(self._live @ _WEIGHTS_OF_KERNELS, architecture, free, wanted), note)
        return Pool(members)

    @cached_property
    def _live(self) -> Ints:
        return self.space.num_live_convolutions()


class Widths(Trainable):
    """Widths of NATS-Bench; no two have quite the same size, so the nearest in parameters stand for it."""

    kind = "widths"
    default_recipe = "animals8-widths-10"

    def is_fit(self) -> Bools:
        """All."""
        return np.ones(self.space.num_architectures, dtype=np.bool_)

    def _params_m(self) -> Floats:
        return _params_of_widths(self.num_classes)

    def alike(self, architecture: int, free: Bools, wanted: int) -> Pool:
        """The nearest in parameters."""
        note = f"controls are drawn from the {max(_NUM_NEAREST, wanted)} nearest in parameters"
        return Pool(_nearest(self.params_m, architecture, free, max(_NUM_NEAREST, wanted)), note)


@cache
def _params_of_widths(num_classes: int) -> Floats:
    """Parameters of all networks in millions, in the order of the space; counting 32,768 networks takes seconds."""
    names = map(":".join, product(_WIDTHS, repeat=5))
    counts: Floats = np.array([structure_of(name, 1, 16, 3, num_classes).num_params() for name in names]) / 1e6
    counts.flags.writeable = False
    return counts


def _nearest(sizes: AnyArray, architecture: int, free: Bools, count: int) -> Ints:
    """Free architectures whose sizes (num_architectures,) are the nearest, shape (count,)."""
    order = np.argsort(np.abs(sizes - sizes[architecture]), kind="stable")
    return order[free[order]][:count]


def trainable(task: Task) -> Trainable:
    """The architectures of a task.

    Raises:
        InvalidInputError: The trainer cannot build them.
    """
    official = _OFFICIAL.fullmatch(task.dataset)
    num_classes = _NUM_CLASSES[official[1]] if official else _USUAL_CLASSES
    if isinstance(task.space, NASBench201Space):
        return Cells(task.space, num_classes)
    if isinstance(task.space, ProductSpace) and task.space.decisions == (_WIDTHS,) * 5:
        return Widths(task.space, num_classes)
    raise InvalidInputError(
        f"task {task.name} cannot be trained: the trainer builds NAS-Bench-201 cells and NATS-Bench widths only"
    )


def can_be_trained(task: Task) -> bool:
    """Whether the trainer can build the task's architectures."""
    try:
        trainable(task)
    except InvalidInputError:
        return False
    return True


def made_the_table(recipe: str, data: str, task: Task) -> bool:
    """Whether the task's values come from this recipe on this data, so that trained values can be compared with them.

    True for the built-in table and for tables of official archives only, and only if the whole schedule is scored.
    """
    official = _OFFICIAL.fullmatch(task.dataset)
    if official is None or official[1] != data:
        return False
    if official[2] is None:
        return task.table.name == "nb201" and recipe == "nb201-200"
    prefix = {"cells": "nb201", "widths": "nats-sss"}[trainable(task).kind]
    return task.provenance.origin == "official" and recipe == f"{prefix}-{official[2]}"
