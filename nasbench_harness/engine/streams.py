"""One counter-based random stream per run, keyed by the run's identity alone.

Draw k = 1, 2, … of a run is u = (mix(key + k · 0x9E3779B97F4A7C15) >> 11) · 2⁻⁵³ with SplitMix64's finalizer; integers
are floor(u · high). There is no state but the counter, so the same algorithm has the same trace whether its runs
advance together (RunStreams) or one at a time (RunStream).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableSequence, Sequence
from itertools import chain, islice
from typing import Any, TypeVar, overload

import numpy as np

from nasbench_harness.arrays import AnyArray, Floats, Ints
from nasbench_harness.engine.draws import check_items, check_subset, cumulative_sums, gumbel, normal, wrong_high
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
    not move. ``RunStream`` has the same methods for one run, with the same draws.

    Args:
        keys: Key of each run's stream, shape (num_runs,).

    >>> rng = RunStreams(np.array([1, 2, 3], dtype=np.uint64))
    >>> rng.integers(10)
    array([5, 5, 1])
    >>> rng.uniform(2, runs=np.array([2])).shape
    (1, 2)
    """

    def __init__(self, keys: Words) -> None:
        self._positions = keys.copy()
        self._offsets = np.arange(1, 65, dtype=np.uint64) * GOLDEN

    @property
    def num_runs(self) -> int:
        """Number of runs in the batch."""
        return len(self._positions)

    def uniform(self, size: int | None = None, runs: Ints | None = None) -> Floats:
        """Draw from [0, 1): shape (len(runs),), or (len(runs), size).

        >>> RunStreams(np.array([1], dtype=np.uint64)).uniform().round(3)
        array([0.567])
        """
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
        """Draw from 0 … high − 1: shape (len(runs),), or (len(runs), size); ``high`` may differ per run.

        Raises:
            InvalidInputError: ``high`` is below 1, as in NumPy's ``integers(0, n)``.

        >>> RunStreams(np.array([1, 2], dtype=np.uint64)).integers(10, 3)
        array([[5, 7, 9],
               [5, 7, 5]])
        """
        if high < 1 if isinstance(high, int) else (np.asarray(high) < 1).any():
            raise wrong_high(high, size)
        if size is not None and np.ndim(high):
            high = np.asarray(high)[:, None]
        integers: Ints = (self.uniform(size, runs) * high).astype(np.int64)
        return integers

    def normal(self, size: int | None = None, runs: Ints | None = None) -> Floats:
        """Draw from the standard normal distribution: (len(runs),), or (len(runs), size); two draws a number.

        Strategies that use it are ``reproducible = "platform"``.

        >>> RunStreams(np.array([1, 2], dtype=np.uint64)).normal(4).shape
        (2, 4)
        """
        numbers = normal(self.uniform(2 if size is None else 2 * size, runs))
        return numbers[:, 0] if size is None else numbers

    def gumbel(self, size: int | None = None, runs: Ints | None = None) -> Floats:
        """Draw from the standard Gumbel distribution: (len(runs),), or (len(runs), size); one draw a number.

        Strategies that use it are ``reproducible = "platform"``.

        >>> RunStreams(np.array([1, 2], dtype=np.uint64)).gumbel().shape
        (2,)
        """
        return gumbel(self.uniform(size, runs))

    def choice(self, items: Any, weights: Any = None, runs: Ints | None = None) -> AnyArray:
        """Draw one of the items for each run, one draw each: shape (len(runs),).

        Args:
            items: Shape (num_items,), or (len(runs), num_items) if they differ per run.
            weights: Chances, up to a factor, in one of the same shapes; None: equal ones.
            runs: Runs that draw.

        Raises:
            InvalidInputError: There are no items, or the weights are no chances.

        >>> rng = RunStreams(np.array([1, 2, 3], dtype=np.uint64))
        >>> rng.choice([30, 40, 50], weights=[0, 1, 0])
        array([40, 40, 40])
        """
        items = np.asarray(items)
        check_items(items.shape[-1] if items.ndim else 0)
        thresholds = self.uniform(None, runs)
        if weights is None:
            positions = (thresholds * items.shape[-1]).astype(np.int64)
        else:
            cumulative = cumulative_sums(weights, items.shape[-1])
            limits = np.nextafter(cumulative[..., -1], 0.0)
            positions = (cumulative <= np.minimum(thresholds * cumulative[..., -1], limits)[:, None]).sum(axis=1)
        chosen: AnyArray = items[positions] if items.ndim == 1 else items[np.arange(len(positions)), positions]
        return chosen

    def permutation(self, high: int, runs: Ints | None = None) -> Ints:
        """Draw an order of 0 … high − 1 for each run, one draw an integer: (len(runs), high).

        >>> sorted(RunStreams(np.array([1], dtype=np.uint64)).permutation(4)[0].tolist())
        [0, 1, 2, 3]
        """
        return self.subsets(high, high, runs)

    def subsets(self, high: int, size: int, runs: Ints | None = None) -> Ints:
        """Draw ``size`` distinct integers from 0 … high − 1, every ordered subset equally likely: (len(runs), size).

        The first steps of a Fisher–Yates shuffle; one draw an integer. ``subset`` is the same.

        >>> RunStreams(np.array([1, 2], dtype=np.uint64)).subsets(30, 3)
        array([[16, 22, 29],
               [17, 22, 18]])
        """
        check_subset(high, size)
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

    subset = subsets


