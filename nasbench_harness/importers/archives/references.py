"""Objects that later parts of a pickle may refer to, within bounds of memory."""

from __future__ import annotations

from array import array
from typing import Any

from nasbench_harness.errors import TableError
from nasbench_harness.importers.archives.constructors import PLACEHOLDER, Global, NumberType

_MOST_REFERENCES = 280_000_000
_LARGEST_GAP = 1_000
# Bytes (estimated) of earlier entries that are kept, because later ones may refer to them: texts, other small things.
_KEPT_TEXT_BYTES = 200 << 20
_KEPT_OTHER_BYTES = 50 << 20


class References:
    """Numbered objects of one pickle.

    Attributes:
        recent: Objects since the last entry, as they are. Earlier ones are numbers in a list of the kept objects.
    """

    def __init__(self) -> None:
        self.recent: list[Any] = []
        self._numbers = array("i")
        self._kept: list[Any] = [PLACEHOLDER]
        self._number_of: dict[Any, int] = {}
        self._text_room, self._other_room = _KEPT_TEXT_BYTES, _KEPT_OTHER_BYTES

    def put(self, index: int, item: Any) -> None:
        """Give an object its number."""
        gap = index - len(self._numbers) - len(self.recent)
        if not 0 <= gap <= _LARGEST_GAP:
            raise TableError("its references are out of order")
        self.recent.extend([PLACEHOLDER] * gap)
        self.recent.append(item)

    def get(self, index: int) -> Any:
        """The object of a number; PLACEHOLDER if it was not kept."""
        settled = len(self._numbers)
        if index >= settled:
            return self.recent[index - settled]
        return self._kept[self._numbers[index]]

    def settle(self) -> None:
        """Drop the content of the entry, except texts and other small things that later entries may share.

        Raises:
            TableError: The pickle has too many references.
        """
        number_of = self._number_of
        self._numbers.extend(
            [(number_of.get(item) or self._keep(item)) if type(item) is str else self._keep(item)
             for item in self.recent]
        )  # fmt: skip
        self.recent.clear()
        if len(self._numbers) > _MOST_REFERENCES:
            raise TableError(f"it has more than {_MOST_REFERENCES:,} references")

    def _keep(self, item: Any) -> int:
        is_text = type(item) is str
        if self._text_room < 0 if is_text else self._other_room < 0 or not _is_small(item):
            return 0
        self._kept.append(item)
        number = len(self._kept) - 1
        if is_text:
            self._number_of[item] = number
            self._text_room -= 200 + len(item)
        else:
            self._other_room -= 300
        return number


def is_flat(items: Any) -> bool:
    """Whether these are a few plain things."""
    # Empty ones may still be filled, by the entry that comes next.
    return 1 <= len(items) <= 4 and all(type(item) in (str, int, float, bool) for item in items)


def _is_small(item: Any) -> bool:
    kind = type(item)
    if kind is tuple or kind is list:
        return is_flat(item)
    if kind is dict:
        return is_flat(item.values())
    return kind in (str, float, int, bool, bytes, Global, NumberType)
