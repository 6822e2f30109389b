"""Draws hyperparameters from their declared ranges."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from nasbench_harness.engine.hyperparameters import OneOf, Range, declared
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.engine.streams import RunStreams, stream_keys

SPREAD = 8.0  # an open end of a range lies at the default times or over this
_COST = re.compile(r"seconds_per_|.*_s$")
_ATTEMPTS = 50  # for each configuration


def tunable(spec: ResolvedStrategy, fixed: Collection[str] = ()) -> dict[str, Range | OneOf]:
    """Hyperparameters that are tuned, by name: those with a declared range and a value.

    Declared costs (``seconds_per_…``, ``…_s``) are facts about the search, and stay.

    Args:
        spec: The strategy.
        fixed: Names of hyperparameters that keep their value.
    """
    return {
        name: allowed
        for name, allowed in declared(spec.target, spec.reference).items()
        if spec.parameters[name] is not None and not _COST.match(name) and name not in fixed
    }


def describe_ranges(spec: ResolvedStrategy, fixed: Collection[str] = ()) -> dict[str, str]:
    """The values that are drawn, in words, by hyperparameter (arguments: see ``tunable``).

    >>> from nasbench_harness.store.record import StrategyRef
    >>> from nasbench_harness.studies.references import resolve
    >>> describe_ranges(resolve(StrategyRef("regularized-evolution")))["population_size"]
    '4 … 240 (logarithmic)'
    """
    found = {}
    for name, allowed in tunable(spec, fixed).items():
        if isinstance(allowed, OneOf):
            found[name] = str(allowed)
            continue
        default = spec.parameters[name]
        low, high = _ends(allowed, default, spec.parameters)
        ends = (math.ceil(low), math.floor(high)) if isinstance(default, int) else (low, high)
        named = [
            bound if isinstance(bound, str) else f"{end:g}" for bound, end in zip(_bounds(allowed), ends, strict=True)
        ]
        found[name] = " … ".join(named) + (" (logarithmic)" if _is_logarithmic(low, high) else "")
    return found


def configurations(
    spec: ResolvedStrategy, count: int, seed: int = 0, fixed: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Different settings of the tunable hyperparameters; the first one is the strategy as it is given.

    Numbers are uniform, on a logarithmic scale if the ends differ by a factor of eight or more. An end that is open
    lies at the default times (or over) eight. An end that names another hyperparameter follows its value.

    Args:
        spec: The strategy.
        count: Number of settings; fewer are returned if the ranges hold fewer.
        seed: Seed of the draws.
        fixed: Names of hyperparameters that keep their value.
    """
    ranges = tunable(spec, fixed)
    first = {name: spec.parameters[name] for name in ranges}
    rng = RunStreams(stream_keys(seed, spec.reference, "tuning", np.arange(1)))
    found = {_key(first): first}
    for _ in range(_ATTEMPTS * count if ranges else 0):
        if len(found) == count:
            break
        drawn: dict[str, Any] = {}
        for name, allowed in ranges.items():
            drawn[name] = _draw(allowed, spec.parameters[name], {**spec.parameters, **drawn}, float(rng.uniform()[0]))
        found.setdefault(_key(drawn), drawn)
    return list(found.values())


def _draw(allowed: Range | OneOf, default: Any, parameters: Mapping[str, Any], unit: float) -> Any:
    """Value of one hyperparameter for a number in [0, 1)."""
    if isinstance(allowed, OneOf):
        return allowed.choices[int(unit * len(allowed.choices))]
    low, high = _ends(allowed, default, parameters)
    value = low * (high / low) ** unit if _is_logarithmic(low, high) else low + (high - low) * unit
    if isinstance(default, int):
        return int(min(max(round(value), math.ceil(low)), math.floor(high)))
    return float(f"{value:.4g}") if low <= float(f"{value:.4g}") <= high else value


def _ends(allowed: Range, default: float, parameters: Mapping[str, Any]) -> tuple[float, float]:
    """Smallest and largest value that is drawn."""
    lower, upper = (_number(bound, parameters) for bound in _bounds(allowed))
    low = max(default / SPREAD, -math.inf if lower is None else lower) if upper is None or lower is None else lower
    high = (default * SPREAD if default > 0 else low + 1) if upper is None else upper
    # An end that is excluded is left by a thousandth of the way.
    gap = (high - low) / 1_000
    if allowed.above is not None and low == lower:
        low += gap
    if allowed.below is not None and high == upper:
        high -= gap
    return low, max(low, high)


def _bounds(allowed: Range) -> tuple[float | str | None, float | str | None]:
    """Lower and upper bound as they are declared."""
    return (
        allowed.low if allowed.above is None else allowed.above,
        allowed.high if allowed.below is None else allowed.below,
    )


def _number(bound: float | str | None, parameters: Mapping[str, Any]) -> float | None:
    if isinstance(bound, str):
        bound = parameters[bound]
    return None if bound is None else float(bound)


def _is_logarithmic(low: float, high: float) -> bool:
    return low > 0 and high / low >= SPREAD


def _key(setting: Mapping[str, Any]) -> str:
    return json.dumps(setting, sort_keys=True)
