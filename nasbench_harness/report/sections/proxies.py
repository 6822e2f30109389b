"""Tables of a report on scores."""

from __future__ import annotations

import numpy as np

from nasbench_harness.analysis.proxies import SETS, SIZES, TOP_COUNTS, ProxyAnalysis, ScoreResult, TaskResult
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.statistics import Correlation
from nasbench_harness.statistics.correlation import MIN_ARCHITECTURES

_NUM_PAIRS = 10


def proxy_tables(analysis: ProxyAnalysis) -> list[ReportTable]:
    """Correlations, picks and pairs of every task, then settings and, if scores were repeated, stability."""
    tables = []
    for result in analysis.tasks:
        tables += [_correlations(analysis, result), _picks(analysis, result), _pairs(analysis, result)]
    tables.append(_settings(analysis))
    if analysis.stability:
        tables.append(_stability(analysis))
    return tables


def _correlations(analysis: ProxyAnalysis, result: TaskResult) -> ReportTable:
    columns = [ReportColumn("score", "score", is_number=False), ReportColumn("missing", "missing")]
    for label in SETS:
        group = f"{label} ({result.counts[label]:,})"
        columns += [
            ReportColumn(f"spearman_{_key(label)}", "ρ", group),
            ReportColumn(f"kendall_{_key(label)}", "τ", group),
        ]
    rows = []
    for entry in result.results:
        cells = [ReportCell(_label(analysis, entry.name)), ReportCell(str(entry.num_missing), {"": entry.num_missing})]
        for label in SETS:
            cells += [_correlation(entry.spearman[label]), _correlation(entry.kendall[label])]
        rows.append(ReportRow(tuple(cells), _block(entry)))
    has_few = min(result.counts.values()) < MIN_ARCHITECTURES
    few = f"; none for fewer than {MIN_ARCHITECTURES} architectures" if has_few else ""
    none = "; none if all scores of a resample are equal" if _has_gap(result) else ""
    intervals = (
        f" with 95 % bootstrap intervals over architectures ({analysis.num_resamples} resamples{few}{none})"
        if analysis.num_resamples
        else ""
    )
    caption = (
        f"Rank correlation with the mean validation accuracy on {result.task.title} over {_set(analysis, result)}: "
        f"Spearman's ρ and Kendall's τ-b{intervals}. Missing scores rank last. Size is the baseline. A sum of names is "
        f"the mean of ranks.{_note(analysis)}"
    )
    return ReportTable(f"correlations_{result.task.name}", caption, tuple(columns), tuple(rows))


def _picks(analysis: ProxyAnalysis, result: TaskResult) -> ReportTable:
    columns = [ReportColumn("score", "score", is_number=False)]
    columns += [
        ReportColumn(f"top_{count}", f"best {count}" if count > 1 else "best", "accuracy (%)") for count in TOP_COUNTS
    ]
    rows = [
        ReportRow((ReportCell(_label(analysis, entry.name)), *(_number(value) for value in entry.top)), _block(entry))
        for entry in result.results
    ]
    mean = tuple(_number(result.random_top) for _ in TOP_COUNTS)
    rows.append(ReportRow((ReportCell("random architectures, mean"), *mean), "references"))
    best = tuple(_number(value) for value in result.random_best)
    rows.append(ReportRow((ReportCell("random search, best of as many evaluations"), *best), "references"))
    caption = (
        f"Mean validation accuracy on {result.task.title} of the architectures with the best scores among "
        f"{_set(analysis, result)}; equal scores share places. A high rank correlation is no good pick: compare with "
        f"size and with random search, which evaluates its architectures and keeps the best.{_note(analysis)}"
    )
    return ReportTable(f"picks_{result.task.name}", caption, tuple(columns), tuple(rows))


def _pairs(analysis: ProxyAnalysis, result: TaskResult) -> ReportTable:
    shown = result.pairs[:_NUM_PAIRS]
    rows = tuple(ReportRow((ReportCell(name), _number(value, 3))) for name, value in shown)
    caption = (
        f"Pairs of scores with the highest Spearman correlation of their mean rank on {result.task.title}, the best "
        f"{len(shown)} of {len(result.pairs)}, over {_set(analysis, result)}. They were chosen with the same "
        "accuracies."
    )
    columns = (ReportColumn("pair", "pair", is_number=False), ReportColumn("spearman", "ρ"))
    return ReportTable(f"pairs_{result.task.name}", caption, columns, rows)


