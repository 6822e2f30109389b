"""The numbers of a study's report, from its stored runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.store.notes import read_notes
from nasbench_harness.store.record import ReportOptions

if TYPE_CHECKING:
    from nasbench_harness.analysis.results import Analysis, TaskAnalysis
    from nasbench_harness.analysis.runs import Runs
    from nasbench_harness.analysis.supernets import SupernetRun
    from nasbench_harness.studies.study import Study


def analyze_study(study: Study, options: ReportOptions, analyzed: Sequence[TaskAnalysis] = ()) -> Analysis:
    """Every number of the report.

    Args:
        study: The study; all its runs are stored.
        options: Layout of the report.
        analyzed: Numbers of all tasks, if workers have computed them already.

    Raises:
        InvalidInputError: Curves by the test metric are wanted, and no task has one.
    """
    from nasbench_harness.analysis.study import analyze

    check_test_curves(options, study.tasks)
    record, labels = study.record, study.labels

    def read(position: int, task: TaskView) -> Runs | None:
        """Runs of a label on a task; None if a trace does not cover it."""
        return next((runs.read() for runs in study.run_sets(labels[position], task.name)), None)

    found = analyze(
        labels,
        study.tasks,
        read,
        record.protocol,
        record.study_seed,
        record.num_seeds,
        options.resamples,
        replayed=study.replayed,
        options=options,
        quoted=record.quoted,
        styles=record.styles,
        analyzed=analyzed,
    )
    return replace(found, supernets=tuple(_supernets(study)), tuning=record.tuning)


def check_test_curves(options: ReportOptions, tasks: Sequence[TaskView]) -> None:
    """Refuse curves by the test metric if no task has one.

    Raises:
        InvalidInputError: Curves by the test metric are wanted, and no task has one.
    """
    if "test" in options.curves and not any("test" in task.scores for task in tasks):
        raise InvalidInputError("curves: no task of this study has a test metric: leave the word test out")


def _supernets(study: Study) -> Iterator[SupernetRun]:
    """Runs that shared weights and kept notes."""
    from nasbench_harness.analysis.supernets import supernet_run

    for runs in study.run_sets():
        if study.record.data_of(runs.label):
            for seed in runs.seeds:
                notes = read_notes(runs.notes_path(seed))
                if "ranking" in notes:
                    yield supernet_run(runs.label, runs.task, seed, notes)
