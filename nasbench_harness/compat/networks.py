"""Cells as the official API writes them, and the settings that its model builders read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space, SearchSpace
from nasbench_harness.spaces.nasbench201 import OPERATIONS, cell_string
from nasbench_harness.trainer.networks.structure import WIDTHS_CELL

_NUM_CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}


def cell_lists(text: str) -> list[tuple[tuple[str, int], ...]]:
    """Operations and inputs of each node of a NAS-Bench-201 cell.

    Raises:
        InvalidInputError: The text is no cell.

    >>> cell_lists("|none~0|+|skip_connect~0|none~1|+|none~0|none~1|nor_conv_3x3~2|")[1]
    (('skip_connect', 0), ('none', 1))
    """
    NASBench201Space().from_string(text)
    nodes = [[part.split("~") for part in node.split("|") if part] for node in text.split("+")]
    return [tuple((name, int(source)) for name, source in node) for node in nodes]


def cell_matrix(text: str, operations: Sequence[str] = OPERATIONS) -> Floats:
    """Number of the operation between each pair of nodes of a NAS-Bench-201 cell, shape (4, 4).

    Raises:
        InvalidInputError: The text is no cell, or one of its operations is not in ``operations``.
    """
    matrix = np.zeros((4, 4))
    for node, inputs in enumerate(cell_lists(text), start=1):
        for name, source in inputs:
            if name not in operations:
                raise InvalidInputError(f"this op ({name}) is not in {list(operations)}")
            matrix[node, source] = list(operations).index(name)
    return matrix


def network_settings(space: SearchSpace, text: str, dataset: str) -> Mapping[str, Any]:
    """Settings of a network, as the official model builders read them; empty if the packages know no such network.

    Args:
        space: The search space.
        text: String of the architecture.
        dataset: Official name of the training set.
    """
    if dataset not in _NUM_CLASSES:
        return {}
    classes = {"num_classes": _NUM_CLASSES[dataset]}
    if isinstance(space, NASBench201Space):
        return {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": text, **classes}
    if space.name == "nats-sss":
        return {"name": "infer.shape.tiny", "channels": text, "genotype": cell_string(WIDTHS_CELL), **classes}
    return {}
