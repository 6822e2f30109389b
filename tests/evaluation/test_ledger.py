import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

INF = np.inf
ACCURACY = Metric("val_accuracy", "%", "maximize", "search", 0.1)


@pytest.fixture
def ledger_of(task):
    """Returns a ledger of some runs on the small task."""

    def make(num_runs=1, task=task, **protocol):
        return Ledger(task, Protocol(**{"noise": "mean"} | protocol), 0, np.arange(num_runs))

    return make


def propose(ledger, *architectures, started=None):
    """One evaluation of every run; −1 marks a run that starts nothing."""
    array = np.array(architectures)
    return ledger.evaluate(np.maximum(array, 0), array >= 0 if started is None else np.array(started))


def rows(ledger, architectures):
    """The evaluations of one run, one after the other."""
    return [propose(ledger, architecture) for architecture in architectures]


def column(entries, name):
    return [getattr(entry, name).ravel()[0] for entry in entries]


def test_shapes_and_types(ledger_of):
    entries = propose(ledger_of(3), 0, 1, 3)
    assert entries.natural.shape == entries.losses.shape == (3, 1)
    for part in (entries.status, entries.replicates, entries.trainings, entries.cost_s, entries.finished_s):
        assert part.shape == (3,)
    assert entries.natural.ravel().tolist() == [51, 61, pytest.approx(244 / 3)]
    assert entries.losses.ravel().tolist() == [49, 39, pytest.approx(100 - 244 / 3)]
    assert entries.cost_s.tolist() == [11, 21, 41]


def test_charge_charges_every_training(ledger_of):
    ledger = ledger_of(evaluations=10, duplicates="charge")
    entries = rows(ledger, [0, 1, 0, 0, 1])
    assert column(entries, "status") == [Status.OK] * 5
    assert column(entries, "trainings") == [0, 0, 1, 2, 1]
    assert column(entries, "cost_s") == [11, 21, 11, 11, 21]
    assert column(entries, "finished_s") == [11, 32, 43, 54, 75]
    assert ledger.counted.tolist() == [5]


def test_charge_ends_exactly_at_the_budget_however_often_a_cell_repeats(ledger_of):
    for evaluations in (1, 2, 7, 1_500):
        ledger, started = ledger_of(evaluations=evaluations), 0
        while ledger.has_budget()[0]:
            propose(ledger, 0)
            started += 1
        assert started == ledger.counted[0] == evaluations


def test_free_returns_the_first_value_at_no_cost(ledger_of):
    ledger = ledger_of(evaluations=10, duplicates="free", noise="per_query")
    entries = rows(ledger, [0, 3, 0, 0, 1])
    assert column(entries, "status") == [Status.OK, Status.OK, Status.DUPLICATE, Status.DUPLICATE, Status.OK]
    assert column(entries, "trainings") == [0] * 5
    assert column(entries, "losses")[2:4] == [column(entries, "losses")[0]] * 2
    assert column(entries, "natural")[2:4] == [column(entries, "natural")[0]] * 2
    assert column(entries, "replicates")[2:4] == [column(entries, "replicates")[0]] * 2
    assert column(entries, "cost_s")[2:4] == [0, 0]
    assert column(entries, "finished_s")[3] == column(entries, "finished_s")[1]
    assert ledger.counted.tolist() == [3]


def test_forbid_rejects_without_a_value(ledger_of):
    ledger = ledger_of(evaluations=10, duplicates="forbid")
    entries = rows(ledger, [0, 1, 0, 1, 3])
    assert column(entries, "status") == [Status.OK, Status.OK, Status.REJECTED, Status.REJECTED, Status.OK]
    assert column(entries, "losses")[2:4] == [INF, INF]
    assert np.isnan(column(entries, "natural")[2:4]).all()
    assert column(entries, "cost_s") == [11, 21, 0, 0, 41]
    assert ledger.counted.tolist() == [3]


