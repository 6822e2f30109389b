import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation import grid
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.oracle import TableOracle
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.tables.table import Metric, MetricArray

ACCURACY = Metric("val_accuracy", "%", "maximize", "search")
COST = Metric("train_cost_s", "s", "minimize", "cost")
SHAPE = (6, 3, 4)


@pytest.fixture(scope="module")
def arrays():
    """Accuracy and cost with missing replicates, a missing row, and cost that grows with fidelity."""
    generator = np.random.default_rng(0)
    values = generator.integers(0, 1000, SHAPE) / 10
    cost_s = np.cumsum(generator.uniform(1, 2, SHAPE), axis=2)
    for array in (values, cost_s):
        array[1, 2], array[3, 1:], array[5] = np.nan, np.nan, np.nan
    return values, cost_s


@pytest.fixture(scope="module")
def oracle(arrays):
    return TableOracle([MetricArray(ACCURACY, arrays[0])], MetricArray(COST, arrays[1]))


def every_query():
    return tuple(axis.ravel() for axis in np.indices((6, 4, 4)) + np.array([0, 0, -1])[:, None, None, None])


def ask(oracle, architecture=0, fidelity=0, replicate=0):
    return oracle.evaluate(np.array([architecture]), np.array([fidelity]), np.array([replicate]))


def test_answers_are_the_table(oracle, arrays):
    values, cost_s = arrays
    answers = oracle.evaluate(*every_query())
    assert answers.values.shape == (96, 1)
    assert answers.cost_s.shape == answers.status.shape == (96,)
    for row, (architecture, fidelity, replicate) in enumerate(zip(*every_query(), strict=True)):
        for found, source in ((answers.values[row, 0], values), (answers.cost_s[row], cost_s)):
            column = source[architecture, :, fidelity]
            if replicate >= 0:
                np.testing.assert_equal(found, column[replicate])
            elif np.isnan(column).all():
                assert np.isnan(found)
            else:
                assert found == pytest.approx(np.nanmean(column), rel=1e-15)


def test_missing_is_said_and_is_nan(oracle):
    answers = oracle.evaluate(*every_query())
    architectures, _, replicates = every_query()
    lacks = (
        (architectures == 5) | ((architectures == 1) & (replicates == 2)) | ((architectures == 3) & (replicates > 0))
    )
    np.testing.assert_array_equal(answers.status, np.where(lacks, Status.MISSING, Status.OK))
    np.testing.assert_array_equal(np.isnan(answers.values[:, 0]), lacks)
    np.testing.assert_array_equal(np.isnan(answers.cost_s), lacks)


def test_one_missing_objective_makes_the_query_missing(arrays):
    complete = np.ones(SHAPE)
    oracle = TableOracle([MetricArray(ACCURACY, complete), MetricArray(ACCURACY, arrays[0])], None)
    assert ask(oracle, 1, 0, 2).status.tolist() == [Status.MISSING]
    assert ask(oracle, 1, 0, 1).status.tolist() == [Status.OK]
    assert ask(oracle, 1, 0, 1).values.shape == (1, 2)


def test_without_cost_the_cost_is_nan(arrays):
    answers = ask(TableOracle([MetricArray(ACCURACY, arrays[0])], None))
    assert answers.status.tolist() == [Status.OK]
    assert np.isnan(answers.cost_s).all()


def test_cost_does_not_decrease_with_fidelity(oracle):
    for architecture in range(5):
        architectures, fidelities = np.full(4, architecture), np.arange(4)
        assert (np.diff(oracle.evaluate(architectures, fidelities, np.zeros(4, int)).cost_s) >= 0).all()


@settings(max_examples=50)
@given(st.data())
def test_the_answer_depends_on_the_query_alone(oracle, data):
    """Any order, any batch, one at a time, repeated: the same bytes."""
    queries = every_query()
    full = oracle.evaluate(*queries)
    chosen = np.array(data.draw(st.lists(st.integers(0, 95), max_size=30)), dtype=int)
    batch = oracle.evaluate(*(axis[chosen] for axis in queries))
    for together, found in zip(full, batch, strict=True):
        assert together[chosen].tobytes() == found.tobytes()
    for row in chosen[:3]:
        alone = ask(oracle, *(int(axis[row]) for axis in queries))
        assert [part.tobytes() for part in alone] == [part[row].tobytes() for part in full]


