"""The kinds of official archives, each a stream of (number, results of one architecture)."""

from __future__ import annotations

import bz2
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.importers.archives.machine import DataPickle
from nasbench_harness.importers.archives.tar import members_of
from nasbench_harness.tables.table import Origin
from nasbench_harness.untrusted import one_line, refuse_special_file

# Receives the number of an architecture and a function that reads its results, {schedule: state}.
OnArchitecture = Callable[[int, Callable[[], Any]], None]

_MEMBER = re.compile(r"(?:.*/)?(meta|\d{1,6})\.pickle\.pbz2")
_LARGEST_MEMBER = 64 << 20
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PICKLES = 3  # magic number, version, machine; then the data
_TAR_MAGIC = (257, b"ustar")


class Source(Protocol):
    """An archive that was recognized."""

    @property
    def kind(self) -> str:
        """The word for it in the provenance."""

    @property
    def benchmark(self) -> str:
        """``NAS-Bench-201`` or ``NATS-Bench``."""

    @property
    def origin(self) -> Origin:
        """See Provenance."""

    def digest(self) -> str:
        """sha256 of its bytes; of a folder: of the names and digests of its files."""

    def read(self, on_architecture: OnArchitecture) -> list[str]:
        """Hand over every architecture, in the archive's order.

        Returns:
            The strings of all architectures of the space, in order of their numbers.

        Raises:
            TableError: The archive is damaged, or holds anything but results.
        """

    def num_architectures(self) -> int | None:
        """Number of its architectures, None if it is known only afterwards."""


def recognize(path: Path) -> Source:
    """The archive at a path.

    Raises:
        InvalidInputError: There is none, or it is of no known kind.
    """
    if path.is_dir():
        return Members(path, _files_of(path))
    try:
        refuse_special_file(path)
        with path.open("rb") as file:
            head = file.read(_TAR_MAGIC[0] + len(_TAR_MAGIC[1]))
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    if head.startswith(b"PK\x03\x04"):
        return SinglePickle(path, _zip_reader, 0, "NAS-Bench-201")
    if head.startswith(_LEGACY):
        return SinglePickle(path, _plain_reader, _LEGACY_PICKLES, "NAS-Bench-201")
    if head.startswith(b"BZh"):
        return SinglePickle(path, _bz2_reader, 0, "NATS-Bench")
    if head[_TAR_MAGIC[0] :] == _TAR_MAGIC[1]:
        return Members(path, _members_by_name(path))
    compressed = " (unpack it first)" if head.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"(\xb5/\xfd")) else ""
    raise InvalidInputError(
        f"{path} is no official archive{compressed}: expected NAS-Bench-201-*.pth, a NATS-*-simple folder or .tar, or "
        "NATS-*.pickle.pbz2; a CSV or Parquet file needs --spec"
    )


@dataclass(frozen=True)
class SinglePickle:
    """One pickle of everything: ``.pth`` in both of torch's formats, or a NATS ``.pickle.pbz2``."""

    path: Path
    open: Callable[[Path], Any]
    num_leading: int
    benchmark: str
    kind: str = "official archive"
    origin: Origin = "official"

    def digest(self) -> str:
        """sha256 of the file."""
        return _sha256(self.path)

    def num_architectures(self) -> None:
        """Known only afterwards."""

    def read(self, on_architecture: OnArchitecture) -> list[str]:
        """See ``Source``; it is read from its beginning, for later parts may refer to earlier ones."""

        def hand_over(key: Any, value: Any) -> None:
            if type(key) is not int:
                raise TableError("the number of an architecture is no number")
            on_architecture(key, lambda: value)

        with _explained(self.path), self.open(self.path) as file:
            reader = DataPickle(file.read, "arch2infos", hand_over)
            for _ in range(self.num_leading):
                reader.load()
            content = reader.load()
            if not self.num_leading and not reader.at_end():
                raise TableError("something follows its end")
            return _names(content)


