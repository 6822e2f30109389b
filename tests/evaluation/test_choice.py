"""The architecture that a run returns, against a plain loop."""

import json
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness.evaluation.choice import RunRows, choice_sets, choices, final_choices, incumbent_rows
from nasbench_harness.evaluation.status import Status

INF = np.inf
GOLDEN = Path(__file__).parents[1] / "golden" / "public__anytime.json"


def random_rows(rng, num_runs=20, num_rows=12, **kinds):
    """Rows with many ties, some without a value, and some that belong to no run."""
    shape = (num_runs, num_rows)
    status = rng.choice([Status.OK, Status.OK, Status.FAILED, Status.PROGRESS, Status.NONE], shape)
    losses = np.where(status == Status.OK, rng.integers(0, 4, shape), INF)[:, :, None]
    return RunRows(
        architectures=np.where(np.isfinite(losses[:, :, 0]), rng.integers(0, 50, shape), -1),
        status=status,
        losses=losses,
        recommended=rng.integers(-1, 5, shape) if "recommended" in kinds else None,
        fidelities=rng.integers(0, 3, shape) if "fidelities" in kinds else None,
        is_feasible=rng.random(shape) < 0.5 if "is_feasible" in kinds else None,
    )


def by_a_loop(rows, run):
    """The choice after each row of a run, as the rule says it."""
    best, choice, recommended, found = None, -1, -1, []
    for row in range(rows.status.shape[1]):
        loss = rows.losses[run, row, 0]
        is_feasible = rows.is_feasible is None or bool(rows.is_feasible[run, row])
        fidelity = 0 if rows.fidelities is None else rows.fidelities[run, row]
        if np.isfinite(loss) and (best is None or (is_feasible, fidelity, -loss) > best):
            best, choice = (is_feasible, fidelity, -loss), rows.architectures[run, row]
        if rows.recommended is not None and rows.status[run, row] != Status.NONE:
            recommended = rows.recommended[run, row]
        found.append(recommended if recommended >= 0 else choice)
    return found


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        ("recommended",),
        ("fidelities",),
        ("is_feasible",),
        ("fidelities", "is_feasible"),
        ("recommended", "fidelities", "is_feasible"),
    ],
)
def test_choices_are_those_of_the_rule(kinds):
    rows = random_rows(np.random.default_rng(len(kinds)), num_runs=200, **dict.fromkeys(kinds))
    expected = [by_a_loop(rows, run) for run in range(200)]
    assert choices(rows).tolist() == expected
    assert final_choices(rows).tolist() == [of_run[-1] for of_run in expected]


def test_of_equals_the_first_stays_and_the_first_at_a_higher_fidelity_replaces():
    losses = np.array([[3.0, 3.0, 9.0, 9.0, 1.0, 8.0]])[:, :, None]
    rows = RunRows(np.arange(6)[None], np.ones((1, 6)), losses, fidelities=np.array([[0, 0, 1, 1, 0, 1]]))
    assert choices(rows).tolist() == [[0, 0, 2, 2, 2, 5]]


def test_another_metric_of_the_incumbent_is_that_of_the_golden_cases():
    cases = [case for case in json.loads(GOLDEN.read_text())["cases"] if "test_of_incumbent" in case["expected"]]
    assert cases
    for case in cases:
        losses = -np.array(case["inputs"]["val"], dtype=float)[None, :, None]
        status = np.full(losses.shape[:2], Status.OK)
        found = incumbent_rows(RunRows(np.arange(losses.shape[1])[None], status, losses))[0]
        np.testing.assert_array_equal(np.array(case["inputs"]["test"])[found], case["expected"]["test_of_incumbent"])


def test_runs_without_rows_return_nothing():
    rows = RunRows(np.zeros((3, 0), dtype=int), np.zeros((3, 0)), np.zeros((3, 0, 1)))
    assert choices(rows).shape == (3, 0)
    assert final_choices(rows).tolist() == [-1, -1, -1]


def test_arguments_are_not_changed():
    rows = random_rows(np.random.default_rng(4), recommended=1, fidelities=1, is_feasible=1)
    before = [array.copy() for array in vars(rows).values()]
    choices(rows), choice_sets(rows)
    for array, kept in zip(vars(rows).values(), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_a_set_is_what_nothing_dominates_among_the_feasible_at_the_highest_fidelity_reached():
    rng = np.random.default_rng(5)
    shape = (100, 10)
    losses = rng.integers(0, 4, (*shape, 2)).astype(float)
    losses[rng.random(shape) < 0.2] = INF
    fidelities, is_feasible = rng.integers(0, 2, shape), rng.random(shape) < 0.6
    rows = RunRows(rng.integers(0, 9, shape), np.ones(shape), losses, None, fidelities, is_feasible)
    found, num_empty = choice_sets(rows), 0
    for run in range(100):
        usable = [row for row in range(10) if is_feasible[run, row] and np.isfinite(losses[run, row]).all()]
        top = max((fidelities[run, row] for row in usable), default=None)
        candidates = [row for row in usable if fidelities[run, row] == top]
        kept = [
            row
            for position, row in enumerate(candidates)
            if not any(
                (losses[run, other] <= losses[run, row]).all() and (losses[run, other] < losses[run, row]).any()
                for other in candidates
            )
            and not any((losses[run, other] == losses[run, row]).all() for other in candidates[:position])
        ]
        assert np.flatnonzero(found[run]).tolist() == kept
        num_empty += not kept
    assert num_empty < 100


def test_the_set_of_one_objective_is_the_incumbent():
    rows = random_rows(np.random.default_rng(6), num_runs=100, fidelities=1)
    sets, last = choice_sets(rows), incumbent_rows(rows)[:, -1]
    assert [np.flatnonzero(of_run).tolist() for of_run in sets] == [[row] if row >= 0 else [] for row in last.tolist()]
