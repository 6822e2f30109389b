from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nasbench_harness.engine.batches import Rules, run_parts
from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task, make_task, open_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tables.cache import open_table, write_table
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

NAN = np.nan
LOSS = Metric("val_loss", "nats", "minimize", "search")
STEPS = Metric("errors", "%", "minimize", "search", 0.1)


def test_the_noiseless_mean_is_that_of_numpy(nb201, real_task):
    values = nb201.column(real_task.dataset, "val_accuracy").values[:, :, 0]
    np.testing.assert_allclose(real_task.scores["val"].values, np.nanmean(values, axis=1), rtol=0, atol=1e-11)


def test_grid_values_are_exact(nb201, real_task):
    """Sums of whole images, times six over the number of replicates: equal means are equal integers."""
    images = {"cifar10": 25_000, "cifar100": 5_000, "imagenet16-120": 3_000}[real_task.dataset]
    values = nb201.column(real_task.dataset, "val_accuracy").values[:, :, 0]
    correct = np.rint(np.nan_to_num(values) * images / 100).astype(int)
    count = (~np.isnan(values)).sum(axis=1)
    report = real_task.scores["val"]
    assert report.grid_values.dtype == np.int64
    np.testing.assert_array_equal(report.grid_values * count, correct.sum(axis=1) * 6)
    assert report.resolution == pytest.approx(100 / images / 6, rel=1e-15)


@pytest.mark.parametrize("first_count", [1, 2, 3])
@pytest.mark.parametrize("second_count", [1, 2, 3])
def test_equal_means_tie_whatever_their_replicates(task_of, first_count, second_count):
    spread = {1: [70.1, NAN, NAN], 2: [70.0, 70.2, NAN], 3: [69.9, 70.1, 70.3]}
    report = task_of([spread[first_count], spread[second_count]]).scores["val"]
    assert report.grid_values[0] == report.grid_values[1]
    assert report.regret(np.array([0, 1])).tolist() == [0, 0]


def test_regret_is_zero_only_at_the_optimum(real_task):
    report, everyone = real_task.scores["val"], np.arange(15_625)
    regret = report.regret(everyone)
    best = np.flatnonzero(report.grid_values == report.grid_values.max())
    assert report.optimum == best[0]
    np.testing.assert_array_equal(np.flatnonzero(regret == 0), best)
    assert (regret >= 0).all()
    np.testing.assert_allclose(regret, report.values.max() - report.values, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(report.grid_regrets(everyone[::-1]), report.grid_regrets(everyone)[::-1])
    assert report.grid_regrets(np.array([[0, 1], [2, 3]])).shape == (2, 2)


def test_a_worker_opens_a_task_without_reading_what_runs_are_scored_by(tmp_path, monkeypatch):
    """The scores of a table with test accuracy: neither their array nor their means are read."""
    values = np.random.default_rng(0).random((16, 2, 1))
    space = ProductSpace("two", [["a", "b", "c", "d"]] * 2)
    metrics = [Metric("val_accuracy", "%", "maximize", "search"), Metric("test_accuracy", "%", "maximize", "test")]
    dataset = Dataset("One", space, {metric.name: MetricArray(metric, values) for metric in metrics})
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path))
    digest = register_table(Table("mine", {"one": dataset}, Provenance("here", "1", "MIT"))).digest
    load_table.cache_clear()
    try:
        task = open_task("mine-one", digest)
        rules = Rules(Protocol(evaluations=5), 0)
        run_parts(resolve(StrategyRef("random-search")), task, rules, np.arange(3))
        columns = task.table.datasets["one"].columns
        assert "values" in vars(columns["val_accuracy"])  # mapped, as the runs read it
        assert "values" not in vars(columns["test_accuracy"])
        assert "scores" not in vars(task)
        load_task("mine-one")
        assert "scores" in vars(task)  # the counter-example: who loads a task to score it reads both
        assert "values" in vars(columns["test_accuracy"])
    finally:
        load_table.cache_clear()


def test_another_table_than_the_studys_is_refused():
    digest = load_table("nb201").digest
    match = f"nb201-cifar10: the table here has the digest {digest[:12]}, the study's has 000000000000: import"
    with pytest.raises(TableError, match=match) as caught:
        open_task("nb201-cifar10", "0" * 64)
    assert "\n" not in str(caught.value)


