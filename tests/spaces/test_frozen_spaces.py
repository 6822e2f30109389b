"""All strategies of a process share one space, so none can change it."""

import numpy as np
import pytest

from nasbench_harness import load_task


@pytest.mark.parametrize("name", ["nb201-cifar10", "graph-cora"])
def test_a_strategy_cannot_change_its_space(name):
    space = load_task(name).space
    before = space.num_architectures, space.num_choices.tolist(), space.neighbors(np.arange(5)).tolist()
    with pytest.raises(AttributeError, match="a search space cannot be changed: num_architectures is shared"):
        space.num_architectures = 10
    with pytest.raises(ValueError, match="read-only"):
        space.num_choices[0] = 1
    for array in (space.neighbors(slice(None)), space.choices(slice(None))):
        if array.flags.writeable:
            array[:] = 0  # a copy
    assert before == (space.num_architectures, space.num_choices.tolist(), space.neighbors(np.arange(5)).tolist())
