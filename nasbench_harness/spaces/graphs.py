"""Architectures as directed graphs whose nodes have labels, for kernels and encodings that read structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nasbench_harness.arrays import Bools, Ints

INPUT, OUTPUT = 0, 1  # numbers of the first two labels in every space


class Graphs(NamedTuple):
    """Graphs of architectures. Node 0 is the input, the last node is the output, and edges lead to later nodes.

    Attributes:
        names: Name of each label; the first two are ``input`` and ``output``.
        labels: Label of each node, −1 if the architecture does not have the node, shape (n, num_nodes).
        edges: Whether an edge leads from a node to another, shape (n, num_nodes, num_nodes).
    """

    names: tuple[str, ...]
    labels: Ints
    edges: Bools


def without_structure(decisions: Sequence[Sequence[str]], choices: Ints) -> Graphs:
    """Graphs of a space that says nothing about structure: each decision is a node between input and output.

    Args:
        decisions: Names of the choices of each decision.
        choices: Choices of the architectures, shape (n, num_decisions).

    >>> graphs = without_structure([["a", "b"], ["c", "d"]], np.array([[0, 1]]))
    >>> [graphs.names[label] for label in graphs.labels[0]]
    ['input', '0:a', '1:d', 'output']
    """
    names = [f"{number}:{choice}" for number, decision in enumerate(decisions) for choice in decision]
    first = np.concatenate([[0], np.cumsum([len(decision) for decision in decisions])[:-1]]) + 2
    num_nodes = len(decisions) + 2
    edges = np.zeros((len(choices), num_nodes, num_nodes), dtype=bool)
    edges[:, 0, 1:-1] = edges[:, 1:-1, -1] = True
    return Graphs(("input", "output", *names), with_ends(choices + first), edges)


def with_ends(labels: Ints) -> Ints:
    """Labels of inner nodes (n, k) between those of input and output, shape (n, k + 2)."""
    return np.pad(labels, ((0, 0), (1, 1)), constant_values=((0, 0), (INPUT, OUTPUT)))


def pruned(names: tuple[str, ...], labels: Ints, edges: Bools) -> Graphs:
    """The graphs without nodes that no path from input to output visits; input and output stay.

    Args:
        names: Name of each label.
        labels: Label of each node, −1 if it is missing, shape (n, num_nodes).
        edges: Edges between nodes, also missing ones, shape (n, num_nodes, num_nodes).
    """
    exists = labels >= 0
    edges = edges & exists[:, :, None] & exists[:, None]
    reached, reaching = np.zeros_like(exists), np.zeros_like(exists)
    reached[:, 0] = reaching[:, -1] = True
    last = exists.shape[1] - 1
    for node in range(1, last + 1):
        reached[:, node] = (reached & edges[:, :, node]).any(axis=1)
        reaching[:, last - node] = (reaching & edges[:, last - node]).any(axis=1)
    stays = reached & reaching
    stays[:, [0, -1]] = True
    return Graphs(names, np.where(stays, labels, -1), edges & stays[:, :, None] & stays[:, None])