@pytest.mark.parametrize(("duplicates", "streak"), [("free", 1_000), ("forbid", 100)])
def test_a_run_ends_after_a_streak_of_repeats(ledger_of, duplicates, streak):
    ledger = ledger_of(evaluations=10, duplicates=duplicates)
    propose(ledger, 0)
    for _ in range(streak):
        assert ledger.has_budget().tolist() == [True]
        propose(ledger, 0)
    assert ledger.has_budget().tolist() == [False]
    assert ledger.counted.tolist() == [1]


@pytest.mark.parametrize(("duplicates", "streak"), [("free", 1_000), ("forbid", 100)])
def test_a_new_cell_ends_the_streak(ledger_of, duplicates, streak):
    ledger = ledger_of(2, evaluations=10, duplicates=duplicates)
    propose(ledger, 0, 0)
    for _ in range(streak - 1):
        propose(ledger, 0, 0)
    propose(ledger, 1, -1)  # a run that starts nothing neither lengthens nor ends its streak
    assert ledger.has_budget().tolist() == [True, True]
    propose(ledger, 0, 0)
    assert ledger.has_budget().tolist() == [True, False]


@pytest.mark.parametrize("duplicates", ["free", "forbid"])
def test_repeats_do_not_use_up_the_budget(ledger_of, duplicates):
    ledger = ledger_of(evaluations=3, duplicates=duplicates)
    for architecture, left in [(0, True), (0, True), (1, True), (0, True), (1, True), (3, False)]:
        propose(ledger, architecture)
        assert ledger.has_budget().tolist() == [left]
    assert ledger.counted.tolist() == [3]


@pytest.mark.parametrize("duplicates", ["charge", "free", "forbid"])
def test_runs_that_start_nothing_are_untouched(ledger_of, duplicates):
    ledger, alone = (ledger_of(3, duplicates=duplicates, noise="per_query") for _ in range(2))
    for architectures in ([0, 3, 1], [0, -1, 0], [-1, -1, 0], [1, 3, -1], [-1, 0, -1]):
        clock, counted = ledger.clock_s.copy(), ledger.counted.copy()
        entries = propose(ledger, *architectures)
        idle = np.array(architectures) < 0
        assert (entries.status[idle] == Status.NONE).all()
        assert (entries.losses[idle] == INF).all()
        assert np.isnan(entries.natural[idle]).all()
        assert (entries.cost_s[idle] == 0).all()
        np.testing.assert_array_equal(ledger.clock_s[idle], clock[idle])
        np.testing.assert_array_equal(ledger.counted[idle], counted[idle])
        np.testing.assert_array_equal(entries.finished_s, ledger.clock_s)
    # The first run again, its pauses left out.
    again = [propose(alone, architecture, -1, -1) for architecture in (0, 0, 1)]
    assert alone.clock_s[0] == ledger.clock_s[0]
    assert alone.counted[0] == ledger.counted[0] == 2 + (duplicates == "charge")
    assert column(again, "trainings") == [0, int(duplicates == "charge"), 0]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["charge", "free", "forbid"]), st.sampled_from(["per_query", "per_run", "mean"]), st.data())
def test_a_run_is_the_same_in_any_batch(nb201_task, duplicates, noise, data):
    proposals = st.integers(-1, 5).map(lambda low: low * 2_600)
    table = np.array(data.draw(st.lists(st.tuples(proposals, proposals, proposals), min_size=1, max_size=12)))
    table = np.where(table < 0, -1, table)
    protocol = Protocol(noise=noise, duplicates=duplicates)
    together = Ledger(nb201_task, protocol, 5, np.array([4, 9, 2]))
    entries = [propose(together, *row) for row in table]
    alone = Ledger(nb201_task, protocol, 5, np.array([9]))
    for row, entry in zip(table, entries, strict=True):
        if row[1] >= 0:
            single = propose(alone, row[1])
            for part, whole in zip(single, entry, strict=True):
                assert part[0].tobytes() == whole[1].tobytes()
    assert alone.clock_s[0] == together.clock_s[1]
    assert alone.counted[0] == together.counted[1]


