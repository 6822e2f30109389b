"""Spaces against mistakes of strategies: none can change the space that all of a process share."""

import numpy as np
import pytest

from nasbench_harness import Evaluation, Status, load_task
from nasbench_harness.engine.streams import RunStream
from nasbench_harness.spaces import ListSpace


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


ROWS = ListSpace("rows", ["a", "b", "c", "d"], [["x", "y"]] * 2, np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))


@pytest.mark.parametrize("space", [load_task("nb201-cifar10").space, load_task("graph-cora").space, ROWS])
def test_an_evaluation_in_place_of_an_architecture_is_named(space):
    evaluation = Evaluation(3, 1.0, (1.0,), Status.OK, 1.0, 1.0, 0, 0)
    stream = RunStream(0)
    for call in (
        lambda: space.mutate(evaluation, stream),
        lambda: space.crossover(evaluation, evaluation, stream),
        lambda: space.neighbors(evaluation),
    ):
        with pytest.raises(TypeError, match=r"of type Evaluation: pass evaluation\.architecture"):
            call()
