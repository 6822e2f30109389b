"""Notes on pending proposals against dictionaries, and policies with more pending proposals than slots."""

import numpy as np
import pytest
from nasbench_strategies._models.notes import Notes
from nasbench_strategies.differentiable.gumbel_softmax import GumbelSoftmax
from nasbench_strategies.reinforcement.reinforce import Reinforce
from nasbench_strategies.reinforcement.rnn_controller import RNNController

from nasbench_harness import Protocol, Results, RunStreams, load_task
from nasbench_harness.evaluation.status import Status


def answers(tickets, architectures, losses):
    is_told, zeros = np.array(tickets) >= 0, np.zeros(len(tickets))
    status = np.where(is_told, Status.OK, Status.NONE)
    values = np.array(losses, dtype=float)[:, None]
    return Results(np.array(tickets), np.array(architectures), zeros.astype(int), values, zeros, zeros, status, is_told)


def test_notes_are_found_in_any_order_and_none_is_overwritten():
    rng, notes, pending, num_proposed = np.random.default_rng(0), Notes(3, (2,), np.int64), [{}, {}, {}], [0, 0, 0]
    for step in range(3_000):
        runs = np.flatnonzero(rng.random(3) < (0.6 if step < 1_500 else 0.4))
        given = rng.integers(1_000, size=(len(runs), 2))
        notes.add(runs, given)
        for run, note in zip(runs, given.tolist(), strict=True):
            pending[run][num_proposed[run]] = note
            num_proposed[run] += 1
        tickets = [
            int(rng.choice([key for key in of_run if key] or [-1])) if rng.random() < 0.5 else -1 for of_run in pending
        ]
        taken = notes.take(answers(tickets, tickets, tickets))
        for run, ticket in enumerate(tickets):
            if ticket >= 0:
                assert taken[run].tolist() == pending[run].pop(ticket)
    assert min(num_proposed) > 1_000
    first = notes.take(answers([0, 0, 0], [1, 1, 1], [0, 0, 0]))  # the slowest
    assert first.tolist() == [of_run[0] for of_run in pending]


def test_a_run_with_one_worker_needs_no_more_slots():
    notes = Notes(2, (), np.int64)
    for ticket in range(100):
        notes.add(np.arange(2), np.full(2, ticket))
        assert notes.take(answers([ticket] * 2, [1, 1], [0, 0])).tolist() == [ticket] * 2
    assert notes._num_slots == 8


@pytest.mark.parametrize("cls", [GumbelSoftmax, Reinforce, RNNController])
def test_a_late_result_meets_its_own_sample_however_many_are_pending(cls):
    def moved(num_pending):
        strategy = cls(load_task("nb201-cifar10").problem(Protocol()), RunStreams(np.array([7], dtype=np.uint64)))
        asked = [int(strategy.ask(np.ones(1, dtype=bool)).architectures[0]) for _ in range(num_pending)]
        for ticket, loss in ((8, 50.0), (3, 20.0)):
            strategy.tell(answers([ticket], [asked[ticket]], [loss]))
        return strategy._parameters if cls is RNNController else strategy._logits

    np.testing.assert_array_equal(moved(9), moved(1_300))
    assert np.abs(moved(9)).max() > 0