def test_old_names_of_roles_are_read_and_change_no_digest(table_of, tmp_path):
    """Tables of earlier versions call the role test report, and so do the metadata, whose digest is in every result."""
    table = table_of([[1.0], [2.0]])
    metric = Metric("test_accuracy", "%", "maximize", "test")
    table.datasets["one"].columns["test_accuracy"] = MetricArray(metric, np.zeros((2, 1, 1)))
    write_table(table, tmp_path / "t")
    text = (tmp_path / "t" / "table.json").read_text()
    assert text.count('"role": "report"') == 1
    assert '"role": "test"' not in text
    assert open_table(tmp_path / "t").column("one", "test_accuracy").metric == metric


def test_optima_of_nasbench201(real_task):
    key, accuracy = {
        "cifar10": ("333132", 91.60667),
        "cifar100": ("333133", 73.49333),
        "imagenet16-120": ("322133", 46.73333),
    }[real_task.dataset]
    assert real_task.space.to_key(real_task.scores["val"].optimum) == key
    assert real_task.scores["val"].values[real_task.scores["val"].optimum] == pytest.approx(accuracy, abs=5e-6)


def test_cells_within_one_point_by_regret(real_task):
    expected = {"cifar10": 381, "cifar100": 22, "imagenet16-120": 43}[real_task.dataset]
    regrets = real_task.scores["val"].grid_regrets(np.arange(15_625))
    assert (regrets <= round(1 / real_task.scores["val"].resolution)).sum() == expected


def test_metrics_to_be_minimized_have_the_smallest_as_optimum(task_of):
    for metric in (LOSS, STEPS):
        report = task_of([[3.5], [2.5], [4.5]], metric=metric).scores["val"]
        assert report.optimum == 1
        assert report.regret(np.array([0, 1, 2])).tolist() == pytest.approx([1, 0, 2])


def test_the_first_of_equal_optima_counts(task_of):
    assert task_of([[50], [70], [70], [60]]).scores["val"].optimum == 1


@settings(max_examples=50, deadline=None)
@given(values=arrays.arrays(float, st.tuples(st.integers(2, 6), st.integers(1, 3)), elements=st.integers(0, 999)))
def test_grid_values_order_as_means_do(table_of, values):
    report = make_task(table_of(values / 10), "one").scores["val"]
    means = np.rint(values.sum(axis=1) * 6 / values.shape[1]).astype(int)
    np.testing.assert_array_equal(report.grid_values, means)
    np.testing.assert_allclose(report.values, (values / 10).mean(axis=1), atol=1e-12)


def test_more_than_three_replicates_have_their_mean_too(task_of):
    """Four, five, … are on no sixth of the grid."""
    for values in ([[50, 51, 52, 54], [60, 60, 60, 61]], [[50, 51, 52, 54, 51], [60, 60, 60, 61, NAN]]):
        report = task_of(values).scores["val"]
        np.testing.assert_allclose(report.values, np.nanmean(values, axis=1), rtol=1e-8)
        assert report.regret(np.array([0]))[0] == pytest.approx(np.ptp(np.nanmean(values, axis=1)), rel=1e-6)


@pytest.mark.parametrize("metric", [LOSS, STEPS], ids=["gridless", "grid"])
def test_a_row_without_values_is_no_optimum(task_of, metric):
    report = task_of([[NAN, NAN], [2.5, 2.7], [4.5, NAN]], metric=metric).scores["val"]
    assert report.optimum == 1
    assert report.values[1:].tolist() == pytest.approx([2.6, 4.5])
    assert np.isnan(report.values[0])


def test_grid_values_of_no_grid_ignore_float_noise(task_of):
    report = task_of([[1 / 3], [1 / 3 + 1e-15], [1 / 3 + 1e-8]], metric=LOSS).scores["val"]
    assert report.grid_values[0] == report.grid_values[1] != report.grid_values[2]
    assert report.grid_values.dtype == np.int64
    np.testing.assert_allclose(report.grid_values * report.resolution, report.values, rtol=1e-8)


