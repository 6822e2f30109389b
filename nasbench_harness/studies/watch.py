"""A study that other processes run, seen from outside: only names and times of files are read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_harness.store.folder import named_segments
from nasbench_harness.store.seed_ranges import first_holders
from nasbench_harness.words import plural

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from nasbench_harness.studies.study import Study

_LINES_BESIDE_BARS = 3  # total, pace, the cursor


@dataclass(frozen=True)
class Snapshot:
    """State of a study at one moment.

    Attributes:
        tasks: {task: (runs that are stored, runs in all)}.
        num_failed: Batches that failed since the study's last command began.
        started_s: When that command began (seconds since the epoch).
        newest_s: When the newest segment was stored; None if there is none.
        num_new: Runs that were stored since that command began.
    """

    tasks: Mapping[str, tuple[int, int]]
    num_failed: int
    started_s: float
    newest_s: float | None
    num_new: int

    @property
    def done(self) -> int:
        """Runs that are stored."""
        return sum(done for done, _ in self.tasks.values())

    @property
    def total(self) -> int:
        """Runs of the whole study."""
        return sum(total for _, total in self.tasks.values())

    @property
    def runs_per_second(self) -> float | None:
        """Between the beginning of the last command and the newest segment; None before its first one."""
        if self.newest_s is None or not self.num_new or self.newest_s <= self.started_s:
            return None
        return self.num_new / (self.newest_s - self.started_s)

    def record(self) -> dict[str, Any]:
        """The same as JSON-able values."""
        tasks = {name: {"done": done, "runs": total} for name, (done, total) in self.tasks.items()}
        return {
            "runs": self.total,
            "done": self.done,
            "failed_batches": self.num_failed,
            "runs_per_second": self.runs_per_second,
            "tasks": tasks,
        }

    def describe(self) -> str:
        """One line: finished runs, speed, remaining time."""
        return f"{self.done:,} of {plural(self.total, 'run')} done{self.pace()}"

    def pace(self) -> str:
        """Speed, remaining time and failures, each after ``", "``; empty if nothing is known."""
        rate, missing = self.runs_per_second, self.total - self.done
        failed = f", {plural(self.num_failed, 'batch')} failed" if self.num_failed else ""
        if rate is None:
            return failed
        remaining = f", about {_duration(missing / rate)} left" if missing else ""
        return f", {rate:,.{0 if rate >= 10 else 2}f} runs per second{remaining}{failed}"


class Watcher:
    """Takes snapshots of a study; a folder is listed again only when it has changed.

    Args:
        open_study: Opens the study; called again when another command began.
    """

    def __init__(self, open_study: Callable[[], Study]) -> None:
        self._open = open_study
        self._study = open_study()
        self._written_ns = 0
        self._places: Sequence[tuple[str, Path, Sequence[int]]] = ()
        self._stored: dict[Path, tuple[int, list[tuple[int, float]]]] = {}

    def snapshot(self) -> Snapshot:
        """Stored runs now."""
        written_ns = _changed_ns(self._study.folder.study_file)
        if written_ns != self._written_ns:  # perhaps with more seeds, tasks or strategies
            self._study, self._written_ns = self._open(), written_ns
            self._places = [(runs.task.name, runs.path, runs.seeds) for runs in self._study.run_sets()]
        started_s = written_ns / 1e9
        tasks: dict[str, tuple[int, int]] = {}
        newest_s, num_new = 0.0, 0
        for task, folder, seeds in self._places:
            segments = self._segments(folder, seeds)
            done, total = tasks.get(task, (0, 0))
            tasks[task] = done + sum(count for count, _ in segments), total + len(seeds)
            newest_s = max([newest_s, *(stored_s for _, stored_s in segments)])
            num_new += sum(count for count, stored_s in segments if stored_s >= started_s)
        logs = (self._study.path / "failures").glob("*.log")
        num_failed = sum(_changed_ns(path) >= written_ns for path in logs)
        return Snapshot(tasks, num_failed, started_s, newest_s or None, num_new)

    def _segments(self, folder: Path, seeds: Sequence[int]) -> list[tuple[int, float]]:
        """(runs that no earlier segment holds, time of storage) of each segment."""
        changed_ns = _changed_ns(folder)
        if folder in self._stored and self._stored[folder][0] == changed_ns:
            return self._stored[folder][1]
        named = sorted(named_segments(folder), key=lambda segment: (segment.first, -segment.last))
        segments = [(len(here), _changed_ns(segment.path) / 1e9) for segment, here in first_holders(named, seeds)]
        self._stored[folder] = changed_ns, segments
        return segments


def watch(
    open_study: Callable[[], Study], interval_s: float, console: Console, as_line: Callable[[Snapshot], str]
) -> Snapshot:
    """Show a study until nothing is missing or the user stops it; returns the last state.

    Args:
        open_study: Opens the study.
        interval_s: Seconds between two looks.
        console: A live view on a terminal; elsewhere one line whenever something changed.
        as_line: That line.
    """
    watcher = Watcher(open_study)
    if console.is_terminal:
        return _watch_live(watcher, interval_s, console)
    shown, snapshot = "", watcher.snapshot()
    with suppress(KeyboardInterrupt):
        for snapshot in _snapshots(watcher, interval_s):
            if as_line(snapshot) != shown:
                shown = as_line(snapshot)
                print(shown, file=console.file, flush=True)
    return snapshot


def _watch_live(watcher: Watcher, interval_s: float, console: Console) -> Snapshot:
    from rich.live import Live

    snapshot = watcher.snapshot()
    live = Live(_view(snapshot, console), console=console, auto_refresh=False)
    try:  # no "with": Ctrl-C may also come while the view is being opened, and the cursor must come back
        live.start(refresh=True)
        for snapshot in _snapshots(watcher, interval_s):
            live.update(_view(snapshot, console), refresh=True)
    except KeyboardInterrupt:
        pass
    finally:
        live.stop()
    return snapshot


def _snapshots(watcher: Watcher, interval_s: float) -> Iterator[Snapshot]:
    """A snapshot at once and one after every interval; in the last one nothing is missing."""
    while True:
        snapshot = watcher.snapshot()
        yield snapshot
        if snapshot.done == snapshot.total:
            return
        time.sleep(interval_s)


def _view(snapshot: Snapshot, console: Console) -> RenderableType:
    """A bar per task if the terminal is high enough, and one in total; below them the pace."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = [*snapshot.tasks.items()] if len(snapshot.tasks) <= console.height - _LINES_BESIDE_BARS else []
    if len(rows) != 1:
        rows.append(("total", (snapshot.done, snapshot.total)))
    counts = [f"{done:,} of {total:,}" for _, (done, total) in rows]
    bar, digits = min(30, console.width // 3), max(map(len, counts))
    bars = Table.grid(padding=(0, 1, 0, 0), pad_edge=True)
    bars.add_column(no_wrap=True, overflow="ellipsis", max_width=max(4, console.width - bar - digits - 3))
    bars.add_column(width=bar)
    bars.add_column(justify="right", no_wrap=True)
    for (name, (done, total)), count in zip(rows, counts, strict=True):
        bars.add_row(Text(name), ProgressBar(total, done), count)
    if snapshot.newest_s is None:
        pace = "no segment stored yet" + snapshot.pace()
    else:
        ago = _duration(max(0, time.time() - snapshot.newest_s))
        pace = f"{snapshot.pace()}, newest segment {ago} ago".removeprefix(", ")
    return Group(bars, Text(pace, style="dim", no_wrap=True, overflow="ellipsis"))


def _changed_ns(path: Path) -> int:
    """Time of the last change; 0 for files that do not exist."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _duration(seconds: float) -> str:
    """Whole seconds, minutes or hours: ``12 s``, ``3 min 20 s``, ``5 h 12 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
