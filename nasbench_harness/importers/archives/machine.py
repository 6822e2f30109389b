"""A pickle machine that knows data only, and hands over a large dictionary entry by entry.

Official archives are pickles of dictionaries of numbers, up to 4.7 GB long. Python's unpickler would run code
from the file, and would hold 29 GB of objects. This machine cannot import or call anything: it compares names of
classes with a short list, and computes the few constructors on it (ordered dictionaries, sets, numpy scalars) here.
Weights of networks become one placeholder. It reads its source once, in pieces.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple, NoReturn

from nasbench_harness.errors import TableError

Read = Callable[[int], bytes]
OnEntry = Callable[[Any, Any], None]

_PIECE = 1 << 20
_LONGEST_TEXT = 1 << 16
_LOOKAHEAD = _LONGEST_TEXT + 64
# Bytes that a pickle, or an entry of a streamed dictionary, may take: an architecture of a genuine file has 0.3 MB.
_LONGEST_ENTRY = 8 << 20
_MOST_REFERENCES = 280_000_000
_LARGEST_GAP = 1_000
_DEEPEST = 100
_LONGEST_STACK = 100_000
# What is kept of earlier entries, because later ones may refer to it, in bytes (estimated): texts, other small things.
_KEPT_TEXT_BYTES = 200 << 20
_KEPT_OTHER_BYTES = 50 << 20
# Runs of {epoch: value} and {text seen before: value}: most of a file, read by the piece.
_EPOCH_VALUES = re.compile(rb"(?:K.G.{8})+", re.DOTALL)
_SHORT_REFERENCE_VALUES = re.compile(rb"(?:h.G.{8})+", re.DOTALL)
_LONG_REFERENCE_VALUES = re.compile(rb"(?:j.{4}G.{8})+", re.DOTALL)


class Placeholder:
    """Stands for an object that is not read, e.g. the weights of a network."""


PLACEHOLDER = Placeholder()


class _Global(NamedTuple):
    module: str
    name: str


class _NumberType:
    """A numpy dtype; its byte order arrives later and holds for all references to it."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"


class _Streamed(dict[Any, Any]):
    """The dictionary whose entries are handed over."""


