"""Positions of the members of a tar file; nothing is ever extracted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from nasbench_harness.errors import TableError

_BLOCK = 512
_MOST_MEMBERS = 50_000
_LONGEST_HEADER = 1 << 20


def members_of(path: Path) -> dict[str, tuple[int, int]]:
    """Name -> (offset, size) of every regular file of an uncompressed tar file.

    Raises:
        TableError: It is truncated, has a link, a device or a name twice, or a path leads out of its folder.
    """
    size = path.stat().st_size
    members: dict[str, tuple[int, int]] = {}
    with path.open("rb") as file:
        for _ in range(_MOST_MEMBERS):
            header = file.read(_BLOCK)
            if len(header) < _BLOCK:
                raise TableError("it is truncated: it has no end mark")
            if not header.strip(b"\0"):
                return members
            _add(members, header, file, size)
    raise TableError(f"it has more than {_MOST_MEMBERS:,} members")


def _add(members: dict[str, tuple[int, int]], header: bytes, file: BinaryIO, file_size: int) -> None:
    checksum = _octal(header[148:156])
    if checksum != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise TableError("it is damaged: a header does not match its checksum")
    name = _name(header)
    length, kind, offset = _octal(header[124:136]), header[156:157], file.tell()
    if offset + length > file_size:
        raise TableError(f"it is truncated: {name} is cut off")
    if kind in b"0\0":
        if name in members:
            raise TableError(f"it holds {name} twice")
        members[name] = (offset, length)
    elif kind not in (b"5", b"x", b"g"):
        raise TableError(f"{name} is neither a file nor a folder")
    elif kind != b"5" and length > _LONGEST_HEADER:
        raise TableError(f"the header of {name} has {length:,} bytes")
    file.seek(offset + -(-length // _BLOCK) * _BLOCK, os.SEEK_SET)


def _name(header: bytes) -> str:
    prefix = header[345:500] if header[257:262] == b"ustar" and header[263:265] == b"00" else b""
    parts = [part.split(b"\0", 1)[0].decode("utf-8", "replace") for part in (prefix, header[:100])]
    name = "/".join(filter(None, parts))
    if not name or name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise TableError(f"the path {name[:80]!r} leads out of its folder")
    return name


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not text or any(digit not in b"01234567" for digit in text):
        raise TableError("it is damaged: a header has no number where one must be")
    return int(text, 8)
