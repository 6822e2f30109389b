"""One counter-based random stream per run, keyed by the run's identity alone.

Draw k = 1, 2, … of a run is u = (mix(key + k · 0x9E3779B97F4A7C15) >> 11) · 2⁻⁵³ with SplitMix64's finalizer; integers
are floor(u · high). There is no state but the counter, so the same algorithm has the same trace whether its runs
advance together (RunStreams) or one at a time (RunStream).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableSequence, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.evaluation.hashing import GOLDEN, Words, mix, name_hash, seed_sequence_keys, to_unit

T = TypeVar("T")
_FIRST_BLOCK, _LARGEST_BLOCK = 64, 512  # draws that a RunStream computes at once


def stream_keys(study_seed: int, strategy: str, task: str, run_seeds: Ints) -> Words:
    """Key of every run's stream, shape (num_runs,).

    Args:
        study_seed: Seed of the study.
        strategy: Registered name or ``module:attribute``; hyperparameters and labels do not enter.
        task: Name of the task.
        run_seeds: Seed of each run, shape (num_runs,).
    """
    return seed_sequence_keys([study_seed, name_hash(strategy), name_hash(task)], run_seeds)


class RunStreams:
    """The streams of a batch of runs.

    Every method takes ``runs``, the indices of the runs that draw (default: all of them); the others' streams do
    not move.

    Args:
        keys: Key of each run's stream, shape (num_runs,).
    """

    def __init__(self, keys: Words) -> None:
        self._positions = keys.copy()
        self._offsets = np.arange(1, 65, dtype=np.uint64) * GOLDEN

    @property
    def num_runs(self) -> int:
        """Number of runs in the batch."""
        return len(self._positions)

    def uniform(self, size: int | None = None, runs: Ints | None = None) -> Any:
        """Draw from [0, 1): shape (len(runs),), or (len(runs), size)."""
        positions = self._positions if runs is None else self._positions[runs]
        if size is None:
            moved = positions + GOLDEN
            words = moved.copy()
        else:
            if size > len(self._offsets):
                self._offsets = np.arange(1, 2 * size + 1, dtype=np.uint64) * GOLDEN
            words = positions[:, None] + self._offsets[:size]
            moved = words[:, -1].copy() if size else positions
        if runs is None:
            self._positions = moved
        else:
            self._positions[runs] = moved
        return to_unit(mix(words))

    def integers(self, high: int | Ints, size: int | None = None, runs: Ints | None = None) -> Ints:
        """Draw from 0 … high − 1: shape (len(runs),), or (len(runs), size); ``high`` may differ per run."""
        if size is not None and np.ndim(high):
            high = np.asarray(high)[:, None]
        integers: Ints = (self.uniform(size, runs) * high).astype(np.int64)
        return integers

    def subsets(self, high: int, size: int, runs: Ints | None = None) -> Ints:
        """Draw ``size`` distinct integers from 0 … high − 1, every ordered subset equally likely: (len(runs), size).

        The first steps of a Fisher–Yates shuffle; one draw an integer.
        """
        draws = self.uniform(size, runs)
        num_runs = len(draws)
        columns = np.arange(num_runs)
        partners = (draws * (high - np.arange(size))).astype(np.int64) + np.arange(size)
        slots = np.ascontiguousarray(partners.T) * num_runs + columns
        deck = np.repeat(np.arange(high), num_runs)  # (high, num_runs), flat
        for position in range(size):
            here = deck[position * num_runs : (position + 1) * num_runs]
            drawn = deck[slots[position]]
            deck[slots[position]] = here
            here[:] = drawn
        return deck[: size * num_runs].reshape(size, num_runs).T


class RunStream:
    """The stream of one run, for strategies written as generators.

    Args:
        key: Key of the run's stream.
    """

    def __init__(self, key: int) -> None:
        self._key = int(key)
        self._draws = chain.from_iterable(_blocks_of(self._key))
        self._draw: Callable[[], float] = self._draws.__next__  # the fastest call that Python has for one number

    def uniform(self, size: int | None = None, runs: None = None) -> Any:
        """Draw a float from [0, 1), or an array (size,) of them."""
        if runs is not None:
            raise TypeError("the stream of one run takes no runs")
        if size is None:
            return self._draw()
        return np.array(list(islice(self._draws, size)), dtype=np.float64)

    def integers(self, high: int, size: int | None = None, runs: None = None) -> Any:
        """Draw an integer from 0 … high − 1, or an array (size,) of them."""
        if size is None and runs is None:
            return int(self._draw() * high)
        return (self.uniform(size, runs) * high).astype(np.int64)

    def subset(self, high: int, size: int) -> list[int]:
        """Draw ``size`` distinct integers from 0 … high − 1, every ordered subset equally likely."""
        deck = list(range(high))
        drawn = []
        for position, draw in enumerate(islice(self._draws, size)):
            partner = position + int(draw * (high - position))
            drawn.append(deck[partner])
            deck[partner] = deck[position]
        return drawn

    def choice(self, items: Sequence[T]) -> T:
        """Draw one of the items, uniform."""
        item: T = items[self.integers(len(items))]
        return item

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Shuffle in place; one draw for each item."""
        items[:] = [items[index] for index in self.subset(len(items), len(items))]

    def numpy_generator(self) -> np.random.Generator:
        """A NumPy generator of its own stream, to wrap a library; takes one draw."""
        return np.random.default_rng([self._key, int(self._draw() * 2**53)])


def _blocks_of(key: int) -> Iterator[list[float]]:
    """The draws of a stream in growing blocks."""
    first, num_draws = 1, _FIRST_BLOCK
    while True:
        counters = np.arange(first, first + num_draws, dtype=np.uint64)
        yield to_unit(mix(np.uint64(key) + counters * GOLDEN)).tolist()
        first += num_draws
        num_draws = min(2 * num_draws, _LARGEST_BLOCK)
