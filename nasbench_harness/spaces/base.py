"""The interface of search spaces."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Bools, Floats, Ints, read_only
from nasbench_harness.spaces.graphs import Graphs, without_structure


class StreamOfMany(Protocol):
    """The streams of many runs, ``RunStreams``: operators then take and return arrays."""

    @property
    def num_runs(self) -> int:
        """Number of runs."""

    def uniform(self, size: int | None = None, runs: Ints | None = None) -> Floats:
        """Draw from [0, 1)."""

    def integers(self, high: int, size: int | None = None, runs: Ints | None = None) -> Ints:
        """Draw from 0 … high − 1."""


class StreamOfOne(Protocol):
    """The stream of one run, ``RunStream``: operators then take and return plain integers."""

    def uniform(self, size: None = None, runs: None = None) -> float:
        """Draw from [0, 1)."""

    def integers(self, high: int, size: None = None, runs: None = None) -> int:
        """Draw from 0 … high − 1."""


# An implementation serves both kinds of streams; the overloads of SearchSpace say what callers get.
RandomSource: TypeAlias = Any


class _MadeOnce(ABCMeta):
    """Makes spaces that cannot be changed: all strategies of a process share them."""

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        space = super().__call__(*arguments, **named)
        vars(space).update(
            {name: read_only(part) for name, part in vars(space).items() if isinstance(part, np.ndarray)}
        )
        space._is_made = True
        return space


def refuse_tuple(architectures: Any) -> None:
    """Refuse an Evaluation, a tuple that numpy would take for an index.

    Raises:
        TypeError: It is a tuple.
    """
    if isinstance(architectures, tuple):
        kind = type(architectures).__name__
        raise TypeError(
            f"an architecture is an integer, and this is a value of type {kind}: pass evaluation.architecture"
        )


class SearchSpace(metaclass=_MadeOnce):
    """A finite set of architectures, numbered 0 … num_architectures − 1.

    The number (*index*) of an architecture is its row in every table over this space. Operators take and return
    arrays of indices; with the stream of one run they take and return plain integers.
    """

    name: str
    num_architectures: int
    decisions: tuple[tuple[str, ...], ...]  # names of the choices of each decision

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and vars(self).get("_is_made"):
            raise AttributeError(f"a search space cannot be changed: {name} is shared by all strategies")
        super().__setattr__(name, value)

    def description(self) -> dict[str, Any]:
        """JSON-able description from which ``spaces.from_description`` builds the same space again."""
        return {"kind": self.name}

    # Whether most combinations of choices are no architecture, so that they must be drawn with ``next_choices``.
    is_sparse: ClassVar[bool] = False

    @property
    def note(self) -> str:
        """A peculiarity of the space that people should know; empty if there is none."""
        return ""

    def next_choices(self, prefixes: Ints) -> Bools:
        """Choices of the next decision that some architecture has whose first choices are these.

        Args:
            prefixes: Choices of the first k decisions of architectures that exist, shape (n, k).

        Returns:
            Shape (n, num_choices of decision k); everything, in spaces that are not sparse.
        """
        return np.ones((len(prefixes), int(self.num_choices[np.shape(prefixes)[1]])), dtype=bool)

    @property
    @abstractmethod
    def num_choices(self) -> Ints:
        """Number of choices of each decision, shape (num_decisions,)."""

    @property
    def num_decisions(self) -> int:
        """Number of decisions that describe an architecture."""
        return len(self.num_choices)

    @abstractmethod
    def choices(self, architectures: Ints) -> Ints:
        """Choice taken at each decision, shape (n, num_decisions)."""

    @abstractmethod
    def from_choices(self, choices: Ints) -> Ints:
        """Architectures with these choices (n, num_decisions), shape (n,); −1 if there is none.

        Several combinations may lead to one architecture: ``choices`` tells which of them stands for it.

        Raises:
            InvalidInputError: A choice is outside 0 … num_choices − 1 of its decision.
        """

    @overload
    def sample(self, rng: StreamOfOne) -> int: ...
    @overload
    def sample(self, rng: StreamOfMany, runs: Ints | None = None) -> Ints: ...
    @abstractmethod
    def sample(self, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Draw architectures uniformly: (len(runs),), one draw each."""

    @overload
    def mutate(self, parents: int, rng: StreamOfOne) -> int: ...
    @overload
    def mutate(self, parents: Ints, rng: StreamOfMany, runs: Ints | None = None) -> Ints: ...
    @abstractmethod
    def mutate(self, parents: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Change one decision, uniform, to one of its other choices, uniform: (len(runs),), two draws an attempt.

        If the result is the parent or no architecture, the run draws again.
        """

    @overload
    def crossover(self, first: int, second: int, rng: StreamOfOne) -> int: ...
    @overload
    def crossover(self, first: Ints, second: Ints, rng: StreamOfMany, runs: Ints | None = None) -> Ints: ...
    @abstractmethod
    def crossover(self, first: Any, second: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Take each decision from either parent with probability ½: (len(runs),), num_decisions draws an attempt.

        If the result is no architecture, the run draws again.
        """

    @overload
    def neighbors(self, architectures: int) -> list[int]: ...
    @overload
    def neighbors(self, architectures: Ints) -> Ints: ...
    @abstractmethod
    def neighbors(self, architectures: Any) -> Any:
        """Distinct architectures one decision away, in the space's fixed order; −1 pads: (n, num_neighbors).

        For one architecture, a plain integer, they are a list of plain integers without padding.
        """

    def one_hot(self, architectures: Ints) -> npt.NDArray[Any]:
        """Indicator of every choice of every decision, float32, shape (n, sum of num_choices)."""
        first = np.concatenate([[0], np.cumsum(self.num_choices)[:-1]])
        hot = np.zeros((len(architectures), int(self.num_choices.sum())), dtype=np.float32)
        np.put_along_axis(hot, self.choices(architectures) + first, 1.0, axis=1)
        return hot

    def graphs(self, architectures: Ints) -> Graphs:
        """Architectures as labeled graphs, for models that read structure.

        Spaces without a structure of their own have one node for each decision, between input and output.

        Args:
            architectures: Indices, shape (n,).
        """
        return without_structure(self.decisions, self.choices(architectures))

    @abstractmethod
    def canonical(self, architectures: Ints) -> Ints:
        """Smallest index that computes the same function (isomorphism class), shape (n,)."""

    @abstractmethod
    def to_string(self, architecture: int) -> str:
        """The architecture as its space's literature writes it."""

    @abstractmethod
    def from_string(self, text: str) -> int:
        """Inverse of ``to_string``; raises InvalidInputError on text that names no architecture."""

    def to_key(self, architecture: int) -> str:
        """The short text that tables use as a key; ``to_string`` if the space has no shorter one."""
        return self.to_string(architecture)

    def from_key(self, key: str) -> int:
        """Inverse of ``to_key``; raises InvalidInputError on text that names no architecture."""
        return self.from_string(key)

    def to_strings(self, architectures: Sequence[int]) -> list[str]:
        """``to_string`` of each."""
        return [self.to_string(int(architecture)) for architecture in architectures]
