"""A random forest on categorical decisions that grows all its trees together, level by level.

Breiman, "Random Forests", Machine Learning 2001. Array operations over all nodes of a level are faster than ten trees
of scikit-learn on 150 results, and need no further package.
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, Ints

_LEAF = -1


class Forest:
    """Regression trees that split by "this decision takes this choice".

    Args:
        choices: Choices of the evaluated architectures, shape (n, num_decisions).
        targets: Their losses, shape (n,).
        num_choices: Number of choices of each decision, shape (num_decisions,).
        generator: Generator for the bootstrap samples and for the splits that a node may use.
        num_trees: Number of trees.
        min_leaf: Fewest results in a leaf, counted with their multiplicity in the bootstrap sample.
        split_share: Chance of each possible split to be tried at a node.
    """

    def __init__(
        self,
        choices: Ints,
        targets: Floats,
        num_choices: Ints,
        generator: np.random.Generator,
        *,
        num_trees: int = 10,
        min_leaf: int = 3,
        split_share: float = 0.8,
    ) -> None:
        self._first = np.concatenate([[0], np.cumsum(num_choices)[:-1]])  # number of each decision's first split
        num_splits, num_results = int(num_choices.sum()), len(targets)
        rows = generator.integers(num_results, size=num_trees * num_results)  # the bootstrap samples, one after another
        splits, values = (choices + self._first)[rows], targets[rows]
        nodes = np.repeat(np.arange(num_trees), num_results)
        self._num_trees, self._split, self._child = num_trees, [], []
        self._mean, self._variance = [], []
        first_node, num_nodes = 0, num_trees
        while num_nodes:
            local = nodes - first_node
            total = np.bincount(local, values, num_nodes)
            count = np.bincount(local, minlength=num_nodes)
            mean = total / count
            self._mean.append(mean)
            self._variance.append(np.maximum(np.bincount(local, values**2, num_nodes) / count - mean**2, 0.0))
            cells = (local[:, None] * num_splits + splits).ravel()
            shape, size = (num_nodes, num_splits), num_nodes * num_splits
            yes = np.bincount(cells, minlength=size).reshape(shape)
            yes_total = np.bincount(cells, np.repeat(values, splits.shape[1]), size).reshape(shape)
            no, no_total = count[:, None] - yes, total[:, None] - yes_total
            is_possible = (np.minimum(yes, no) >= min_leaf) & (generator.random(shape) < split_share)
            gain = yes_total**2 / np.maximum(yes, 1) + no_total**2 / np.maximum(no, 1) - (total * mean)[:, None]
            gain[~is_possible] = 0.0
            best = gain.argmax(axis=1)
            divides = gain[np.arange(num_nodes), best] > 1e-9
            self._split.append(np.where(divides, best, _LEAF))
            first_child = first_node + num_nodes + 2 * (np.cumsum(divides) - 1)
            self._child.append(first_child)
            stays = divides[local]
            local, splits, values = local[stays], splits[stays], values[stays]
            nodes = first_child[local] + (splits == best[local, None]).any(axis=1)
            first_node, num_nodes = first_node + num_nodes, 2 * int(divides.sum())
        self._depth = len(self._split)
        self._splits, self._children = np.concatenate(self._split), np.concatenate(self._child)
        self._means, self._variances = np.concatenate(self._mean), np.concatenate(self._variance)
        self._num_splits = num_splits

    def predict(self, choices: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the losses of candidates, both (n,).

        The variance is that of the trees' means plus the mean variance in the leaves.

        Args:
            choices: Shape (n, num_decisions).
        """
        hot = np.zeros((len(choices), self._num_splits + 1), dtype=np.int64)
        np.put_along_axis(hot, choices + self._first, 1, axis=1)
        rows = np.arange(len(choices))[:, None]
        nodes = np.broadcast_to(np.arange(self._num_trees), (len(choices), self._num_trees))
        for _ in range(self._depth - 1):
            split = self._splits[nodes]
            nodes = np.where(split == _LEAF, nodes, self._children[nodes] + hot[rows, split])
        means = self._means[nodes]
        variance = means.var(axis=1) + self._variances[nodes].mean(axis=1)
        return means.mean(axis=1), np.sqrt(np.maximum(variance, 1e-12))
