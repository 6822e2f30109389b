"""Spaces whose decisions are independent of each other."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from operator import mul
from typing import Any

import numpy as np

from nasbench_harness.arrays import Ints, read_only
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.base import RandomSource, SearchSpace, refuse_tuple
from nasbench_harness.untrusted import is_plain

MOST_ARCHITECTURES = 10_000_000  # a table has a row for each of them
_MOST_NEIGHBORS = 1 << 23  # of all architectures together, 64 MB; a larger space finds them when they are asked for


class ProductSpace(SearchSpace):
    """Every combination of the choices of each decision.

    Args:
        name: Name of the space.
        decisions: The names of the choices of each decision.
        order: Mixed-radix code of the architecture at each index, shape (num_architectures,); the first decision is
            the most significant digit. Default: ascending codes.
        separator: Text between the choices in an architecture's name.
        classes: Smallest index of the architectures that are the same network, shape (num_architectures,). Default:
            all are different.

    Raises:
        InvalidInputError: A decision has fewer than two choices or equal names, a name cannot be printed, there are
            more than 10 million combinations, or ``order`` is no permutation.
    """

    def __init__(
        self,
        name: str,
        decisions: Sequence[Sequence[str]],
        order: Ints | None = None,
        *,
        separator: str = ":",
        classes: Ints | None = None,
    ) -> None:
        self.name, self.separator = name, separator
        self.decisions = tuple(tuple(names) for names in decisions)
        if not self.decisions or min(map(len, self.decisions)) < 2:
            raise InvalidInputError(f"space {name}: every decision needs at least two choices")
        for position, names in enumerate(self.decisions):
            is_clear = not any((separator and separator in choice) or not choice for choice in names)
            if len(set(names)) < len(names) or not is_clear:
                raise InvalidInputError(
                    f"space {name}: decision {position} needs different names without {separator!r}, not "
                    f"{', '.join(names)}"
                )
        if not all(map(is_plain, (name, separator, *chain.from_iterable(self.decisions)))):
            raise InvalidInputError("the names of a space and its choices must be printable text on one line")
        size = math.prod(map(len, self.decisions))
        if size > MOST_ARCHITECTURES:
            raise InvalidInputError(f"space {name}: {size:,} combinations are more than {MOST_ARCHITECTURES:,}")
        self._num_choices = np.array([len(names) for names in self.decisions], dtype=np.int64)
        self.num_architectures = size
        self._weights = np.concatenate([np.cumprod(self._num_choices[:0:-1])[::-1], [1]]).astype(np.int64)
        self._codes = np.arange(self.num_architectures) if order is None else np.asarray(order, dtype=np.int64)
        self._index_of_code = np.full(self.num_architectures, -1, dtype=np.int64)
        if not np.array_equal(np.sort(self._codes), np.arange(self.num_architectures)):
            raise InvalidInputError(f"space {name}: order is no permutation of 0 … {self.num_architectures - 1}")
        self._index_of_code[self._codes] = np.arange(self.num_architectures)
        self._classes_given = None if classes is None else checked_classes(name, classes, size)
        self._is_tabulated = size * int((self._num_choices - 1).sum()) <= _MOST_NEIGHBORS
        # Column of the neighbor table where each decision's other choices begin.
        self._first_neighbor = np.concatenate([[0], np.cumsum(self._num_choices - 1)[:-1]])
        # The same for one architecture at a time: single items of lists cost a fraction of those of arrays.
        self._others_of_one = list(zip(self._first_neighbor.tolist(), (self._num_choices - 1).tolist(), strict=True))
        self._weights_of_one = self._weights.tolist()

    def description(self) -> dict[str, Any]:
        """Kind, name, decisions, and the order, separator and classes if they are not the usual ones."""
        ascending = np.array_equal(self._codes, np.arange(self.num_architectures))
        order = {} if ascending else {"order": self._codes.tolist()}
        separator = {} if self.separator == ":" else {"separator": self.separator}
        classes = {} if self._classes_given is None else {"classes": self._classes_given.tolist()}
        decisions = [list(names) for names in self.decisions]
        return {"kind": "product", "name": self.name, "decisions": decisions, **order, **separator, **classes}

    @property
    def num_choices(self) -> Ints:
        """Number of choices of each decision, shape (num_decisions,)."""
        return self._num_choices

    @cached_property
    def _all_choices(self) -> Ints:
        return read_only(self._codes[:, None] // self._weights % self._num_choices)

    @cached_property
    def _neighbor_table(self) -> Ints:
        """Every neighbor of every architecture, shape (num_architectures, num_neighbors)."""
        return read_only(self._neighbors_of(np.arange(self.num_architectures)))

    def _neighbors_of(self, architectures: Any) -> Ints:
        """Their neighbors, shape (…, num_neighbors); ``architectures`` is all that can index an array."""
        chosen = self._index_of_code[self._codes[architectures]][..., None]
        blocks = [
            self._neighbor(chosen, decision, np.arange(count - 1))
            for decision, count in enumerate(self._num_choices.tolist())
        ]
        return np.concatenate(blocks, axis=-1)

    def _neighbor(self, architectures: Any, decisions: Any, offsets: Any) -> Any:
        """Neighbors that take another choice at a decision; ``offsets`` count the choices that are not taken."""
        taken = self._all_choices[architectures, decisions]
        choices = offsets + (offsets >= taken)
        return self._index_of_code[self._codes[architectures] + (choices - taken) * self._weights[decisions]]

    def choices(self, architectures: Ints) -> Ints:
        """Choice taken at each decision, shape (n, num_decisions)."""
        return self._all_choices[architectures]

    def from_choices(self, choices: Ints) -> Ints:
        """Architectures with these choices (n, num_decisions), shape (n,).

        Raises:
            InvalidInputError: A choice is outside 0 … num_choices − 1 of its decision.
        """
        taken = np.asarray(choices)
        if ((taken < 0) | (taken >= self._num_choices)).any():
            raise InvalidInputError(f"space {self.name}: a choice is outside 0 … {self._num_choices.tolist()} − 1")
        architectures: Ints = self._index_of_code[taken @ self._weights]
        return architectures

    def sample(self, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Draw architectures uniformly: (len(runs),), one draw each."""
        return rng.integers(self.num_architectures, None, runs)

    def mutate(self, parents: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Change one decision, uniform, to one of its other choices, uniform: (len(runs),), two draws each."""
        if isinstance(parents, int | np.integer):
            decision = int(rng.uniform() * len(self._others_of_one))
            first, num_others = self._others_of_one[decision]
            offset = int(rng.uniform() * num_others)
            if self._is_tabulated:
                return self._neighbor_table.item(parents, first + offset)
            return int(self._neighbor(parents, decision, offset))
        refuse_tuple(parents)
        draws = rng.uniform(2, runs)
        decisions = (draws[:, 0] * self.num_decisions).astype(np.int64)
        offsets = (draws[:, 1] * (self._num_choices[decisions] - 1)).astype(np.int64)
        if self._is_tabulated:
            return self._neighbor_table[parents, self._first_neighbor[decisions] + offsets]
        return self._neighbor(parents, decisions, offsets)

    def crossover(self, first: Any, second: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Take each decision from either parent with probability ½: (len(runs),), num_decisions draws each."""
        if isinstance(first, int | np.integer):
            pairs = zip(self._all_choices[first].tolist(), self._all_choices[second].tolist(), strict=True)
            taken = [one if rng.uniform() < 0.5 else other for one, other in pairs]
            return self._index_of_code.item(sum(map(mul, taken, self._weights_of_one)))
        refuse_tuple(first)
        from_first = rng.uniform(self.num_decisions, runs) < 0.5
        choices = np.where(from_first, self._all_choices[first], self._all_choices[second])
        return self._index_of_code[choices @ self._weights]

    def neighbors(self, architectures: Any) -> Any:
        """Architectures one decision away, ascending by decision, then choice: (n, num_neighbors)."""
        if isinstance(architectures, int | np.integer):
            if self._is_tabulated:
                return self._neighbor_table[architectures].tolist()
            return self._neighbors_of(np.array([architectures]))[0].tolist()
        refuse_tuple(architectures)
        return self._neighbor_table[architectures] if self._is_tabulated else self._neighbors_of(architectures)

    def canonical(self, architectures: Ints) -> Ints:
        """Smallest index of the same network, shape (n,); the architecture itself unless classes were declared."""
        own = np.asarray(architectures, dtype=np.int64)
        return own if self._classes_given is None else self._classes_given[own]

    def to_string(self, architecture: int) -> str:
        """Names of the choices, joined by the separator."""
        taken = self._all_choices[architecture]
        return self.separator.join(names[choice] for names, choice in zip(self.decisions, taken, strict=True))

    def from_string(self, text: str) -> int:
        """Inverse of ``to_string``; raises InvalidInputError on text that names no architecture."""
        parts = self._split(text)
        if len(parts) != self.num_decisions:
            raise InvalidInputError(
                f"{text!r} has {len(parts)} choices but space {self.name} has {self.num_decisions} decisions"
            )
        for decision, (part, names) in enumerate(zip(parts, self.decisions, strict=True)):
            if part not in names:
                raise InvalidInputError(
                    f"{text!r}: {part!r} is no choice of decision {decision} of space {self.name} ({', '.join(names)})"
                )
        taken = [names.index(part) for part, names in zip(parts, self.decisions, strict=True)]
        return int(self.from_choices(np.array([taken]))[0])

    def _split(self, text: str) -> Sequence[str]:
        if self.separator:
            return text.split(self.separator)
        match = self._without_separator.fullmatch(text)
        if match is None:
            raise InvalidInputError(f"{text!r} is no architecture of space {self.name}, e.g. {self.to_string(0)!r}")
        return match.groups()

    @cached_property
    def _without_separator(self) -> re.Pattern[str]:
        return re.compile("".join(f"({'|'.join(map(re.escape, names))})" for names in self.decisions))


def checked_classes(space: str, classes: Ints, num_architectures: int) -> Ints:
    """Classes of the same network as an array, shape (num_architectures,).

    Raises:
        InvalidInputError: They have another shape, or a class is not named by its smallest index.
    """
    given = np.asarray(classes, dtype=np.int64)
    everyone = np.arange(num_architectures)
    if given.shape != everyone.shape or (given < 0).any() or (given > everyone).any():
        raise InvalidInputError(f"space {space}: classes must name the first architecture of each class")
    if (given[given] != given).any():
        raise InvalidInputError(f"space {space}: classes must name the first architecture of each class")
    return given
