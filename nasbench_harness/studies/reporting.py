"""Writes the report of a study into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench_harness.files import remove_abandoned
from nasbench_harness.report.files import DEFAULT_FORMATS, write_report
from nasbench_harness.store.locks import updating
from nasbench_harness.store.record import check_curves, check_width
from nasbench_harness.studies.origins import strategy_sources

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
        remove_abandoned(study.path)
    analysis = study._analysis_with(options)
    return write_report(
        study.folder, analysis, study.command, tuple(formats or DEFAULT_FORMATS), strategy_sources(study)
    )
