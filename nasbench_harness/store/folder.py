"""The folder of a study: where blocks lie, which seeds are missing, what is stale."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from nasbench_harness.errors import InvalidInputError, StoreError
from nasbench_harness.store.blocks import CELL, read_record
from nasbench_harness.store.identity import run_id

_BLOCK_NAME = re.compile(r"seeds-(\d+)-(\d+)\.parquet")


@dataclass(frozen=True)
class Block:
    """A file that holds the runs with seeds first … last."""

    path: Path
    first: int
    last: int


class StudyFolder:
    """A study on disk.

    Args:
        path: The folder; made when something is written.

    Raises:
        InvalidInputError: ``path`` is a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for part in (path, *path.parents):
            if part.exists() and not part.is_dir():
                raise InvalidInputError(
                    f"{part} is a file, but the study's folder should be there: name another folder"
                )

    @property
    def study_file(self) -> Path:
        """Record of the last command."""
        return self.path / "study.toml"

    @property
    def report_folder(self) -> Path:
        """Where generated tables and figures lie."""
        return self.path / "report"

    @property
    def export_folder(self) -> Path:
        """Where exported rows lie."""
        return self.path / "export"

    def trace_path(self, sha256: str) -> Path:
        """File of the rows of a trace from elsewhere."""
        return self.path / "traces" / f"{sha256[:16]}.parquet"

    def runs_folder(self, identity: Mapping[str, Any]) -> Path:
        """Folder of one strategy's blocks on one task."""
        return self.path / "runs" / str(identity["task"]) / f"{_plain(identity['strategy'])}-{run_id(identity)}"

    def blocks(self, identity: Mapping[str, Any]) -> list[Block]:
        """Blocks of one strategy on one task, by first seed; each one's footer is checked.

        Raises:
            StoreError: A file is torn, or belongs to other runs.
        """
        folder, found = self.runs_folder(identity), []
        for path in sorted(folder.glob("*.parquet")) if folder.is_dir() else []:
            match = _BLOCK_NAME.fullmatch(path.name)
            if match is None or read_record(path).get("run_id") != run_id(identity):
                raise StoreError(f"{path} does not belong to the runs of its folder: move it elsewhere and run again")
            found.append(Block(path, int(match[1]), int(match[2])))
        return sorted(found, key=lambda block: (block.first, -block.last))

    def block_path(self, identity: Mapping[str, Any], first: int, last: int) -> Path:
        """Name of the block of these seeds, which lie in one cell of the grid."""
        return self.runs_folder(identity) / f"seeds-{first}-{last}.parquet"

    def stale_blocks(self, blocks: Iterable[Block], code: str) -> list[Block]:
        """Blocks that were produced by another version of the strategy's code."""
        return [block for block in blocks if read_record(block.path).get("code") != code]

    def supersede(self, block: Block) -> None:
        """Move a block out of the way; nothing is deleted."""
        code = str(read_record(block.path).get("code"))[:8]
        target = self.path / "superseded" / block.path.parent.relative_to(self.path / "runs") / code / block.path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        counter = 0
        while target.exists():
            counter += 1
            target = target.with_name(f"{block.path.stem}.{counter}.parquet")
        os.replace(block.path, target)

    def write_text(self, path: Path, text: str) -> None:
        """Write a small file whole or not at all.

        Raises:
            InvalidInputError: The folder cannot be written.
        """
        self.write_bytes(path, text.encode())

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Write a small file whole or not at all (see ``write_text``)."""
        with self.writing(path) as temporary:
            temporary.write_bytes(content)

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """A temporary name to write a file under, which becomes ``path`` when all went well.

        Raises:
            InvalidInputError: The folder cannot be written.
        """
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        except OSError as error:
            raise InvalidInputError(
                f"cannot write {path}: {error.strerror}: make it writable, or choose another --out"
            ) from error
        finally:
            if temporary.exists():
                temporary.unlink()

    def write_json(self, path: Path, value: Any) -> None:
        """Write JSON with sorted keys (see ``write_text``)."""
        self.write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def named_blocks(folder: Path) -> list[Block]:
    """Blocks that the names in a runs folder promise; no file is opened, so that a writer is not disturbed."""
    try:
        matches = [(path, _BLOCK_NAME.fullmatch(path.name)) for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return [Block(path, int(match[1]), int(match[2])) for path, match in matches if match]


def missing_seeds(
    blocks: Iterable[Block], num_seeds: int, among: Collection[int] | None = None
) -> list[tuple[int, int]]:
    """Ranges (first, last) of seeds 0 … num_seeds − 1 that no block holds, each inside one cell of the grid.

    Args:
        blocks: What is there.
        num_seeds: Seeds of the study.
        among: Only these seeds are wanted; None: all.
    """
    done = {seed for block in blocks for seed in range(block.first, block.last + 1)}
    wanted = range(num_seeds) if among is None else sorted(seed for seed in among if seed < num_seeds)
    return seed_ranges(seed for seed in wanted if seed not in done)


def seed_ranges(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending seeds as ranges (first, last), each inside one cell of the grid."""
    ranges: list[tuple[int, int]] = []
    for seed in seeds:
        if ranges and ranges[-1][1] == seed - 1 and seed % CELL:
            ranges[-1] = (ranges[-1][0], seed)
        else:
            ranges.append((seed, seed))
    return ranges


def file_name(label: str) -> str:
    """A label as part of a file's name; labels that differ in other characters only stay apart."""
    plain = _plain(label)
    return plain if plain == label else f"{plain}-{sha256(label.encode()).hexdigest()[:8]}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)
