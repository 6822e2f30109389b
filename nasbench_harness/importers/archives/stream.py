"""A stream of bytes that is read once, in pieces."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

from nasbench_harness.errors import TableError

Read = Callable[[int], bytes]

PIECE = 1 << 20
_LONGEST_TEXT = 1 << 16
_LOOKAHEAD = _LONGEST_TEXT + 64
_FRAME_HEADER = 9  # bytes: operation and length


class ByteStream:
    """The bytes of a source, with those of one operation of a pickle always at hand.

    Args:
        read: Gives up to n bytes, none at the end.

    Attributes:
        data: Bytes at hand.
        position: The next byte's place among them.
        refill_at: Position from which ``fill`` must be called before the next operation.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.data, self.position, self.refill_at = b"", 0, 0
        self._ended, self._start = False, 0
        self._frame_end: int | None = None

    def begin_pickle(self) -> None:
        """Forget the frames of the pickle before."""
        self._frame_end = None

    def begin_frame(self, length: int) -> None:
        """A frame of this length begins; frames follow each other without a gap, from the first on.

        Raises:
            TableError: The frame before does not end here.
        """
        begin = self._start + self.position
        if self._frame_end is not None and begin - _FRAME_HEADER != self._frame_end:
            raise TableError("it is truncated or damaged")
        self._frame_end = begin + length

    @property
    def is_frame_complete(self) -> bool:
        """Whether the last frame ends here, or there is none."""
        return self._frame_end in (None, self._start + self.position)

    def fill(self) -> int:
        """Drop what was used and read on; returns the number of new bytes."""
        rest = self.data[self.position :]
        pieces = [rest]
        size = len(rest)
        while size < _LOOKAHEAD and not self._ended:
            piece = self._read(PIECE)
            self._ended = not piece
            pieces.append(piece)
            size += len(piece)
        self._start += self.position
        self.data, self.position = b"".join(pieces), 0
        self.refill_at = size if self._ended else size - _LOOKAHEAD
        return size - len(rest)

    def at_end(self) -> bool:
        """Whether nothing follows."""
        if self.position >= len(self.data) and not self._ended:
            self.fill()
        return self.position >= len(self.data)

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            TableError: There are fewer, or more are wanted than a text may have.
        """
        end = self.position + count
        taken = self.data[self.position : end]
        if count > _LONGEST_TEXT:
            raise TableError(f"it holds a text of {count:,} bytes")
        if len(taken) < count:
            raise TableError("it ends too early")
        self.position = end
        return taken

    def unpack(self, layout: struct.Struct) -> Any:
        """The next number."""
        value = layout.unpack_from(self.data, self.position)[0]
        self.position += layout.size
        return value

    def text(self, length: int) -> str:
        """The next text, of this many bytes."""
        return self.take(length).decode("utf-8", "strict")

    def long_integer(self) -> int:
        """The next integer, with its length before it."""
        return int.from_bytes(self.take(min(self.take(1)[0], 16)), "little", signed=True)

    def run(self, pattern: re.Pattern[bytes], layout: str) -> Iterator[Any] | None:
        """Values of repeated operations, the first of which was read already; None if the pattern does not match."""
        found = pattern.match(self.data, self.position - 1)
        if found is None:
            return None
        self.position = found.end()
        return struct.iter_unpack(layout, found.group())
