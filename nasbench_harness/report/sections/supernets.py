"""Searches that shared weights: health, ranking and cost of each run, and its epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nasbench_harness.analysis.supernets import HEALTHY_ACCURACY, SupernetRun
from nasbench_harness.report.cells import count, plain
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable


def supernets_table(runs: Sequence[SupernetRun]) -> ReportTable:
    """One row per run; the ranking is left out below the health threshold."""
    columns = (
        ReportColumn("task", "task", is_number=False),
        ReportColumn("strategy", "strategy", is_number=False),
        ReportColumn("seed", "seed"),
        ReportColumn("epochs", "epochs"),
        ReportColumn("simulated_s", "seconds"),
        ReportColumn("median_accuracy", "median accuracy (%)"),
        ReportColumn("entropy", "entropy of α"),
        ReportColumn("kendall", "Kendall's τ"),
        ReportColumn("ranked", "cells"),
    )
    rows = []
    for run in runs:
        last = run.epochs[-1]
        rows.append(
            ReportRow(
                (
                    ReportCell(run.task),
                    ReportCell(run.label),
                    count(run.seed),
                    count(len(run.epochs)),
                    plain(sum(epoch.cost_s for epoch in run.epochs), 1),
                    plain(run.median_accuracy, 1),
                    NOTHING if math.isnan(last.entropy) else plain(last.entropy, 2),
                    NOTHING if math.isnan(run.kendall) else plain(run.kendall, 2),
                    count(run.num_ranked),
                )
            )
        )
    title = (
        "Supernets. Median accuracy: shared-weight accuracy of the median of the fixed cells. Kendall's τ compares "
        f"these accuracies with the table's values; it is not shown below a median of {HEALTHY_ACCURACY:.0f} %. "
        "Entropy of α: mean over the edges in nats, at most ln 5 = 1.61. Seconds are simulated."
    )
    if any(run.halves == "drawn" for run in runs):
        title += " The halves of the images were drawn; they are not the official ones, which --split names."
    return ReportTable("supernets", title, columns, tuple(rows))


def epochs_table(runs: Sequence[SupernetRun]) -> ReportTable:
    """One row per epoch of each run."""
    columns = (
        ReportColumn("task", "task", is_number=False),
        ReportColumn("strategy", "strategy", is_number=False),
        ReportColumn("seed", "seed"),
        ReportColumn("epoch", "epoch"),
        ReportColumn("simulated_s", "seconds so far"),
        ReportColumn("architecture", "architecture"),
        ReportColumn("median_accuracy", "median accuracy (%)"),
        ReportColumn("entropy", "entropy of α"),
    )
    rows = []
    for run in runs:
        spent_s = 0.0
        for number, epoch in enumerate(run.epochs, start=1):
            spent_s += epoch.cost_s
            cells = (
                ReportCell(run.task),
                ReportCell(run.label),
                count(run.seed),
                count(number),
                plain(spent_s, 2),
                NOTHING if epoch.architecture < 0 else count(epoch.architecture),
                plain(epoch.median_accuracy, 1),
                NOTHING if math.isnan(epoch.entropy) else plain(epoch.entropy, 3),
            )
            rows.append(ReportRow(cells))
    return ReportTable("supernet_epochs", "Epochs of the supernets.", columns, tuple(rows))
