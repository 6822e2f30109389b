"""A pickle machine that knows data only, and hands over a large dictionary entry by entry.

Official archives are pickles of dictionaries of numbers, up to 4.7 GB long. Python's unpickler would run code
from the file, and would hold 29 GB of objects. This machine cannot import or call anything: it compares names of
classes with a short list, and computes the few constructors on it (ordered dictionaries, sets, numpy scalars) here.
Weights of networks become one placeholder. It reads its source once, in pieces.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from nasbench_harness.errors import HarnessError, TableError
from nasbench_harness.importers.archives.constructors import (
    ORDERED,
    PLACEHOLDER,
    construct,
    known_global,
    set_state,
)
from nasbench_harness.importers.archives.references import References, is_flat
from nasbench_harness.importers.archives.stream import PIECE, ByteStream, Read

OnEntry = Callable[[Any, Any], None]

# Bytes that a pickle, or an entry of a streamed dictionary, may take: an architecture of a genuine file has 0.3 MB.
_LONGEST_ENTRY = 8 << 20
_DEEPEST = 100
_LONGEST_STACK = 100_000
# Runs of {epoch: value} and {text seen before: value}: most of a file, read by the piece.
_EPOCH_VALUES = re.compile(rb"(?:K.G.{8})+", re.DOTALL)
_SHORT_REFERENCE_VALUES = re.compile(rb"(?:h.G.{8})+", re.DOTALL)
_LONG_REFERENCE_VALUES = re.compile(rb"(?:j.{4}G.{8})+", re.DOTALL)


class _Streamed(dict[Any, Any]):
    """The dictionary whose entries are handed over."""


class DataPickle:
    """Reads pickles of plain data from a stream of bytes.

    Args:
        read: Gives up to n bytes, none at the end.
        streamed: Key of the dictionary in the outermost one whose entries are handed over as they are complete; that
            dictionary stays empty.
        on_entry: Receives key and value of each.
    """

    def __init__(self, read: Read, streamed: str | None = None, on_entry: OnEntry | None = None) -> None:
        self._source = ByteStream(read)
        self._streamed = streamed
        self._on_entry = on_entry

    def load(self) -> Any:
        """The next pickle of the stream.

        Raises:
            TableError: It is damaged, too large, or holds anything but plain data.
        """
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._entries: list[Any] | None = None  # the stack on which the streamed entries arrive
        self._num_bytes = 0
        self._source.begin_pickle()
        self._references = References()
        try:
            return self._run()
        except (HarnessError, OSError):
            raise
        except Exception as error:  # bytes that are no pickle can raise nearly anything
            raise TableError(f"it is truncated or damaged ({type(error).__name__})") from error

    def at_end(self) -> bool:
        """Whether nothing follows in the stream."""
        return self._source.at_end()

    def _run(self) -> Any:
        source = self._source
        operations = self._table_of_operations()  # no attribute: that would be a cycle, freed late
        while True:
            if source.position >= source.refill_at:
                self._fill()
            code = source.data[source.position]
            source.position += 1
            if code == 46:  # STOP
                break
            operation = operations[code]
            if operation is None:
                raise TableError(f"it holds more than plain data (pickle operation {code:#04x})")
            operation()
        if len(self._stack) != 1 or self._marked or not source.is_frame_complete:
            raise TableError("it is truncated or damaged")
        return self._stack.pop()

    def _fill(self) -> None:
        self._num_bytes += self._source.fill()
        if self._num_bytes > _LONGEST_ENTRY + PIECE:
            raise TableError(f"an entry is longer than {_LONGEST_ENTRY >> 20} MB")
        if len(self._stack) > _LONGEST_STACK:
            raise TableError("it is truncated or damaged")

    def _table_of_operations(self) -> list[Callable[[], None] | None]:
        source, references = self._source, self._references
        byte, short, integer = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<i")
        unsigned, length, double = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct(">d")
        operations: dict[bytes, Callable[[], None]] = {
            b"\x80": self._protocol,
            b"\x95": lambda: source.begin_frame(source.unpack(length)),
            b"N": lambda: self._stack.append(None),
            b"\x88": lambda: self._stack.append(True),
            b"\x89": lambda: self._stack.append(False),
            b"K": self._small_integer,
            b"M": lambda: self._stack.append(source.unpack(short)),
            b"J": lambda: self._stack.append(source.unpack(integer)),
            b"\x8a": lambda: self._stack.append(source.long_integer()),
            b"G": lambda: self._stack.append(source.unpack(double)),
            b"\x8c": lambda: self._stack.append(source.text(source.unpack(byte))),
            b"X": lambda: self._stack.append(source.text(source.unpack(unsigned))),
            b"C": lambda: self._stack.append(source.take(source.unpack(byte))),
            b"B": lambda: self._stack.append(source.take(source.unpack(unsigned))),
            b"(": self._mark,
            b")": lambda: self._stack.append(()),
            b"\x85": lambda: self._tuple(1),
            b"\x86": lambda: self._tuple(2),
            b"\x87": lambda: self._tuple(3),
            b"t": lambda: self._extend_with(tuple),
            b"]": lambda: self._stack.append([]),
            b"\x8f": lambda: self._stack.append([]),  # sets are lists here
            b"a": self._append,
            b"e": self._extend,
            b"\x90": self._extend,
            b"}": self._dictionary,
            b"s": self._set_item,
            b"u": self._set_items,
            b"q": lambda: references.put(source.unpack(byte), self._stack[-1]),
            b"r": lambda: references.put(source.unpack(unsigned), self._stack[-1]),
            b"\x94": lambda: references.recent.append(self._stack[-1]),
            b"h": self._short_reference,
            b"j": self._long_reference,
            b"c": self._global,
            b"\x93": self._stack_global,
            b"R": self._reduce,
            b"b": self._build,
            b"Q": self._persistent,
        }
        return [operations.get(bytes([code])) for code in range(256)]

    # Numbers and texts

    def _protocol(self) -> None:
        if self._source.take(1)[0] > 5:
            raise TableError("it is a pickle of an unknown protocol")

    def _small_integer(self) -> None:
        pairs = self._source.run(_EPOCH_VALUES, ">xBxd")
        if pairs is None:
            self._stack.append(self._source.take(1)[0])
        else:
            self._stack.extend(chain.from_iterable(pairs))

    # Containers

    def _mark(self) -> None:
        if self._stack is self._entries:
            self._hand_over()
        is_streamed = bool(self._stack) and type(self._stack[-1]) is _Streamed
        if len(self._marked) >= _DEEPEST:
            raise TableError("it is truncated or damaged")
        self._marked.append(self._stack)
        self._stack = []
        if is_streamed:
            self._entries = self._stack

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise TableError("it is truncated or damaged")
        self._stack[-count:] = [items]

    def _unmark(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _extend_with(self, kind: Callable[[list[Any]], Any]) -> None:
        items = self._unmark()
        self._stack.append(kind(items))

    def _append(self) -> None:
        item = self._stack.pop()
        self._list_on_top().append(item)

    def _extend(self) -> None:
        items = self._unmark()
        self._list_on_top().extend(items)

    def _list_on_top(self) -> list[Any]:
        top = self._stack[-1]
        if type(top) is not list:
            raise TableError("it is truncated or damaged")
        return top

    def _dictionary(self) -> None:
        is_streamed = bool(self._stack) and self._streamed is not None and self._stack[-1] == self._streamed
        self._stack.append(_Streamed() if is_streamed and len(self._marked) <= 1 else {})

    def _set_item(self) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._store([key, value])

    def _set_items(self) -> None:
        is_streamed = self._stack is self._entries
        items = self._unmark()
        if is_streamed:
            self._entries = None
        self._store(items)

    def _store(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if len(items) % 2:
            raise TableError("it is truncated or damaged")
        if type(target) is _Streamed:
            for position in range(0, len(items), 2):
                self._entry(items[position], items[position + 1])
        else:
            _update(target, items)

    def _hand_over(self) -> None:
        """Entries of the streamed dictionary: complete are those that the next key, an integer, follows."""
        entries = self._stack
        while len(entries) >= 4 and type(entries[2]) is int:
            key, value = entries[:2]
            del entries[:2]
            self._entry(key, value)

    def _entry(self, key: Any, value: Any) -> None:
        if self._on_entry is not None:
            self._on_entry(key, value)
        self._num_bytes = len(self._source.data) - self._source.position
        self._references.settle()

    def _short_reference(self) -> None:
        pairs = self._source.run(_SHORT_REFERENCE_VALUES, ">xBx8s")
        if pairs is None:
            self._stack.append(self._references.get(self._source.take(1)[0]))
        else:
            self._reference_values(pairs)

    def _long_reference(self) -> None:
        pairs = self._source.run(_LONG_REFERENCE_VALUES, "<xIx8s")
        if pairs is None:
            self._stack.append(self._references.get(int.from_bytes(self._source.take(4), "little")))
        else:
            self._reference_values(pairs)

    def _reference_values(self, pairs: Iterable[tuple[int, bytes]]) -> None:
        indices, packed = zip(*pairs, strict=True)
        values = struct.unpack(f">{len(packed)}d", b"".join(packed))
        self._stack.extend(chain.from_iterable(zip(map(self._references.get, indices), values, strict=True)))

    # Names and the constructors they stand for

    def _global(self) -> None:
        end = self._source.data.index(b"\n", self._source.data.index(b"\n", self._source.position) + 1)
        module, name = self._source.take(end - self._source.position).decode().split("\n")
        self._source.take(1)
        self._stack.append(known_global(module, name))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(known_global(module, name))

    def _persistent(self) -> None:
        self._stack[-1] = PLACEHOLDER

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if function == ORDERED and not arguments:
            self._dictionary()
        else:
            self._stack.append(construct(function, arguments))

    def _build(self) -> None:
        state = self._stack.pop()
        set_state(self._stack[-1], state)


def _update(target: Any, items: list[Any]) -> None:
    """Put keys and values, which alternate, into a dictionary."""
    if type(target) is dict:
        keys = items[::2]
        _check_keys(keys)
        target.update(zip(keys, items[1::2], strict=True))
    elif target is not PLACEHOLDER:
        raise TableError("it is truncated or damaged")


def _check_keys(keys: list[Any]) -> None:
    kinds = set(map(type, keys))
    if kinds <= {str, int}:
        return
    pairs = [key for key in keys if type(key) is tuple]
    if not kinds <= {str, int, tuple} or not all(map(is_flat, pairs)):
        raise TableError("it has a dictionary with unusual keys")
