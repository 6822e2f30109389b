"""Objectives, derived objectives and constraints: what is measured, what strategies minimize, what is scored."""

import numpy as np
import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.wording import canonical_constraints, canonical_objectives
from nasbench_harness.tables.table import Dataset, Metric, MetricArray


def means(task, name):
    with np.errstate(all="ignore"):
        return np.nanmean(task.table.column(task.dataset, name).values[:, :, 0], axis=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("val_accuracy , latency_ms", ("val_accuracy", "latency_ms")),
        (
            "mnasnet(val_accuracy,latency_ms, weight=-0.070, target = 5.0),params_m",
            ("mnasnet(val_accuracy, latency_ms, target=5, weight=-0.07)", "params_m"),
        ),
        (["weighted(a, b, weights=[1, 2.50])"], ("weighted(a, b, weights=[1, 2.5])",)),
        ("", ()),
    ],
)
def test_objectives_have_one_spelling(text, expected):
    assert canonical_objectives(text) == expected
    assert canonical_objectives(list(expected)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Val", "write a metric, or e.g. mnasnet"),
        ("mnasnet(", "write a metric"),
        ("mnasnet(target=5)", "the metrics stand first"),
        ("mnasnet(a, target=5, b)", "the metrics stand first|cannot read the parameters"),
        ("mnasnet(a, b, target='x')", "parameters are finite numbers"),
        ("mnasnet(a, b, target=inf)", "parameters are finite numbers"),
        ("a,a", "one stands twice"),
    ],
)
def test_other_objectives_are_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        Protocol(objectives=text)


def test_constraints_have_one_spelling():
    expected = ("latency_ms<=5", "params_m>=q2.5")
    assert canonical_constraints("params_m >= q2.50 , latency_ms<= 5.0") == expected
    assert canonical_constraints(["latency_ms<=5", *expected]) == expected
    for text in ("latency_ms<5", "latency_ms<=", "latency_ms<=fast", "latency_ms<=q101", "latency_ms<=1.2.3", "<=5"):
        with pytest.raises(InvalidInputError, match="constraint"):
            Protocol(constraints=text)
    with pytest.raises(InvalidInputError, match="must be a text with commas or a list"):
        Protocol(constraints=5)


def test_a_default_that_is_named_measures_the_same(real_task):
    default, named = real_task.under(Protocol()), real_task.under(Protocol(objectives="val_accuracy"))
    rows = np.arange(0, 15_625, 7)
    zeros = np.zeros(len(rows), dtype=int)
    answers = [view.oracle.evaluate(rows, zeros, zeros) for view in (default, named)]
    for first, second in zip(*answers, strict=True):
        assert first.tobytes() == second.tobytes()
    assert named.scores["val"].grid_regrets(rows).tolist() == default.scores["val"].grid_regrets(rows).tolist()
    assert named.measures.is_plain


@pytest.mark.parametrize("name", ["latency_ms", "params_m", "zen"])
def test_a_free_metric_is_an_objective_without_noise(nb201_task, name):
    view = nb201_task.under(Protocol(objectives=name))
    rows = np.arange(0, 15_625, 100)
    zeros = np.zeros(len(rows), dtype=int)
    free = nb201_task.problem(Protocol()).lookup(name, np.arange(15_625))
    for replicate in (0, 1, -1):
        answers = view.oracle.evaluate(rows, zeros, zeros + replicate)
        np.testing.assert_allclose(answers.values[:, 0], free[rows], rtol=1e-12)
    val = view.scores["val"]
    best = np.nanmax(free) if val.metric.direction == "maximize" else np.nanmin(free)
    known = rows[~np.isnan(free[rows])]
    np.testing.assert_allclose(val.regret(known), np.abs(best - free[known]), rtol=1e-6, atol=1e-6)
    assert list(view.scores) == ["val"]