def test_the_answer_belongs_to_the_caller(oracle):
    before = [part.tobytes() for part in oracle.evaluate(*every_query())]
    for part in oracle.evaluate(*every_query()):
        part[:] = 0
    assert [part.tobytes() for part in oracle.evaluate(*every_query())] == before


def test_the_table_is_untouched(arrays):
    columns = [array.copy() for array in arrays]
    for array in columns:
        array.flags.writeable = False
    oracle = TableOracle([MetricArray(ACCURACY, columns[0])], MetricArray(COST, columns[1]))
    for part in oracle.evaluate(*every_query()):
        part[:] = 0
    np.testing.assert_array_equal(columns, arrays)


def test_inputs_and_global_generators_are_untouched(oracle):
    queries = every_query()
    for axis in queries:
        axis.flags.writeable = False
    before, python = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 - what is checked
    oracle.evaluate(*queries)
    oracle.num_replicates(queries[0])
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - what is checked
    assert random.getstate() == python
    for axis, expected in zip(queries, every_query(), strict=True):
        np.testing.assert_array_equal(axis, expected)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"architecture": 6}, "architecture index 6 is outside the table's 6"),
        ({"architecture": -1}, "architecture index -1 is outside the table's 6"),
        ({"fidelity": 4}, "fidelity index 4 is outside the table's 4"),
        ({"fidelity": -1}, "fidelity index -1 is outside the table's 4"),
        ({"replicate": 3}, "replicate index 3 is outside the table's 3"),
        ({"replicate": -2}, "replicate index -2 is outside the table's 3"),
        ({"architecture": 2**62}, "architecture index 4611686018427387904 is outside"),
    ],
    ids=str,
)
def test_indices_outside_are_refused(oracle, query, message):
    with pytest.raises(InvalidInputError, match=message):
        ask(oracle, **query)
    names = ("architecture", "fidelity", "replicate")
    with pytest.raises(InvalidInputError, match=message):
        oracle.evaluate(*(np.array([0, query.get(name, 0), 0]) for name in names))
    if "architecture" in query:
        with pytest.raises(InvalidInputError, match=message):
            ask(oracle, **query, replicate=-1)


def test_a_fidelity_outside_a_single_one_is_refused():
    oracle = TableOracle([MetricArray(ACCURACY, np.ones((2, 1, 1)))], None)
    with pytest.raises(InvalidInputError, match="fidelity index 1 is outside the table's 1"):
        ask(oracle, fidelity=1)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16])
def test_any_integer_type_is_an_index(oracle, dtype):
    architectures, fidelities = np.array([0, 3, 4], dtype), np.array([0, 2, 3], dtype)
    found = oracle.evaluate(architectures, fidelities, np.array([0, 0, 1]))
    expected = oracle.evaluate(architectures.astype(int), fidelities.astype(int), np.array([0, 0, 1]))
    np.testing.assert_array_equal(found.values, expected.values)


def test_no_query_is_no_answer(oracle):
    nothing = np.array([], dtype=int)
    answers = oracle.evaluate(nothing, nothing, nothing)
    assert [part.shape for part in answers] == [(0, 1), (0,), (0,)]


def test_num_replicates(oracle, real_task):
    assert oracle.num_replicates(np.array([0, 1, 2, 3, 4, 5, 0])).tolist() == [3, 2, 3, 1, 3, 0, 3]
    counts = real_task.under(Protocol()).oracle.num_replicates(np.arange(15_625))
    assert np.bincount(counts).tolist() == [0, 0, 7_456, 8_169]


@pytest.mark.parametrize("step", [100 / 3_000, 0.01, 5 / 3, None])
def test_equal_values_on_the_grid_are_equal_answers(step):
    """The source stores 32-bit numbers, one of them in another way: equal accuracies must still tie."""
    counts = np.random.default_rng(1).integers(0, 50, (40, 3, 2))
    noisy = (counts * (step or 1)).astype(np.float32).astype(float)
    noisy[::2] += 1e-7
    metric = Metric("val_accuracy", "%", "maximize", "search", step)
    oracle = TableOracle([MetricArray(metric, noisy)], None)
    rows = tuple(axis.ravel() for axis in np.indices(counts.shape))
    answers = oracle.evaluate(rows[0], rows[2], rows[1]).values[:, 0]
    if step is None:
        np.testing.assert_array_equal(answers, noisy.ravel())
        assert oracle.version == 1
        return
    assert len(np.unique(answers)) == len(np.unique(counts))
    np.testing.assert_allclose(answers, counts.ravel() * step, rtol=1e-15)
    assert oracle.version == 2  # runs that were stored before read other numbers
    if step == 0.01:
        np.testing.assert_array_equal(answers, counts.ravel() / 100)


