"""Builds a table of scores in parts that survive interruptions, and joins the parts to one Parquet file.

A part is one score of ``BLOCK`` architectures under one initialization and one batch. It is written whole or not at
all. The same command continues an earlier one, and gives the same bytes however the work was divided.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pandas  # noqa: F401 - pyarrow imports it for arrays and then loses a Ctrl-C or SIGTERM
import pyarrow as pa
import pyarrow.parquet as pq

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import try_lock, write_whole
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer.proxies.catalogue import PROXIES
from nasbench_harness.trainer.proxies.columns import ZEN_COLUMNS, ColumnPlan, check_data_dir, compute, one_thread
from nasbench_harness.trainer.proxies.functions import code_digest
from nasbench_harness.trainer.proxies.inputs import make_batch

BLOCK = 500  # architectures of a part
_SECONDS_BETWEEN_TRIES = 0.1
_OWN = re.compile(r"settings\.json|lock|\w+-\d+-\d+-\d{5,}\.npy|\..+\.tmp")  # names in a folder of parts
NOTE = "macros and pairs were chosen with NAS-Bench-201 accuracies: tuned on NAS-Bench-201"


@dataclass(frozen=True)
class BuildPlan:
    """A whole build.

    Attributes:
        columns: Settings of the columns.
        architectures: Indices, ascending, shape (num_architectures,).
        set_name: The set of architectures, in words.
        initializations: Numbers of initializations.
        batches: Numbers of batches.
        data_dir: Folder or file of data that no package brings.
    """

    columns: list[ColumnPlan]
    architectures: Ints
    set_name: str
    initializations: tuple[int, ...] = (0,)
    batches: tuple[int, ...] = (0,)
    data_dir: Path | None = None

    def families(self) -> list[list[ColumnPlan]]:
        """Columns that are computed together: each alone, but the parts of zen with one setting.

        Functions of the user come first: if one fails at once, no part is stored, and the function may be corrected.
        """
        zen = [plan for plan in self.columns if plan.name in ZEN_COLUMNS]
        alone = [[plan] for plan in self.columns if plan.name not in ZEN_COLUMNS]
        alone.sort(key=lambda family: family[0].name in PROXIES)
        settings = dict.fromkeys((plan.method, plan.macro) for plan in zen)
        return alone + [[plan for plan in zen if (plan.method, plan.macro) == setting] for setting in settings]

    def provenance(self) -> dict[str, Any]:
        """Data, batch, size, initialization, macro and seed of every column, for the file."""
        return {
            "set": self.set_name,
            "initializations": list(self.initializations),
            "batches": list(self.batches),
            "seeds": "weights and draws are keyed by the number of the initialization, images by that of the batch",
            "note": NOTE if any(plan.is_shipped for plan in self.columns) else "",
            "columns": {plan.column: self._describe(plan) for plan in self.columns},
            "versions": {name: version(name) for name in ("torch", "numpy")},
        }

    def _describe(self, plan: ColumnPlan) -> dict[str, Any]:
        source = "none"
        if plan.reads_images:
            try:
                shown = make_batch(plan.data, plan.macro, 0, self.batches[0], self.data_dir)
            except InvalidInputError as error:  # columns have macros of their own
                raise InvalidInputError(f"column {plan.column}: {error}") from error
            source = shown.source.rpartition(", batch")[0]
        proxy = PROXIES.get(plan.name)
        return {
            "proxy": plan.name,
            **({} if proxy else {"code": code_digest(plan.name)}),
            "formula": proxy.formula if proxy else "a function of the user",
            "paper": proxy.paper if proxy else "",
            "method": plan.method,
            "data": source,
            "batch_size": plan.batch_size,
            "initialization": plan.initialization,
            "macro": dataclasses.asdict(plan.macro),
        }


def plan_build(
    columns: list[ColumnPlan],
    num_architectures: int | None = None,
    initializations: Sequence[int] = (0,),
    batches: Sequence[int] = (0,),
    data_dir: Path | None = None,
) -> BuildPlan:
    """Plan a build of all cells, or of a uniform sample of them that is the same on every machine.

    Raises:
        InvalidInputError: A number is out of range, or no column reads the images of ``data_dir``.
    """
    check_data_dir(columns, data_dir)
    total = NASBench201Space().num_architectures
    for noun, numbers in (("initializations", initializations), ("batches", batches)):
        if list(numbers) != sorted(set(numbers)) or not numbers or not 0 <= numbers[0] <= numbers[-1] < 2**16:
            raise InvalidInputError(f"{noun} are ascending numbers of 0 … 65,535, not {list(numbers)}")
    if num_architectures is not None and not 1 <= num_architectures <= total:
        raise InvalidInputError(f"the number of architectures must be in 1 … {total:,}, not {num_architectures}")
    everything = num_architectures in (None, total)
    if everything:
        architectures, name = np.arange(total), f"all {total:,} cells of NAS-Bench-201"
    else:
        drawn = np.random.default_rng(201).permutation(total)[:num_architectures]
        architectures, name = np.sort(drawn), f"uniform sample of {num_architectures:,} of {total:,} cells (seed 201)"
    return BuildPlan(columns, architectures, name, tuple(initializations), tuple(batches), data_dir)


def build(
    plan: BuildPlan,
    out: Path,
    command: str,
    shard: tuple[int, int] = (1, 1),
    on_scores: Callable[[int, int], None] | None = None,
) -> int:
    """Compute the parts of one shard; if no part is missing afterwards, join them. Returns the number missing.

    Args:
        plan: The planned table.
        out: File to write; its parts are in a folder beside it, which is removed at the end.
        command: Command line, for the file.
        shard: (i, n): this call computes parts i, i + n, i + 2n, … (from 1).
        on_scores: Called with (scores done, scores of the shard) after each part.

    Raises:
        InvalidInputError: The file exists with another content or is a folder, the folder of parts holds other files or
            parts of other settings, or a file cannot be written.
    """
    if out.is_dir():
        raise InvalidInputError(f"{out} is a folder: name a file with --out")
    provenance = {**plan.provenance(), "command": command}
    text = json.dumps(provenance, ensure_ascii=False, sort_keys=True)
    folder = out.with_name(f"{out.name}.parts")
    if out.exists():
        if provenance_of(out) != provenance:
            raise InvalidInputError(f"{out} holds scores of other settings: name another --out")
        if _is_claimed(folder, text):  # by a process that was killed before it removed the folder
            _remove(folder)
        return 0
    _claim(folder, text)
    jobs = [
        (family, number, batch, start)
        for start in range(0, len(plan.architectures), BLOCK)
        for family in plan.families()
        for number in plan.initializations
        for batch in plan.batches
    ]
    mine = jobs[shard[0] - 1 :: shard[1]]
    widths = [len(plan.architectures[job[3] : job[3] + BLOCK]) * len(job[0]) for job in mine]
    done = 0
    with one_thread():
        for (family, number, batch, start), width in zip(mine, widths, strict=True):
            path = _part(folder, family, number, batch, start)
            if not path.exists():
                chosen = plan.architectures[start : start + BLOCK]
                values = compute(family, chosen, number, batch, plan.data_dir)
                _claim(folder, text)  # a command with other settings may have taken the folder while it had no part
                _write(path, values)
            done += width
            if on_scores is not None:
                on_scores(done, sum(widths))
    missing = sum(not _part(folder, *job).exists() for job in jobs)
    if missing and not out.exists():
        return missing
    with _joining(folder):
        if not out.exists():  # else another process has joined the parts, and removed them
            _join(plan, folder, out, text)
    _remove(folder)
    return 0


def provenance_of(path: Path) -> dict[str, Any]:
    """Provenance of a file of scores.

    Raises:
        InvalidInputError: It is no such file.
    """
    try:
        found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"provenance"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        raise InvalidInputError(f"{path} is no file of scores: delete it or name another") from None
    return found


def _claim(folder: Path, text: str) -> None:
    """Make the folder of parts, or check that its parts, if it has any, belong to these settings."""
    settings = folder / "settings.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shown = (path for path in folder.iterdir() if not path.name.startswith("."))  # systems add hidden files
        other = next((path for path in shown if not _OWN.fullmatch(path.name)), None)
        if other is not None:
            raise InvalidInputError(f"{folder} holds {other.name}, which is no part: remove it, or name another --out")
        if not _is_claimed(folder, text) and not any(folder.glob("*.npy")):
            write_whole(settings, text.encode())
    except OSError as error:
        raise InvalidInputError(f"cannot write {folder}: {error.strerror}: name another --out") from error
    if not _is_claimed(folder, text):
        raise InvalidInputError(f"{folder} holds parts of other settings: delete it or name another --out")


def _is_claimed(folder: Path, text: str) -> bool:
    settings = folder / "settings.json"
    return settings.exists() and settings.read_text(encoding="utf-8") == text


def _remove(folder: Path) -> None:
    """Remove the parts and their folder; what is no part stays."""
    with suppress(OSError):  # another process may be removing them
        for path in folder.iterdir():
            if _OWN.fullmatch(path.name):
                path.unlink(missing_ok=True)
        folder.rmdir()


def _part(folder: Path, family: Sequence[ColumnPlan], number: int, batch: int, start: int) -> Path:
    return folder / f"{family[0].column}-{number}-{batch}-{start:05d}.npy"


def _write(path: Path, values: Floats) -> None:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    _store(path, buffer.getvalue())


def _store(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> Floats:
    try:
        values: Floats = np.load(path, allow_pickle=False)
        return values
    except (OSError, EOFError, ValueError) as error:
        raise InvalidInputError(f"{path} is damaged: delete it, and the same command computes it again") from error


@contextmanager
def _joining(folder: Path) -> Iterator[None]:
    """Let one process at a time join the parts of a folder; the others wait until it has ended."""
    folder.mkdir(parents=True, exist_ok=True)  # another process may just have removed it
    with (folder / "lock").open("ab") as file:
        while not try_lock(file):
            sleep(_SECONDS_BETWEEN_TRIES)
        yield


def _join(plan: BuildPlan, folder: Path, out: Path, text: str) -> None:
    """One row per initialization, batch and architecture; scores as float32."""
    pairs = [(number, batch) for number in plan.initializations for batch in plan.batches]
    count = len(plan.architectures)
    scores: dict[str, Floats] = {}
    for family in plan.families():
        starts = range(0, count, BLOCK)
        parts = [_read(_part(folder, family, *pair, start)) for pair in pairs for start in starts]
        for position, column in enumerate(family):
            scores[column.column] = np.concatenate(parts)[:, position]
    arrays = {
        "architecture": pa.array(np.tile(plan.architectures, len(pairs)), pa.uint16()),
        "initialization": pa.array(np.repeat([pair[0] for pair in pairs], count), pa.uint16()),
        "batch": pa.array(np.repeat([pair[1] for pair in pairs], count), pa.uint16()),
        **{column.column: pa.array(scores[column.column], pa.float32(), from_pandas=False) for column in plan.columns},
    }
    table = pa.table(arrays).replace_schema_metadata({"provenance": text})
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=19,
        use_dictionary=["architecture", "initialization", "batch"],
        column_encoding={column.column: "BYTE_STREAM_SPLIT" for column in plan.columns},
        write_statistics=False,
    )
    _store(out, sink.getvalue())
