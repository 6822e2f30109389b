"""Compare neural architecture search strategies fairly, on real tables, over hundreds of seeds.

The names below are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_harness.api import Study, check_baseline, compare, load_task, open_study, run, save_baseline, verify
    from nasbench_harness.arrays import Bools, Floats, Ints
    from nasbench_harness.engine.generational import Generational
    from nasbench_harness.engine.references import Entry
    from nasbench_harness.engine.strategy import (
        Evaluation,
        Needs,
        Progress,
        Proposal,
        Proposals,
        Results,
        Strategy,
    )
    from nasbench_harness.engine.streams import RunStream, RunStreams
    from nasbench_harness.errors import HarnessError, InvalidInputError, RunsFailedError, UnknownNameError
    from nasbench_harness.evaluation.problem import Problem
    from nasbench_harness.evaluation.protocol import Protocol
    from nasbench_harness.evaluation.status import Status
    from nasbench_harness.importers.api import table_from_api

_HOMES = {
    "nasbench_harness.arrays": ("Bools", "Floats", "Ints"),
    "nasbench_harness.api": (
        "Study",
        "check_baseline",
        "compare",
        "load_task",
        "open_study",
        "run",
        "save_baseline",
        "verify",
    ),
    "nasbench_harness.engine.generational": ("Generational",),
    "nasbench_harness.engine.references": ("Entry",),
    "nasbench_harness.engine.strategy": (
        "Evaluation",
        "Needs",
        "Progress",
        "Proposal",
        "Proposals",
        "Results",
        "Strategy",
    ),
    "nasbench_harness.engine.streams": ("RunStream", "RunStreams"),
    "nasbench_harness.errors": ("HarnessError", "InvalidInputError", "RunsFailedError", "UnknownNameError"),
    "nasbench_harness.evaluation.problem": ("Problem",),
    "nasbench_harness.evaluation.protocol": ("Protocol",),
    "nasbench_harness.evaluation.status": ("Status",),
    "nasbench_harness.importers.api": ("table_from_api",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Bools",
    "Entry",
    "Evaluation",
    "Floats",
    "Generational",
    "HarnessError",
    "Ints",
    "InvalidInputError",
    "Needs",
    "Problem",
    "Progress",
    "Proposal",
    "Proposals",
    "Protocol",
    "Results",
    "RunStream",
    "RunStreams",
    "RunsFailedError",
    "Status",
    "Strategy",
    "Study",
    "UnknownNameError",
    "check_baseline",
    "compare",
    "load_task",
    "open_study",
    "run",
    "save_baseline",
    "table_from_api",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nasbench-harness")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
