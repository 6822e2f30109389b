"""Trees of four nodes below an input, as NAS-Bench-Graph links its operations, and which of them are the same.

A *link pattern* says of each node 1 … 4 which earlier node it reads: 0 is the input. Leaves feed the output. There are
24 patterns, nine up to the order of the nodes.

Qin, Zhang, Zhang, Chen, Zhou and Zhu, "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np

from nasbench_harness.arrays import Bools, Ints

NUM_NODES = 4
Links = tuple[int, ...]
Order = tuple[int, ...]


@cache
def orderings() -> dict[Links, tuple[Links, list[Order]]]:
    """The smallest pattern that each of the 24 turns into, and every order of its nodes that does it.

    Patterns compare lexicographically. ``order[position]`` is the old position of the node that comes there.
    """
    patterns = product(*(range(position + 1) for position in range(NUM_NODES)))
    return {links: min(_reorderings(links).items()) for links in patterns}


def _reorderings(links: Links) -> dict[Links, list[Order]]:
    found: dict[Links, list[Order]] = {}
    for order in permutations(range(NUM_NODES)):
        label = {0: 0} | {old + 1: new + 1 for new, old in enumerate(order)}
        reordered = tuple(label[links[old]] for old in order)
        if all(source <= position for position, source in enumerate(reordered)):
            found.setdefault(reordered, []).append(order)
    return found


def canonical_form(links: Ints, operations: Ints, skip: int) -> tuple[Ints, Ints]:
    """Links and operations of the smallest equal architecture, both (n, 4).

    Skip connections that change nothing are moved to the front; of all orders of the nodes the one with the smallest
    links, then the smallest operations, stands for all.

    Args:
        links: Valid link patterns, shape (n, 4).
        operations: Operation of each node, shape (n, 4).
        skip: The operation that is a skip connection.
    """
    links, operations = _skips_to_the_front(links, operations, skip)
    radix = (int(operations.max(initial=0)) + 1) ** np.arange(NUM_NODES)[::-1]
    smallest_links, smallest_operations = links.copy(), operations.copy()
    patterns = links @ NUM_NODES ** np.arange(NUM_NODES)
    for pattern in np.unique(patterns):
        rows = np.flatnonzero(patterns == pattern)
        smallest, orders = orderings()[tuple(links[rows[0]].tolist())]
        candidates = operations[rows][:, orders]  # (rows, orders, 4)
        chosen = (candidates @ radix).argmin(axis=1)
        smallest_links[rows] = smallest
        smallest_operations[rows] = candidates[np.arange(len(rows)), chosen]
    return smallest_links, smallest_operations


def _skips_to_the_front(links: Ints, operations: Ints, skip: int) -> tuple[Ints, Ints]:
    """Chain every idle skip connection between the input and the nodes that read the input.

    A skip connection is idle if nodes read it, if it is the only reader of its node, and if it leads from the
    input to the output: the last is the benchmark's rule, as the output need not hold the bare input.
    """
    sources, is_idle = links.copy(), np.zeros(links.shape, dtype=bool)
    for node in range(1, NUM_NODES + 1):
        source = sources[:, node - 1]
        is_read = (sources == node).any(axis=1)
        is_only_reader = (sources == source[:, None]).sum(axis=1) == 1
        idle: Bools = (operations[:, node - 1] == skip) & (is_read | is_only_reader | (source == 0))
        sources = np.where(idle[:, None] & (sources == node), source[:, None], sources)
        sources[idle, node - 1] = -1  # reads nothing that others read
        is_idle[:, node - 1] = idle
    order = np.argsort(~is_idle, axis=1, kind="stable")
    # New label of the input as the others see it (the end of the chain) and of each node.
    labels = np.concatenate([is_idle.sum(axis=1, keepdims=True), np.argsort(order, axis=1) + 1], axis=1)
    sources = np.take_along_axis(sources, order, axis=1)
    relabeled = np.take_along_axis(labels, np.maximum(sources, 0), axis=1)
    return np.where(sources < 0, np.arange(NUM_NODES), relabeled), np.take_along_axis(operations, order, axis=1)
