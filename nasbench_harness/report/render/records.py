"""The JSON of a report: schema, settings, sources, long rows and tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nasbench_harness.analysis.across import equivalent, normalized_regret
from nasbench_harness.analysis.results import Analysis, StrategyResult, TaskAnalysis
from nasbench_harness.report.captions import caption_text
from nasbench_harness.report.model import ReportTable
from nasbench_harness.report.provenance import StrategySource, table_sources, versions
from nasbench_harness.report.render.text import to_json

SCHEMA = "nasbench-harness/report"
SCHEMA_VERSION = 1  # changes whenever a key or a row's meaning does


def report_record(
    analysis: Analysis, command: str, tables: Sequence[ReportTable], sources: Sequence[StrategySource] = ()
) -> dict[str, Any]:
    """Everything in a report as one JSON-able object.

    Args:
        analysis: The numbers.
        command: Command that generates the report.
        tables: Tables of the report.
        sources: Origins of the strategies.
    """
    found = versions()
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "harness_version": found["nasbench-harness"],
        "versions": found,
        "command": command,
        "protocol": analysis.protocol.fields_to_store(),
        "study_seed": analysis.study_seed,
        "seeds": analysis.num_seeds,
        "resamples": analysis.num_resamples,
        "unit": "seed",
        "paired_by": "none",
        "estimand": analysis.options.estimand,
        "control": analysis.options.control,
        "replayed": list(analysis.replayed),
        "method": caption_text(analysis),
        "sources": {"tables": table_sources(analysis), "strategies": [_source(source) for source in sources]},
        "rows": list(long_rows(analysis)),
        "tables": [to_json(table) for table in tables],
    }


def json_text(value: Any, indent: str = "") -> str:
    """A record as JSON with one line for each object that holds no others.

    Args:
        value: JSON values.
        indent: Spaces in front of the lines.

    Example:
        >>> print(json_text({"rows": [{"x": 1}, {"x": 2}]}))
        {
         "rows": [
          {"x": 1},
          {"x": 2}
         ]
        }
    """
    inner = f"{indent} "
    if isinstance(value, dict) and any(isinstance(part, dict) or _is_records(part) for part in value.values()):
        lines = [f"{inner}{json.dumps(key)}: {json_text(part, inner)}" for key, part in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if _is_records(value):
        return "[\n" + ",\n".join(f"{inner}{json_text(part, inner)}" for part in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def long_rows(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """One number in each row: strategy, task, metric, statistic, value; the task is None for numbers over tasks."""
    for entry in analysis.tasks:
        for result in entry.results:
            for metric, statistic, value in _numbers(entry, result):
                if math.isfinite(value):
                    yield _row(result.label, entry.task.name, metric, statistic, value)
    for summary in analysis.summaries:
        if summary.normalized is not None:
            ends = {"iqm": summary.normalized.point, "iqm_low": summary.normalized.low}
            for statistic, end in {**ends, "iqm_high": summary.normalized.high}.items():
                yield _row(summary.label, None, "normalized_regret", statistic, float(end))
        named = zip(("mean", "low", "high"), summary.rank, strict=True)
        values = [("rank", name, value) for name, value in named] + [("rank", "share_first", summary.first)]
        for metric, statistic, value in values:
            if math.isfinite(value):
                yield _row(summary.label, None, metric, statistic, value)
        for statistic in ("wins", "ties", "losses"):
            yield _row(summary.label, None, "comparisons", statistic, getattr(summary, statistic))


def _row(strategy: str, task: str | None, metric: str, statistic: str, value: float) -> dict[str, Any]:
    return {"strategy": strategy, "task": task, "metric": metric, "statistic": statistic, "value": value}


def _numbers(entry: TaskAnalysis, result: StrategyResult) -> Iterator[tuple[str, str, float]]:
    for score in entry.scores:
        runs = result.scores[score.name]
        distance = score.view.distance if score.name == "val" else f"{score.name}_{score.view.distance}"
        for metric, values in ((score.view.metric.name, runs.value), (distance, runs.regret)):
            yield metric, "n", len(values)
            yield metric, "mean", float(values.mean())
            if len(values) > 1:
                yield metric, "std", float(values.std(ddof=1))
        if runs.iqm is not None:
            yield distance, "iqm", float(runs.iqm.point)
            yield distance, "iqm_low", float(runs.iqm.low)
            yield distance, "iqm_high", float(runs.iqm.high)
        yield distance, "mean_a12", score.comparison.mean_a12(result.label)
    if entry.val.view.has_optimum:
        yield "regret", "share_optimal", result.share_optimal.value
    scaled = normalized_regret(entry, result)
    if scaled is not None:
        yield "normalized_regret", "mean", float(scaled.mean())
    same = equivalent(entry, result)
    if same is not None:
        yield "random_search_equivalent", "estimate", same.estimate
        yield "random_search_equivalent", "low", same.low
        yield "random_search_equivalent", "high", same.high
    prefix = "" if entry.curve_score == "val" else f"{entry.curve_score}_"
    for axis in entry.axes:
        yield f"{prefix}regret_over_{axis}", "area", result.measures[axis].area
    for name, value in asdict(result.spending).items():
        yield f"spent_{name}", "mean", float(value)


def _source(source: StrategySource) -> dict[str, Any]:
    return {**asdict(source), "parameters": dict(source.parameters)}
