"""The numbers of a study's report, from worker processes that take one task after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_harness.errors import RunsFailedError
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import ReportOptions, StudyRecord
from nasbench_harness.studies.analyzing import analyze_study
from nasbench_harness.studies.study import Study, load_tasks
from nasbench_harness.workers import stop_workers, submit

if TYPE_CHECKING:
    from nasbench_harness.analysis.results import Analysis, TaskAnalysis

# Draws of the bootstrap. Two workers save a fifth of the real time of 300 million, the twelve tasks of --paper, and
# nothing of 75 million, three of its tasks: each worker pays for its imports.
_MIN_DRAWS = 150_000_000


def analyze_with_jobs(study: Study, options: ReportOptions, jobs: int) -> Analysis:
    """Every number of the report, with the same bits as from one process.

    Args:
        study: The study; all its runs are stored.
        options: Layout of the report.
        jobs: Worker processes; they are used if there are many resamples. 1: none.
    """
    analyzed = _in_workers(study, options, jobs) if jobs > 1 and _is_for_workers(study, options) else []
    return analyze_study(study, options, analyzed)


def _is_for_workers(study: Study, options: ReportOptions) -> bool:
    """Whether workers save time, and a task says all that its analysis needs.

    The values of sets and of trained tasks depend on what was read before. Whether curves can show test values depends
    on all tasks, and so does the place of a trace.
    """
    tasks = study.tasks
    if len(tasks) * len(study.labels) * study.record.num_seeds * options.resamples < _MIN_DRAWS:
        return False
    is_alone = all(task.measures.is_plain and task.task.trained is None for task in tasks)
    return len(tasks) > 1 and is_alone and not study.replayed and "test" not in options.curves


def _in_workers(study: Study, options: ReportOptions, jobs: int) -> list[TaskAnalysis]:
    """Numbers of each task, from workers; none if a worker died or nothing is scored, so that this process does it."""
    from loky.process_executor import BrokenProcessPool

    num_workers = min(jobs, len(study.tasks))
    found = [submit(num_workers, analyze_one, study.path, study.record, task.name, options) for task in study.tasks]
    try:
        return [numbers.result().with_task(task) for task, numbers in zip(study.tasks, found, strict=True)]
    except (BrokenProcessPool, RunsFailedError):
        return []
    except BaseException:
        stop_workers()
        raise


def analyze_one(path: Path, record: StudyRecord, task: str, options: ReportOptions) -> TaskAnalysis:
    """Numbers of one task of a study, in a worker.

    Args:
        path: Folder of the study.
        record: Its record.
        task: Name of the task.
        options: Layout of the report.
    """
    folder = StudyFolder(path)
    study = Study(folder, replace(record, tasks=(task,)), load_tasks(folder, [task], record.protocol))
    return analyze_study(study, options).tasks[0].without_task()
