"""Zero-cost proxies: training-free scores of architectures, one at a time and in batches.

``catalogue`` and ``macro`` need no torch; everything else does and is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nasbench_harness.optional import require_torch
from nasbench_harness.trainer.proxies.catalogue import PROXIES, TABLE_COLUMNS, Proxy, proxy_of
from nasbench_harness.trainer.proxies.macro import FULL_SIZE, Macro

if TYPE_CHECKING:
    from nasbench_harness.trainer.proxies.building import build, plan_build
    from nasbench_harness.trainer.proxies.columns import check_data_dir, compute, plan_columns
    from nasbench_harness.trainer.proxies.functions import load_score
    from nasbench_harness.trainer.proxies.inputs import Batch, make_batch
    from nasbench_harness.trainer.proxies.network import build_network

_HOMES = {
    "building": ("build", "plan_build"),
    "columns": ("check_data_dir", "compute", "plan_columns"),
    "functions": ("load_score",),
    "inputs": ("Batch", "make_batch"),
    "network": ("build_network",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FULL_SIZE",
    "PROXIES",
    "TABLE_COLUMNS",
    "Batch",
    "Macro",
    "Proxy",
    "build",
    "build_network",
    "check_data_dir",
    "compute",
    "load_score",
    "make_batch",
    "plan_build",
    "plan_columns",
    "proxy_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_torch("computing scores")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
