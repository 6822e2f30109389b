"""Every row of a study's runs as one tidy table, and one strategy's rows as a trace that can be added elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nasbench_harness.arrays import AnyArray, Bools, Floats
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.status import Status
from nasbench_harness.store.folder import file_name
from nasbench_harness.store.locks import updating
from nasbench_harness.store.seed_ranges import first_holders
from nasbench_harness.store.segments import SEEDS_PER_SEGMENT, read_columns
from nasbench_harness.studies.replay import RunRows, TraceRows
from nasbench_harness.studies.run_sets import RunSet
from nasbench_harness.studies.trace_csv import write_trace
from nasbench_harness.untrusted import below, spreadsheet_cell

if TYPE_CHECKING:
    from nasbench_harness.studies.study import Study


FORMATS = ("parquet", "csv")
_STATUS = [status.name.lower() for status in Status]


def export_runs(study: Study, trace: str | None, formats: Sequence[str], task: str | None) -> list[Path]:
    """Write rows of a study's runs to its folder ``export`` (see ``Study.export``)."""
    folder = study.folder
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    with updating(folder.path):
        folder.remove_abandoned()
    if trace is not None and trace not in study.labels:
        raise UnknownNameError("strategy", trace, study.labels, "this study")
    tasks = {entry.name: entry for entry in study.tasks}
    if task is not None and task not in tasks:
        raise UnknownNameError("task", task, tasks, "this study")
    study.check_complete(trace, task)
    stored = study.run_sets(trace, task)
    if not stored:
        raise InvalidInputError(f"the trace {trace!r} has no rows on {task}")
    if trace is not None:
        rows = TraceRows({runs.task.name: proposals(rows_by_seed(runs)) for runs in stored}, trace)
        path = below(folder.export_folder, f"trace-{file_name(trace)}.csv")
        folder.write_text(path, write_trace(tasks, rows))
        return [path]
    files = [below(folder.export_folder, f"{task or 'runs'}.{name}") for name in formats]
    for path, name in zip(files, formats, strict=True):
        with folder.writing(path) as temporary:
            write_runs(stored, temporary, name, {"command": study.command, "study": study.record.to_toml()})
    return files


