"""docs/own-strategy.md: the methods of a space take and return the values that the page names."""

import re
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness import Protocol, load_task

TEXT = (Path(__file__).parents[2] / "docs" / "own-strategy.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ["nb201-cifar10", "graph-cora"])
def test_methods_of_architectures_take_a_list(task):
    space = load_task(task).problem(Protocol()).space
    rows = TEXT.partition("## `problem.space`")[2].partition("\n## ")[0]
    methods = re.findall(r"`(\w+)\(architectures\)`", rows)
    assert set(methods) == {"one_hot", "graphs", "canonical", "choices"}
    for name in methods:
        found = getattr(space, name)([5, 7])
        assert len(found.labels if name == "graphs" else found) == 2, name
    np.testing.assert_array_equal(space.from_choices(space.choices([5, 7])), [5, 7])
