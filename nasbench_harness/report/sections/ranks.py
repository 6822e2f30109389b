"""Cells and names that several tables share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.cells import count, plain
from nasbench_harness.report.model import NOTHING, ReportCell


def has_intervals(analysis: Analysis) -> bool:
    """Whether cells of strategies show intervals."""
    return analysis.options.estimand == "interval"


def seeds_cell(sizes: Sequence[int]) -> ReportCell:
    """Number of runs of a strategy; smallest and largest if tasks differ."""
    if len(set(sizes)) < 2:
        return count(sizes[0]) if sizes else NOTHING
    return ReportCell(f"{min(sizes):,}–{max(sizes):,}", {"low": min(sizes), "high": max(sizes)})


def rank_cell(analysis: Analysis, label: str) -> ReportCell:
    """Mean rank of a strategy over the tasks."""
    rank = float(analysis.mean_ranks[analysis.labels.index(label)])
    return NOTHING if math.isnan(rank) else plain(rank, 2)


def part_text(position: int, num_parts: int) -> str:
    """Words for one part of a table that was split."""
    return f" (part {position + 1} of {num_parts})" if num_parts > 1 else ""


def numbered(name: str, position: int, num_parts: int) -> str:
    """File name of one part of a table that was split."""
    return name if num_parts == 1 else f"{name}_{position + 1}"