class RunStream:
    """The stream of one run, for strategies written as generators. It cannot be copied or pickled.

    Args:
        key: Key of the run's stream.

    >>> rng = RunStream(1)
    >>> rng.integers(10), rng.uniform() < 1
    (5, True)
    """

    def __init__(self, key: int) -> None:
        self._key = int(key)
        self._draws = chain.from_iterable(_blocks_of(self._key))
        self._draw: Callable[[], float] = self._draws.__next__  # the fastest call that Python has for one number

    @overload
    def uniform(self, size: None = None, runs: None = None) -> float: ...
    @overload
    def uniform(self, size: int, runs: None = None) -> Floats: ...
    def uniform(self, size: int | None = None, runs: None = None) -> Any:
        """Draw a float from [0, 1), or an array (size,) of them.

        >>> round(RunStream(1).uniform(), 3)
        0.567
        """
        if runs is not None:
            raise TypeError("the stream of one run takes no runs")
        if size is None:
            return self._draw()
        return np.array(list(islice(self._draws, size)), dtype=np.float64)

    @overload
    def integers(self, high: int, size: None = None, runs: None = None) -> int: ...
    @overload
    def integers(self, high: int, size: int, runs: None = None) -> Ints: ...
    def integers(self, high: int, size: int | None = None, runs: None = None) -> Any:
        """Draw an integer from 0 … high − 1, or an array (size,) of them.

        Raises:
            InvalidInputError: ``high`` is below 1, as in NumPy's ``integers(0, n)``.

        >>> RunStream(1).integers(10, 3)
        array([5, 7, 9])
        """
        if high < 1:
            raise wrong_high(high, size)
        if size is None and runs is None:
            return int(self._draw() * high)
        return (self.uniform(size, runs) * high).astype(np.int64)

    @overload
    def normal(self, size: None = None) -> float: ...
    @overload
    def normal(self, size: int) -> Floats: ...
    def normal(self, size: int | None = None) -> Any:
        """Draw a float from the standard normal distribution, or an array (size,) of them; two draws a number.

        >>> type(RunStream(1).normal())
        <class 'float'>
        """
        numbers = normal(self.uniform(2 if size is None else 2 * size))
        return float(numbers[0]) if size is None else numbers

    @overload
    def gumbel(self, size: None = None) -> float: ...
    @overload
    def gumbel(self, size: int) -> Floats: ...
    def gumbel(self, size: int | None = None) -> Any:
        """Draw a float from the standard Gumbel distribution, or an array (size,) of them; one draw a number.

        >>> RunStream(1).gumbel(3).shape
        (3,)
        """
        numbers = gumbel(self.uniform(1 if size is None else size))
        return float(numbers[0]) if size is None else numbers

    def choice(self, items: Sequence[T], weights: Any = None) -> T:
        """Draw one of the items; equal chances, or these weights up to a factor.

        Raises:
            InvalidInputError: There are no items, or the weights are no chances.

        >>> RunStream(1).choice(["a", "b", "c"], weights=[0, 2, 0])
        'b'
        """
        num_items = len(items)
        check_items(num_items)
        draw = self._draw()
        if weights is None:
            return items[int(draw * num_items)]
        cumulative = cumulative_sums(weights, num_items)
        threshold = min(draw * cumulative[-1], np.nextafter(cumulative[-1], 0.0))
        return items[int((cumulative <= threshold).sum())]

    def permutation(self, high: int) -> list[int]:
        """Draw an order of 0 … high − 1; one draw an integer.

        >>> sorted(RunStream(1).permutation(4))
        [0, 1, 2, 3]
        """
        return self.subset(high, high)

    def subset(self, high: int, size: int) -> list[int]:
        """Draw ``size`` distinct integers from 0 … high − 1, every ordered subset equally likely.

        ``subsets`` is the same.

        >>> RunStream(1).subset(30, 3)
        [16, 22, 29]
        """
        check_subset(high, size)
        deck = list(range(high))
        drawn = []
        for position, draw in enumerate(islice(self._draws, size)):
            partner = position + int(draw * (high - position))
            drawn.append(deck[partner])
            deck[partner] = deck[position]
        return drawn

    subsets = subset

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Shuffle in place; one draw for each item.

        >>> items = ["a", "b", "c"]
        >>> RunStream(1).shuffle(items)
        >>> sorted(items)
        ['a', 'b', 'c']
        """
        items[:] = [items[index] for index in self.subset(len(items), len(items))]

    def numpy_generator(self) -> np.random.Generator:
        """A NumPy generator of its own stream, to wrap a library; takes one draw.

        >>> RunStream(1).numpy_generator().integers(0, 10) in range(10)
        True
        """
        return np.random.default_rng([self._key, int(self._draw() * 2**53)])


def _blocks_of(key: int) -> Iterator[list[float]]:
    """The draws of a stream in growing blocks."""
    first, num_draws = 1, _FIRST_BLOCK
    while True:
        counters = np.arange(first, first + num_draws, dtype=np.uint64)
        yield to_unit(mix(np.uint64(key) + counters * GOLDEN)).tolist()
        first += num_draws
        num_draws = min(2 * num_draws, _LARGEST_BLOCK)
