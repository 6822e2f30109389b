"""Blocks of docs/ that need torch."""

import re
from pathlib import Path

import numpy as np

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.tables.registry import load_table
from nasbench_harness.trainer import load_data, recipe_of
from nasbench_harness.trainer.task import trained_task

DOCS = Path(__file__).parents[2] / "docs"


def test_the_block_of_trained_tasks_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    trained_task(recipe_of("animals8-10"), load_data()).under(Protocol()).oracle.prepare(
        np.array([0])
    )  # the cell without operations
    text = (DOCS / "trained-tasks.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names = {}
    exec(block, names)  # noqa: S102
    table = load_table("mine").datasets["animals8"].columns["val_accuracy"].values
    assert np.flatnonzero(~np.isnan(table).any(axis=(1, 2))).tolist() == [0, 1462]
    assert names["again"].name == "trained-animals8"
    load_table.cache_clear()
