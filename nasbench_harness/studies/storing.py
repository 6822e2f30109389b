"""Runs a batch, stores its segments, and logs the runs that failed."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from time import perf_counter, process_time
from typing import Any

import numpy as np

from nasbench_harness.engine.batches import Part, Rules, run_parts
from nasbench_harness.engine.trace import joined_rows
from nasbench_harness.errors import HarnessError, StrategyError
from nasbench_harness.evaluation.run_files import RunFiles
from nasbench_harness.evaluation.status import Status
from nasbench_harness.places import place_in
from nasbench_harness.store.folder import StudyFolder, refuse_links
from nasbench_harness.store.identity import run_id, versions
from nasbench_harness.store.notes import notes_path
from nasbench_harness.store.seed_ranges import seed_ranges, seeds_text
from nasbench_harness.store.segments import write_segment
from nasbench_harness.studies.batches import BatchPlan, BatchResult, SentPlan, identity
from nasbench_harness.untrusted import below, first_line

_MAX_LINES = 5  # different errors of a batch that are printed; the log has all
_NOT_COUNTED = [Status.PROGRESS, Status.DUPLICATE, Status.REJECTED]


def run_sent(sent: SentPlan, rules: Rules, folder: Path, git: str, run_timeout: float | None) -> BatchResult:
    """Open and run a plan in a worker."""
    return run_and_store(sent.opened(StudyFolder(folder)), rules, folder, git, run_timeout)


def run_and_store(plan: BatchPlan, rules: Rules, folder: Path, git: str, run_timeout: float | None) -> BatchResult:
    """Run a plan, store its segments and its timing, and log the runs that failed."""
    study = StudyFolder(folder)
    seeds = plan.run_seeds
    wall, cpu = perf_counter(), process_time()
    try:
        # Only strategies that train keep files of their own; naming them for every run would cost more than a search.
        files = partial(run_files, study, plan, rules) if plan.spec.needs.training_data else None
        parts = run_parts(plan.spec, plan.task, rules, seeds, run_timeout, files)
        failures = {seed: error for part in parts for seed, error in part.failures.items()}
        num_evaluations = _store(plan, rules, study, parts, git)
        if files is not None:
            _remove_states(files(seed).states for seed in seeds.tolist() if seed not in failures)
    except Exception as error:
        return record_lost(plan, dict.fromkeys(seeds.tolist(), error), rules, folder)
    num_failed, seconds = len(failures), perf_counter() - wall
    if num_failed < len(seeds):
        timing = {
            "strategy": plan.spec.label,
            "task": plan.task.name,
            "seeds": [int(seeds[0]), int(seeds[-1])],
            "evaluations": num_evaluations,
            "wall_s": seconds,
            "cpu_s": process_time() - cpu,
            "strategy_s": sum(part.batch.strategy_seconds for part in parts if part.batch is not None),
        }
        study.write_json(below(study.path / "timings", f"{_name(plan, rules)}.json"), timing)
    failure = _write_failures(plan, rules, study, failures) if failures else ""
    return BatchResult(plan.spec.label, plan.task.name, len(seeds), num_evaluations, seconds, failure, num_failed)


def run_files(study: StudyFolder, plan: BatchPlan, rules: Rules, seed: int) -> RunFiles:
    """Files of one run: a state belongs to one version of the strategy's code, notes to the run."""
    name = f"{plan.task.name}--{run_id(identity(plan.spec, plan.task, rules))}"
    state = f"{name}--{seed}--{plan.spec.source_hash[:16]}"
    notes = notes_path(study, plan.task.name, identity(plan.spec, plan.task, rules), seed)
    states = below(study.path / "states", state)
    for folder in (notes.parent, states):
        refuse_links(study, folder)
    return RunFiles(states, notes)


def _remove_states(folders: Iterable[Path | None]) -> None:
    for folder in folders:
        if folder is not None and folder.is_dir():
            rmtree(folder)
            with suppress(OSError):  # other runs may have states
                folder.parent.rmdir()


def record_lost(plan: BatchPlan, failures: Mapping[int, Exception], rules: Rules, folder: Path) -> BatchResult:
    """Runs of which nothing was stored."""
    failure = _write_failures(plan, rules, StudyFolder(folder), failures)
    num_failed = len(failures)
    return BatchResult(plan.spec.label, plan.task.name, num_failed, failure=failure, num_failed=num_failed)


