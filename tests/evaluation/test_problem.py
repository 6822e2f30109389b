import dataclasses
import functools
import gc
import types

import numpy as np
import pytest

from nasbench_harness.errors import UnknownNameError
from nasbench_harness.evaluation.problem import Objective, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.tables.table import Metric


@pytest.fixture
def problem(task):
    return task.problem(Protocol(50))


def test_what_a_problem_shows(problem, task):
    assert problem.space is task.space
    assert [objective.metric.name for objective in problem.objectives] == ["val_accuracy"]
    assert problem.budget.evaluations == 50
    assert problem.num_lookups == {}


def test_free_metrics_are_read_and_counted(problem):
    assert problem.lookup("params_m", np.array([0, 2, 2])).tolist() == [1.5, 3.5, 3.5]
    assert problem.lookup("params_m", np.array([[0, 1], [3, 4]])).tolist() == [[1.5, 2.5], [4.5, 5.5]]
    assert problem.num_lookups == {"params_m": 7}


@pytest.mark.parametrize(
    "index", [np.int64(3), slice(None), np.array([True, False, True, False, False]), [0, 1]], ids=str
)
def test_every_value_that_is_read_is_counted(problem, index):
    assert np.size(problem.lookup("params_m", index)) == problem.num_lookups["params_m"]


def test_what_was_read_belongs_to_the_reader(problem):
    for index in (np.arange(5), slice(None)):
        problem.lookup("params_m", index)[:] = 0
        assert problem.lookup("params_m", np.arange(5)).tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_counts_start_at_zero_for_every_problem(task):
    task.problem(Protocol()).lookup("params_m", np.arange(3))
    assert task.problem(Protocol()).num_lookups == {}


@pytest.mark.parametrize("metric", ["val_accuracy", "train_cost_s", "test_accuracy", "params"])
def test_other_metrics_are_refused(problem, metric):
    with pytest.raises(UnknownNameError, match=f"unknown free metric '{metric}': .*params_m"):
        problem.lookup(metric, np.array([0]))
    assert problem.num_lookups == {}


def test_free_metrics_of_nasbench201_are_means_over_replicates(nb201, real_task):
    problem, everyone = real_task.problem(Protocol()), np.arange(15_625)
    for metric in ("latency_ms", "params_m", "flops_m"):
        values = nb201.column(real_task.dataset, metric).values[:, :, 0]
        np.testing.assert_allclose(problem.lookup(metric, everyone), np.nanmean(values, axis=1), rtol=1e-14)
    for metric in ("val_accuracy", "train_cost_s"):
        with pytest.raises(UnknownNameError, match="free metric"):
            problem.lookup(metric, everyone)


def test_a_problem_is_frozen(problem):
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.budget = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.budget.evaluations = 10**9


def held_by(item):
    """What an object holds: not classes, modules and functions' globals, which lead to the whole program."""
    if isinstance(item, types.FunctionType):
        return [item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__]
    held = gc.get_referents(item)
    if isinstance(item, np.ndarray):  # the collector does not follow arrays
        held += [item.base, *(item.ravel().tolist() if item.dtype == object else [])]
    return [thing for thing in held if not isinstance(thing, type | types.ModuleType)]


def reachable(root):
    seen, queue = {id(root): root}, [root]
    while queue:
        for thing in held_by(queue.pop()):
            if id(thing) not in seen:
                seen[id(thing)] = thing
                queue.append(thing)
    return list(seen.values())


def is_same(array, secret):
    """Shares memory, or a row or column of it is the secret up to scale, sign, offset and rounding."""
    if np.may_share_memory(array, secret):
        return True
    if array.dtype.kind not in "iuf" or array.size < secret.size:
        return False
    table = np.squeeze(array).reshape(len(np.squeeze(array)), -1)
    columns = [column for axis in (table, table.T) for column in axis if column.shape == secret.shape]
    known = ~np.isnan(secret)
    return any(is_affine(column[known], secret[known]) for column in columns)


def is_affine(first, second):
    if np.ptp(first) == 0 or not np.isfinite(first).all():
        return False
    return abs(np.corrcoef(first, second)[0, 1]) > 1 - 1e-6