@pytest.mark.parametrize("noise", ["per_query", "per_run", "replicate=1", "mean"])
def test_answers_are_those_of_the_replicate_that_the_noise_names(nb201_task, noise):
    protocol, seeds, generator = Protocol(noise=noise), np.arange(40), np.random.default_rng(0)
    ledger = Ledger(nb201_task, protocol, 0, seeds)
    expected = Noise(protocol, nb201_task.under(Protocol()).oracle, 15_625, 0, seeds)
    visits, clock, zeros = {}, np.zeros(40), np.zeros(40, int)
    for _ in range(20):
        cells = generator.integers(0, 8, 40) * 1_000
        trainings = np.array([visits.get((run, cell), 0) for run, cell in enumerate(cells)])
        for run, cell in enumerate(cells):
            visits[run, cell] = visits.get((run, cell), 0) + 1
        entries = ledger.evaluate(cells, np.ones(40, bool))
        replicates = expected.replicates(cells, trainings)
        answers = nb201_task.under(Protocol()).oracle.evaluate(cells, zeros, replicates)
        np.testing.assert_array_equal(entries.replicates, replicates)
        np.testing.assert_array_equal(entries.trainings, 0 if noise == "per_run" else trainings)
        np.testing.assert_array_equal(entries.natural, answers.values)
        np.testing.assert_array_equal(entries.losses, 100 - answers.values)
        np.testing.assert_array_equal(entries.cost_s, answers.cost_s)
        clock = clock + answers.cost_s
        np.testing.assert_array_equal(entries.finished_s, clock)
    assert max(visits.values()) > 2


def test_a_missing_row_is_counted_and_has_no_value(ledger_of):
    ledger = ledger_of(evaluations=3)
    entries = rows(ledger, [0, 4])
    assert column(entries, "status") == [Status.OK, Status.MISSING]
    assert column(entries, "losses")[1] == INF
    assert np.isnan(column(entries, "natural")[1])
    assert ledger.counted.tolist() == [2]


def test_without_a_cost_metric_the_cost_is_unknown(task_of, ledger_of):
    entries = rows(ledger_of(task=task_of([[50], [60]])), [0, 1, 0])
    assert column(entries, "status") == [Status.OK] * 3
    assert column(entries, "losses") == [50, 40, 50]
    assert np.isnan(column(entries, "cost_s")).all()


def test_a_missing_row_does_not_stop_the_clock(ledger_of):
    ledger = ledger_of(evaluations=3)
    entries = rows(ledger, [0, 4, 1])
    assert column(entries, "finished_s") == [11, 11, 32]


@pytest.mark.parametrize("duplicates", ["charge", "free", "forbid"])
def test_losses_are_never_nan(ledger_of, duplicates):
    """Also where a cell that the table does not have is proposed twice."""
    entries = rows(ledger_of(evaluations=9, duplicates=duplicates), [0, 4, 4, 0, 4])
    losses = column(entries, "losses")
    assert not np.isnan(losses).any()
    assert [loss == INF for loss in losses] == [False, True, True, duplicates == "forbid", True]


def test_time_that_the_search_spends_moves_the_clock_only(ledger_of):
    ledger = ledger_of(2, evaluations=3)
    ledger.spend(np.array([0.5, 0.0]))
    entries = propose(ledger, 0, 0)
    assert entries.finished_s.tolist() == [11.5, 11]
    assert entries.cost_s.tolist() == [11, 11]
    assert ledger.counted.tolist() == [1, 1]


def test_metrics_to_be_minimized_are_their_own_losses(task_of, ledger_of):
    loss = task_of([[3.5], [2.5]], metric=Metric("val_loss", "nats", "minimize", "search"))
    score = task_of([[3.5], [2.5]], metric=Metric("score", "points", "maximize", "search"))
    assert column(rows(ledger_of(task=loss), [0, 1]), "losses") == [3.5, 2.5]
    assert column(rows(ledger_of(task=score), [0, 1]), "losses") == [-3.5, -2.5]
    assert column(rows(ledger_of(task=score), [0, 1]), "natural") == [3.5, 2.5]


def test_losses_and_natural_values_share_no_memory(task_of, ledger_of):
    entries = propose(ledger_of(task=task_of([[3.5], [2.5]], metric=Metric("loss", "nats", "minimize", "search"))), 0)
    assert not np.may_share_memory(entries.losses, entries.natural)


