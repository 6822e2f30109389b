"""NAS-Bench-201 cells trained by this package on small images: curves, three seeds, test accuracy.

``tables build`` trains them and writes the file that is read here, without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nasbench_harness.errors import TableError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.cells_file import CellsRecord, TrainedCells, content_of, read_cells
from nasbench_harness.tables.location import TRAINED_CELLS, TRAINED_CELLS_SHA256
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

DATASETS = {"animals8": "animals8 (8 × 8 pixels)"}
PACKAGE = "nasbench-harness"
NAME = "tiny201"


def table_of(cells: TrainedCells, name: str = NAME, sha256: Mapping[str, str] | None = None) -> Table:
    """The table of all cells: accuracies of their classes; parameters, operations and seconds of the cells themselves.

    Args:
        cells: The trainings.
        name: Name of the table.
        sha256: Digest of the file, by its name.
    """
    record, space = cells.record, NASBench201Space()
    rows = np.searchsorted(cells.architectures, space.canonical(np.arange(space.num_architectures)))
    offered = np.array(record.offered)
    valid = cells.valid_accuracy()[:, offered - 1].transpose(0, 2, 1)[rows]
    tested = {epoch: place for place, epoch in enumerate(record.test_epochs)}
    test = np.full_like(valid, np.nan)
    for place, epoch in enumerate(record.offered):
        if epoch in tested:
            test[:, :, place] = cells.test_accuracy()[:, tested[epoch]][rows]
    convolutions = space.num_convolutions()
    num_params, flops = (
        counts[0] + convolutions @ np.array(counts[1:]) for counts in (record.num_params, record.flops)
    )
    seconds = 3 * flops[:, None] * record.num_train * offered / record.flops_per_s
    columns = [
        MetricArray(Metric("val_accuracy", "%", "maximize", "search", 100 / record.num_valid), valid),
        MetricArray(Metric("test_accuracy", "%", "maximize", "test", 100 / record.num_test), test),
        MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), seconds[:, None, :]),
        MetricArray(Metric("params_m", "million", "minimize", "hardware", free=True), num_params[:, None, None] / 1e6),
        MetricArray(Metric("flops_m", "million", "minimize", "hardware", free=True), flops[:, None, None] / 1e6),
    ]
    dataset = Dataset(
        record.title,
        space,
        {column.metric.name: column for column in columns},
        record.offered,
        record.seeds,
        default_fidelity=record.epochs,
        notes=(*record.notes, _origin(record)),
    )
    digests = {key: record.digests[key] for key in ("recipe", "data", "split")}
    provenance = Provenance(
        record.source, f"recipe {record.recipe['name']}", record.license, {**digests, **(sha256 or {})}
    )
    return Table(name, {record.dataset: dataset}, provenance)


def _origin(record: CellsRecord) -> str:
    """Versions, processors, dates and command of the trainings."""
    versions = ", ".join(f"{package} {' and '.join(found)}" for package, found in record.versions.items())
    days = " to ".join(dict.fromkeys(record.dates))
    return f"trained with {versions} on {' and '.join(record.processors)}, {days}, by: {record.command}"


def read_table(path: Path, name: str | None = None) -> Table:
    """The table of a file, in memory.

    Raises:
        InvalidInputError: It cannot be read, or is no such file.
    """
    cells = read_cells(path)
    return table_of(cells, name or cells.record.name, {path.name: hashlib.sha256(content_of(path)).hexdigest()})


def convert() -> Table:
    """The table that comes with this package.

    Raises:
        TableError: The file is not the one that this package came with.
    """
    if hashlib.sha256(content_of(TRAINED_CELLS)).hexdigest() != TRAINED_CELLS_SHA256:
        raise TableError(f"{TRAINED_CELLS} is damaged or was replaced: install {PACKAGE} again")
    return read_table(TRAINED_CELLS, NAME)
