"""The loop's corner cases, on a task of 256 architectures with strategies that follow a script."""

import numpy as np
import pytest

from nasbench_harness.engine.strategy import Progress, Proposal, Proposals, Results, Strategy
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.status import Status

OK, DUPLICATE, REJECTED, PROGRESS = Status.OK, Status.DUPLICATE, Status.REJECTED, Status.PROGRESS


class Answering(Strategy):
    """Answers every ask with the same proposals, every recommend with the same recommendation."""

    def __init__(self, *proposals, recommendation=None):
        self.proposals, self.recommendation = Proposals(*proposals), recommendation

    def ask(self, idle):
        return self.proposals

    def tell(self, results: Results):
        pass

    def recommend(self):
        return self.recommendation


def cost_of(task, architecture, replicate):
    return task.table.column("set", "train_cost_s").values[architecture, replicate, 0]


def value_of(task, architecture, replicate):
    return task.table.column("set", "val_accuracy").values[architecture, replicate, 0]


def test_minus_one_with_nothing_pending_ends_the_run(play, scripted):
    strategy = scripted([[3, 4, -1, 5]])
    (trace,) = play(strategy)
    assert trace["architecture"].tolist() == [3, 4]
    assert trace["status"].tolist() == [OK, OK]
    assert strategy.asked == [[True]] * 3


def test_a_run_that_never_proposes_has_an_empty_trace(play, scripted):
    first, second = play(scripted([[], [7]]), num_runs=2)
    assert len(first["status"]) == 0
    assert second["architecture"].tolist() == [7]


def test_runs_end_at_different_times_and_are_not_asked_again(play, scripted):
    strategy = scripted([[1, 2], list(range(10, 30)), [5], []])
    traces = play(strategy, num_runs=4, evaluations=6)
    assert [trace["architecture"].tolist() for trace in traces] == [[1, 2], [10, 11, 12, 13, 14, 15], [5], []]
    assert [trace["step"].tolist() for trace in traces] == [[0, 1], [0, 1, 2, 3, 4, 5], [0], []]
    assert strategy.asked == [
        [True, True, True, True],
        [True, True, True, False],
        [True, True, False, False],
        *[[False, True, False, False]] * 3,
    ]


def test_progress_advances_the_clock_and_counts_nothing(play, scripted, tiny):
    script = [Progress(2.5, recommendation=9), 7, Progress(1.0), Progress(0.25, recommendation=8), 8, 9]
    strategy = scripted([script])
    (trace,) = play(strategy, evaluations=2, noise="replicate=0")
    assert trace["status"].tolist() == [PROGRESS, OK, PROGRESS, PROGRESS, OK]
    assert trace["architecture"].tolist() == [-1, 7, -1, -1, 8]
    assert trace["recommended"].tolist() == [9, 9, 9, 8, 8]
    costs = [2.5, cost_of(tiny, 7, 0), 1.0, 0.25, cost_of(tiny, 8, 0)]
    assert trace["cost_s"].tolist() == costs
    assert trace["finished_s"].tolist() == np.cumsum(costs).tolist()
    assert np.isnan(trace["value_val_accuracy"]).tolist() == [True, False, True, True, False]
    assert trace["step"].tolist() == [0, 1, 2, 3, 4]
    assert len(strategy.asked) == 5
    assert [told.status.tolist() for told in strategy.told] == [[OK], [OK]]  # progress is asked again, not told


def test_progress_of_one_run_leaves_no_row_in_the_others(play, scripted):
    strategy = scripted([[Progress(5.0), 1, 2], [3, 4], [Progress(1.0), Progress(1.0), 5, Progress(2.0)]])
    first, second, third = play(strategy, num_runs=3)
    assert first["status"].tolist() == [PROGRESS, OK, OK]
    assert second["status"].tolist() == [OK, OK]
    assert third["status"].tolist() == [PROGRESS, PROGRESS, OK, PROGRESS]
    assert third["finished_s"][1] == 2.0
    assert strategy.asked[:3] == [[True, True, True], [True, False, True], [False, False, True]]


