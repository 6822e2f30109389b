"""Names, texts and files that others wrote: they are checked before anything is done with them."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from unicodedata import category

from nasbench_harness.errors import InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from pydantic import ValidationError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TAG = re.compile(r"<[A-Za-z/!?]")
_LONGEST_TEXT = 2_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def is_name(text: object) -> bool:
    """Whether a text can name a table or a data set, and so a part of a path."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def fault_of_text(text: str) -> str:
    """Why a title, source or unit cannot be printed in a terminal, a web page or a table; empty if it can.

    >>> fault_of_text("CIFAR-10")
    ''
    """
    if len(text) > _LONGEST_TEXT:
        return f"has {len(text):,} characters, more than {_LONGEST_TEXT:,}"
    if not text.isprintable():
        return "holds a line break, an escape sequence or another invisible character"
    return "holds an HTML tag" if _TAG.search(text) else ""


def is_plain(text: str) -> bool:
    """Whether a text stays on its line and hides nothing; tabs and spaces of every kind may stand in it.

    >>> is_plain("3" + chr(160) + "x"), is_plain("3" + chr(10) + "x")
    (True, False)
    """
    return all(char.isprintable() or char == "\t" or category(char) == "Zs" for char in text)


def one_line(text: str, longest: int = 400) -> str:
    """A text as part of a message: without invisible characters, and cut if it is long.

    >>> one_line("a long message", 6)
    'a long …'
    """
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[:longest]} …"


def first_line(error: BaseException) -> str:
    """First line of an exception's text, as part of a message; a note in brackets if its text cannot be made.

    >>> first_line(ValueError("one" + chr(10) + "two"))
    'one'
    """
    try:
        text = str(error)
    except Exception as second:  # code of the user may raise in __str__, or return no text
        text = f"[its text raised {type(second).__name__}]"
    return one_line(text.strip().partition("\n")[0])


def below(folder: Path, *names: str) -> Path:
    """Path of a file or folder below ``folder``; each name is one part of the path.

    Raises:
        InvalidInputError: A name is empty or hidden, or leads elsewhere.
    """
    for name in names:
        if not name or name.startswith(".") or not name.isprintable() or re.search(r"[/\\]", name) or len(name) > 255:
            raise InvalidInputError(f"{name[:80]!r} cannot name a file or folder below {folder}: use another name")
    return folder.joinpath(*names)


def refuse_special_file(path: Path) -> None:
    """Refuse devices, pipes and sockets, which may never end.

    Raises:
        InvalidInputError: The path is one of these.
        OSError: There is no such file.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InvalidInputError(f"{path} is a device or a pipe: copy its content into a file and name that")


def read_text(path: Path, most_bytes: int) -> str:
    """Content of a text file.

    Raises:
        InvalidInputError: It is larger than ``most_bytes``, or no file.
        OSError: It cannot be read.
        UnicodeDecodeError: It is not UTF-8 text.
    """
    refuse_special_file(path)
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise InvalidInputError(f"{path} is larger than {most_bytes:,} bytes, the most that such a file may have")
    return content.decode("utf-8")


def read_toml(path: Path, kind: str, most_bytes: int) -> dict[str, Any]:
    """Content of a TOML file.

    Args:
        path: The file.
        kind: Word for the file in messages, e.g. ``study file``.
        most_bytes: Largest size.

    Raises:
        InvalidInputError: It cannot be read, is too large, or is no TOML.
    """
    try:
        return tomllib.loads(read_text(path, most_bytes))
    except InvalidInputError:
        raise
    except OSError as error:
        raise InvalidInputError(f"cannot read the {kind} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"cannot read the {kind} {path}: it is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:  # TOML that is none, or numbers and nesting beyond reason
        reason = str(error).partition("\n")[0] or "nested too deep"
        raise InvalidInputError(f"{path} is no TOML: {reason}; correct it there, or restore the file") from error


def first_mistake(error: ValidationError, path: Path, keys: Callable[[list[str]], Iterable[str]]) -> InvalidInputError:
    """The first mistake that pydantic found in a file, in one line.

    Args:
        error: The mistakes.
        path: The file.
        keys: Returns the keys that exist in the table at a place of the file.
    """
    errors = error.errors(include_url=False)
    # A misspelled key is also a missing one: the misspelling says more.
    first = next((entry for entry in errors if entry["type"] == "extra_forbidden"), errors[0])
    place = [str(part) if str(part).isprintable() else repr(part) for part in first["loc"]]
    where = ".".join(place) or "the file"
    if first["type"] == "extra_forbidden":
        parent = ".".join(place[:-1])
        return UnknownNameError("key", place[-1], keys(place[:-1]), f"{path}{f', [{parent}]' if parent else ''}")
    if first["type"] == "missing":
        return InvalidInputError(f"{path}: {where} is missing")
    message = first["msg"].removeprefix("Value error, ")
    given = "" if first["type"] == "value_error" else f", not {repr(first['input'])[:80]}"
    return InvalidInputError(f"{path}: {where}: {message[0].lower()}{message[1:]}{given}".replace("\n", " "))


def bounded_lines(file: IO[str], path: Path, longest: int) -> Iterator[str]:
    """Lines of a text file, as iterating over it gives them.

    Raises:
        InvalidInputError: A line has more than ``longest`` characters.
    """
    for number, line in enumerate(iter(lambda: file.readline(longest + 1), ""), start=1):
        if len(line) > longest:
            raise InvalidInputError(
                f"{path}, line {number}: it has more than {longest:,} characters: is this a text table?"
            )
        yield line


def spreadsheet_cell(value: object) -> object:
    """A cell of a CSV file that no spreadsheet takes for a formula.

    Texts that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line break get an apostrophe in front, which
    spreadsheets hide. Numbers stay as they are, also when they are written as text.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("-0.5")
    ("'=1+1", '-0.5')
    """
    is_risky = isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n") and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_risky else value


def spreadsheet_row(values: Iterable[object]) -> list[object]:
    """``spreadsheet_cell`` of each."""
    return [spreadsheet_cell(value) for value in values]
