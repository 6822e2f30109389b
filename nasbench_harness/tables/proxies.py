"""The shipped table of training-free scores, as free metrics of every task on NAS-Bench-201 cells.

The scores are in a file of their own beside the accuracies. They change neither a table's digest nor its stored arrays,
and they are read when a strategy first asks for one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError
from nasbench_harness.spaces import NASBench201Space, SearchSpace
from nasbench_harness.spaces.restricted import RestrictedSpace
from nasbench_harness.tables.table import Metric

# Order of the file's columns; a test compares it with the file. Named here, so that listing them reads nothing.
SHIPPED = (
    "params",
    "flops",
    "l2_norm",
    "synflow",
    "logsynflow",
    "nwot",
    "meco",
    "swap",
    "jacob_cov",
    "zen",
    "zen_features",
    "zen_norm",
)

# sha256 of the first file of scores; runs that were stored beside it keep their ids.
_FIRST_DIGEST = "90df709fd007cc04c964bb8f340aa792372ddb6970a767fe69d836967e791d27"


def shipped_metrics() -> list[Metric]:
    """Metrics of the shipped scores; larger is better."""
    return [Metric(name, "score", "maximize", "proxy", free=True) for name in SHIPPED]


@cache
def shipped_scores() -> Mapping[str, Floats]:
    """Scores by name, float32, shape (num_architectures,) in the official order; NaN if a score is missing.

    Raises:
        TableError: The file is damaged.
    """
    import pandas  # noqa: F401 - pyarrow imports it for arrays and then loses a Ctrl-C or SIGTERM
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(shipped_content()), pre_buffer=False).read(use_threads=False)
        columns = {name: table[name].to_numpy() for name in SHIPPED}
    except (pa.ArrowException, KeyError) as error:
        advice = "in the folder of the checkout: pip install --force-reinstall -e ."
        raise TableError(f"the table of scores of nasbench-harness is damaged; {advice}") from error
    for column in columns.values():
        column.flags.writeable = False
    return columns


@cache
def shipped_provenance() -> dict[str, Any]:
    """Data, batch, size, initialization, macro and seed of every column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[str, Any] = json.loads(pq.read_schema(pa.BufferReader(shipped_content())).metadata[b"provenance"])
    return found


@cache
def shipped_digest() -> str:
    """sha256 of the file."""
    return hashlib.sha256(shipped_content()).hexdigest()


def later_digest(space: SearchSpace) -> str:
    """Digest of the shipped scores of a space for the identity of runs; empty if there are none, or the first ones.

    A strategy may look scores up without saying so: with other scores, all runs on their space are other runs.
    """
    return shipped_digest() if has_shipped_scores(space) and shipped_digest() != _FIRST_DIGEST else ""


def shipped_content() -> bytes:
    """The file."""
    return files("nasbench_harness.tables").joinpath("data", "proxies_nb201.parquet").read_bytes()


def has_shipped_scores(space: SearchSpace) -> bool:
    """Whether the shipped scores are about this space's architectures, or those that a restricted space keeps."""
    return isinstance(space.base if isinstance(space, RestrictedSpace) else space, NASBench201Space)


@cache
def _as_float64(name: str) -> Floats:
    return shipped_scores()[name].astype(np.float64)


class FreeMetrics(Mapping[str, Floats]):
    """A task's own free metrics and the shipped scores, which are read on first use. Its own come first.

    Args:
        own: Free metrics of the task's table, shape (num_architectures,) each.
        space: The task's space; the shipped scores belong to it if they are about its architectures.
        taken: Names of all metrics of the task's table. A shipped score of such a name is hidden.
    """

    def __init__(self, own: Mapping[str, Floats], space: SearchSpace, taken: Container[str] = ()) -> None:
        shipped = SHIPPED if has_shipped_scores(space) else ()
        self._own, self._shipped = own, tuple(name for name in shipped if name not in taken)
        self._rows = space.rows if isinstance(space, RestrictedSpace) else slice(None)

    def __getitem__(self, name: str) -> Floats:
        if name in self._own:
            return self._own[name]
        if name not in self._shipped:
            raise KeyError(name)
        return _as_float64(name)[self._rows]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._own, *self._shipped))

    def __len__(self) -> int:
        return len(set(self._own) | set(self._shipped))