@pytest.mark.parametrize(
    ("text", "value", "is_maximized"),
    [
        ("mnasnet(val_accuracy, latency_ms, target=12)", lambda a, t: a * (t / 12) ** -0.07, True),
        ("penalized(val_accuracy, latency_ms, target=12, weight=-7)", lambda a, t: a - 7 * np.abs(t / 12 - 1), True),
        ("weighted(val_accuracy, latency_ms, weights=[1, 0.5])", lambda a, t: 100 - a + 0.5 * t, False),
    ],
)
def test_derived_objectives_follow_their_formula(nb201_task, text, value, is_maximized):
    view = nb201_task.under(Protocol(objectives=text))
    accuracy = nb201_task.table.column("cifar10", "val_accuracy").values[:, :, 0]
    latency = means(nb201_task, "latency_ms")
    rows = np.arange(0, 15_625, 11)
    zeros = np.zeros(len(rows), dtype=int)
    answers = view.oracle.evaluate(rows, zeros, zeros + 1)
    expected = value(accuracy[rows, 1], latency[rows])
    losses = view.measures.losses(answers.values)[:, 0]
    np.testing.assert_allclose(losses, -expected if is_maximized else expected, rtol=1e-12)
    noiseless = value(means(nb201_task, "val_accuracy"), latency)
    val = view.scores["val"]
    assert val.optimum == (noiseless.argmax() if is_maximized else noiseless.argmin())
    best = noiseless[val.optimum]
    np.testing.assert_allclose(val.regret(rows), np.abs(best - noiseless[rows]), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mnasnet(latency_ms, val_accuracy, target=5)", "takes a metric to be maximized, then one to be minimized"),
        ("mnasnet(val_accuracy, latency_ms)", "target must be a number above 0, in ms"),
        ("mnasnet(val_accuracy, latency_ms, target=5, weight=1)", "weight must be a number below 0"),
        ("penalized(val_accuracy, latency_ms, target=5)", "weight must be a number below 0"),
        ("weighted(val_accuracy, latency_ms, weights=[1])", "a list of 2 numbers"),
        ("mnasnet(val_accuracy, latency_ms, goal=5)", "parameter .*goal"),
        ("mnasnett(val_accuracy, latency_ms, target=5)", "did you mean 'mnasnet'"),
        ("val_accuracy,latency", "metric .*latency.* did you mean 'latency_ms'"),
        ("train_cost_s", "train_cost_s has the role cost"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(nb201_task, text, message):
    with pytest.raises((InvalidInputError, UnknownNameError), match=message):
        nb201_task.under(Protocol(objectives=text))


def test_two_functions_of_one_name_are_refused(nb201_task):
    text = "mnasnet(val_accuracy, latency_ms, target=5),mnasnet(val_accuracy, latency_ms, target=6)"
    with pytest.raises(InvalidInputError, match="two have the same name in the store"):
        nb201_task.under(Protocol(objectives=text))


@pytest.mark.parametrize("constraints", ["latency_ms<=10", "latency_ms<=q25", "latency_ms<=12,params_m<=0.4"])
def test_infeasible_rows_are_scored_as_the_worst_feasible_one(nb201_task, constraints):
    view = nb201_task.under(Protocol(constraints=constraints))
    accuracy, latency, params = (means(nb201_task, name) for name in ("val_accuracy", "latency_ms", "params_m"))
    bound = {"latency_ms<=10": 10, "latency_ms<=q25": np.sort(latency)[15_625 // 4]}.get(constraints, 12)
    feasible = latency <= bound
    if "params_m" in constraints:
        feasible &= params <= 0.4
    val = view.scores["val"]
    assert val.is_feasible.tolist() == feasible.tolist()
    assert val.best_value == pytest.approx(accuracy[feasible].max())
    expected = np.where(feasible, accuracy, accuracy[feasible].min())
    np.testing.assert_allclose(val.values, expected, atol=1e-9)
    np.testing.assert_allclose(val.regret(np.arange(15_625)), accuracy[feasible].max() - expected, atol=1e-9)
    assert feasible[val.optimum]


@pytest.mark.parametrize("percent", [0, 5, 25, 50, 94, 95, 100])
@pytest.mark.parametrize("num_rows", [2, 7, 10])
def test_a_quantile_is_the_smallest_value_that_this_share_of_rows_meets(task_of, num_rows, percent):
    task = task_of(np.full((num_rows, 1), 50.0), params=np.arange(num_rows) + 1.0)
    (constraint,) = task.under(Protocol(constraints=f"params_m<=q{percent}")).constraints
    shares = np.arange(1, num_rows + 1) / num_rows
    assert constraint.bound == 1 + np.flatnonzero(shares >= percent / 100)[0]


def test_the_optimum_is_feasible_even_if_all_feasible_rows_are_equal(task_of):
    task = task_of([[50], [90], [50]], params=[3, 9, 1])
    val = task.under(Protocol(constraints="params_m<=3")).scores["val"]
    assert val.optimum == 0
    assert val.regret(np.array([0, 1, 2])).tolist() == [0, 0, 0]


def test_a_constraint_on_the_search_metric_is_observed_with_its_noise(task):
    view = task.under(Protocol(objectives="params_m", constraints="val_accuracy>=60"))
    answers = view.oracle.evaluate(np.array([1, 0, 3]), np.zeros(3, dtype=int), np.zeros(3, dtype=int))
    assert view.measures.is_feasible(answers.values).tolist() == [True, False, True]
    assert view.scores["val"].optimum == 1  # the smallest that is accurate enough
    assert str(view.constraints[0]) == "val_accuracy ≥ 60"


def test_a_bound_that_no_row_meets_is_refused_with_the_range(nb201_task):
    with pytest.raises(
        InvalidInputError, match=r"no architecture .* meets it; its values are in 7\.1\d+ … 2\d\.\d+ ms"
    ):
        nb201_task.under(Protocol(constraints="latency_ms<=0.5"))
    with pytest.raises(InvalidInputError, match="no architecture of task nb201-cifar10 meets all of them"):
        nb201_task.under(Protocol(constraints="latency_ms<=q1,params_m>=q99"))


def test_metrics_with_other_replicates_are_refused(task_of):
    task = task_of([[50, 51], [60, 61]])
    dataset = task.table.datasets["one"]
    other = Metric("other_accuracy", "%", "maximize", "search")
    columns = {**dataset.columns, "other_accuracy": MetricArray(other, np.ones((2, 1, 1)))}
    table = task.table.__class__("tiny", {"one": Dataset("T", dataset.space, columns)}, task.table.provenance)
    with pytest.raises(InvalidInputError, match="differ in replicates or fidelities"):
        task.__class__("tiny-one", "T", table, "one").under(Protocol(objectives="val_accuracy,other_accuracy"))


def test_three_objectives_need_moocore(nb201_task, monkeypatch):
    monkeypatch.setattr("nasbench_harness.evaluation.measures.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"pip install moocore"):
        nb201_task.under(Protocol(objectives="val_accuracy,latency_ms,params_m"))


def test_problems_show_objectives_and_constraints(nb201_task):
    problem = nb201_task.problem(Protocol(objectives="val_accuracy,latency_ms", constraints="params_m<=0.5"))
    assert [objective.metric.name for objective in problem.objectives] == ["val_accuracy", "latency_ms"]
    assert [(c.metric.name, c.bound, c.is_upper) for c in problem.constraints] == [("params_m", 0.5, True)]
