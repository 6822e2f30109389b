"""Spaces that are a list of architectures: only these exist, described by the values of a few decisions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Bools, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.base import RandomSource, SearchSpace, refuse_tuple
from nasbench_harness.spaces.neighborhood import Neighborhood
from nasbench_harness.spaces.product import checked_classes


class ListSpace(SearchSpace):
    """Architectures that share decisions but are not all of their combinations.

    *Neighbors* differ in one decision. An architecture with fewer than 8 such neighbors, and fewer than a list without
    gaps would give it, has its 8 nearest ones instead: those with the fewest different decisions, the first of equals.
    Then being a neighbor need not be mutual.

    Args:
        name: Name of the space.
        keys: The text that names each architecture, all different.
        decisions: The names of the choices of each decision, at least two.
        choices: Choice of each architecture at each decision, (num_architectures, num_decisions); no two rows equal.
        classes: Smallest index of the architectures that are the same network, shape (num_architectures,). Default:
            all are different.

    Raises:
        InvalidInputError: These do not describe at least two architectures that differ.
    """

    is_sparse: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        decisions: Sequence[Sequence[str]],
        choices: Sequence[Sequence[int]] | Ints,
        classes: Ints | None = None,
    ) -> None:
        self.name = name
        self.decisions = tuple(tuple(names) for names in decisions)
        self.num_architectures = len(keys)
        self._keys = list(keys)
        self._index_of_key = {key: index for index, key in enumerate(keys)}
        self._all_choices = np.array(choices, dtype=np.int64).reshape(len(keys), -1)
        self._num_choices = np.array([len(names) for names in self.decisions], dtype=np.int64)
        texts = [*self._keys, *(choice for names in self.decisions for choice in names)]
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise InvalidInputError(f"space {name}: a key or choice holds a line break or an invisible character")
        if len(keys) < 2 or not self.decisions or self._num_choices.min() < 2:
            raise InvalidInputError(
                f"space {name}: a list needs two architectures, and decisions of at least two choices"
            )
        shape = (len(keys), len(self.decisions))
        if self._all_choices.shape != shape or self._is_outside(self._all_choices):
            raise InvalidInputError(f"space {name}: choices must be numbers of choices, shape {shape}")
        self._steps = self._lookup_steps()
        if len(self._index_of_key) < len(keys) or len(self._steps[-1]) < len(keys):
            raise InvalidInputError(f"space {name}: two architectures have the same key or the same choices")
        self._index_of_code = np.argsort(self._codes(self._all_choices))
        self._classes = None if classes is None else checked_classes(name, classes, len(keys))

    def description(self) -> dict[str, Any]:
        """Kind, name, keys, decisions and choices, and the classes if they were declared."""
        classes = {} if self._classes is None else {"classes": self._classes.tolist()}
        return {
            "kind": "list",
            "name": self.name,
            "keys": self._keys,
            "decisions": [list(names) for names in self.decisions],
            "choices": self._all_choices.tolist(),
            **classes,
        }

    @property
    def num_choices(self) -> Ints:
        """Number of choices of each decision, shape (num_decisions,)."""
        return self._num_choices

    def choices(self, architectures: Ints) -> Ints:
        """Choice taken at each decision, shape (n, num_decisions)."""
        return self._all_choices[architectures]

    def from_choices(self, choices: Ints) -> Ints:
        """Architectures with these choices (n, num_decisions), −1 if there is none, shape (n,)."""
        taken = np.asarray(choices)
        if self._is_outside(taken):
            raise InvalidInputError(f"space {self.name}: a choice is outside 0 … {self._num_choices.tolist()} − 1")
        codes = self._codes(taken)
        return np.where(codes < 0, -1, self._index_of_code[codes])

    def sample(self, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Draw architectures uniformly: (len(runs),), one draw each."""
        return rng.integers(self.num_architectures, None, runs)

    def mutate(self, parents: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Draw a neighbor, all alike: (len(runs),), one draw each."""
        refuse_tuple(parents)
        draws = np.atleast_1d(rng.uniform(None, runs))
        rows = np.atleast_1d(np.asarray(parents, dtype=np.int64))
        children = self._near.at(rows, (draws * self._near.count(rows)).astype(np.int64))
        return children if np.ndim(parents) else int(children[0])

    def crossover(self, first: Any, second: Any, rng: RandomSource, runs: Ints | None = None) -> Any:
        """Take each decision from either parent with probability ½: (len(runs),), num_decisions draws each.

        If the mixture is not in the list, the child is the first parent.
        """
        refuse_tuple(first)
        from_first = rng.uniform(self.num_decisions, runs) < 0.5
        choices = np.where(from_first, self._all_choices[first], self._all_choices[second])
        found = self.from_choices(np.atleast_2d(choices))
        children = np.where(found < 0, first, found)
        return children if np.ndim(first) else int(children[0])

    def neighbors(self, architectures: Any) -> Any:
        """Neighbors (see above), ascending by decision, then choice; nearest ones by distance, then index; −1 pads.

        Shape (n, num_neighbors) with the largest number of neighbors in the space. For one architecture, a plain
        integer, they are a list of plain integers without padding.
        """
        if isinstance(architectures, int | np.integer):
            return [one for one in self.neighbors(np.array([architectures]))[0].tolist() if one >= 0]
        refuse_tuple(architectures)
        rows = np.asarray(architectures, dtype=np.int64)
        positions = np.broadcast_to(np.arange(self._near.most), (len(rows), self._near.most))
        is_near = positions < self._near.count(rows)[:, None]
        found = np.full(positions.shape, -1)
        of_rows = np.broadcast_to(rows[:, None], positions.shape)
        found[is_near] = self._near.at(of_rows[is_near], positions[is_near])
        return found

    @property
    def note(self) -> str:
        """How many architectures have too few neighbors of their own, for people; empty if none has."""
        wanted = self._near.num_nearest
        num_alone = int((self._near.num_own == 0).sum())
        num_few = int((self._near.num_own < wanted).sum())
        if not num_few:
            return ""
        return (
            f"{num_few:,} of {self.num_architectures:,} architectures have fewer than {wanted} neighbors "
            f"that differ in one column ({num_alone:,} have none): mutation and local search take the "
            f"{wanted} nearest rows instead"
        )

    def next_choices(self, prefixes: Ints) -> Bools:
        """Choices of the next decision that some architecture has whose first choices are these.

        Args:
            prefixes: Choices of the first k decisions, shape (n, k).

        Returns:
            Shape (n, num_choices of decision k).
        """
        taken = np.asarray(prefixes)
        decision = taken.shape[1]
        code = np.zeros(len(taken), dtype=np.int64)
        for pairs, choice, count in zip(self._steps, taken.T, self._num_choices, strict=False):
            code = np.searchsorted(pairs, code * count + choice).astype(np.int64)
        count = int(self._num_choices[decision])
        wanted = code[:, None] * count + np.arange(count)
        pairs = self._steps[decision]
        exists: Bools = pairs[np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)] == wanted
        return exists

    def one_hot(self, architectures: Ints) -> npt.NDArray[Any]:
        """Indicator of every choice of every decision, float32, shape (n, sum of num_choices)."""
        first = np.concatenate([[0], np.cumsum(self._num_choices)[:-1]])
        hot = np.zeros((len(architectures), int(self._num_choices.sum())), dtype=np.float32)
        np.put_along_axis(hot, self._all_choices[architectures] + first, 1.0, axis=1)
        return hot

    def canonical(self, architectures: Ints) -> Ints:
        """Smallest index of the same network, shape (n,); the architecture itself unless classes were declared."""
        own = np.array(architectures, dtype=np.int64)
        return own if self._classes is None else self._classes[own]

    def to_string(self, architecture: int) -> str:
        """The key."""
        return self._keys[architecture]

    def from_string(self, text: str) -> int:
        """Inverse of ``to_string``; raises InvalidInputError on text that is no key."""
        if text not in self._index_of_key:
            raise InvalidInputError(f"{text!r} is none of the {self.num_architectures:,} architectures of {self.name}")
        return self._index_of_key[text]

    def _is_outside(self, choices: Ints) -> bool:
        return bool(((choices < 0) | (choices >= self._num_choices)).any())

    @cached_property
    def _near(self) -> Neighborhood:
        return Neighborhood(self._all_choices, self._num_choices)

    # Choices become one number, decision by decision: the rank of (number so far, choice) among the pairs that occur.
    # So it never exceeds the number of architectures, however many combinations there are.
    def _lookup_steps(self) -> list[Ints]:
        steps, code = [], np.zeros(self.num_architectures, dtype=np.int64)
        for taken, count in zip(self._all_choices.T, self._num_choices, strict=True):
            pairs, code = np.unique(code * count + taken, return_inverse=True)
            steps.append(pairs)
        return steps

    def _codes(self, choices: Ints) -> Ints:
        """Number of each row of choices, −1 if no architecture has them, shape (n,)."""
        code = np.zeros(len(choices), dtype=np.int64)
        exists = np.ones(len(choices), dtype=bool)
        for pairs, taken, count in zip(self._steps, choices.T, self._num_choices, strict=True):
            wanted = code * count + taken
            code = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
            exists &= pairs[code] == wanted
        return np.where(exists, code, -1)
