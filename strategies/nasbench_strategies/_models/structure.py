"""Features of the graphs of architectures: Weisfeiler–Lehman subtrees and paths.

Shervashidze, Schweitzer, van Leeuwen, Mehlhorn and Borgwardt, "Weisfeiler–Lehman Graph Kernels", JMLR 2011; White,
Neiswanger and Savani, "BANANAS", AAAI 2021 (path encoding).

Columns are numbered in the order in which architectures bring them. A later matrix may have more columns than an
earlier one, whose architectures count 0 there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nasbench_harness import Floats, Ints, SearchSpace


class _Counted:
    """Counts of features by architecture, each computed once.

    Args:
        space: The search space.
        num_blocks: Number of blocks of features.
    """

    def __init__(self, space: SearchSpace, num_blocks: int) -> None:
        self._space = space
        self._columns: list[dict[Any, int]] = [{} for _ in range(num_blocks)]
        self._found: dict[int, tuple[list[int], ...]] = {}

    @property
    def num_blocks(self) -> int:
        """Number of blocks."""
        return len(self._columns)

    def counts(self, architectures: Ints) -> tuple[Floats, ...]:
        """How often each feature occurs, one matrix for each block, (n, num_features so far)."""
        own = architectures.tolist()
        new = list(dict.fromkeys(one for one in own if one not in self._found))
        if new:
            graphs = self._space.graphs(np.array(new))
            for one, labels, edges in zip(new, graphs.labels.tolist(), graphs.edges.tolist(), strict=True):
                self._found[one] = self._features(labels, edges)
        matrices = []
        for block, columns in enumerate(self._columns):
            matrix = np.zeros((len(own), len(columns)))
            for row, one in enumerate(own):
                for column in self._found[one][block]:
                    matrix[row, column] += 1
            matrices.append(matrix)
        return tuple(matrices)

    def _features(self, labels: list[int], edges: list[list[bool]]) -> tuple[list[int], ...]:
        """Columns of one architecture in each block, as often as they occur."""
        raise NotImplementedError

    def _column(self, block: int, feature: Any) -> int:
        return self._columns[block].setdefault(feature, len(self._columns[block]))


class Subtrees(_Counted):
    """Subtrees of depth 0, 1, …: a node's label and, in turn, the subtrees of the nodes that it reads.

    Args:
        space: The search space.
        depth: Largest depth.
    """

    def __init__(self, space: SearchSpace, depth: int) -> None:
        super().__init__(space, depth + 1)

    def __call__(self, architectures: Ints) -> tuple[Floats, ...]:
        """Counts of each depth with length 1, (n, num_subtrees): half a squared distance is 1 − cosine."""
        matrices = self.counts(architectures)
        return tuple(matrix / np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in matrices)

    def _features(self, labels: list[int], edges: list[list[bool]]) -> tuple[list[int], ...]:
        nodes = [node for node, label in enumerate(labels) if label >= 0]
        reads = {node: [source for source in nodes if edges[source][node]] for node in nodes}
        tree = {node: self._column(0, labels[node]) for node in nodes}
        found = [list(tree.values())]
        for depth in range(1, self.num_blocks):
            grown = {node: (tree[node], *sorted(tree[source] for source in reads[node])) for node in nodes}
            tree = {node: self._column(depth, feature) for node, feature in grown.items()}
            found.append(list(tree.values()))
        return tuple(found)


class Paths(_Counted):
    """Paths from the input to the output: the labels on the way.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, 1)

    def __call__(self, architectures: Ints) -> Floats:
        """Whether an architecture has each path, (n, num_paths)."""
        (matrix,) = self.counts(architectures)
        return np.minimum(matrix, 1.0)

    def _features(self, labels: list[int], edges: list[list[bool]]) -> tuple[list[int], ...]:
        def onward(node: int) -> Iterator[tuple[int, ...]]:
            if node == len(labels) - 1:
                yield ()
            for target in range(node + 1, len(labels)):
                if edges[node][target]:
                    for rest in onward(target):
                        yield labels[target], *rest

        return ([self._column(0, path) for path in onward(0)],)
