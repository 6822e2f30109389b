"""Objects of the packages ``nas-bench-201`` and ``nats-bench``, which a user has in memory, as tables."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.importers.archives.importer import import_archive, read_source
from nasbench_harness.importers.archives.sources import OnArchitecture
from nasbench_harness.tables.registration import check_names, register_table
from nasbench_harness.tables.table import Origin, Table

_WEIGHTS = "net_state_dict"
_MODULES = {"nas_201_api": "NAS-Bench-201", "nats_bench": "NATS-Bench"}


def table_from_api(
    api: Any,
    name: str | None = None,
    *,
    schedules: Sequence[str] = (),
    replace: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Table:
    """Make a table of an official API object; its data sets are tasks from then on.

    An object of ``nats-bench`` in fast mode holds only architectures that were queried: its folder is imported instead.

    Args:
        api: Object of ``nas_201_api.NASBench201API``, ``nats_bench.NATStopology`` or ``nats_bench.NATSsize``.
        name: Name of the table; default: ``nas-bench-201``, ``nats-tss`` or ``nats-sss``.
        schedules: Training schedules to keep, by their epochs, e.g. ``["200"]``; default: all.
        replace: Take the place of another table of this name.
        progress: Called after every architecture with the number of those read and of all, None if that is unknown.

    Raises:
        InvalidInputError: It is no such object, or the name cannot be used.
        TableError: Its content differs from official archives; nothing was imported.

    Example:
        >>> table_from_api(nats_bench.create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True))  # doctest: +SKIP
    """
    package = _package_of(api)
    if getattr(api, "fast_mode", False) and api.archive_dir is not None:
        return import_archive(Path(api.archive_dir), name, schedules=schedules, replace=replace, progress=progress)
    if name is not None:
        check_names(name, {"cifar10-valid-200": None})
    source = _ApiObject(api, _MODULES[package])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(api.filename or source.benchmark)
        table = read_source(source, path, Path(folder), name, schedules, progress, replace=replace)
        return register_table(table, replace=replace)


class _ApiObject:
    """A source that hands over the architectures of an API object."""

    kind: str = "official API object of"
    origin: Origin = ""  # the values of an object in memory may have been changed

    def __init__(self, api: Any, benchmark: str) -> None:
        self._api = api
        self.benchmark = benchmark

    def num_architectures(self) -> int:
        """Number of architectures that it holds."""
        return len(self._api.arch2infos_dict)

    def digest(self) -> str:
        """sha256 of the results, written as text."""
        digest = hashlib.sha256(repr(list(self._api.meta_archs)).encode())
        for index in sorted(self._api.arch2infos_dict):
            digest.update(repr((int(index), self._results(index))).encode())
        return digest.hexdigest()

    def read(self, on_architecture: OnArchitecture) -> list[str]:
        """Hand over every architecture, by ascending index; returns the strings of all of them."""
        for index in sorted(self._api.arch2infos_dict):
            on_architecture(int(index), partial(self._results, index))
        return list(self._api.meta_archs)

    def _results(self, index: int) -> dict[str, Any]:
        results = self._api.arch2infos_dict[index]
        try:
            return {str(schedule): _plain(result.state_dict()) for schedule, result in results.items()}
        except (AttributeError, TypeError) as error:
            raise TableError(f"architecture {index}: its results are no objects of the package ({error})") from error


def _package_of(api: Any) -> str:
    names = [cls.__module__.partition(".")[0] for cls in type(api).__mro__]
    package = next((name for name in names if name in _MODULES), None)
    if package is None or not hasattr(api, "arch2infos_dict") or not hasattr(api, "meta_archs"):
        raise InvalidInputError(
            f"expected an object of nas_201_api.NASBench201API, nats_bench.NATStopology or nats_bench.NATSsize, "
            f"not of {type(api).__module__}.{type(api).__qualname__}"
        )
    return package


def _plain(value: Any) -> Any:
    """Dictionaries, lists and Python's own numbers instead of their relatives; weights are left out."""
    if isinstance(value, Mapping):
        return {_plain_key(key): None if key == _WEIGHTS else _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def _plain_key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_plain_key(part) for part in key)
    return key.item() if isinstance(key, np.generic) else key