@dataclass(frozen=True)
class Members:
    """One pickle per architecture, in a folder or a tar file."""

    path: Path
    members: dict[str, tuple[Path, int, int]]
    benchmark: str = "NATS-Bench"
    kind: str = "official archive"
    origin: Origin = "official"

    def digest(self) -> str:
        """sha256 of the file; of a folder: of the names and digests of its files."""
        if self.path.is_file():
            return _sha256(self.path)
        lines = hashlib.sha256()
        for name, (path, _, _) in sorted(self.members.items()):
            lines.update(f"{name} {_sha256(path)}\n".encode())
        return lines.hexdigest()

    def num_architectures(self) -> int:
        """How many files there are beside the meta file."""
        return len(self.members) - 1

    def read(self, on_architecture: OnArchitecture) -> list[str]:
        """See ``Source``."""
        with _explained(self.path):
            names = _names(self._load("meta"))
            for key in sorted((key for key in self.members if key != "meta"), key=int):
                on_architecture(int(key), partial(self._load, key))
            return names

    def _load(self, name: str) -> Any:
        path, offset, size = self.members[name]
        if size > _LARGEST_MEMBER:
            raise TableError(f"{name}.pickle.pbz2 has {size:,} bytes")
        with path.open("rb") as file:
            file.seek(offset)
            packed = file.read(size)
        with bz2.open(io.BytesIO(packed)) as unpacked:
            reader = DataPickle(unpacked.read)
            content = reader.load()
            if not reader.at_end():
                raise TableError(f"{name}.pickle.pbz2: something follows its end")
            return content


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Every fault of a file as one line."""
    try:
        yield
    except InvalidInputError:  # of the caller, not of the file
        raise
    except TableError as error:
        raise TableError(f"{path} cannot be read: {one_line(str(error))}") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        reason = one_line(str(error) or type(error).__name__)
        raise TableError(f"{path} is truncated or damaged ({reason})") from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error


def _names(content: Any) -> list[str]:
    names = content.get("meta_archs") if type(content) is dict else None
    if type(names) is not list or not all(type(name) is str for name in names):
        raise TableError("it has no list meta_archs of architectures")
    return names


def _files_of(folder: Path) -> dict[str, tuple[Path, int, int]]:
    try:
        files = [(path.name, path, path.stat().st_size) for path in sorted(folder.iterdir()) if path.is_file()]
    except OSError as error:
        raise InvalidInputError(f"cannot read {folder}: {error.strerror}") from error
    return _numbered(folder, [(name, (path, 0, size)) for name, path, size in files])


def _members_by_name(path: Path) -> dict[str, tuple[Path, int, int]]:
    with _explained(path):
        members = members_of(path)
        return _numbered(path, [(name, (path, offset, size)) for name, (offset, size) in members.items()])


def _numbered(path: Path, files: list[tuple[str, tuple[Path, int, int]]]) -> dict[str, tuple[Path, int, int]]:
    """Files by their number without leading zeros, and ``meta``."""
    members: dict[str, tuple[Path, int, int]] = {}
    for name, place in files:
        match = _MEMBER.fullmatch(name)
        if match is None or name.rpartition("/")[2].startswith("._"):
            continue
        key = match[1] if match[1] == "meta" else str(int(match[1]))
        if key in members:
            raise TableError(f"{path} cannot be read: it has two files for {key}")
        members[key] = place
    if "meta" not in members or len(members) == 1:
        raise InvalidInputError(
            f"{path} is no NATS-Bench archive: expected meta.pickle.pbz2 and files like 000000.pickle.pbz2"
        )
    return members


def _plain_reader(path: Path) -> BinaryIO:
    return path.open("rb")


def _bz2_reader(path: Path) -> bz2.BZ2File:
    return bz2.open(path)


@contextmanager
def _zip_reader(path: Path) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive:
        names = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == "data.pkl"]
        if len(names) != 1:
            raise TableError("it is no file of torch.save (it holds no data.pkl)")
        if names[0].compress_type != zipfile.ZIP_STORED:
            raise TableError("its data.pkl is compressed, which torch.save never does")
        with archive.open(names[0]) as file:
            yield file
