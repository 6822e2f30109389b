"""docs/landscape.md: its tasks exist, and each part that it names is a table."""

import re
from pathlib import Path

from nasbench_harness import load_task
from nasbench_harness.evaluation.task_names import split_task_names
from nasbench_harness.landscape.files import TITLES

TEXT = (Path(__file__).parents[2] / "docs" / "landscape.md").read_text(encoding="utf-8")


def test_the_tasks_exist():
    (tasks,) = re.findall(r"compare --tasks (\S+)", TEXT)
    names = split_task_names(tasks)
    assert [load_task(name).space.num_architectures for name in names] == [5**6, 4**6, 3**6]


def test_every_part_is_named():
    parts = re.findall(r"^\| ([a-z ]+) \| [A-Za-z]", TEXT, flags=re.MULTILINE)[1:]
    titles = {title.lower() for title in TITLES.values()} - {"summary"}
    assert set(parts) - {"noise"} == titles  # noise is part of the summary