def test_minus_one_with_no_cost_ends_the_run(play, scripted):
    (trace,) = play(scripted([[1, Proposal(-1, extra_cost_s=0.0), 2]]))
    assert trace["architecture"].tolist() == [1]


def test_search_time_of_a_proposal_is_on_the_clock_before_it_starts(play, scripted, tiny):
    (trace,) = play(scripted([[Proposal(3, extra_cost_s=10.0), 4]]), noise="replicate=1")
    assert trace["status"].tolist() == [OK, OK]
    finished = [10.0 + cost_of(tiny, 3, 1), 10.0 + cost_of(tiny, 3, 1) + cost_of(tiny, 4, 1)]
    assert trace["finished_s"].tolist() == finished


@pytest.mark.parametrize("evaluations", [1, 2, 7, 64, 200])
@pytest.mark.parametrize("duplicates", ["charge", "free", "forbid"])
def test_exactly_the_budget_is_spent(play, scripted, evaluations, duplicates):
    script = list(range(256))
    traces = play(scripted([script, script]), num_runs=2, evaluations=evaluations, duplicates=duplicates)
    for trace in traces:
        assert trace["status"].tolist() == [OK] * evaluations


def test_only_idle_runs_are_read(play):
    class Overeager(Strategy):
        """Run 0 ends after two evaluations but goes on to propose nonsense."""

        def __init__(self):
            self.num_asks = 0

        def ask(self, idle):
            self.num_asks += 1
            ended = self.num_asks > 3
            assert idle.tolist() == [not ended, True]
            first = 10**9 if ended else (-1 if self.num_asks == 3 else 5)
            nonsense = np.array([1 if ended else 0, 0])
            return Proposals(np.array([first, self.num_asks]), nonsense, np.array([np.nan if ended else 0.0, 0.0]))

        def tell(self, results):
            pass

    first, second = play(Overeager(), num_runs=2)
    assert first["architecture"].tolist() == [5, 5]
    assert second["architecture"].tolist() == list(range(1, 11))


def test_duplicates_are_charged_as_new_trainings(play, scripted, tiny):
    (trace,) = play(scripted([[5, 6, 5, 5]]), noise="per_query")
    assert trace["status"].tolist() == [OK] * 4
    assert trace["training"].tolist() == [0, 0, 1, 2]
    costs = [cost_of(tiny, a, r) for a, r in zip(trace["architecture"], trace["replicate"], strict=True)]
    assert trace["cost_s"].tolist() == costs
    values = [value_of(tiny, a, r) for a, r in zip(trace["architecture"], trace["replicate"], strict=True)]
    assert trace["value_val_accuracy"].tolist() == values


def test_forbidden_duplicates_are_rejected_and_end_the_run_after_100_in_a_row(play, scripted):
    strategy = scripted([[5] + [5] * 500])
    (trace,) = play(strategy, duplicates="forbid")
    assert trace["status"].tolist() == [OK] + [REJECTED] * 100
    assert np.isnan(trace["value_val_accuracy"][1:]).all()
    assert (trace["cost_s"][1:] == 0).all()
    assert (trace["finished_s"] == trace["finished_s"][0]).all()
    assert all(told.losses[0] == np.inf for told in strategy.told[1:])


def test_a_new_architecture_ends_the_row_of_rejected_ones(play, scripted):
    script = [5] + [5] * 99 + [6] + [5, 6] * 200
    (trace,) = play(scripted([script]), duplicates="forbid")
    assert trace["status"].tolist() == [OK] + [REJECTED] * 99 + [OK] + [REJECTED] * 100


def test_free_duplicates_repeat_the_first_value_and_end_the_run_after_1000_in_a_row(play, scripted):
    strategy = scripted([[5] + [5] * 3_000])
    (trace,) = play(strategy, duplicates="free", noise="per_query")
    assert trace["status"].tolist() == [OK] + [DUPLICATE] * 1_000
    assert len(set(trace["value_val_accuracy"].tolist())) == 1
    assert len(set(trace["replicate"].tolist())) == 1
    assert trace["training"].tolist() == [0] * 1_001
    assert (trace["cost_s"][1:] == 0).all()
    assert (trace["finished_s"] == trace["finished_s"][0]).all()
    assert {told.losses[0] for told in strategy.told} == {100.0 - trace["value_val_accuracy"][0]}