def test_a_diverged_training_leaves_the_others_apart(task_of):
    losses = [[0.9], [0.5], [0.1], [0.3], [0.2], [1e12]]
    report = task_of(losses, metric=LOSS).scores["val"]
    assert report.optimum == 2
    assert report.regret(np.arange(5)).tolist() == pytest.approx([0.8, 0.4, 0, 0.2, 0.1], rel=0.1)
    many = np.append(np.geomspace(2e-4, 1, 999), 4e7)[:, None]
    report = task_of(many, metric=LOSS).scores["val"]
    assert len(np.unique(report.grid_values)) == len(many)
    assert report.regret(np.arange(999))[100:] == pytest.approx(many[100:999, 0] - 2e-4, rel=1e-3)
    maximized = task_of([[0.25], [0.5], [-1e9]], metric=Metric("score", "1", "maximize", "search")).scores["val"]
    assert maximized.regret(np.array([0, 1])).tolist() == pytest.approx([0.25, 0], rel=1e-3)


def test_float_noise_beside_a_best_value_of_0_is_a_tie(task_of):
    noise = 1 - 0.9999999999999999
    report = task_of([[0], [noise], [0.3], [0.4]], metric=LOSS).scores["val"]
    assert report.regret(np.arange(4)).tolist() == pytest.approx([0, 0, 0.3, 0.4])
    easy = task_of([*[[0]] * 60, *[[noise]] * 10, *[[0.3]] * 30], metric=LOSS).scores["val"]
    assert set(easy.regret(np.arange(100)).round(9).tolist()) == {0.0, 0.3}
    score = Metric("score", "1", "maximize", "search")
    report = task_of([[0], [-noise], [-0.3], [-0.5]], metric=score).scores["val"]
    assert report.regret(np.arange(4)).tolist() == pytest.approx([0, 0, 0.3, 0.5])


@pytest.mark.parametrize("metric", [LOSS, STEPS], ids=["gridless", "grid"])
def test_a_value_beside_which_all_others_are_alike_is_refused(task_of, metric):
    with pytest.raises(TableError, match=r"holds 1e\+20, beside which the good .* with that value missing"):
        task_of([[0.9], [0.5], [0.1], [0.3], [1e20]], metric=metric)


def test_grid_steps_stay_where_nine_digits_are_enough(nb201):
    for name, step in {"latency_ms": 1e-7, "params_m": 1e-8, "train_cost_s": 1e-5, "flops_m": 1e-6}.items():
        assert exact_means(nb201.column("cifar10", name)).resolution == pytest.approx(step)


def test_a_data_set_without_a_search_metric_is_refused(table_of):
    table = table_of([[1], [2]], metric=Metric("test_accuracy", "%", "maximize", "test"))
    with pytest.raises(InvalidInputError, match="task tiny-one has no metric with the role search"):
        make_task(table, "one")


def test_several_fidelities_must_be_named(table_of):
    with pytest.raises(InvalidInputError, match=r"tiny-one has 12 fidelities \(1, 2, 3, …, 11, 12 epochs\): name one"):
        make_task(curves(table_of), "one").under(Protocol())
    with pytest.raises(InvalidInputError, match=r"no fidelity of 13 epochs: it has 1, 2, 3, …, 11, 12 epochs"):
        make_task(curves(table_of), "one").under(Protocol(fidelity=13))
    with pytest.raises(InvalidInputError, match=r"no fidelity of 5 epochs: its table does not say"):
        make_task(table_of([[1], [2]]), "one").under(Protocol(fidelity=5))


def curves(table_of):
    """Two learning curves that cross after epoch 6, read with cumulative cost."""
    table = table_of([[1], [2]], cost_s=[[1], [1]])
    dataset = table.datasets["one"]
    epochs = np.arange(1, 13)
    accuracy = np.stack([10 + epochs, np.full(12, 16.5)])[:, None, :]
    dataset.columns["val_accuracy"] = MetricArray(dataset.columns["val_accuracy"].metric, accuracy)
    cost_s = np.broadcast_to(2.0 * epochs, (2, 1, 12))
    dataset.columns["train_cost_s"] = MetricArray(dataset.columns["train_cost_s"].metric, cost_s)
    table.datasets["one"] = replace(dataset, fidelities=tuple(range(1, 13)))
    return table


