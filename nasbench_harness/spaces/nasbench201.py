"""The cell of NAS-Bench-201: six edges of a four-node graph, five operations each.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints, read_only
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.graphs import Graphs, pruned, with_ends
from nasbench_harness.spaces.product import ProductSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# (input node, output node) of each edge, in the order of keys and official strings.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_STRING = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")
# The benchmark's authors numbered the 5⁶ combinations by shuffling them with this seed of Python's generator.
_OFFICIAL_SHUFFLE_SEED = 88


def cell_string(operations: Sequence[str]) -> str:
    """The official string of a cell.

    Args:
        operations: The operation of each edge, in the order of ``EDGES``.

    Example:
        >>> cell_string(["none"] * 6)
        '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'
    """
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*operations)


def cell_operations(text: str) -> tuple[str, ...] | None:
    """The operations of an official string, in the order of ``EDGES``; None if the text describes no cell.

    Example:
        >>> cell_operations("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
        ('none', 'none', 'none', 'skip_connect', 'none', 'none')
    """
    match = _STRING.fullmatch(text)
    return match.groups() if match is not None and set(match.groups()) <= set(OPERATIONS) else None


class NASBench201Space(ProductSpace):
    """The 15,625 cells, indexed in the official order.

    A *key* is six digits, the operation of each edge: 0 none, 1 skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3,
    4 avg_pool_3x3. The official string reads ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    >>> NASBench201Space().to_key(0)
    '421211'
    """

    def __init__(self) -> None:
        order = list(range(len(OPERATIONS) ** len(EDGES)))
        random.Random(_OFFICIAL_SHUFFLE_SEED).shuffle(order)
        super().__init__("nasbench201", [OPERATIONS] * len(EDGES), np.array(order))

    def description(self) -> dict[str, Any]:
        """Nothing but the kind."""
        return {"kind": self.name}

    def to_key(self, architecture: int) -> str:
        """The six-digit key."""
        return "".join(map(str, self._all_choices[architecture]))

    def from_key(self, key: str) -> int:
        """Inverse of ``to_key``; raises InvalidInputError unless the key is six digits 0 … 4."""
        if not isinstance(key, str) or re.fullmatch("[0-4]{6}", key) is None:
            raise InvalidInputError(f"{key!r} is no NAS-Bench-201 key: expected six digits 0 … 4, as text")
        return int(self._index_of_code[int(key, base=5)])

    def to_string(self, architecture: int) -> str:
        """The official string."""
        names = [OPERATIONS[choice] for choice in self._all_choices[architecture]]
        return cell_string(names)

    def from_string(self, text: str) -> int:
        """Index of an official string; raises InvalidInputError on anything else."""
        operations = cell_operations(text)
        if operations is None:
            raise InvalidInputError(
                f"{text!r} is no NAS-Bench-201 cell: expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
                f"with op one of {', '.join(OPERATIONS)}"
            )
        return self.from_key("".join(str(OPERATIONS.index(name)) for name in operations))

    def canonical(self, architectures: Ints) -> Ints:
        """Smallest index of the cells that compute the same function, shape (n,).

        The benchmark's own rule: zeros and skip connections are folded into a string of sorted sums, and equal
        strings are one class: 6,466 classes. Sums inside sums are not flattened, so the rule never merges different
        functions but keeps some equal ones apart.
        """
        return self._classes[architectures]

    @cached_property
    def _classes(self) -> Ints:
        first_of: dict[str, int] = {}
        expressions = _expressions(self._all_choices)
        return read_only(np.array([first_of.setdefault(text, index) for index, text in enumerate(expressions)]))

    def graphs(self, architectures: Ints) -> Graphs:
        """Graphs whose inner nodes are the operations of the edges; an edge joins operations that meet in a node.

        Operations none, and those on no path from the input to the output, are left out.

        >>> space = NASBench201Space()
        >>> graphs = space.graphs(np.array([space.from_key("300002")]))
        >>> [graphs.names[label] for label in graphs.labels[0] if label >= 0]
        ['input', 'output']
        """
        taken = self.choices(architectures)
        names = ("input", "output", *OPERATIONS[1:])
        labels = with_ends(np.where(taken == 0, -1, taken + 1))
        return pruned(names, labels, np.broadcast_to(_meets(), (len(taken), *_meets().shape)))

    def params_m(self, num_classes: int) -> Floats:
        """Parameters in millions of the full network (16 channels, 5 cells a stage), shape (num_architectures,)."""
        one, three = self._count("nor_conv_1x1"), self._count("nor_conv_3x3")
        total = 464 + 128 + 65 * num_classes + np.zeros(self.num_architectures, dtype=np.int64)
        for channels in (16, 32, 64):
            total += 5 * (one * (channels**2 + 2 * channels) + three * (9 * channels**2 + 2 * channels))
        for a, b in ((16, 32), (32, 64)):
            total += 9 * a * b + 2 * b + 9 * b**2 + 2 * b + a * b
        return total / 1e6

    def flops_m(self, num_classes: int, side: int) -> Floats:
        """Multiply-accumulates in millions for images of side × side pixels, shape (num_architectures,)."""
        one, three = self._count("nor_conv_1x1"), self._count("nor_conv_3x3")
        at_32_pixels = 7_782_400 + 3_932_160 * one + 35_389_440 * three
        return (at_32_pixels * (side / 32) ** 2 + 65 * num_classes) / 1e6

    def num_convolutions(self) -> Ints:
        """Number of 1×1 and of 3×3 convolutions of every cell, shape (num_architectures, 2)."""
        return np.stack([self._count("nor_conv_1x1"), self._count("nor_conv_3x3")], axis=1)

    def num_live_convolutions(self) -> Ints:
        """Number of 1×1 and of 3×3 convolutions on a path from the input to the output, as ``num_convolutions``."""
        reached, reaching = self._reached(), np.zeros((self.num_architectures, 4), dtype=bool)
        reaching[:, 3] = True
        is_live = np.zeros((self.num_architectures, len(EDGES)), dtype=bool)
        for edge in reversed(range(len(EDGES))):
            source, target = EDGES[edge]
            leads_on = (self._all_choices[:, edge] != 0) & reaching[:, target]
            reaching[:, source] |= leads_on
            is_live[:, edge] = leads_on & reached[:, source]
        kinds = [OPERATIONS.index(name) for name in ("nor_conv_1x1", "nor_conv_3x3")]
        return np.stack([((self._all_choices == kind) & is_live).sum(axis=1) for kind in kinds], axis=1)

    def is_connected(self) -> Bools:
        """Whether any path of operations other than none leads from the input to the output, per cell."""
        connected: Bools = self._reached()[:, 3]
        return connected

    def _reached(self) -> Bools:
        """Whether a path of operations other than none leads from the input to a node, (num_architectures, 4)."""
        reached = np.zeros((self.num_architectures, 4), dtype=bool)
        reached[:, 0] = True
        for edge, (source, target) in enumerate(EDGES):
            reached[:, target] |= reached[:, source] & (self._all_choices[:, edge] != 0)
        return reached

    def _count(self, operation: str) -> Ints:
        counts: Ints = (self._all_choices == OPERATIONS.index(operation)).sum(axis=1)
        return counts


def _meets() -> Bools:
    """Whether the end of an edge is the start of another, with input and output as edges at the ends, shape (8, 8)."""
    starts, ends = np.array([(-1, 0), *EDGES, (3, 4)]).T
    meets: Bools = ends[:, None] == starts
    return meets


def _expressions(choices: Ints) -> Iterator[str]:
    """Yields the output of each cell as a sorted sum over nested operations; '#' is zero."""
    term, inner = cache(_term), cache(_sum)  # many cells have inner nodes in common
    for first, second, third, *last in choices.tolist():
        one = term(first, "0")
        two = inner(term(second, "0"), term(third, one))
        yield _sum(*map(term, last, ("0", one, two)))


def _sum(*terms: str) -> str:
    return "+".join(sorted(terms))


def _term(operation: int, source: str) -> str:
    if operation == 0 or source == "#":
        return "#"
    return source if operation == 1 else f"({source})@{OPERATIONS[operation]}"