def test_values_that_tie_already_keep_their_bits(arrays):
    for values in (arrays[0], arrays[0] * (1 + 2**-50)):
        metric = Metric("val_accuracy", "%", "maximize", "search", 0.1)
        oracle = TableOracle([MetricArray(metric, values)], MetricArray(COST, arrays[1]))
        architectures, fidelities, replicates = every_query()
        is_single = replicates >= 0
        answers = oracle.evaluate(architectures[is_single], fidelities[is_single], replicates[is_single])
        expected = values[architectures[is_single], replicates[is_single], fidelities[is_single]]
        np.testing.assert_array_equal(answers.values[:, 0], expected)
        assert oracle.version == 1


@pytest.mark.parametrize("listed", [0, 2**21])
@pytest.mark.parametrize("is_odd", [False, True])
def test_a_long_axis_is_read_in_parts_with_the_same_answers(monkeypatch, listed, is_odd):
    """One number of a step that is another one decides for the whole column, in whatever part it stands."""
    monkeypatch.setattr(grid, "_PART", 100)
    monkeypatch.setattr(grid, "_MOST_LISTED", listed)
    values = np.random.default_rng(2).integers(-50, 50, (60, 3, 10)) * 0.3 * (1 + 2**-50)
    values[3, 1] = np.nan
    values[59, 2, 9] = values[0, 0, 0] * (1 + is_odd * 2**-40)
    found = grid.on_grid(MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.3), values))
    assert (found is values) != is_odd
    np.testing.assert_array_equal(found, np.rint(values / 0.3) * 0.3 if is_odd else values)


def test_a_long_axis_is_not_copied(monkeypatch):
    monkeypatch.setattr(grid, "_PART", 2**14)
    values = (np.arange(1_000_000) % 7_919 / 100).reshape(5_000, 1, 200)
    column = MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.01), values)
    tracemalloc.start()
    assert grid.on_grid(column) is values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes / 4


def test_replicates_with_gaps_are_drawn_if_none_is_complete():
    values = np.arange(24.0).reshape(4, 3, 2)
    values[0, 1, 0] = np.nan  # two complete ones
    values[1, 0, 0] = values[1, 1, 0] = values[1, 2, 1] = np.nan  # each has a gap
    values[2, 0] = values[2, 1, 0] = values[2, 2, 1] = np.nan
    values[3] = np.nan
    oracle = TableOracle([MetricArray(ACCURACY, values)], None)
    assert oracle.num_replicates(np.arange(4)).tolist() == [2, 3, 2, 0]
    assert oracle.replicate_order.tolist() == [[0, 2, -1], [0, 1, 2], [1, 2, -1], [-1, -1, -1]]
    assert ask(oracle, 1, 0, 0).status.tolist() == [Status.MISSING]
    assert oracle.version == 2
    assert TableOracle([MetricArray(ACCURACY, values[:1])], None).version == 1


def test_real_answers(nb201, real_task):
    accuracy = nb201.column(real_task.dataset, "val_accuracy").values[:, :, 0]
    cost_s = nb201.column(real_task.dataset, "train_cost_s").values[:, :, 0]
    everyone, zeros = np.arange(15_625), np.zeros(15_625, int)
    for replicate in (0, 1, 2):
        answers = real_task.under(Protocol()).oracle.evaluate(everyone, zeros, zeros + replicate)
        np.testing.assert_array_equal(answers.values[:, 0], accuracy[:, replicate])
        np.testing.assert_array_equal(answers.cost_s, cost_s[:, replicate])
        missing = np.isnan(accuracy[:, replicate])
        np.testing.assert_array_equal(answers.status, np.where(missing, Status.MISSING, Status.OK))
    mean = real_task.under(Protocol()).oracle.evaluate(everyone, zeros, zeros - 1)
    np.testing.assert_allclose(mean.values[:, 0], np.nanmean(accuracy, axis=1), rtol=1e-15)
    np.testing.assert_allclose(mean.cost_s, np.nanmean(cost_s, axis=1), rtol=1e-15)


def test_the_mean_is_over_what_exists():
    values = np.array([[1.0, 2.0, np.nan], [np.nan, 7.0, np.nan], [np.nan] * 3])
    means = exact_means(MetricArray(ACCURACY, values[:, :, None])).values
    assert means.tolist()[:2] == [1.5, 7.0]
    assert np.isnan(means[2])
