"""The command line: one verb a command, heavy imports inside the verbs.

Exit codes: 0 done · 1 some runs failed, a strategy became inferior, a check found something broken, a number of
``reproduce`` fails, classes of ``tables build`` are missing, or the harness has a fault · 2 a mistake in the input,
explained in one line · 3 ``baseline check`` was inconclusive.
"""

from nasbench_harness.cli import (
    baselines,
    checkup,
    devices,
    landscape,
    proxies,
    reproducing,
    stats,
    strategies,
    studies,
    tables,
    traces,
    tuning,
    verifying,
)
from nasbench_harness.cli.base import main

__all__ = [
    "baselines",
    "checkup",
    "devices",
    "landscape",
    "main",
    "proxies",
    "reproducing",
    "stats",
    "strategies",
    "studies",
    "tables",
    "traces",
    "tuning",
    "verifying",
]