def test_a_named_fidelity_is_searched_and_the_last_is_scored(table_of):
    task = make_task(curves(table_of), "one")
    view = task.under(Protocol(fidelity=3))
    answers = view.oracle.evaluate(np.array([0, 1]), np.array([0, 0]), np.array([0, -1]))
    assert answers.values.ravel().tolist() == [13.0, 16.5]
    assert answers.cost_s.tolist() == [6.0, 6.0]
    assert (view.fidelity, view.fidelities, view.typical_cost_s) == (3, (3,), 6.0)
    assert task.scores["val"].values.tolist() == [22.0, 16.5]
    assert task.scores["val"].optimum == 0


@pytest.mark.parametrize(
    ("cost_s", "message"),
    [
        ([2, 4, -1], "is missing, negative or infinite at the fidelity that is searched"),
        ([2, np.inf, 6], "is missing, negative or infinite at the fidelity that is searched"),
        ([2, 4, 1], "falls along the epochs: import its table again with the cost of the whole training"),
        ([2, NAN, 1], "falls along the epochs: import its table again with the cost of the whole training"),
        ([2, NAN, 6], "is missing beside a value of val_accuracy: import its table again with that cost"),
    ],
)
def test_impossible_costs_are_refused_whoever_made_the_table(table_of, cost_s, message):
    table = curves(table_of)
    column = table.datasets["one"].columns["train_cost_s"]
    values = column.values.copy()
    values[1, 0, :3] = cost_s
    table.datasets["one"].columns["train_cost_s"] = MetricArray(column.metric, values)
    task = make_task(table, "one")
    with pytest.raises(TableError, match=f"task tiny-one: train_cost_s {message}"):
        task.under(Protocol(fidelity="1,2,3"))
    task.under(Protocol(fidelity="1,4"))  # nothing is wrong there


def test_test_accuracy_has_scores_of_its_own(table_of):
    table = table_of([[50, 51], [40, 42]])
    test = Metric("test_accuracy", "%", "maximize", "test")
    table.datasets["one"].columns["test_accuracy"] = MetricArray(test, np.array([[[60.0], [62.0]], [[70.0], [np.nan]]]))
    task = make_task(table, "one")
    assert task.scores["test"].values.tolist() == [61.0, 70.0]
    assert (task.scores["val"].optimum, task.scores["test"].optimum) == (0, 1)
    assert task.scores["test"].metric.name == "test_accuracy"
    assert "test" not in make_task(table_of([[1], [2]]), "one").scores


def test_tasks_load_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path))
    load_table.cache_clear()
    try:
        task = load_task("nb201-cifar100")
        assert (task.name, task.title, task.dataset) == ("nb201-cifar100", "CIFAR-100", "cifar100")
        assert task.provenance.source.startswith("NATS-Bench")
        assert load_task("nb201-cifar100") is task
        assert load_task("nb201-cifar10").table is task.table
        with pytest.raises(UnknownNameError, match="did you mean 'nb201-cifar100'"):
            load_task("nb201-cifar1000")
    finally:
        load_table.cache_clear()


def test_losses_and_natural_values_are_inverse(real_task):
    objective = real_task.under(Protocol()).objectives[0]
    values = np.array([[91.5], [10.0]])
    assert objective.loss(values).tolist() == [[8.5], [90.0]]
    np.testing.assert_array_equal(objective.natural(objective.loss(values)), values)


def test_a_query_answers_what_runs_are_scored_by(real_task):
    scores = real_task.scores["val"].values
    for architecture in (0, 77, np.int64(15_624)):
        assert real_task.query(architecture) == {"val": scores[architecture]}
        assert real_task.under(Protocol()).query(architecture) == {"val": scores[architecture]}
    assert list(load_task("graph-cora").query(5)) == ["val", "test"]


@pytest.mark.parametrize("architecture", [-1, 15_625, 1.5, "x"])
def test_a_query_outside_the_space_is_one_clear_line(real_task, architecture):
    with pytest.raises(InvalidInputError, match=r"^task nb201-\S+: an architecture is a whole number 0 … 15,624, not "):
        real_task.query(architecture)