_SCALARS = {_Global("numpy.core.multiarray", "scalar"), _Global("numpy._core.multiarray", "scalar")}
_DTYPE = _Global("numpy", "dtype")
_ORDERED = _Global("collections", "OrderedDict")
_ENCODE = _Global("_codecs", "encode")
_SETS = {_Global("builtins", "set"), _Global("__builtin__", "set")}
_TENSORS = {_Global("torch._utils", name) for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")}
_STORAGES = {
    _Global("torch", f"{kind}Storage") for kind in ("Double", "Float", "Half", "Long", "Int", "Short", "Char", "Byte")
}
_KNOWN = _SCALARS | _SETS | _TENSORS | _STORAGES | {_DTYPE, _ORDERED, _ENCODE}
_FORMATS = {
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
}


class DataPickle:
    """Reads pickles of plain data from a stream of bytes.

    Args:
        read: Gives up to n bytes, none at the end.
        streamed: Key of the dictionary in the outermost one whose entries are handed over as they are complete; that
            dictionary stays empty.
        on_entry: Receives key and value of each.
    """

    def __init__(self, read: Read, streamed: str | None = None, on_entry: OnEntry | None = None) -> None:
        self._read = read
        self._streamed = streamed
        self._on_entry = on_entry
        self._data, self._position, self._refill_at, self._ended = b"", 0, 0, False
        self._start = 0  # of the data, in the stream

    def load(self) -> Any:
        """The next pickle of the stream.

        Raises:
            TableError: It is damaged, too large, or holds anything but plain data.
        """
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._entries: list[Any] | None = None  # the stack on which the streamed entries arrive
        self._num_bytes = 0
        self._frame_end: int | None = None
        # References: objects since the last entry as they are; of earlier ones a number in the list of what is kept.
        self._recent: list[Any] = []
        self._numbers = array("i")
        self._kept: list[Any] = [PLACEHOLDER]
        self._number_of: dict[Any, int] = {}
        self._text_room, self._other_room = _KEPT_TEXT_BYTES, _KEPT_OTHER_BYTES
        try:
            return self._run()
        except (TableError, OSError):
            raise
        except Exception as error:  # bytes that are no pickle can raise nearly anything
            raise TableError(f"it is truncated or damaged ({type(error).__name__})") from error

    def at_end(self) -> bool:
        """Whether nothing follows in the stream."""
        if self._position >= len(self._data) and not self._ended:
            self._fill()
        return self._position >= len(self._data)

    def _run(self) -> Any:
        operations = self._table_of_operations()  # no attribute: that would be a cycle, freed late
        while True:
            if self._position >= self._refill_at:
                self._fill()
            code = self._data[self._position]
            self._position += 1
            if code == 46:  # STOP
                break
            operation = operations[code]
            if operation is None:
                raise TableError(f"it holds more than plain data (pickle operation {code:#04x})")
            operation()
        end = self._start + self._position
        if len(self._stack) != 1 or self._marked or (self._frame_end or end) != end:
            raise TableError("it is truncated or damaged")
        return self._stack.pop()

    def _fill(self) -> None:
        rest = self._data[self._position :]
        pieces = [rest]
        size = len(rest)
        while size < _LOOKAHEAD and not self._ended:
            piece = self._read(_PIECE)
            self._ended = not piece
            pieces.append(piece)
            size += len(piece)
        self._start += self._position
        self._data, self._position = b"".join(pieces), 0
        self._refill_at = size if self._ended else size - _LOOKAHEAD
        self._num_bytes += size - len(rest)
        if self._num_bytes > _LONGEST_ENTRY + _PIECE:
            raise TableError(f"an entry is longer than {_LONGEST_ENTRY >> 20} MB")
        if len(self._stack) > _LONGEST_STACK:
            raise TableError("it is truncated or damaged")
        if len(self._numbers) > _MOST_REFERENCES:
            raise TableError(f"it has more than {_MOST_REFERENCES:,} references")

    def _take(self, count: int) -> bytes:
        end = self._position + count
        taken = self._data[self._position : end]
        if count > _LONGEST_TEXT:
            raise TableError(f"it holds a text of {count:,} bytes")
        if len(taken) < count:
            raise TableError("it ends too early")
        self._position = end
        return taken

    def _unpack(self, layout: struct.Struct) -> Any:
        value = layout.unpack_from(self._data, self._position)[0]
        self._position += layout.size
        return value

    def _table_of_operations(self) -> list[Callable[[], None] | None]:
        byte, short, integer = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<i")
        unsigned, length, double = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct(">d")
        operations: dict[bytes, Callable[[], None]] = {
            b"\x80": self._protocol,
            b"\x95": lambda: self._frame(self._unpack(length)),
            b"N": lambda: self._stack.append(None),
            b"\x88": lambda: self._stack.append(True),
            b"\x89": lambda: self._stack.append(False),
            b"K": self._small_integer,
            b"M": lambda: self._stack.append(self._unpack(short)),
            b"J": lambda: self._stack.append(self._unpack(integer)),
            b"\x8a": self._long_integer,
            b"G": lambda: self._stack.append(self._unpack(double)),
            b"\x8c": lambda: self._text(self._unpack(byte)),
            b"X": lambda: self._text(self._unpack(unsigned)),
            b"C": lambda: self._stack.append(self._take(self._unpack(byte))),
            b"B": lambda: self._stack.append(self._take(self._unpack(unsigned))),
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
            b"q": lambda: self._put(self._unpack(byte)),
            b"r": lambda: self._put(self._unpack(unsigned)),
            b"\x94": lambda: self._recent.append(self._stack[-1]),
            b"h": self._short_reference,
            b"j": self._long_reference,
            b"c": self._global,
            b"\x93": self._stack_global,
            b"R": self._reduce,
            b"b": self._build,
            b"Q": self._persistent,
        }
        table: list[Callable[[], None] | None] = [None] * 256
        for code, operation in operations.items():
            table[code[0]] = operation
        return table

    # Numbers and texts

    def _protocol(self) -> None:
        if self._take(1)[0] > 5:
            raise TableError("it is a pickle of an unknown protocol")

    def _frame(self, length: int) -> None:
        """Frames follow each other without a gap, from the first on."""
        begin = self._start + self._position
        if self._frame_end is not None and begin - 9 != self._frame_end:
            raise TableError("it is truncated or damaged")
        self._frame_end = begin + length

    def _small_integer(self) -> None:
        run = _EPOCH_VALUES.match(self._data, self._position - 1)
        if run is None:
            self._stack.append(self._take(1)[0])
            return
        self._stack.extend(chain.from_iterable(struct.iter_unpack(">xBxd", run.group())))
        self._position = run.end()

    def _long_integer(self) -> None:
        self._stack.append(int.from_bytes(self._take(min(self._take(1)[0], 16)), "little", signed=True))

    def _text(self, length: int) -> None:
        self._stack.append(self._take(length).decode("utf-8", "strict"))

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
        elif type(target) is dict:
            keys = items[::2]
            _check_keys(keys)
            target.update(zip(keys, items[1::2], strict=True))
        elif target is not PLACEHOLDER:
            raise TableError("it is truncated or damaged")

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
        self._num_bytes = len(self._data) - self._position
        self._settle()

    # References

    def _put(self, index: int) -> None:
        gap = index - len(self._numbers) - len(self._recent)
        if not 0 <= gap <= _LARGEST_GAP:
            raise TableError("its references are out of order")
        self._recent.extend([PLACEHOLDER] * gap)
        self._recent.append(self._stack[-1])

    def _get(self, index: int) -> Any:
        settled = len(self._numbers)
        if index >= settled:
            return self._recent[index - settled]
        return self._kept[self._numbers[index]]

    def _short_reference(self) -> None:
        run = _SHORT_REFERENCE_VALUES.match(self._data, self._position - 1)
        if run is None:
            self._stack.append(self._get(self._take(1)[0]))
        else:
            self._reference_values(run, struct.iter_unpack(">xBx8s", run.group()))

    def _long_reference(self) -> None:
        run = _LONG_REFERENCE_VALUES.match(self._data, self._position - 1)
        if run is None:
            self._stack.append(self._get(int.from_bytes(self._take(4), "little")))
        else:
            self._reference_values(run, struct.iter_unpack("<xIx8s", run.group()))

    def _reference_values(self, run: re.Match[bytes], pairs: Iterable[tuple[int, bytes]]) -> None:
        indices, packed = zip(*pairs, strict=True)
        values = struct.unpack(f">{len(packed)}d", b"".join(packed))
        self._stack.extend(chain.from_iterable(zip(map(self._get, indices), values, strict=True)))
        self._position = run.end()

    def _settle(self) -> None:
        """Drop the content of the entry, except texts and other small things that later entries may share."""
        number_of = self._number_of
        self._numbers.extend(
            [(number_of.get(item) or self._keep(item)) if type(item) is str else self._keep(item)
             for item in self._recent]
        )  # fmt: skip
        self._recent.clear()

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

    # Names and the constructors they stand for

    def _global(self) -> None:
        end = self._data.index(b"\n", self._data.index(b"\n", self._position) + 1)
        module, name = self._take(end - self._position).decode().split("\n")
        self._take(1)
        self._push_global(module, name)

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_global(module, name)

    def _push_global(self, module: Any, name: Any) -> None:
        known = type(module) is str and type(name) is str and _Global(module, name) in _KNOWN
        if not known:
            raise TableError(f"it refers to {str(module)[:60]}.{str(name)[:60]}, which no official archive does")
        self._stack.append(_Global(module, name))

    def _persistent(self) -> None:
        self._stack[-1] = PLACEHOLDER

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if type(function) is not _Global or type(arguments) is not tuple:
            raise TableError("it is truncated or damaged")
        if function == _ORDERED and not arguments:
            self._dictionary()
        else:
            self._stack.append(_construct(function, arguments))

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if type(target) is _NumberType:
            order = state[1] if type(state) is tuple and len(state) > 1 else None
            if order not in ("<", ">", "|", "="):
                _refuse_number()
            target.order = "<" if order in "|=" else order
        elif type(target) is not dict and target is not PLACEHOLDER:  # attributes of state dictionaries are no data
            raise TableError("it is truncated or damaged")


def _construct(function: _Global, arguments: tuple[Any, ...]) -> Any:
    if function in _SCALARS:
        return _scalar(arguments)
    if function == _DTYPE:
        code = arguments[0] if arguments else None
        if type(code) is not str or code not in _FORMATS:
            _refuse_number()
        return _NumberType(code)
    if function == _ENCODE:
        if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
            raise TableError("it is truncated or damaged")
        return arguments[0].encode("latin1")
    if function in _TENSORS:
        return PLACEHOLDER
    if function in _SETS and len(arguments) == 1 and type(arguments[0]) is list:
        return arguments[0]
    raise TableError("it is truncated or damaged")


def _scalar(arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 2 or type(arguments[0]) is not _NumberType or type(arguments[1]) is not bytes:
        _refuse_number()
    kind, packed = arguments
    return struct.unpack(kind.order + _FORMATS[kind.code], packed)[0]


def _refuse_number() -> NoReturn:
    raise TableError("it holds a numpy number of an unknown type")


def _check_keys(keys: list[Any]) -> None:
    kinds = set(map(type, keys))
    if kinds <= {str, int}:
        return
    pairs = [key for key in keys if type(key) is tuple]
    if not kinds <= {str, int, tuple} or not all(map(_is_flat, pairs)):
        raise TableError("it has a dictionary with unusual keys")


def _is_flat(items: Any) -> bool:
    # Empty ones may still be filled, by the entry that comes next.
    return 1 <= len(items) <= 4 and all(type(item) in (str, int, float, bool) for item in items)


def _is_small(item: Any) -> bool:
    kind = type(item)
    if kind is tuple or kind is list:
        return _is_flat(item)
    if kind is dict:
        return _is_flat(item.values())
    return kind in (str, float, int, bool, bytes, _Global, _NumberType)
