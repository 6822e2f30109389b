"""Best practice of NAS research, ticked from the record of a study."""

from __future__ import annotations

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.captions import run_counts, runs_text
from nasbench_harness.report.model import ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.sections.protocol import fewer_settings
from nasbench_harness.store.record import MIN_SEEDS

_FEW_SEEDS = 30
_STATES = {True: "yes", False: "no", None: "not known from the record"}


def checklist(analysis: Analysis) -> list[tuple[str, bool | None, str]]:
    """Question, answer (None: the record cannot tell) and reason of each item.

    The items follow Lindauer and Hutter (2020) and Yang et al. (2020).
    """
    entries = analysis.tasks
    has_tables = all(entry.val.view.has_optimum for entry in entries)
    has_cost = all(entry.times_s is not None for entry in entries)
    has_random = "random-search" in analysis.labels or any(entry.val.random_search for entry in entries)
    without_test = [entry.task.name for entry in entries if entry.score("test") is None]
    untimed = [entry.task.name for entry in entries if entry.times_s is None]
    fewest, _ = run_counts(analysis)
    is_tested = any(pair.is_tested for entry in entries for pair in entry.comparison.pairs)
    tables = ", ".join(sorted({entry.task.table.name for entry in entries}))
    return [
        ("Training pipeline is public", True if has_tables else None, f"trainings are those of the tables {tables}"),
        ("Code of the search methods is public", None, "hashes of the code are recorded; publish the code itself"),
        ("Same benchmark for all methods", True, "one table for each task, named by its digest"),
        ("Same evaluation protocol for all methods", not analysis.quoted, _quoted(analysis)),
        ("Ablations", None, "compare variants of a method as strategies of their own"),
        ("Performance over time", True, "anytime curves over evaluations"),
        ("Random search as a baseline", has_random, "simulated or in closed form"),
        ("Random sampling as a baseline", any(entry.val.sampling for entry in entries), "mean of the table"),
        (
            f"Several runs (at least {_FEW_SEEDS})",
            fewest >= _FEW_SEEDS,
            f"{runs_text(analysis, 'run')} of each strategy on each task",
        ),
        ("Uncertainty is reported", fewest >= MIN_SEEDS, "standard deviations and bootstrap intervals"),
        ("Tests are corrected for their number", is_tested, "Holm, per column and over the study"),
        ("Tabular benchmark", has_tables, "values are read from tables"),
        ("Test values stay sealed", not without_test, _missing(without_test, "no test metric in the tables of")),
        ("Costs of evaluations are reported", has_cost, _missing(untimed, "no training times in the tables of")),
        _tuning(analysis),
        ("All settings are recorded", True, "protocol, seeds, parameters, digests and versions stand in this report"),
    ]


def checklist_table(analysis: Analysis) -> ReportTable:
    """The checklist as a table."""
    columns = tuple(ReportColumn(name, name, is_number=False) for name in ("item", "met", "reason"))
    rows = tuple(
        ReportRow((ReportCell(item), ReportCell(_STATES[is_met]), ReportCell(reason)))
        for item, is_met, reason in checklist(analysis)
    )
    met = sum(is_met is True for _, is_met, _ in checklist(analysis))
    title = f"Best practice of NAS research (Lindauer and Hutter, 2020; Yang et al., 2020): {met} of {len(rows)} met."
    return ReportTable("checklist", title, columns, rows)


def _tuning(analysis: Analysis) -> tuple[str, bool | None, str]:
    """The item about hyperparameters; replayed strategies were tuned elsewhere, if at all."""
    item, rule = "Tuning of hyperparameters is reported", analysis.tuning
    if rule is None:
        return item, None, "hyperparameters are recorded, their tuning is not"
    reason = f"on other tasks, {rule.trials:,} trials and {rule.budget:,} evaluations for each strategy"
    reason += fewer_settings(rule)
    return item, None if analysis.replayed else True, reason


def _quoted(analysis: Analysis) -> str:
    if analysis.quoted:
        return "quoted rows come from other protocols and are not tested"
    return "all strategies ran under the protocol above"


def _missing(names: list[str], reason: str) -> str:
    return f"{reason} {', '.join(names)}" if names else "all tasks"
