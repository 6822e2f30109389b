"""The runs of a study that are still to be done, and the files that a command moves aside for them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.store.folder import Damage, Segment, describe_damage
from nasbench_harness.store.merging import updated_record
from nasbench_harness.store.sources import note_tables
from nasbench_harness.studies.batches import BatchPlan, plan_batches
from nasbench_harness.studies.replay import ReplayedTrace
from nasbench_harness.studies.run_sets import count
from nasbench_harness.studies.study import Study


@dataclass
class Outstanding:
    """The runs that a study still needs.

    Attributes:
        batches: Runs to be done.
        num_done: Number of runs that are stored.
        notices: Lines that the user should read.
        superseded: Segments of another version of a strategy's code.
        damaged: Files among the segments that are damaged or misplaced.
    """

    batches: list[BatchPlan] = field(default_factory=list)
    num_done: int = 0
    notices: list[str] = field(default_factory=list)
    superseded: list[Segment] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)


def find_outstanding(
    study: Study, specs: Sequence[ResolvedStrategy], keep_stale: bool, rerun: Container[str]
) -> Outstanding:
    """The runs that are still to be done; nothing is changed on disk.

    Args:
        study: The study.
        specs: The strategies of its record, in its order.
        keep_stale: Whether runs of an older version of a strategy's code count.
        rerun: Labels whose runs are done again.
    """
    found = Outstanding()
    by_label = {spec.label: spec for spec in specs}
    # Task by task, so that a reader sees whole tasks finish.
    for task in study.tasks:
        for runs in study.run_sets(task=task.name):
            segments, damaged = runs.scan()
            trace = runs.trace
            spec = by_label[runs.label] if trace is None else ReplayedTrace.of(trace.record(runs.label), trace)
            stale = (
                segments
                if runs.label in rerun
                else []
                if keep_stale
                else study.folder.stale_segments(segments, spec.source_hash)
            )
            found.superseded += stale
            found.damaged += damaged
            if stale:
                why = "asked for" if runs.label in rerun else "its code changed"
                found.notices.append(f"{runs.label} on {task.name}: runs again ({why}); old runs are in superseded/")
            ranges = runs.missing([segment for segment in segments if segment not in stale])
            found.num_done += len(runs.seeds) - count(ranges)
            found.batches += plan_batches(spec, task.task, ranges, study.record.protocol)
    if found.damaged:
        found.notices.append(describe_damage(study.folder, found.damaged))
    return found


def write_record(study: Study, is_alone: bool) -> None:
    """Make this the study that its folder reports; call it inside ``updating``.

    Traces that were added meanwhile stay. When other commands work on the study, theirs stays, too.

    Raises:
        InvalidInputError: The folder holds another study, or another command uses one of the labels.
    """
    record = updated_record(study.folder, study.record, is_alone)
    note_tables(study.folder, [(task.name, task.table) for task in study.tasks])
    study.folder.write_text(study.folder.study_file, record.to_toml())