def secrets_of(task):
    """The report side, and every replicate of the search metric."""
    values = task.table.column(task.dataset, task.under(Protocol()).objectives[0].metric.name).values
    replicates = [values[:, replicate, 0] for replicate in range(values.shape[1])]
    return [task.scores["val"].values, task.scores["val"].grid_values, *replicates]


def leaks(root, task, known=()):
    """Arrays that tell a secret, but for those that are known to tell none."""
    passed = set(map(id, known))
    arrays = [item for item in reachable(root) if isinstance(item, np.ndarray) and id(item) not in passed]
    return [array for array in arrays if any(is_same(array, secret) for secret in secrets_of(task))]


def objects_of_scoring(root, task):
    forbidden = {
        id(item) for item in (task, task.table, task.under(Protocol()).oracle, task.scores["val"], task.table.datasets)
    }
    return [item for item in reachable(root) if id(item) in forbidden]


@pytest.mark.parametrize("protocol", [Protocol(), Protocol(noise="mean"), Protocol(duplicates="free")], ids=str)
def test_strategies_reach_nothing_that_scores_them(real_task, protocol):
    problem = real_task.problem(protocol)
    problem.lookup("params_m", np.arange(15_625))
    problem.space.neighbors(np.array([0]))
    problem.space.canonical(np.array([0]))
    assert any(isinstance(item, np.ndarray) for item in reachable(problem))
    assert leaks(problem, real_task) == []
    assert objects_of_scoring(problem, real_task) == []


def leaky_problems(task, sound):
    """Ways in which a report array could slip into a sound problem."""
    secret = task.scores["val"].values
    table = task.table.column(task.dataset, "val_accuracy").values

    def closes_over(values):
        return lambda: values

    class Holds:
        __slots__ = ("values",)

        def __init__(self, values):
            self.values = values

    for label, value in {
        "itself": secret,
        "a view": secret[::2],
        "a copy": secret.copy(),
        "the grid values": task.scores["val"].grid_values.copy(),
        "losses": 100.0 - secret,
        "another mean": np.nanmean(table[:, :, 0], axis=1),
        "fractions in single precision": (secret / 100).astype(np.float32),
        "one replicate": table[:, 0, 0].copy(),
        "a view of the table": table[:, 1],
        "a column of a matrix": np.stack([np.arange(15_625.0), secret], axis=1),
        "an array of objects": np.array([None, Holds(secret.copy())], dtype=object),
        "a closure": closes_over(secret.copy()),
        "a bound method": Holds(secret.copy()).__init__,
        "a method of an array": secret.copy().take,
        "a partial": functools.partial(np.take, secret.copy()),
        "a generator": (value for value in secret.copy()),
        "slots": Holds(secret.copy()),
        "a nested container": {"a": [({"b": secret.copy()},)]},
        "the oracle": task.under(Protocol()).oracle,
        "the task": task,
    }.items():
        yield label, dataclasses.replace(sound, _free={**sound._free, "x": value})


def test_the_walk_finds_a_leak(nb201_task):
    """The counter-example: without it the test above could be blind."""
    sound = nb201_task.problem(Protocol())
    sound = dataclasses.replace(sound, _free={**sound._free})  # all columns have been read
    assert leaks(sound, nb201_task) == []
    known = reachable(sound)
    missed = [
        label
        for label, problem in leaky_problems(nb201_task, sound)
        if not leaks(problem, nb201_task, known) and not objects_of_scoring(problem, nb201_task)
    ]
    assert missed == []


def test_the_walk_finds_a_leak_in_a_space(nb201_task):
    hides = types.SimpleNamespace(hidden=[nb201_task.scores["val"].values.copy()])
    assert leaks(Problem(hides, nb201_task.under(Protocol()).objectives, None), nb201_task)


def test_losses_of_every_direction():
    values = np.array([91.5, 8.0])
    expected = {
        ("%", "maximize"): [8.5, 92.0],
        ("points", "maximize"): [-91.5, -8.0],
        ("nats", "minimize"): [91.5, 8.0],
        ("%", "minimize"): [91.5, 8.0],
    }
    for (unit, direction), losses in expected.items():
        objective = Objective(Metric("m", unit, direction, "search"))
        assert objective.loss(values).tolist() == losses
        assert objective.natural(objective.loss(values)).tolist() == values.tolist()
