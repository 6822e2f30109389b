"""Instances: each run sees the space under its own labels, so that a remembered architecture is worthless.

The choices of each decision are permuted independently, by the run's seed. This maps neighbors to neighbors, so a
search that compares observed values only has the same distribution of results. The trace, the noise, the ledger and the
scores hold the architecture itself; only the strategy sees labels.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.hashing import GOLDEN, mix, name_hash, seed_sequence_keys, to_unit
from nasbench_harness.spaces import ProductSpace, SearchSpace

if TYPE_CHECKING:
    from nasbench_harness.evaluation.protocol import Protocol

_PURPOSE = name_hash("instances")


class Labels:
    """The labels of a batch of runs.

    Args:
        space: The space.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,); study seed and run seed alone decide the labels.

    Raises:
        InvalidInputError: The space is no product of choices.
    """

    def __init__(self, space: SearchSpace, study_seed: int, run_seeds: Ints) -> None:
        self._space = _product(space)
        num_choices = space.num_choices
        draws = _draws(study_seed, run_seeds, len(num_choices) * int(num_choices.max()))
        draws = draws.reshape(len(run_seeds), len(num_choices), -1)
        is_choice = np.arange(draws.shape[2]) < num_choices[:, None]
        # Places beyond a decision's choices keep their numbers, at the end.
        self._own = np.argsort(np.where(is_choice, draws, 2.0), axis=2, kind="stable")
        self._shown = np.argsort(self._own, axis=2)

    def own(self, shown: Ints, runs: Ints | None = None) -> Ints:
        """Architectures behind labels.

        Args:
            shown: Indices as the runs see them, −1 for none; the first axis is that of ``runs``.
            runs: Positions of the runs in the batch; None: all of them.
        """
        return self._mapped(self._own, shown, runs)

    def shown(self, own: Ints, runs: Ints | None = None) -> Ints:
        """Inverse of ``own``."""
        return self._mapped(self._shown, own, runs)

    def of_run(self, run: int) -> RelabeledSpace:
        """The space as one run sees it, classes included."""
        return RelabeledSpace(self._space, self, run)

    @property
    def space(self) -> RelabeledSpace:
        """The space as all runs see it."""
        return RelabeledSpace(self._space, self)

    def _mapped(self, choice_of: Ints, architectures: Ints, runs: Ints | None) -> Ints:
        given = np.asarray(architectures)
        flat, positions = given.reshape(-1), np.arange(len(choice_of)) if runs is None else np.asarray(runs)
        each = np.repeat(positions, flat.size // max(1, len(positions)))
        taken = self._space.choices(np.maximum(flat, 0))
        mapped = self._space.from_choices(choice_of[each[:, None], np.arange(taken.shape[1]), taken])
        found: Ints = np.where(flat < 0, flat, mapped).reshape(given.shape)
        return found


class RelabeledSpace(ProductSpace):
    """A product of choices as runs with labels see it: all but the classes are those of the product.

    Args:
        space: The product.
        labels: The labels.
        run: The run whose classes are known; None: several runs, of which each has its own.
    """

    def __init__(self, space: ProductSpace, labels: Labels, run: int | None = None) -> None:
        self.__dict__.update(space.__dict__)
        self._base, self._labels, self._run = space, labels, run

    def canonical(self, architectures: Ints) -> Ints:
        """Smallest label of the same isomorphism class, shape (n,).

        Raises:
            InvalidInputError: The strategy advances several runs together, whose classes differ.
        """
        if self._run is None:
            raise InvalidInputError(
                "instances=relabel: isomorphism classes differ from run to run; write the strategy as a generator, or "
                "leave it out"
            )
        return self._classes_of_run[architectures]

    @cached_property
    def _all_choices(self) -> Ints:
        return self._base._all_choices  # all runs share what the product computes once, if it is asked for

    @cached_property
    def _neighbor_table(self) -> Ints:
        return self._base._neighbor_table

    @cached_property
    def _classes_of_run(self) -> Ints:
        assert self._run is not None
        own = self._labels.own(np.arange(self.num_architectures)[None], np.array([self._run]))[0]
        _, first, class_of = np.unique(self._base.canonical(own), return_index=True, return_inverse=True)
        return np.asarray(first[class_of], dtype=np.int64)

    def to_string(self, architecture: int) -> str:
        """The label as the product writes architectures."""
        return self._base.to_string(architecture)

    def from_string(self, text: str) -> int:
        """Inverse of ``to_string``."""
        return self._base.from_string(text)

    def to_key(self, architecture: int) -> str:
        """The label's key."""
        return self._base.to_key(architecture)

    def from_key(self, key: str) -> int:
        """Inverse of ``to_key``."""
        return self._base.from_key(key)


def labels_of(space: SearchSpace, protocol: Protocol, study_seed: int, run_seeds: Ints) -> Labels | None:
    """Labels under which runs see the space; None if all see it as it is.

    Raises:
        InvalidInputError: The space is no product of choices.
    """
    return Labels(space, study_seed, run_seeds) if protocol.instances == "relabel" else None


def _product(space: SearchSpace) -> ProductSpace:
    """The space, if its runs can have labels.

    Raises:
        InvalidInputError: The space is no product of choices.
    """
    if not isinstance(space, ProductSpace):
        raise InvalidInputError(
            f"instances=relabel permutes the choices of each decision, and space {space.name} is no product of "
            "choices: leave its tasks out"
        )
    return space


def _draws(study_seed: int, run_seeds: Ints, size: int) -> Floats:
    """Numbers in [0, 1), shape (num_runs, size)."""
    keys = seed_sequence_keys([study_seed, _PURPOSE], run_seeds)
    return to_unit(mix(keys[:, None] + np.arange(1, size + 1, dtype=np.uint64) * GOLDEN))
