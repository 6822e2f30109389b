"""Writes the report of a study into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench_harness.analysis.proxies import MIN_RESULTS, ProxyAnalysis, analyze_proxies
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.report.files import DEFAULT_FORMATS, write_report
from nasbench_harness.report.provenance import StrategySource
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.store.locks import updating
from nasbench_harness.store.record import check_curves, check_width
from nasbench_harness.studies.origins import strategy_sources
from nasbench_harness.tables.proxies import SHIPPED
from nasbench_harness.tables.score_files import read_scores

if TYPE_CHECKING:
    from nasbench_harness.report.sections.figures import Kind
    from nasbench_harness.studies.study import Study


def write_study_report(
    study: Study,
    formats: Sequence[str] | None,
    columns: Sequence[str],
    width: str | None,
    figures: Sequence[Kind],
    curves: Sequence[str],
) -> list[str]:
    """Write the report's files (see ``Study.write_report``); returns their names."""
    options = study.record.report
    options = replace(options, columns=tuple(columns) or options.columns, width=width or options.width)
    options = replace(options, figures=tuple(figures) or options.figures, curves=tuple(curves) or options.curves)
    check_width(options.width)
    check_curves(options.curves)
    with updating(study.path):
        study.folder.remove_abandoned()
    analysis = study._analysis_with(options)
    chosen, sources = tuple(formats or DEFAULT_FORMATS), strategy_sources(study)
    scores = _scores_of(sources, study.tasks) if "html" in chosen else None
    return write_report(study.folder, analysis, study.command, chosen, sources, scores)


def _scores_of(sources: Sequence[StrategySource], tasks: Sequence[TaskView]) -> ProxyAnalysis | None:
    """The shipped scores that hyperparameters of strategies name, on the tasks that have a table of such cells."""
    used: dict[str, None] = {}
    means: dict[str, None] = {}
    for source in sources:
        for hyperparameter in ("score", "prior", "scores"):
            names = [name.strip() for name in str(source.parameters.get(hyperparameter, "")).split("+")]
            if not set(names) <= set(SHIPPED):
                continue
            used |= dict.fromkeys(names)
            if hyperparameter != "scores" and 1 < len(names) == len(set(names)):  # a strategy ranks by their mean
                means["+".join(names)] = None
    shown = [task.name for task in tasks if _can_show(task)]
    if not used or not shown:
        return None
    file = read_scores()
    kept = replace(file, scores={name: file.scores[name] for name in used})
    return analyze_proxies(kept, shown, list(means), num_resamples=0)


def _can_show(task: TaskView) -> bool:
    """Whether scores can be compared with a table, which no run changes, of enough NAS-Bench-201 cells."""
    if task.task.trained is not None or not isinstance(task.space, NASBench201Space):
        return False
    return int(task.task.scores["val"].exists.sum()) >= MIN_RESULTS