def _settings(analysis: ProxyAnalysis) -> ReportTable:
    texts = ("score", "method", "macro", "data", "initialization")
    rows = []
    for name, entry in analysis.file.provenance["columns"].items():
        if name not in analysis.file.scores:
            continue
        macro = entry["macro"]
        size = f"N={macro['num_cells']}, C={macro['channels']}, {macro['side']} px"
        if entry["batch_size"]:
            size += f", batch {entry['batch_size']}"
        shown = (name, entry["method"], size, entry["data"], entry["initialization"])
        rows.append(ReportRow(tuple(ReportCell(text) for text in shown)))
    caption = f"How the scores were computed: {analysis.file.provenance.get('command', '')}"
    return ReportTable(
        "settings", caption, tuple(ReportColumn(text, text, is_number=False) for text in texts), tuple(rows)
    )


def _stability(analysis: ProxyAnalysis) -> ReportTable:
    columns = [
        ReportColumn("score", "score", is_number=False),
        ReportColumn("initializations", "initializations", "ρ between"),
        ReportColumn("batches", "batches", "ρ between"),
        *(
            ReportColumn(f"spread_{task.task.name}", task.task.title, "sd of ρ to accuracy on")
            for task in analysis.tasks
        ),
    ]
    rows = []
    for entry in analysis.stability:
        cells = [ReportCell(_label(analysis, entry.name)), _number(entry.initializations, 3), _number(entry.batches, 3)]
        cells += [_number(entry.spread[task.task.name], 3) for task in analysis.tasks]
        rows.append(ReportRow(tuple(cells)))
    file = analysis.file
    caption = (
        f"Stability over {len(file.initializations)} initializations and {len(file.batches)} batches on "
        f"{analysis.set_name}: mean Spearman correlation of a score with itself, and the standard deviation of its "
        "correlation with accuracy."
    )
    return ReportTable("stability", caption, tuple(columns), tuple(rows))


def _block(entry: ScoreResult) -> str:
    if entry.name in SIZES:
        return "references"
    return "combinations" if "+" in entry.name else "strategies"


def _label(analysis: ProxyAnalysis, name: str) -> str:
    """The score with its depth and width, which belong to its name."""
    entry = analysis.file.provenance["columns"].get(name)
    if name in SIZES or entry is None:
        return name
    macro = entry["macro"]
    return f"{name} (N={macro['num_cells']}, C={macro['channels']})"


def _set(analysis: ProxyAnalysis, result: TaskResult) -> str:
    """The architectures of a task's tables, in words."""
    count = result.counts["all"]
    if count == len(analysis.file.architectures):
        return analysis.set_name
    return f"the {count:,} architectures that have a result, of {analysis.set_name}"


def _note(analysis: ProxyAnalysis) -> str:
    """The note of the file as one more sentence."""
    text = str(analysis.file.provenance.get("note", ""))
    return f" {text[:1].upper()}{text[1:]}." if text else ""


def _has_gap(result: TaskResult) -> bool:
    """Whether a coefficient of enough architectures has no interval."""
    found = [
        coefficients[label]
        for entry in result.results
        for coefficients in (entry.spearman, entry.kendall)
        for label in SETS
        if result.counts[label] >= MIN_ARCHITECTURES
    ]
    return any(one is not None and not np.isnan(one.estimate) and np.isnan(one.low) for one in found)


def _key(label: str) -> str:
    return label.replace(" %", "").replace(" ", "_")


def _correlation(found: Correlation | None) -> ReportCell:
    if found is None or np.isnan(found.estimate):
        return NOTHING
    text = f"{found.estimate:.3f}"
    numbers = {"": found.estimate}
    if not np.isnan(found.low):
        text += f" [{found.low:.3f}, {found.high:.3f}]"
        numbers |= {"low": found.low, "high": found.high}
    return ReportCell(text, numbers)


def _number(value: float, digits: int = 2) -> ReportCell:
    return NOTHING if np.isnan(value) else ReportCell(f"{value:.{digits}f}", {"": float(value)})
