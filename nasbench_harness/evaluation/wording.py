"""Objectives and constraints as text, e.g. ``mnasnet(val_accuracy, latency_ms, target=5)`` and ``latency_ms<=5``."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.task_names import split_task_names

_METRIC = "[a-z][a-z0-9_]{0,63}"
_CALL = re.compile(rf"\s*({_METRIC})\s*(?:\((.*)\)\s*)?", re.DOTALL)
_CONSTRAINT = re.compile(rf"\s*({_METRIC})\s*(<=|>=)\s*(q?)([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*")
_OPENING, _CLOSING = "([{", ")]}"


class WrittenObjective(NamedTuple):
    """A metric, or a function of metrics.

    Attributes:
        name: The metric or the function.
        metrics: Metrics that the function is given; empty if the objective is a metric.
        parameters: Its numbers.
    """

    name: str
    metrics: tuple[str, ...]
    parameters: Mapping[str, Any]


class WrittenConstraint(NamedTuple):
    """A bound on a metric.

    Attributes:
        metric: The metric.
        is_upper: Whether values must be at most the bound, not at least.
        bound: The bound in the metric's unit, or the percentage of a quantile.
        is_quantile: Whether the bound is a quantile of the table.
    """

    metric: str
    is_upper: bool
    bound: float
    is_quantile: bool


def split_outside_brackets(text: str) -> list[str]:
    """Parts between commas that stand in no bracket; empty parts are left out."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def read_objective(text: str) -> WrittenObjective:
    """Read ``metric`` or ``function(metric, …, key=value, …)``.

    Raises:
        InvalidInputError: The text does not have this form.
    """
    match = _CALL.fullmatch(text)
    advice = "write a metric, or e.g. mnasnet(val_accuracy, latency_ms, target=5.0)"
    if match is None:
        raise InvalidInputError(f"objective {text!r}: {advice}")
    name, inside = match.groups()
    if inside is None:
        return WrittenObjective(name, (), {})
    parts = split_outside_brackets(inside)
    metrics = tuple(part for part in parts if re.fullmatch(_METRIC, part))
    settings = parts[len(metrics) :]
    if not metrics or list(metrics) != parts[: len(metrics)]:
        raise InvalidInputError(f"objective {text!r}: the metrics stand first, then key=value; {advice}")
    try:
        parameters = tomllib.loads(f"parameters = {{{', '.join(settings)}}}")["parameters"]
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"objective {text!r}: cannot read the parameters ({error}); {advice}") from None
    return WrittenObjective(name, metrics, parameters)


def read_constraint(text: str) -> WrittenConstraint:
    """Read ``metric<=bound`` or ``metric>=bound``; the bound is a number, or a quantile such as ``q25``.

    Raises:
        InvalidInputError: The text does not have this form.
    """
    match = _CONSTRAINT.fullmatch(text)
    bound = math.nan
    if match is not None:
        try:
            bound = float(match[4])
        except ValueError:
            match = None
    if match is None:
        raise InvalidInputError(f"constraint {text!r}: write e.g. latency_ms<=5 or, as a quantile, latency_ms<=q25")
    is_quantile = bool(match[3])
    if not math.isfinite(bound) or (is_quantile and not 0 <= bound <= 100):
        raise InvalidInputError(f"constraint {text!r}: a bound is finite, and a quantile is in q0 … q100")
    return WrittenConstraint(match[1], match[2] == "<=", bound, is_quantile)


def canonical_objectives(given: str | Iterable[str]) -> tuple[str, ...]:
    """One spelling of a list of objectives, in their order.

    Raises:
        InvalidInputError: One cannot be read, or stands twice.
    """
    texts = []
    for text in _listed("objectives", given):
        name, metrics, parameters = read_objective(text)
        inside = [*metrics, *(f"{key}={_number(text, value)}" for key, value in sorted(parameters.items()))]
        texts.append(f"{name}({', '.join(inside)})" if metrics else name)
    if len(set(texts)) < len(texts):
        raise InvalidInputError(f"objectives {', '.join(texts)}: one stands twice")
    return tuple(texts)


def canonical_constraints(given: str | Iterable[str]) -> tuple[str, ...]:
    """One spelling of a set of constraints.

    Raises:
        InvalidInputError: One cannot be read.
    """
    return tuple(sorted({written_constraint(read_constraint(text)) for text in _listed("constraints", given)}))


def written_constraint(constraint: WrittenConstraint) -> str:
    """A constraint as it is written."""
    quantile = "q" if constraint.is_quantile else ""
    return f"{constraint.metric}{'<=' if constraint.is_upper else '>='}{quantile}{constraint.bound:.15g}"


def canonical_sources(given: str | Iterable[str]) -> tuple[str, ...]:
    """One spelling of a set of tasks.

    Raises:
        InvalidInputError: They are no list of names.
    """
    if isinstance(given, str) and "@" in given:
        return tuple(sorted(set(split_task_names(given))))
    return tuple(sorted(set(_listed("sources", given))))


def _listed(field: str, given: Any) -> list[str]:
    if isinstance(given, str):
        return split_outside_brackets(given)
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        raise InvalidInputError(f"{field} must be a text with commas or a list of texts, not {given!r}")
    return list(given)


def _number(text: str, value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_number(text, entry) for entry in value)}]"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInputError(f"objective {text!r}: parameters are finite numbers or lists of them, not {value!r}")
    return f"{value:.15g}"
