"""Spaces without some of their choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nasbench_harness.arrays import Bools, Ints
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.spaces.base import SearchSpace
from nasbench_harness.spaces.graphs import Graphs
from nasbench_harness.spaces.listed import ListSpace
from nasbench_harness.spaces.product import ProductSpace


class RestrictedSpace(ProductSpace):
    """The architectures of a product of choices that have none of the choices left out, in the order of the product.

    A choice is left out of every decision that has it. A decision with one choice left is no decision any more.
    Strings, keys and isomorphism classes are those of the product.

    Args:
        space: The product.
        without: Names of the choices that are left out, in order of appearance in the decisions.

    Attributes:
        base: The product.
        without: Names of the choices that are left out.
        rows: Row of each architecture in the product, shape (num_architectures,).
        positions: Position of each decision in the product.

    Raises:
        InvalidInputError: A name is not a choice or out of order, or fewer than two architectures are left.

    >>> space = RestrictedSpace(ProductSpace("letters", [["a", "b", "c"], ["c", "d"]]), ["c"])
    >>> space.num_architectures, space.to_string(1), space.num_choices.tolist()
    (2, 'b:d', [2])
    """

    def __init__(self, space: ProductSpace, without: Sequence[str]) -> None:
        self.base = space
        self.without = _ordered(space.name, space.decisions, without)
        self.rows: Ints = np.flatnonzero(
            _is_kept(space.decisions, space.choices, space.num_architectures, self.without)
        )
        kept = _kept_choices(space.name, space.decisions, self.without)
        free = [position for position, choices in enumerate(kept) if len(choices) > 1]
        self.positions = tuple(free)
        sizes = np.array([len(kept[position]) for position in free], dtype=np.int64)
        weights = np.concatenate([np.cumprod(sizes[:0:-1])[::-1], [1]]).astype(np.int64)
        taken = _renumbered(space.choices(self.rows), kept)[:, free]
        names = [[space.decisions[position][choice] for choice in kept[position]] for position in free]
        name = f"{space.name} without {', '.join(self.without)}"
        super().__init__(name, names, taken @ weights, separator=space.separator)
        self._position = np.full(space.num_architectures, -1, dtype=np.int64)
        self._position[self.rows] = np.arange(len(self.rows))
        self._canonical = _first_of_class(space.canonical(self.rows))

    def description(self) -> dict[str, Any]:
        """Kind, the product's description, and the choices left out."""
        return {"kind": "restricted", "space": self.base.description(), "without": list(self.without)}

    def graphs(self, architectures: Ints) -> Graphs:
        """Graphs of the same architectures in the product."""
        return self.base.graphs(self.rows[architectures])

    def canonical(self, architectures: Ints) -> Ints:
        """Smallest index of the same isomorphism class among these architectures, shape (n,)."""
        return self._canonical[architectures]

    def to_string(self, architecture: int) -> str:
        """The architecture as the product writes it."""
        return self.base.to_string(int(self.rows[architecture]))

    def from_string(self, text: str) -> int:
        """Inverse of ``to_string``; raises InvalidInputError on text that names none of these architectures."""
        return self._own(text, self.base.from_string(text))

    def to_key(self, architecture: int) -> str:
        """The key that the product gives it."""
        return self.base.to_key(int(self.rows[architecture]))

    def from_key(self, key: str) -> int:
        """Inverse of ``to_key``; raises InvalidInputError on text that names none of these architectures."""
        return self._own(key, self.base.from_key(key))

    def _own(self, text: str, row: int) -> int:
        position = int(self._position[row])
        if position < 0:
            raise InvalidInputError(f"{text!r} has one of the choices that are left out: {', '.join(self.without)}")
        return position


def restrict(space: SearchSpace, without: Sequence[str]) -> tuple[SearchSpace, Ints]:
    """The space without some choices, and the row in the whole space of each of its architectures.

    Args:
        space: A product of choices or a list of architectures.
        without: Names of the choices that are left out, of every decision that has them, in order of appearance.

    Raises:
        InvalidInputError: The space is of another kind, a name is not one of its choices or out of order, or
            fewer than two architectures are left.
    """
    if isinstance(space, RestrictedSpace):
        raise InvalidInputError(f"space {space.name} is restricted already: name all choices at once")
    if isinstance(space, ProductSpace):
        made = RestrictedSpace(space, without)
        return made, made.rows
    if isinstance(space, ListSpace):
        return _restricted_list(space, without)
    raise InvalidInputError(
        f"the space {space.name} cannot be restricted: choices can be left out of products of choices and of lists only"
    )


def choice_names(decisions: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Every name of a choice once, in order of appearance."""
    return tuple(dict.fromkeys(name for names in decisions for name in names))


def _restricted_list(space: ListSpace, without: Sequence[str]) -> tuple[ListSpace, Ints]:
    names = _ordered(space.name, space.decisions, without)
    is_kept = _is_kept(space.decisions, space.choices, space.num_architectures, names)
    rows: Ints = np.flatnonzero(is_kept)
    if len(rows) < 2:
        raise InvalidInputError(f"space {space.name}: without {', '.join(names)} fewer than two architectures are left")
    kept = _kept_choices(space.name, space.decisions, names)
    free = [position for position, choices in enumerate(kept) if len(choices) > 1]
    taken = _renumbered(space.choices(rows), kept)[:, free]
    decisions = [[space.decisions[position][choice] for choice in kept[position]] for position in free]
    keys = space.to_strings(rows.tolist())
    classes = _first_of_class(space.canonical(rows))
    return ListSpace(f"{space.name} without {', '.join(names)}", keys, decisions, taken, classes), rows


def _first_of_class(classes: Ints) -> Ints:
    """Smallest position of each position's class, shape (n,)."""
    _, first, class_of = np.unique(classes, return_index=True, return_inverse=True)
    return np.asarray(first[class_of], dtype=np.int64)


def _ordered(space: str, decisions: Sequence[Sequence[str]], without: Sequence[str]) -> tuple[str, ...]:
    """The names in order of appearance, checked."""
    known = choice_names(decisions)
    for name in without:
        if name not in known:
            raise UnknownNameError("choice", name, known, f"space {space}")
    if not without or len(set(without)) < len(without):
        raise InvalidInputError(f"space {space}: name each choice that is left out once, and at least one")
    ordered = tuple(name for name in known if name in without)
    if tuple(without) != ordered:  # so that equal spaces have equal names
        raise InvalidInputError(f"space {space}: name the choices that are left out in its order: {','.join(ordered)}")
    return ordered


def _kept_choices(space: str, decisions: Sequence[Sequence[str]], without: Sequence[str]) -> list[list[int]]:
    kept = [[choice for choice, name in enumerate(names) if name not in without] for names in decisions]
    for position, choices in enumerate(kept):
        if not choices:
            raise InvalidInputError(f"space {space}: without {', '.join(without)} decision {position} has no choice")
    if max(map(len, kept)) == 1:
        raise InvalidInputError(f"space {space}: without {', '.join(without)} one architecture is left")
    return kept


def _is_kept(decisions: Sequence[Sequence[str]], choices: Any, size: int, without: Sequence[str]) -> Bools:
    kept = np.ones(size, dtype=bool)
    taken = choices(np.arange(size))
    for position, names in enumerate(decisions):
        kept &= np.array([name not in without for name in names])[taken[:, position]]
    return kept


def _renumbered(choices: Ints, kept: Sequence[Sequence[int]]) -> Ints:
    """Choices counted among those that are kept."""
    columns = [np.searchsorted(numbers, choices[:, position]) for position, numbers in enumerate(kept)]
    return np.stack(columns, axis=1)
