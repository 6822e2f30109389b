"""The CSV of a trace from elsewhere: reading it with every mistake named by line and column, and writing it.

Columns: ``seed``; exactly one of ``architecture`` (the space's string), ``key``, ``index``; optional ``step``,
``fidelity`` (epochs), ``extra_cost_s``, ``recommended`` (index), ``task``, ``recorded_under`` (rules of a
recorded run, which must be the study's). Rows count in the order of ``step``, else as they stand. A row without an
architecture is search time only.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.studies.replay import RunRows, TraceRows
from nasbench_harness.untrusted import bounded_lines, one_line, refuse_special_file

T = TypeVar("T")
_NAMES = ("architecture", "key", "index")
_COLUMNS = ("task", "seed", "step", *_NAMES, "fidelity", "extra_cost_s", "recommended", "recorded_under")
_OLD_RECORDING = ("task", "seed", "step", "index", "fidelity", "recommended")
_LARGEST = 2**62
_MOST_BYTES = 1 << 30
_LONGEST_LINE = 1 << 16
_LONGEST_NAME = 200


@dataclass(frozen=True)
class _Cells:
    """The file's cells as text: columns by name, and the line that each row stands on."""

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def mistake(self, row: int, column: str, what: object) -> InvalidInputError:
        return InvalidInputError(f"{self.path}, line {self.lines[row]}, column {column}: {one_line(str(what))}")

    def parse(self, column: str, rows: Sequence[int], convert: Callable[[str], T]) -> list[T]:
        """A column's cells at some rows, converted; a refused cell is named by line and column."""
        cells, known = self.columns[column], cache(convert)
        values = []
        for row in rows:
            try:
                values.append(known(cells[row]))
            except InvalidInputError as error:
                raise self.mistake(row, column, error) from None
        return values


def read_trace(path: Path, tasks: Mapping[str, TaskView], task: str | None = None) -> tuple[TraceRows, list[str]]:
    """Read a trace; returns its rows and lines that the user should read.

    Args:
        path: The CSV.
        tasks: The study's tasks by name.
        task: The task of all rows; may be left out if the file has a column ``task`` or the study one task.

    Raises:
        InvalidInputError: Something is wrong with the file; the message names line and column.
        UnknownNameError: The study has no such task, or a column is misspelled.
    """
    if task is not None and task not in tasks:
        raise UnknownNameError("task", task, tasks, "the study")
    cells = _read_cells(path)
    name = _check_columns(cells)
    rows_of = _rows_by_task(cells, tasks, task)
    runs = {known: _runs(cells, name, rows_of[known], tasks[known]) for known in tasks if known in rows_of}
    unread = [column for column in cells.columns if column not in _COLUMNS]
    stated = cells.columns.get("recorded_under")
    rules = (
        {}
        if stated is None
        else {known: tuple(sorted({stated[row] for row in rows_of[known]} - {""})) for known in runs}
    )
    notices = [f"columns that are not read: {', '.join(unread)}"] if unread else []
    if tuple(cells.columns) == _OLD_RECORDING:
        notices.append(
            "a recording of an earlier version does not say its protocol and study seed: are they the study's?"
        )
    return TraceRows(runs, str(path), rules), notices


