"""One row per run as a pandas frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.analysis.runs import Runs
from nasbench_harness.evaluation.view import TaskView

if TYPE_CHECKING:
    import pandas as pd


def runs_frame(stored: Iterable[tuple[str, TaskView, Runs]]) -> pd.DataFrame:
    """One row per run.

    Columns: ``strategy``, ``task``, ``seed``; ``evaluations``, ``simulated_s``, ``repeats_by_index``,
    ``repeats_by_class``; ``architecture`` (index) and ``key`` of the choice, or ``front_size`` and ``front_share`` of
    a set; noiseless values such as ``val_accuracy``, and distances such as ``regret_pp``, of validation and of test. A
    run without a result has the architecture −1, an empty key, and NaN in place of values.

    Args:
        stored: Label, task and runs of each strategy on each task.
    """
    import pandas as pd

    parts = []
    for label, task, runs in stored:
        final, has_result = runs.final, runs.has_result
        picks = np.maximum(final, 0)
        task.oracle.prepare(final[has_result])
        columns: dict[str, Any] = {
            "strategy": label,
            "task": task.name,
            "seed": runs.seeds,
            "evaluations": runs.num_evaluations,
            "simulated_s": runs.simulated_s,
            "repeats_by_index": runs.repeats[:, 0],
            "repeats_by_class": runs.repeats[:, 1],
        }
        if runs.sets is None:
            columns["architecture"] = final
            distinct, places = np.unique(picks, return_inverse=True)
            keys = np.array([task.space.to_key(index) for index in distinct.tolist()], dtype=object)[places]
            columns["key"] = np.where(has_result, keys, "")
        else:
            columns |= {"front_size": runs.sets.sizes, "front_share": runs.sets.shares}
        for name, view in task.scores.items():
            prefix = "" if name == "val" else f"{name}_"
            columns[view.metric.name] = np.where(has_result, view.values[picks], np.nan)
            is_known = has_result & (view.exists[picks] | (name == "val"))
            distances = np.where(is_known, view.regret(picks), np.nan)
            columns[f"{prefix}{view.distance}_{view.metric.difference_unit}"] = distances
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