def _write_failures(plan: BatchPlan, rules: Rules, study: StudyFolder, failures: Mapping[int, Exception]) -> str:
    """Log every different error with its seeds; returns a line for each."""
    log = below(study.path / "failures", f"{_name(plan, rules)}.log")
    groups: dict[str, dict[int, str]] = {}
    for seed, error in failures.items():
        # Our own messages are written for users; anything else needs its type to be understood.
        is_ours = isinstance(error, HarnessError)
        message = str(error).strip().partition("\n")[0] if is_ours else f"{type(error).__name__}: {first_line(error)}"
        kind = re.sub(r"'[^']*'|\d+", "", message) + _place(error)  # the same cause with other values
        groups.setdefault(kind, {})[seed] = message
    lines: list[str] = []
    text = ""
    for messages in groups.values():
        seeds = list(messages)
        where = f"{plan.spec.label} on {plan.task.name}, {seeds_text(seeds)}"
        text += f"{where}\n{''.join(traceback.format_exception(failures[seeds[0]]))}\n"
        if len(lines) < _MAX_LINES:
            others = ", with other values in other runs" if len(set(messages.values())) > 1 else ""
            lines.append(f"{where}: {messages[seeds[0]]}{others}{_place(failures[seeds[0]])} (log: {log})")
    if len(groups) > len(lines):
        lines.append(f"{plan.spec.label} on {plan.task.name}: {len(groups) - len(lines)} other errors (log: {log})")
    study.write_text(log, text)
    return "\n".join(lines)


def _place(error: Exception) -> str:
    """The line of the strategy, unless the message says already what to change."""
    is_explained = isinstance(error, HarnessError) and not isinstance(error, StrategyError)
    return "" if is_explained else place_in(error)


def _name(plan: BatchPlan, rules: Rules) -> str:
    """Name of a batch's timing and log."""
    runs = run_id(identity(plan.spec, plan.task, rules))
    return f"{plan.task.name}--{runs}--{plan.segments[0][0]}-{plan.segments[-1][1]}"


def _store(plan: BatchPlan, rules: Rules, study: StudyFolder, parts: Sequence[Part], git: str) -> int:
    """Write the segments of the runs that did not fail; returns their number of evaluations."""
    runs_identity = identity(plan.spec, plan.task, rules)
    record = {
        "run_id": run_id(runs_identity),
        "identity": runs_identity,
        "code": plan.spec.source_hash,
        "versions": versions(),
        "git": git,
    }
    places = {  # where each run that did not fail is: its part, its trace, and its position there
        seed: (part, part.batch.trace, position)
        for part in parts
        if part.batch is not None
        for position, seed in enumerate(part.seeds.tolist())
        if seed not in part.failures
    }
    num_evaluations = 0
    for start, end in plan.segments:
        for first, last in seed_ranges(seed for seed in range(start, end + 1) if seed in places):
            runs = [places[seed] for seed in range(first, last + 1)]
            columns = joined_rows([(trace, position) for _, trace, position in runs])
            columns = {"seed": columns.pop("run") + np.int32(first), **columns}
            lookups = _lookups([(part, position) for part, _, position in runs])
            sources = _sources([(part, position) for part, _, position in runs])
            path = study.segment_path(runs_identity, first, last)
            write_segment(path, columns, {**record, **lookups, **sources})
            num_evaluations += int(np.isin(columns["status"], _NOT_COUNTED, invert=True).sum())
    return num_evaluations


def _lookups(runs: Sequence[tuple[Part, int]]) -> dict[str, Any]:
    """Part of a segment's footer: values of each free metric that each of its runs read."""
    names = sorted({name for part, _ in runs for name in part.lookups})
    none = np.zeros(max(position for _, position in runs) + 1, dtype=np.int64)
    counts = {name: [int(part.lookups.get(name, none)[position]) for part, position in runs] for name in names}
    counts = {name: of_runs for name, of_runs in counts.items() if any(of_runs)}
    return {"lookups": counts} if counts else {}


def _sources(runs: Sequence[tuple[Part, int]]) -> dict[str, Any]:
    """Entry of a segment's footer: evaluations of each source that each of its runs read, and their training time."""
    reads = [(part.sources, position) for part, position in runs if part.sources is not None]
    if not reads:
        return {}
    counts = {name: [int(of.counts[name][position]) for of, position in reads] for name in reads[0][0].counts}
    seconds = [float(of.seconds[position]) for of, position in reads]
    # JSON has no NaN: a task without training times has no seconds.
    return {"sources": {"evaluations": counts, "seconds": [None if s != s else s for s in seconds]}}
