"""NAS-Bench-Graph: four operations of a graph neural network below nine link patterns.

Qin, Zhang, Zhang, Chen, Zhou and Zhu, "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import mul
from types import EllipsisType
from typing import Any

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.base import RandomSource, SearchSpace, refuse_tuple
from nasbench_harness.spaces.graphs import Graphs, with_ends
from nasbench_harness.spaces.link_patterns import NUM_NODES, canonical_form, orderings

LINK_PATTERNS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
# Proteins was trained with these only.
PROTEINS_OPERATIONS = ("gcn", "sage", "arma", "fc", "skip")


class NASBenchGraphSpace(SearchSpace):
    """The distinct architectures, in the order of their keys: 26,206 of nine operations, 2,021 of proteins' five.

    A *key* is five digits: the link pattern (0 0000, 1 0001, 2 0011, 3 0012, 4 0013, 5 0111, 6 0112, 7 0122, 8 0123)
    and the operation of each node (0 gat, 1 gcn, 2 gin, 3 cheb, 4 sage, 5 arma, 6 graph, 7 fc, 8 skip). The five are
    the decisions. Several choices describe the same architecture; each row is described by the smallest, and the
    operators change that one. Four skip connections are no architecture: there ``from_choices`` and ``from_links``
    answer −1.

    Args:
        operations: Names of the operations to choose from, in the order of ``OPERATIONS``, with ``skip``.

    Raises:
        InvalidInputError: An operation is unknown or out of order, or ``skip`` is missing or alone.

    >>> NASBenchGraphSpace().to_string(0), NASBenchGraphSpace().from_key("87072")
    ('0000:gat:gat:gat:gat', 25168)
    """

    name = "nasbench-graph"

    def __init__(self, operations: Sequence[str] = OPERATIONS) -> None:
        self.operations = tuple(operations)
        known = tuple(name for name in OPERATIONS if name in self.operations)
        if self.operations != known or len(known) < 2 or known[-1] != "skip":
            raise InvalidInputError(
                f"space {self.name}: operations {', '.join(self.operations)} must be some of "
                f"{', '.join(OPERATIONS)}, in this order, with skip"
            )
        self.decisions = (LINK_PATTERNS, *[known] * NUM_NODES)
        self._num_choices = np.array([len(names) for names in self.decisions], dtype=np.int64)
        self._weights = len(known) ** np.arange(NUM_NODES, -1, -1)
        self._links = np.array([[int(digit) for digit in pattern] for pattern in LINK_PATTERNS])
        described = np.arange(self._num_choices.prod())[:, None] // self._weights % self._num_choices
        is_possible = ~self._is_all_skip(described[:, 1:])
        canonical = self._canonical_codes(self._links[described[:, 0]], described[:, 1:])
        codes = np.unique(canonical[is_possible])
        self.num_architectures = len(codes)
        self._index_of_code = np.where(is_possible, np.searchsorted(codes, canonical), -1)
        self._all_choices = described[codes]
        # Column of the table of mutations where each decision's other choices begin.
        self._first_mutation = np.concatenate([[0], np.cumsum(self._num_choices - 1)[:-1]])
        # The same for one architecture at a time: single items of lists cost a fraction of those of arrays.
        self._others_of_one = list(zip(self._first_mutation.tolist(), (self._num_choices - 1).tolist(), strict=True))
        self._weights_of_one = self._weights.tolist()

    def description(self) -> dict[str, Any]:
        """Kind and operations."""
        return {"kind": self.name, "operations": list(self.operations)}

    @property
    def num_choices(self) -> Ints:
        """Number of choices of each decision, shape (5,): link patterns, then operations four times."""
        return self._num_choices

    def choices(self, architectures: Ints) -> Ints:
        """Choice taken at each decision by the description that the key writes, shape (n, 5)."""
        taken: Ints = self._all_choices[architectures]
        return taken

    def from_choices(self, choices: Ints) -> Ints:
        """Architectures that these choices (n, 5) describe, shape (n,); −1 for four skip connections.

        Raises:
            InvalidInputError: A choice is outside its decision.
        """
        taken = np.asarray(choices)
        if ((taken < 0) | (taken >= self._num_choices)).any():
            raise InvalidInputError(f"space {self.name}: a choice is outside 0 … {self._num_choices.tolist()} − 1")
        architectures: Ints = self._index_of_code[taken @ self._weights]
        return architectures

    def from_links(self, links: Ints, operations: Ints) -> Ints:
        """Architectures of any of the 24 link patterns, shape (n,); −1 for four skip connections.

        Args:
            links: The node that each of the four reads, 0 for the input, shape (n, 4).
            operations: Number of each node's operation in ``self.operations``, shape (n, 4).

        Raises:
            InvalidInputError: A node reads itself or a later node, or an operation does not exist.
        """
        links, operations = np.asarray(links), np.asarray(operations)
        if ((links < 0) | (links > np.arange(NUM_NODES))).any():
            raise InvalidInputError(f"space {self.name}: each node must read the input or an earlier node")
        if ((operations < 0) | (operations >= len(self.operations))).any():
            raise InvalidInputError(f"space {self.name}: an operation is outside 0 … {len(self.operations)} − 1")
        architectures: Ints = self._index_of_code[self._canonical_codes(links, operations)]
        return architectures

    def sample(self, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Draw rows uniformly, (len(runs),), one draw each: not the distribution that uniform choices have."""
        return rng.integers(self.num_architectures, None, runs)

    def mutate(self, parents: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Change one decision, uniform, to one of its other choices, uniform: (len(runs),), two draws an attempt.

        A run whose child is its parent or no architecture draws again.
        """
        if isinstance(parents, int | np.integer):
            child = -1
            while child < 0:
                first, num_others = self._others_of_one[int(rng.uniform() * len(self._others_of_one))]
                child = self._mutations.item(parents, first + int(rng.uniform() * num_others))
            return child
        refuse_tuple(parents)
        everyone = np.asarray(parents)

        def attempt(rows: Ints | EllipsisType, runs: Ints | None) -> Ints:
            draws = rng.uniform(2, runs)
            decisions = (draws[:, 0] * len(self._num_choices)).astype(np.int64)
            others = (draws[:, 1] * (self._num_choices[decisions] - 1)).astype(np.int64)
            children: Ints = self._mutations[everyone[rows], self._first_mutation[decisions] + others]
            return children

        return _until_possible(attempt, runs)

    def crossover(self, first: Any, second: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Take each decision from either parent with probability ½: (len(runs),), five draws an attempt.

        A run whose child is no architecture draws again; the child may be one of the parents.
        """
        if isinstance(first, int | np.integer):
            child = -1
            one_choices, other_choices = self._all_choices[first].tolist(), self._all_choices[second].tolist()
            while child < 0:
                pairs = zip(one_choices, other_choices, strict=True)
                taken = [one if rng.uniform() < 0.5 else other for one, other in pairs]
                child = self._index_of_code.item(sum(map(mul, taken, self._weights_of_one)))
            return child
        refuse_tuple(first)
        one, other = np.asarray(first), np.asarray(second)

        def attempt(rows: Ints | EllipsisType, runs: Ints | None) -> Ints:
            from_first = rng.uniform(len(self._num_choices), runs) < 0.5
            choices = np.where(from_first, self._all_choices[one[rows]], self._all_choices[other[rows]])
            children: Ints = self._index_of_code[choices @ self._weights]
            return children

        return _until_possible(attempt, runs)

    def neighbors(self, architectures: Any) -> Any:
        """Distinct architectures that a mutation can reach, ascending; −1 pads: (n, num_neighbors).

        Not symmetric: a changed description may be that of another row, whose own description differs in more.
        """
        if isinstance(architectures, int | np.integer):
            return [neighbor for neighbor in self._neighbor_table[architectures].tolist() if neighbor >= 0]
        refuse_tuple(architectures)
        neighbors: Ints = self._neighbor_table[architectures].astype(np.int64)
        return neighbors

    def graphs(self, architectures: Ints) -> Graphs:
        """Graphs whose inner nodes are the four operations; edges are the links, and leaves feed the output."""
        taken = self._all_choices[architectures]
        reads = np.arange(NUM_NODES + 1) == self._links[taken[:, 0]][:, :, None]  # (n, reader, what it reads)
        edges = np.zeros((len(taken), NUM_NODES + 2, NUM_NODES + 2), dtype=bool)
        edges[:, :-1, 1:-1] = reads.swapaxes(1, 2)
        edges[:, 1:-1, -1] = ~reads.any(axis=1)[:, 1:]
        return Graphs(("input", "output", *self.operations), with_ends(taken[:, 1:] + 2), edges)

    def canonical(self, architectures: Ints) -> Ints:
        """Every row is its own class, as equal architectures share a row; shape (n,)."""
        return np.asarray(architectures, dtype=np.int64)

    def to_key(self, architecture: int) -> str:
        """The five-digit key."""
        pattern, *operations = self._all_choices[architecture]
        return str(pattern) + "".join(str(OPERATIONS.index(self.operations[choice])) for choice in operations)

    def from_key(self, key: str) -> int:
        """Inverse of ``to_key``.

        Raises:
            InvalidInputError: The key is no five digits, names an unknown operation or nothing but skip
                connections, or describes a row that has another key.
        """
        if not isinstance(key, str) or re.fullmatch("[0-8]{5}", key) is None:
            raise InvalidInputError(f"{key!r} is no NAS-Bench-Graph key: expected five digits 0 … 8, as text")
        text = ":".join([LINK_PATTERNS[int(key[0])], *(OPERATIONS[int(digit)] for digit in key[1:])])
        architecture = self.from_string(text)
        if self.to_key(architecture) != key:
            raise InvalidInputError(
                f"{key!r} is no key of the table: the architecture {text} has the key {self.to_key(architecture)!r}"
            )
        return architecture

    def to_string(self, architecture: int) -> str:
        """Link pattern and operations, joined by colons: ``0123:gcn:gat:skip:fc``."""
        pattern, *operations = self._all_choices[architecture]
        return ":".join([LINK_PATTERNS[pattern], *(self.operations[choice] for choice in operations)])

    def from_string(self, text: str) -> int:
        """Index of a string in the form of ``to_string``, in any of its equal descriptions and all 24 link patterns.

        Raises:
            InvalidInputError: The text names no architecture.
        """
        links, *names = text.split(":")
        if len(names) != NUM_NODES or not set(names) <= set(self.operations) or not _is_pattern(links):
            raise InvalidInputError(
                f"{text!r} is no NAS-Bench-Graph architecture: expected links:op:op:op:op with four digits, each the "
                f"number of an earlier node or 0, and op one of {', '.join(self.operations)}"
            )
        sources = np.array([[int(digit) for digit in links]])
        operations = np.array([[self.operations.index(name) for name in names]])
        architecture = int(self.from_links(sources, operations)[0])
        if architecture < 0:
            raise InvalidInputError(f"{text!r} is no architecture: it has nothing but skip connections")
        return architecture

    def _is_all_skip(self, operations: Ints) -> Any:
        return (operations == len(self.operations) - 1).all(axis=1)

    def _canonical_codes(self, links: Ints, operations: Ints) -> Ints:
        """Mixed-radix code of the description that stands for each architecture, shape (n,)."""
        links, operations = canonical_form(links, operations, skip=len(self.operations) - 1)
        patterns = _PATTERN_OF_LINKS[tuple(links.T)]
        codes: Ints = patterns * self._weights[0] + operations @ self._weights[1:]
        return codes

    @cached_property
    def _mutations(self) -> Ints:
        """Row after each other choice of each decision, −1 if it is the same, (num_architectures, num_mutations)."""
        blocks = []
        codes = self._all_choices @ self._weights
        for decision, count in enumerate(self._num_choices):
            taken = self._all_choices[:, decision, None]
            others = np.arange(count - 1)[None, :]
            others = others + (others >= taken)
            blocks.append(self._index_of_code[codes[:, None] + (others - taken) * self._weights[decision]])
        reached = np.concatenate(blocks, axis=1)
        reached[reached == np.arange(self.num_architectures)[:, None]] = -1
        return reached

    @cached_property
    def _neighbor_table(self) -> Ints:
        """Rows of ``_mutations`` without repetitions, as 32-bit integers."""
        behind_all = self.num_architectures
        reached = np.where(self._mutations < 0, behind_all, self._mutations).astype(np.int32)
        reached.sort(axis=1)
        reached[:, 1:][reached[:, 1:] == reached[:, :-1]] = behind_all
        reached.sort(axis=1)
        num_neighbors = (reached < behind_all).sum(axis=1).max()
        return np.where(reached < behind_all, reached, -1)[:, :num_neighbors]


def _pattern_of_links() -> Ints:
    """Number of the link pattern with four given links, shape (1, 2, 3, 4); −1 for those that have no number."""
    numbers = np.full(tuple(range(1, NUM_NODES + 1)), -1)
    for number, pattern in enumerate(LINK_PATTERNS):
        numbers[tuple(int(digit) for digit in pattern)] = number
    return numbers


_PATTERN_OF_LINKS = _pattern_of_links()


def _is_pattern(text: str) -> bool:
    return text.isascii() and text.isdigit() and tuple(map(int, text)) in orderings()


def _until_possible(attempt: Callable[[Ints | EllipsisType, Ints | None], Ints], runs: Ints | None) -> Ints:
    """Children of everyone's first attempt that gave one.

    Args:
        attempt: Takes rows of the batch and their runs; returns children, −1 if there is none.
        runs: Runs of the batch; None: all.
    """
    children = attempt(..., runs)
    failed = np.flatnonzero(children < 0)
    while len(failed):
        children[failed] = attempt(failed, failed if runs is None else np.asarray(runs)[failed])
        failed = failed[children[failed] < 0]
    return children
