"""The sections of the HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nasbench_harness.analysis.names import choice_name
from nasbench_harness.analysis.proxies import ProxyAnalysis
from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.captions import caption_text
from nasbench_harness.report.model import ReportTable
from nasbench_harness.report.provenance import StrategySource, strategies_table, tables_table, versions
from nasbench_harness.report.proxies import proxy_section
from nasbench_harness.report.render.html import PageFigure, PageSection, to_html
from nasbench_harness.report.render.latex import LatexStyle
from nasbench_harness.report.sections.anytime import (
    AXES,
    OVER,
    anytime_figure,
    curve_name,
    figure_notes,
    tasks_with,
)
from nasbench_harness.report.sections.checklist import checklist_table
from nasbench_harness.report.sections.critical import critical_difference_caption
from nasbench_harness.report.sections.ecdf import ecdf_caption
from nasbench_harness.report.sections.effects import forest_caption, heatmap_caption
from nasbench_harness.report.sections.figures import figure_of
from nasbench_harness.report.sections.fronts import FRONTS, TRUE_FRONT, fronts_figure, tasks_with_fronts
from nasbench_harness.report.sections.protocol import protocol_sentences
from nasbench_harness.report.sections.sentences import study_sentences
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.words import plural


def report_page(
    analysis: Analysis,
    tables: Sequence[tuple[str, ReportTable]],
    figures: Sequence[PageFigure],
    sources: tuple[StrategySource, ...],
    command: str,
    scores: ProxyAnalysis | None = None,
) -> str:
    """The report of a study as HTML.

    Args:
        analysis: Its numbers.
        tables: Tables over all tasks, with their headings.
        figures: Figures over all tasks.
        sources: Origins of the strategies.
        command: Command that generates the page.
        scores: Training-free scores that strategies read.
    """
    num_tasks, num_labels = len(analysis.tasks), len(analysis.labels)
    title = f"Comparison of {plural(num_labels, 'strategy')} on {plural(num_tasks, 'task')}"
    found = versions()
    points = [f"Command: {command}", *(f"{name} {number}" for name, number in found.items())]
    sections = [
        PageSection("Summary", points=study_sentences(analysis, has_equivalents=False)),
        PageSection("Protocol", points=protocol_sentences(analysis)),
        PageSection("All tasks", paragraphs=[caption_text(analysis)], tables=tables),
        PageSection("Over time", paragraphs=[figure_notes(analysis).replace("`", "")], figures=figures),
        PageSection("Tasks", tables=[(entry.task.title, task_table(analysis, entry)) for entry in analysis.tasks]),
        *([] if scores is None else [proxy_section(scores)]),
        PageSection(
            "Provenance",
            points=points,
            tables=[("Tables", tables_table(analysis)), ("Strategies", strategies_table(sources))],
        ),
        PageSection("Checklist", tables=[("", checklist_table(analysis))]),
    ]
    style = LatexStyle(analysis.options.width, analysis.options.notes)
    return to_html(title, sections, command, found["nasbench-harness"], style)


def figures_of(analysis: Analysis) -> dict[str, PageFigure]:
    """Figures of the report by the names of their files."""
    shown = {}
    for axis, name in AXES.items():
        if tasks_with(analysis, axis, is_asked=False):
            choice = choice_name(analysis.tasks)
            text = f"{curve_name(analysis)} of the {choice} over {OVER[axis]}, one panel for each task"
            text = text[:1].upper() + text[1:]
            alt = f"{text}; lines: {', '.join(analysis.labels)}."
            shown[name] = PageFigure(anytime_figure(analysis, axis), alt, f"{text}.")
    for kind in analysis.options.figures:
        text = _CAPTIONS[kind](analysis)
        alt = f"{text} Strategies: {', '.join(analysis.labels)}."
        shown[kind] = PageFigure(figure_of(analysis, kind), alt, text)  # type: ignore[arg-type]
    if tasks_with_fronts(analysis):
        text = "Sets of all runs (thin) and of the runs with the median hypervolume beside the true front, noiseless"
        alt = f"{text}; lines: {', '.join((TRUE_FRONT, *analysis.labels))}."
        shown[FRONTS] = PageFigure(fronts_figure(analysis), alt, f"{text}.")
    return shown


_CAPTIONS: dict[str, Callable[[Analysis], str]] = {
    "ecdf": ecdf_caption,
    "heatmap": heatmap_caption,
    "forest": forest_caption,
    "critical-difference": critical_difference_caption,
}
