"""Files that are written whole or not at all, locks, and the removal of temporary files that a killed writer left."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\..+?\.(?:(?P<host>[A-Za-z0-9-]*)\.)?(?P<process>\d+)\.tmp")
_LONGEST = 200  # bytes of a file's name that go into its temporary name; file systems allow 255
# Whether a process of another machine lives cannot be seen; nothing is written for so long.
_SECONDS_OF_A_DAY = 86_400
_MANIFEST = ".generated"  # in a folder of generated files: their names, one on each line


def temporary_name(path: Path) -> Path:
    """A name beside a file to write it under: hidden, and of this process only."""
    return path.with_name(f".{path.name[:_LONGEST]}.{_host()}.{os.getpid()}.tmp")


def write_whole(path: Path, content: bytes | bytearray, *, first_stands: bool = False) -> None:
    """Write a file whole or not at all: it gets its name when its content is on the disk.

    Args:
        path: The file; its folder is made.
        content: Its bytes.
        first_stands: Leave a file as it is that another process wrote meanwhile.

    Raises:
        OSError: It cannot be written; nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if first_stands:
            _name_first(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _name_first(temporary: Path, path: Path) -> None:
    """Give a file its name, unless there is a file of this name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # the file system has no links
        if not path.exists():
            os.replace(temporary, path)


@contextmanager
def replacing(folder: Path, lock: Callable[[], AbstractContextManager[None]] = nullcontext) -> Iterator[Path]:
    """A temporary folder for generated files, which replace those that the last call with this folder generated.

    Other files of the folder stay, unless a new one has the same name. The names of generated files are kept in the
    hidden file ``.generated``.

    Args:
        folder: Folder of the files; it is made.
        lock: Held while the files are replaced.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = temporary_name(folder)
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        yield temporary
        with lock():
            folder.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in temporary.iterdir()}
            before = _generated_before(folder)
            _write_manifest(folder, before | names)  # a call that is killed from here on forgets no name
            for name in before - names:
                (folder / name).unlink(missing_ok=True)
            for name in sorted(names):
                os.replace(temporary / name, folder / name)
            _write_manifest(folder, names)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_manifest(folder: Path, names: set[str]) -> None:
    write_whole(folder / _MANIFEST, "".join(f"{name}\n" for name in sorted(names)).encode())


def _generated_before(folder: Path) -> set[str]:
    """Names of files directly in the folder that the manifest lists."""
    try:
        if not (folder / _MANIFEST).is_file():  # also a pipe or a device, which may never end
            return set()
        names = (folder / _MANIFEST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {name for name in names if name and name == Path(name).name and (folder / name).is_file()}


def try_lock(file: IO[bytes] | IO[str] | int, *, is_shared: bool = False) -> bool:
    """Lock an open file until it is closed; returns whether no other process has it.

    Systems without such locks (Windows, some network file systems) give every lock.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def remove_abandoned(folder: Path, names: Collection[str] | None = None) -> list[Path]:
    """Remove temporary files of dead writers below a folder; returns their paths.

    A file is kept while its writer lives. That of another machine, or of a version which did not write the machine's
    name, is kept for a day after its last change.

    Args:
        folder: The folder.
        names: Folders directly in it that are looked through, too; None: all.
    """
    removed = []
    for place, folders, files in os.walk(folder):  # a folder that vanishes meanwhile is left out
        for name in sorted([*folders, *files]):
            path = Path(place, name)
            with suppress(OSError):
                if _is_abandoned(path):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                    removed.append(path)
        if names is not None and Path(place) == folder:
            folders[:] = [name for name in folders if name in names]
    return removed


def _is_abandoned(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] == _host():
        return not is_alive(int(match["process"]))
    is_old = time.time() - path.lstat().st_mtime > _SECONDS_OF_A_DAY
    return is_old and (match["host"] is not None or not is_alive(int(match["process"])))


def is_alive(process: int) -> bool:
    """Whether a process of this machine still runs."""
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
