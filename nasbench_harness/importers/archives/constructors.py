"""The few constructors that an official archive calls, computed here: a file can import and call nothing."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, NoReturn

from nasbench_harness.errors import TableError


class Placeholder:
    """Stands for an object that is not read, e.g. the weights of a network."""


PLACEHOLDER = Placeholder()


class Global(NamedTuple):
    """Name of a class or function in a pickle."""

    module: str
    name: str


class NumberType:
    """A numpy dtype; its byte order arrives later and holds for all references to it."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"


_SCALARS = {Global("numpy.core.multiarray", "scalar"), Global("numpy._core.multiarray", "scalar")}
_DTYPE = Global("numpy", "dtype")
ORDERED = Global("collections", "OrderedDict")
_ENCODE = Global("_codecs", "encode")
_SETS = {Global("builtins", "set"), Global("__builtin__", "set")}
_TENSORS = {Global("torch._utils", name) for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")}
_STORAGES = {
    Global("torch", f"{kind}Storage") for kind in ("Double", "Float", "Half", "Long", "Int", "Short", "Char", "Byte")
}
_KNOWN = _SCALARS | _SETS | _TENSORS | _STORAGES | {_DTYPE, ORDERED, _ENCODE}
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


def known_global(module: Any, name: Any) -> Global:
    """The class or function of this name.

    Raises:
        TableError: It is none that an official archive refers to.
    """
    if type(module) is str and type(name) is str and Global(module, name) in _KNOWN:
        return Global(module, name)
    raise TableError(f"it refers to {str(module)[:60]}.{str(name)[:60]}, which no official archive does")


def construct(function: Any, arguments: Any) -> Any:
    """The object that a known function makes of its arguments; sets are lists here.

    Raises:
        TableError: It is no known function, or does not take these.
    """
    if type(function) is not Global or type(arguments) is not tuple:
        raise TableError("it is truncated or damaged")
    if function in _SCALARS:
        return _scalar(arguments)
    if function == _DTYPE:
        code = arguments[0] if arguments else None
        if type(code) is not str or code not in _FORMATS:
            _refuse_number()
        return NumberType(code)
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
    if len(arguments) != 2 or type(arguments[0]) is not NumberType or type(arguments[1]) is not bytes:
        _refuse_number()
    kind, packed = arguments
    return struct.unpack(kind.order + _FORMATS[kind.code], packed)[0]


def _refuse_number() -> NoReturn:
    raise TableError("it holds a numpy number of an unknown type")


def set_state(target: Any, state: Any) -> None:
    """Take the byte order from the state of a numpy dtype; attributes of state dictionaries are no data.

    Raises:
        TableError: The target can have no state, or the state holds no byte order.
    """
    if type(target) is NumberType:
        order = state[1] if type(state) is tuple and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            _refuse_number()
        target.order = "<" if order in "|=" else order
    elif type(target) is not dict and target is not PLACEHOLDER:
        raise TableError("it is truncated or damaged")