def test_entries_belong_to_the_caller(ledger_of):
    for duplicates in ("charge", "free", "forbid"):
        ledger, fresh = (ledger_of(2, duplicates=duplicates) for _ in range(2))
        for part in propose(ledger, 0, 3)[:6]:
            part[:] = 0
        propose(fresh, 0, 3)
        for found, expected in zip(propose(ledger, 0, 1), propose(fresh, 0, 1), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_earlier_entries_stay_as_they_were(ledger_of):
    ledger = ledger_of(2)
    first = propose(ledger, 0, 1)
    before = [part.copy() for part in first]
    ledger.spend(np.ones(2))
    propose(ledger, 0, 3)
    for part, expected in zip(first, before, strict=True):
        np.testing.assert_array_equal(part, expected)


def test_inputs_and_global_generators_are_untouched(ledger_of):
    architectures, started, seconds = np.array([0, 3]), np.array([True, False]), np.array([1.0, 2.0])
    for array in (architectures, started, seconds):
        array.flags.writeable = False
    before, python = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 - what is checked
    for duplicates in ("charge", "free", "forbid"):
        ledger = ledger_of(2, duplicates=duplicates, noise="per_query")
        ledger.evaluate(architectures, started)
        ledger.spend(seconds)
        ledger.evaluate(architectures, started)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - what is checked
    assert random.getstate() == python


def test_visits_are_counted_beyond_any_small_integer(ledger_of):
    ledger = ledger_of(evaluations=70_000, noise="per_query")
    ledger._visits[:] = 65_535
    assert propose(ledger, 0).trainings.tolist() == [65_535]
    assert propose(ledger, 0).trainings.tolist() == [65_536]


def test_seconds_end_a_run_exactly(ledger_of):
    """Costs are 11, 21 and 41 s: 11 + 21 fits into 32 s to the second, and leaves nothing."""
    ledger = ledger_of(simulated_seconds=32.0)
    rows(ledger, [0])
    assert ledger.has_budget().tolist() == [True]
    (entry,) = rows(ledger, [1])
    assert (entry.status[0], entry.finished_s[0]) == (Status.OK, 32.0)
    assert ledger.has_budget().tolist() == [False]


def test_what_would_finish_too_late_spends_the_rest_and_has_no_value(ledger_of):
    ledger = ledger_of(simulated_seconds=31.5)
    first, late = rows(ledger, [0, 1])
    assert first.status[0] == Status.OK
    assert (late.status[0], late.cost_s[0], late.finished_s[0]) == (Status.OVERRUN, 20.5, 31.5)
    assert late.losses[0] == INF
    assert np.isnan(late.natural[0])
    assert ledger.counted.tolist() == [2]  # it was started
    assert ledger.clock_s.tolist() == [31.5]
    assert ledger.has_budget().tolist() == [False]


def test_overrun_can_count(ledger_of):
    ledger = ledger_of(simulated_seconds=31.5, overrun="count")
    entries = rows(ledger, [0, 1])
    assert column(entries, "status") == [Status.OK, Status.OK]
    assert column(entries, "finished_s") == [11.0, 32.0]
    assert ledger.has_budget().tolist() == [False]


def test_the_first_budget_to_bind_ends_a_run(ledger_of):
    for evaluations, seconds, expected in ((2, 1e9, 2), (9, 22.0, 2), (9, 22.5, 3)):
        ledger, started = ledger_of(evaluations=evaluations, simulated_seconds=seconds), 0
        while ledger.has_budget()[0]:
            rows(ledger, [0])
            started += 1
        assert started == expected


def test_search_time_is_paid_from_the_same_clock(ledger_of):
    ledger = ledger_of(2, simulated_seconds=10.0)
    charged, late = ledger.spend(np.array([4.0, 11.0]))
    assert (charged.tolist(), late.tolist()) == ([4.0, 10.0], [False, True])
    assert ledger.clock_s.tolist() == [4.0, 10.0]
    assert ledger.has_budget().tolist() == [True, False]
    counting = ledger_of(simulated_seconds=10.0, overrun="count")
    charged, late = counting.spend(np.array([11.0]))
    assert (charged.tolist(), late.tolist(), counting.clock_s.tolist()) == ([11.0], [False], [11.0])


def test_seconds_need_training_times(task_of):
    with pytest.raises(InvalidInputError, match="task tiny-one has no training times"):
        Ledger(task_of([[1], [2]]), Protocol(simulated_seconds=5), 0, np.arange(1))


@pytest.mark.parametrize(
    ("fields", "number"),
    [({"simulated_seconds": 1e9}, "45,454,547"), ({"simulated_seconds": 1e6, "workers": 1_000}, "45,456,000")],
)
def test_a_budget_without_end_is_refused(ledger_of, fields, number):
    with pytest.raises(
        InvalidInputError, match=f"^the budget allows about {number} evaluations of a run on task tiny-"
    ):
        ledger_of(**fields)
    assert ledger_of(**fields, evaluations=10**6).has_budget().all()


def test_without_training_times_there_is_no_clock(task_of):
    ledger = Ledger(task_of([[1], [2]]), Protocol(noise="mean"), 0, np.arange(1))
    entries = propose(ledger, 0)
    assert np.isnan([entries.cost_s[0], entries.finished_s[0], ledger.clock_s[0]]).all()


def test_a_run_that_only_meets_gaps_ends(ledger_of):
    """Architecture 4 has no row: it costs nothing, so that seconds alone would never end the run."""
    ledger, started = ledger_of(simulated_seconds=1e6), 0
    while ledger.has_budget()[0]:
        rows(ledger, [4])
        started += 1
    assert started == 1_000


@pytest.fixture
def twins(nb201_task):
    """Two architectures of one isomorphism class, the smaller index second."""
    classes = nb201_task.space.canonical(np.arange(15_625))
    twin = int(np.flatnonzero(classes != np.arange(15_625))[0])
    return twin, int(classes[twin])


def test_free_by_class_answers_with_the_first_of_the_class(nb201_task, twins):
    ledger = Ledger(nb201_task, Protocol(duplicates="free", duplicates_by="class"), 0, np.arange(1))
    by_index = Ledger(nb201_task, Protocol(duplicates="free"), 0, np.arange(1))
    first, second = rows(ledger, twins)
    assert column([first, second], "status") == [Status.OK, Status.DUPLICATE]
    assert second.natural[0] == first.natural[0] == rows(by_index, twins)[0].natural[0]
    assert (second.cost_s[0], ledger.counted[0]) == (0.0, 1)
    assert column(rows(by_index, twins[1:]), "status") == [Status.DUPLICATE]  # seen just above, by its own index


@pytest.mark.parametrize(("duplicates", "again"), [("free", Status.DUPLICATE), ("forbid", Status.REJECTED)])
def test_an_architecture_without_a_value_answers_for_no_class(duplicates, again):
    """The first of the class is missing in the table; its classmates have values."""
    space = ProductSpace("pairs", [["a", "b"], ["c", "d"]], classes=np.array([0, 0, 0, 3]))
    values = np.array([np.nan, 90, 60, 70])[:, None, None]
    dataset = Dataset("Pairs", space, {"val_accuracy": MetricArray(ACCURACY, values)})
    task = make_task(Table("pairs", {"one": dataset}, Provenance("here", "1", "MIT")), "one")
    protocol = Protocol(duplicates=duplicates, duplicates_by="class")
    entries = rows(Ledger(task, protocol, 0, np.arange(1)), [0, 1, 2, 3])
    assert column(entries, "status") == [Status.MISSING, Status.OK, again, Status.OK]
    assert column(entries, "natural")[1::2] == [90, 70]
    assert task.under(protocol).answers_version == 2
    assert task.under(Protocol(duplicates=duplicates)).answers_version == 1


def test_forbid_by_class_rejects_isomorphic_architectures(nb201_task, twins):
    ledger = Ledger(nb201_task, Protocol(duplicates="forbid", duplicates_by="class"), 0, np.arange(2))
    entries = propose(ledger, *twins)
    assert entries.status.tolist() == [Status.OK, Status.OK]  # each run has its own history
    assert propose(ledger, *reversed(twins)).status.tolist() == [Status.REJECTED] * 2