def test_a_new_architecture_ends_the_row_of_free_duplicates(play, scripted):
    script = [5] + [5] * 999 + [6] + [5, 6] * 1_000
    (trace,) = play(scripted([script]), duplicates="free")
    assert trace["status"].tolist() == [OK] + [DUPLICATE] * 999 + [OK] + [DUPLICATE] * 1_000


@pytest.mark.parametrize("duplicates", ["free", "forbid"])
def test_duplicates_are_not_counted(play, scripted, duplicates):
    script = [1, 1, 2, 1, 2, 2, 3, 4]
    (trace,) = play(scripted([script]), evaluations=3, duplicates=duplicates)
    assert trace["architecture"].tolist() == [1, 1, 2, 1, 2, 2, 3]
    assert np.count_nonzero(trace["status"] == OK) == 3


def test_one_runs_duplicates_are_new_to_another(play, scripted):
    traces = play(scripted([[5, 6], [6, 5]]), num_runs=2, duplicates="forbid")
    assert [trace["status"].tolist() for trace in traces] == [[OK, OK], [OK, OK]]


def test_tickets_count_a_runs_own_proposals(play, scripted):
    strategy = scripted([[1, 2, 3], [Progress(1.0), 4, Progress(1.0), 5, 6], [7]])
    play(strategy, num_runs=3)
    assert [told.ticket.tolist() for told in strategy.told] == [[0, 0, 0], [1, 1, -1], [2, 2, -1]]


def test_tell_sees_none_where_nothing_finished(play, scripted):
    strategy = scripted([[1, 2, 3], [4]])
    play(strategy, num_runs=2)
    last = strategy.told[-1]
    assert last.status.tolist() == [OK, Status.NONE]
    assert last.architectures.tolist() == [3, -1]
    assert last.ticket.tolist() == [2, -1]
    assert last.losses[1] == np.inf
    assert last.cost_s[1] == 0.0


def test_tell_brings_losses_costs_and_times(play, scripted, tiny):
    strategy = scripted([[1, 2], [3, 4]])
    traces = play(strategy, num_runs=2, noise="replicate=1")
    for step, told in enumerate(strategy.told):
        architectures = [trace["architecture"][step] for trace in traces]
        assert told.architectures.tolist() == architectures
        assert told.losses.tolist() == [100.0 - value_of(tiny, architecture, 1) for architecture in architectures]
        assert told.values.shape == (2, 1)
        assert told.cost_s.tolist() == [cost_of(tiny, architecture, 1) for architecture in architectures]
        assert told.finished_s.tolist() == [trace["finished_s"][step] for trace in traces]
        assert told.fidelities.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("architectures", "message"),
    [
        (
            np.array([1.0, 2.0]),
            r"Answering: ask\(\) must return integer architectures .*\(2,\) \(num_runs\), not float64",
        ),
        (np.array([1, 2, 3]), r"shape \(2,\) \(num_runs\), not int64 of shape \(3,\)"),
        (np.array([[1], [2]]), r"not int64 of shape \(2, 1\)"),
        (np.int64(1), r"not int64 of shape \(\)"),
        (np.array([], dtype=np.int64), r"not int64 of shape \(0,\)"),
        (np.array([True, False]), r"integer architectures .* not bool"),
        ([1, None], r"integer architectures .* not object"),
        (np.array([1, 256]), r"one architecture per run, −1 … 255: got 1 … 256"),
        (np.array([0, -2]), r"one architecture per run, −1 … 255: got -2 … 0"),
        (np.array([0, np.iinfo(np.int64).max]), r"−1 … 255: got 0 … 9223372036854775807"),
        (np.array([0, np.iinfo(np.int64).min]), r"−1 … 255"),
    ],
)
def test_wrong_architectures_are_refused_with_what_was_expected(play, architectures, message):
    with pytest.raises(StrategyError, match=message):
        play(Answering(architectures), num_runs=2)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64])
