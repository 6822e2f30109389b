"""Temporary names of files that are being written, and removing those that a killed writer left."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

_TEMPORARY = re.compile(r"\..+?\.(?:(?P<host>[A-Za-z0-9-]*)\.)?(?P<process>\d+)\.tmp")
_LONGEST = 200  # bytes of a file's name that go into its temporary name; file systems allow 255
# Whether a process of another machine lives cannot be seen; nothing is written for so long.
_SECONDS_OF_A_DAY = 86_400


def temporary_name(path: Path) -> Path:
    """A name beside a file to write it under: hidden, and of this process only."""
    return path.with_name(f".{path.name[:_LONGEST]}.{_host()}.{os.getpid()}.tmp")


def remove_abandoned(folder: Path) -> list[Path]:
    """Remove what dead writers left below a folder; returns what was removed.

    A file is kept while its writer lives. That of another machine, or of a version which did not write the machine's
    name, is kept for a day after its last change.
    """
    removed = []
    for path in sorted(folder.rglob(".*.tmp")):
        with suppress(OSError):
            if _is_abandoned(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                removed.append(path)
    return removed


def _is_abandoned(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] == _host():
        return not _lives(int(match["process"]))
    is_old = time.time() - path.lstat().st_mtime > _SECONDS_OF_A_DAY
    return is_old and (match["host"] is not None or not _lives(int(match["process"])))


def _lives(process: int) -> bool:
    if process == os.getpid() or os.name == "nt":  # there, the question would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return not _has_ended(process)


def _has_ended(process: int) -> bool:
    """Whether a process has ended but still has its number, as its parent has not asked how it ended (a zombie)."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # there is no such folder on this system, or the process is gone
        return False
    return status.rpartition(")")[2].split()[0] in "ZX"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:32]
