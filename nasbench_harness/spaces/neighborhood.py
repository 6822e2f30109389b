"""Neighbors in a list of architectures that has gaps."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints

_NUM_NEAREST = 8  # neighbors of an architecture that has fewer of its own, if the decisions allow as many


class Neighborhood:
    """Neighbors of every architecture of a list, found when they are asked for.

    *Own* neighbors differ in one decision. They stand in ascending order of the decision, then of the choice. An
    architecture with fewer than ``num_nearest`` of them has its nearest architectures instead.

    Args:
        choices: Choice of each architecture at each decision, shape (num_architectures, num_decisions).
        num_choices: Number of choices of each decision, shape (num_decisions,).

    Attributes:
        num_nearest: Number of neighbors that every architecture has at least.

    >>> line = Neighborhood(np.array([[0], [1], [2]]), np.array([3]))
    >>> line.at(np.array([1, 1]), np.array([0, 1])).tolist()
    [0, 2]
    """

    def __init__(self, choices: Ints, num_choices: Ints) -> None:
        self._choices, self._num_choices = choices, num_choices
        of_product = int((num_choices - 1).sum())  # neighbors of an architecture if no combination were missing
        self.num_nearest = min(_NUM_NEAREST, of_product, len(choices) - 1)

    @cached_property
    def num_own(self) -> Ints:
        """Number of architectures that differ in one decision, shape (num_architectures,)."""
        counts: Ints = self._counts_near.sum(axis=1)
        return counts

    @cached_property
    def most(self) -> int:
        """Largest number of neighbors of an architecture."""
        return max(int(self.num_own.max()), self.num_nearest)

    def count(self, rows: Ints) -> Ints:
        """Number of neighbors of each row, shape (n,)."""
        return np.maximum(self.num_own[rows], self.num_nearest)

    def at(self, rows: Ints, positions: Ints) -> Ints:
        """The neighbor at a position of each row's list, shape (n,)."""
        is_few = self.num_own[rows] < self.num_nearest
        found = self._near(rows, np.where(is_few, 0, positions))
        few = rows[is_few]
        for row in np.unique(few[self._nearest[few, 0] < 0]):
            self._nearest[row] = self._find_nearest(row)
        found[is_few] = self._nearest[few, positions[is_few]]
        return found

    def _near(self, rows: Ints, positions: Ints) -> Ints:
        """The neighbor at a position of each row's list of those that differ in one decision, shape (n,)."""
        orders, starts, _, places = self._groups
        ends = np.cumsum(self._counts_near[rows], axis=1)
        decisions = np.minimum((positions[:, None] >= ends).sum(axis=1), self._choices.shape[1] - 1)
        each = np.arange(len(rows))
        offsets = positions - ends[each, decisions] + self._counts_near[rows, decisions]
        offsets = offsets + (offsets >= places[rows, decisions])
        places_in_order = np.minimum(starts[rows, decisions] + offsets, len(self._choices) - 1)
        near: Ints = orders[decisions, places_in_order].astype(np.int64)
        return near

    # For each decision, architectures sorted so that those that agree in all *other* decisions stand together.
    @cached_property
    def _groups(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Order (num_decisions, n); start and size of each one's group and its place there, (n, num_decisions)."""
        orders: list[Ints] = []
        starts: list[Ints] = []
        sizes: list[Ints] = []
        places: list[Ints] = []
        for decision, taken in enumerate(self._choices.T):
            group = self._group(decision)
            order = np.lexsort((taken, group))
            count = np.bincount(group)
            start = (np.cumsum(count) - count)[group]
            place = np.empty_like(order)
            place[order] = np.arange(len(order))
            for parts, part in ((orders, order), (starts, start), (sizes, count[group]), (places, place - start)):
                parts.append(part.astype(np.int32))  # half the memory
        return np.array(orders), np.array(starts).T, np.array(sizes).T, np.array(places).T

    def _group(self, decision: int) -> Ints:
        """A number for each architecture, the same if all decisions but one agree, shape (num_architectures,)."""
        if math.prod(self._num_choices.tolist()) < 2**63:  # one number tells all choices
            weights = np.concatenate([np.cumprod(self._num_choices[:0:-1])[::-1], [1]]).astype(np.int64)
            weights[decision] = 0
            group: Ints = np.unique(self._choices @ weights, return_inverse=True)[1]
        else:
            others = np.delete(self._choices, decision, axis=1)
            group = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1)
        return group

    @cached_property
    def _counts_near(self) -> Ints:
        """Number of architectures that differ in exactly this decision, shape (n, num_decisions)."""
        counts: Ints = self._groups[2] - 1
        return counts

    @cached_property
    def _nearest(self) -> Ints:
        """Nearest architectures of those that were asked about, −1 of the others: (num_architectures, num_nearest)."""
        return np.full((len(self._choices), self.num_nearest), -1, dtype=np.int32)

    def _find_nearest(self, row: int) -> Ints:
        distance = np.zeros(len(self._choices), dtype=np.int32)
        for taken in self._columns:
            distance += taken != taken[row]
        distance[row] = self._choices.shape[1] + 1
        farthest = np.partition(distance, self.num_nearest - 1)[self.num_nearest - 1]
        near = np.flatnonzero(distance <= farthest)
        nearest: Ints = near[np.argsort(distance[near], kind="stable")][: self.num_nearest]
        return nearest

    @cached_property
    def _columns(self) -> AnyArray:
        """The choices by decision, (num_decisions, num_architectures)."""
        return np.ascontiguousarray(self._choices.T, dtype=np.int32)
