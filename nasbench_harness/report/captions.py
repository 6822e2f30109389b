"""Captions: what a reviewer asks for, generated from the study."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.report.analysis import ALPHA, MIN_RUNS, Analysis, TaskAnalysis
from nasbench_harness.report.cells import distance_name, finals_name


def caption_text(analysis: Analysis, tasks: Sequence[TaskAnalysis] | None = None) -> str:
    """What a reader must know: sample size, unit, budget, selection rule, test, correction, table."""
    entries = analysis.tasks if tasks is None else tasks
    num_pairs = max(len(entry.pairs) for entry in entries)
    cells = "Mean ± standard deviation (ddof 1)"
    if analysis.options.cells == "interval" and analysis.num_seeds >= MIN_RUNS:
        cells = "Interquartile mean [95 % interval]"
    parts = [
        f"{cells} over N = {analysis.num_seeds:,} seeds after {analysis.protocol.describe()}.",
        "Scored is the noiseless mean over replicates of the incumbent, which is chosen by observed "
        f"{entries[0].task.report.metric.name.replace('_', ' ')}.",
    ]
    if any(entry.task.test is not None for entry in entries):
        parts.append("Test: of the same choice; test neither chooses nor is tested.")
    unknown = [entry.task for entry in entries if not entry.task.report.has_optimum]
    if unknown:
        titles = ", ".join(task.title for task in unknown)
        parts.append(f"Optimum unknown ({titles}): compared is the loss, 100 − accuracy, not regret.")
    choosers = sorted({result.label for entry in entries for result in entry.results if result.chooses_itself})
    if choosers:
        parts.append(f"Choosing for themselves: {', '.join(choosers)}.")
    if analysis.replayed:
        others = {
            len(result.seeds) for entry in entries for result in entry.results if result.label in analysis.replayed
        } - {analysis.num_seeds}
        seeds = f" ({', '.join(map(str, sorted(others)))} seeds; pairs over common seeds)" if others else ""
        parts.append(f"Ran elsewhere, replayed under this protocol: {', '.join(analysis.replayed)}{seeds}.")
    if num_pairs:
        holm = f"Holm over all {num_pairs} pairs of a task, " if num_pairs > 1 else ""
        parts.append(
            f"Bold: smallest mean {distance_name(entries)}; †: not significantly worse (Wilcoxon signed-rank on "
            f"{finals_name(entries)}, zeros "
            f"after Pratt, paired by seed, {holm}alpha = {ALPHA})."
        )
    if analysis.num_seeds >= MIN_RUNS:
        parts.append(f"Intervals: 95 % percentile bootstrap, {analysis.num_resamples:,} resamples of seeds.")
    else:
        parts.append("Fewer than 10 seeds: no intervals.")
    if analysis.protocol.duplicates != "charge":
        parts.append("Exact random search is with replacement, every draw charged.")
    names = {entry.task.name for entry in entries}
    sources = dict.fromkeys(f"{quoted.method}: {quoted.source}" for quoted in analysis.quoted if quoted.task in names)
    if sources:
        parts.append(f"Quoted as published, under other protocols, not tested ({'; '.join(sources)}).")
    tables = {entry.task.table.name: entry.task.table for entry in entries}
    parts += [
        f"Table {name}: {table.provenance.source}, version {table.provenance.version}, sha256 {table.digest[:12]}."
        for name, table in sorted(tables.items())
    ]
    return " ".join(parts)