def test_every_signed_integer_type_is_read(play, kind):
    (trace,) = play(Answering(np.array([127], dtype=kind)), evaluations=1)
    assert trace["architecture"].tolist() == [127]


@pytest.mark.parametrize(
    ("recommendation", "message"),
    [
        (np.array([1, 256]), r"Answering: recommend\(\) must return one architecture per run, −1 … 255: got 1 … 256"),
        (np.array([-2, 0]), r"recommend\(\) .* got -2 … 0"),
        (np.array([1, 2, 3]), r"recommend\(\) .* of shape \(3,\)"),
        (np.array([1.5, 2.5]), r"recommend\(\)"),
    ],
)
def test_wrong_recommendations_are_refused(play, recommendation, message):
    with pytest.raises(StrategyError, match=message):
        play(Answering(np.array([1, 2]), recommendation=recommendation), num_runs=2)


@pytest.mark.parametrize("fidelity", [1, -2, 199])
def test_a_fidelity_that_the_task_lacks_is_refused(play, fidelity):
    with pytest.raises(StrategyError, match="Answering: task tiny-set has one fidelity, but ask"):
        play(Answering(np.array([1, 2]), np.array([0, fidelity])), num_runs=2)


@pytest.mark.parametrize("fidelity", [0, -1])
def test_fidelity_zero_is_the_only_one_and_so_the_highest(play, fidelity):
    (trace,) = play(Answering(np.array([1]), np.array([fidelity])), evaluations=2)
    assert trace["fidelity"].tolist() == [0, 0]


@pytest.mark.parametrize("seconds", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("architecture", [-1, 2])
def test_search_time_must_be_finite_and_not_negative(play, seconds, architecture):
    with pytest.raises(StrategyError, match="Answering: extra_cost_s must be finite and not negative"):
        play(Answering(np.array([1, architecture]), None, np.array([0.0, seconds])), num_runs=2)


@pytest.mark.parametrize(
    ("fidelities", "extra_cost_s"), [(np.zeros(3, dtype=np.int64), None), (None, np.zeros(3)), (None, np.zeros((2, 1)))]
)
def test_arrays_beside_the_architectures_have_their_shape_too(play, fidelities, extra_cost_s):
    with pytest.raises(StrategyError, match=r"Answering: .*shape \(2,\)"):
        play(Answering(np.array([1, 2]), fidelities, extra_cost_s), num_runs=2)


@pytest.mark.parametrize("answer", [None, [1, 2], np.array([1, 2])], ids=["None", "list", "array"])
def test_ask_must_return_proposals(play, answer):
    strategy = Answering(np.array([1, 2]))
    strategy.proposals = answer
    with pytest.raises(StrategyError, match=r"Answering: .*Proposals"):
        play(strategy, num_runs=2)


def test_writing_into_what_it_is_told_changes_no_trace(play, scripted):
    (honest,) = play(scripted([[3, 4, 5]]))
    strategy = scripted([[3, 4, 5]])

    def tell(results):
        for array in (results.architectures, results.cost_s, results.finished_s, results.values):
            try:
                array[:] = 0
            except ValueError:  # read-only: as good
                continue

    strategy.tell = tell
    (trace,) = play(strategy)
    for name in honest:
        assert trace[name].tolist() == honest[name].tolist(), name


def test_writing_into_idle_ends_no_run(play, scripted):
    strategy = scripted([[3, 4, 5]])
    ask = strategy.ask

    def greedy(idle):
        proposals = ask(idle)
        if idle.flags.writeable:
            idle[:] = False
        return proposals

    strategy.ask = greedy
    (trace,) = play(strategy)
    assert trace["architecture"].tolist() == [3, 4, 5]


def test_exceptions_of_a_strategy_propagate(play, scripted):
    strategy = scripted([[1]])
    strategy.tell = lambda results: 1 / 0
    with pytest.raises(ZeroDivisionError):
        play(strategy)