def write_trace(tasks: Mapping[str, TaskView], trace: TraceRows) -> str:
    """The CSV of a trace, which ``read_trace`` reads back as the same rows."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    last = ["recommended"] if trace.recommends else []
    writer.writerow(["task", "seed", "step", "index", "fidelity", "extra_cost_s", *last])
    for name, rows in trace.tasks.items():
        lengths = np.diff(rows.first)
        steps = np.arange(rows.first[-1]) - np.repeat(rows.first[:-1], lengths)
        axis = tasks[name].fidelities or ("",)
        chosen = np.full(len(steps), -1) if rows.recommended is None else rows.recommended
        columns = (
            np.repeat(rows.seeds, lengths),
            steps,
            rows.architectures,
            rows.fidelities,
            rows.extra_cost_s,
            chosen,
        )
        for seed, step, architecture, place, seconds, own in zip(*(column.tolist() for column in columns), strict=True):
            index, choice = ("" if number < 0 else number for number in (architecture, own))
            last = [choice] if trace.recommends else []
            writer.writerow([name, seed, step, index, axis[place], repr(seconds) if seconds else "", *last])
    return buffer.getvalue()


def _read_cells(path: Path) -> _Cells:
    try:
        refuse_special_file(path)
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidInputError(f"{path} has more than {_MOST_BYTES >> 20} MB: split the trace by tasks")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(bounded_lines(file, path, _LONGEST_LINE), strict=True)
            header = [name.strip() for name in next(reader, [])]
            lines, rows = [], []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InvalidInputError(
                        f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {len(header)} columns"
                    )
                lines.append(reader.line_num)
                rows.append(row)
    except OSError as error:
        raise InvalidInputError(f"cannot read the trace {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"cannot read the trace {path}: it is not UTF-8 text: save it as CSV") from error
    except csv.Error as error:
        raise InvalidInputError(f"{path}, line {reader.line_num}: no CSV ({error})") from error
    if not rows:
        raise InvalidInputError(f"{path} has no rows: it needs a header and one row for every evaluation")
    name, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise InvalidInputError(f"{path}, line 1: two columns are called {name!r}")
    for name in header:
        if not name.isprintable() or len(name) > _LONGEST_NAME:
            raise InvalidInputError(f"{path}, line 1: a column is called {name[:80]!r}: is a quote missing?")
    columns = zip(*rows, strict=True)
    return _Cells(
        path, {name: [cell.strip() for cell in column] for name, column in zip(header, columns, strict=True)}, lines
    )


def _check_columns(cells: _Cells) -> str:
    """Which column names the architectures."""
    for column in cells.columns:
        if column not in _COLUMNS and difflib.get_close_matches(column.lower(), _COLUMNS, n=1, cutoff=0.8):
            raise UnknownNameError("column", column, _COLUMNS, f"{cells.path}, line 1")
    found = f"the header has {', '.join(cells.columns)}"
    if "seed" not in cells.columns:
        raise InvalidInputError(f"{cells.path}, line 1: no column seed; {found}")
    names = [name for name in _NAMES if name in cells.columns]
    if len(names) != 1:
        how_many = f"the columns {', '.join(names)} all name" if names else "no column names"
        raise InvalidInputError(
            f"{cells.path}, line 1: {how_many} the architectures: have exactly one of {', '.join(_NAMES)}; {found}"
        )
    return names[0]


def _rows_by_task(cells: _Cells, tasks: Mapping[str, TaskView], task: str | None) -> dict[str, list[int]]:
    everything = range(len(cells.lines))
    if "task" not in cells.columns:
        if task is None and len(tasks) > 1:
            raise InvalidInputError(
                f"{cells.path} does not say on which of the study's tasks it ran ({', '.join(tasks)}): name it with "
                "--task, or give the file a column task"
            )
        return {task or next(iter(tasks)): list(everything)}

    def known_task(text: str) -> str:
        if text not in tasks:
            raise UnknownNameError("task", text, tasks, "the study")
        if task is not None and text != task:
            raise InvalidInputError(f"the row belongs to {text}, but all were said to belong to {task}")
        return text

    rows: dict[str, list[int]] = {}
    for row, name in zip(everything, cells.parse("task", everything, known_task), strict=True):
        rows.setdefault(name, []).append(row)
    return rows


def _runs(cells: _Cells, name: str, rows: list[int], task: TaskView) -> RunRows:
    seeds = np.array(cells.parse("seed", rows, _whole_number), dtype=np.int64)
    order: Ints = np.arange(len(rows))
    if "step" in cells.columns:
        steps = np.array(cells.parse("step", rows, _whole_number), dtype=np.int64)
        order = np.lexsort((steps, seeds))
        _check_steps(cells, rows, order, seeds, steps)
    architectures = np.array(cells.parse(name, rows, _architecture_reader(task, name)), dtype=np.int64)
    seconds = np.zeros(len(rows))
    fidelities = np.full(len(rows), max(0, len(task.fidelities) - 1))
    if "fidelity" in cells.columns:
        fidelities[:] = cells.parse("fidelity", rows, _fidelity_reader(task))
    if "extra_cost_s" in cells.columns:
        seconds[:] = cells.parse("extra_cost_s", rows, _seconds)
    own = None
    if "recommended" in cells.columns:
        own = np.array(cells.parse("recommended", rows, _architecture_reader(task, "index")), dtype=np.int64)
    nothing = np.flatnonzero((architectures < 0) & (seconds == 0))
    if len(nothing):
        raise cells.mistake(rows[nothing[0]], name, "no architecture; only a row with extra_cost_s may have none")
    ordered = None if own is None or (own < 0).all() else own[order]
    return RunRows.from_rows(seeds[order], architectures[order], fidelities[order], seconds[order], ordered)


def _check_steps(cells: _Cells, rows: list[int], order: Ints, seeds: AnyArray, steps: AnyArray) -> None:
    twice = np.flatnonzero((np.diff(seeds[order]) == 0) & (np.diff(steps[order]) == 0))
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise cells.mistake(
            rows[second],
            "step",
            f"seed {seeds[second]} has step {steps[second]} already, on line {cells.lines[rows[first]]}",
        )


def _architecture_reader(task: TaskView, name: str) -> Callable[[str], int]:
    readers: dict[str, Callable[[str], int]] = {
        "architecture": task.space.from_string,
        "key": task.space.from_key,
        "index": _whole_number,
    }

    def read(text: str) -> int:
        architecture = readers[name](text) if text else -1
        if architecture >= task.space.num_architectures:
            raise InvalidInputError(
                f"{task.name} has the architectures 0 … {task.space.num_architectures - 1}, but no {text}"
            )
        return architecture

    return read


def _fidelity_reader(task: TaskView) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text:
            return max(0, len(task.fidelities) - 1)
        if _whole_number(text) not in task.fidelities:
            searched = "does not name its fidelity"
            if task.fidelities:
                searched = f"is read after {' or '.join(map(str, task.fidelities))} epochs"
            raise InvalidInputError(f"{task.name} {searched} in this study, not after {text}")
        return task.fidelities.index(int(text))

    return read


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _LARGEST):
        raise InvalidInputError(f"expected a whole number of at least 0, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text or "0")
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidInputError(f"expected seconds of at least 0, not {text!r}")
    return seconds