def rows_by_seed(runs: RunSet) -> Iterator[dict[str, AnyArray]]:
    """Stored rows by seed and step, the seeds of one segment at a time, however the rows are in files."""
    for _, segments in groupby(runs.segments(), lambda segment: segment.first // SEEDS_PER_SEGMENT):
        parts: list[dict[str, AnyArray]] = []
        for segment, here in first_holders(segments, range(runs.record.num_seeds)):
            columns = read_columns(segment.path)
            wanted = np.isin(columns["seed"], list(here))
            if wanted.any():
                columns.setdefault("recommended", np.full(len(wanted), -1, dtype=np.int32))
                parts.append({name: column[wanted] for name, column in columns.items()})
        if parts:  # ascending: segments come by first seed, and each holds a range
            yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write_runs(stored: Sequence[RunSet], path: Path, kind: str, record: Mapping[str, Any]) -> None:
    """Write the rows of all runs as one table.

    Args:
        stored: Runs to write, in this order.
        path: The file.
        kind: ``parquet`` or ``csv``.
        record: JSON-able description for the footer of a Parquet file.
    """
    schema = _schema(stored).with_metadata({"nasbench_harness": json.dumps(record, sort_keys=True)})
    open_writer: dict[str, Callable[[], Any]] = {
        "parquet": lambda: pq.ParquetWriter(path, schema),
        "csv": lambda: pa_csv.CSVWriter(path, schema, write_options=pa_csv.WriteOptions(quoting_style="needed")),
    }
    with open_writer[kind]() as writer:
        for entry in stored:
            for rows in rows_by_seed(entry):
                table = _tidy(entry, rows, schema)
                writer.write_table(_for_spreadsheets(table) if kind == "csv" else table)


def proposals(cells: Iterable[Mapping[str, AnyArray]]) -> RunRows:
    """Proposals of runs, their declared search time and their recommendations: enough to replay them.

    Rows that only hold a last recommendation are left out: their runs left budget over, and no replay may.
    """
    parts = [_proposed(rows) for rows in cells]
    seeds, architectures, fidelities, seconds, own = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return RunRows.from_rows(seeds, architectures, fidelities, seconds, own if (own >= 0).any() else None)


def extra_costs(before_s: Floats, cost_s: Floats, finished_s: Floats, is_late: Bools) -> Floats:
    """Search time declared before each evaluation, 0 if there is no clock; all shapes (num_rows,).

    The shortest decimals that lead to the stored clock to the last bit.

    Args:
        before_s: Simulated time before the row.
        cost_s: Seconds charged for the evaluation.
        finished_s: Simulated time after it.
        is_late: The budget ended the evaluation: its cost is the rest of the seconds.
    """

    def leads_there(extra_s: Floats) -> Bools:
        started_s = before_s + extra_s
        left = np.maximum(finished_s - started_s, 0.0) == cost_s
        fits: Bools = np.where(is_late, left, started_s + cost_s == finished_s)
        return fits & (extra_s >= 0)

    rough = np.nan_to_num(np.maximum(finished_s - cost_s - before_s, 0.0))
    candidates = [np.round(rough, digits) for digits in range(13)]
    candidates += [rough + quarters * np.spacing(np.nan_to_num(finished_s)) / 4 for quarters in range(-8, 9)]
    no_extra = np.zeros_like(rough)
    extra, is_open = no_extra, ~(leads_there(no_extra) | np.isnan(finished_s))
    for candidate in candidates:
        fits = is_open & leads_there(candidate)
        extra, is_open = np.where(fits, candidate, extra), is_open & ~fits
    return np.where(is_open, rough, extra)


def _proposed(rows: Mapping[str, AnyArray]) -> tuple[AnyArray, ...]:
    is_first = np.concatenate([[True], np.diff(rows["seed"]) > 0])
    cost_s, finished_s = rows["cost_s"], rows["finished_s"]
    before_s = np.where(is_first, 0.0, np.concatenate([[0.0], finished_s[:-1]]))
    is_progress = np.isin(rows["status"], (Status.PROGRESS, Status.SOURCE))
    # Progress that the budget ended: what was left of the seconds may, added up, miss it by a bit.
    progress_s = np.where(before_s + cost_s < finished_s, cost_s + np.spacing(finished_s), cost_s)
    extra_s = extra_costs(before_s, cost_s, finished_s, rows["status"] == Status.OVERRUN)
    seconds = np.where(is_progress, progress_s, extra_s)
    kept = ~is_progress | (seconds > 0)
    recommended = rows.get("recommended", np.full(len(kept), -1))
    columns = (rows["seed"].astype(np.int64), rows["architecture"], rows["fidelity"], seconds, recommended)
    return tuple(column[kept] for column in columns)


def _schema(stored: Sequence[RunSet]) -> Any:
    values = dict.fromkeys(name for entry in stored for name in entry.task.measures.names)
    types = {
        "strategy": pa.string(),
        "is_replayed": pa.bool_(),
        "task": pa.string(),
        "seed": pa.int32(),
        "step": pa.int32(),
        "index": pa.int32(),
        "key": pa.string(),
        "fidelity": pa.int32(),
        "replicate": pa.int16(),
        "training": pa.int32(),
        **dict.fromkeys(values, pa.float64()),
        "cost_s": pa.float64(),
        "finished_s": pa.float64(),
        "status": pa.string(),
        "recommended": pa.int32(),
    }
    if any(entry.task.protocol.workers > 1 for entry in stored):
        types |= {"worker": pa.int16(), "started_s": pa.float64()}
    return pa.schema(list(types.items()))


def _for_spreadsheets(table: Any) -> Any:
    """The table without texts that a spreadsheet takes for formulas."""
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            encoded = table.column(position).combine_chunks().dictionary_encode()
            texts = pa.array([spreadsheet_cell(text) for text in encoded.dictionary.to_pylist()], pa.string())
            table = table.set_column(position, field, texts.take(encoded.indices))
    return table


def _tidy(stored: RunSet, rows: Mapping[str, AnyArray], schema: Any) -> Any:
    """Rows as people read them: empty cells for no value, names in place of coded numbers."""
    num_rows, space = len(rows["seed"]), stored.task.space
    is_progress = np.isin(rows["status"], (Status.PROGRESS, Status.SOURCE))
    distinct, inverse = np.unique(np.maximum(rows["architecture"], 0), return_inverse=True)
    axis = stored.task.fidelities
    epochs = np.array(axis or (0,))[np.minimum(rows["fidelity"], max(0, len(axis) - 1))]
    no_value = np.full(num_rows, np.nan)
    columns: dict[str, tuple[AnyArray, Bools]] = {
        "index": (rows["architecture"], is_progress),
        "key": (np.array([space.to_key(int(index)) for index in distinct], dtype=object)[inverse], is_progress),
        "fidelity": (epochs, is_progress | (not axis)),
        "replicate": (rows["replicate"], is_progress),
        "training": (rows["training"], is_progress),
        "status": (np.array(_STATUS, dtype=object)[rows["status"]], np.zeros(num_rows, dtype=bool)),
        "recommended": (rows["recommended"], rows["recommended"] < 0),
    }
    constants = {"strategy": stored.label, "is_replayed": stored.trace is not None, "task": stored.task.name}
    arrays = []
    for field in schema:
        if field.name in constants:
            arrays.append(pa.array([constants[field.name]] * num_rows, field.type))
            continue
        column, is_null = columns.get(field.name) or (rows.get(field.name, no_value), None)
        is_null = np.isnan(column) if is_null is None and column.dtype.kind == "f" else is_null
        arrays.append(pa.array(column, field.type, mask=is_null))
    return pa.Table.from_arrays(arrays, schema=schema)
