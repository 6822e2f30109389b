"""Sets that runs return under several objectives, against a calculation of one run after the other."""

import math

import numpy as np
import pytest

from nasbench_harness.analysis.fronts import picks_of, returned_sets, true_front
from nasbench_harness.api import run
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.choice import rows_of
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.report.sections.main import main_tables
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.statistics import hypervolume
from nasbench_harness.studies.references import StrategyRef, resolve
from nasbench_harness.verification.winners import verifiable_tasks

RULES = {
    "two": {},
    "other": {"constraints": "params_m<=q40"},
    "constraint": {"constraints": "latency_ms<=q60"},
    "seconds": {"workers": 4, "duplicates": "free"},
}


@pytest.fixture(scope="module")
def task():
    return load_task("nb201-cifar10")


def rows_under(task, protocol, num_seeds=6):
    batch = run_seeds(resolve(StrategyRef("regularized-evolution")), task, Rules(protocol, 0), np.arange(num_seeds))
    view = task.under(protocol)
    return rows_of({name: column.T for name, column in batch.trace.columns().items()}, view), view


def best_of(points):
    """Positions of points that no other one dominates; of equal ones the first."""
    kept = []
    for i, p in enumerate(points):
        is_worse = any((q <= p).all() and ((q < p).any() or j < i) for j, q in enumerate(points) if j != i)
        if not is_worse:
            kept.append(i)
    return kept


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_every_step_is_scored_by_the_set_that_is_best_by_observed_values(task, rules):
    protocol = Protocol(60, objectives="val_accuracy,latency_ms", **rules)
    rows, view = rows_under(task, protocol)
    accuracy = np.nanmean(task.table.column("cifar10", "val_accuracy").values[:, :, 0], axis=1)
    latency = np.nanmean(task.table.column("cifar10", "latency_ms").values[:, :, 0], axis=1)
    params = task.table.column("cifar10", "params_m").values[:, 0, 0]
    bounds = {"latency_ms<=q60": (latency, 0.6), "params_m<=q40": (params, 0.4), None: (latency, 1.0)}
    bounded, share = bounds[rules.get("constraints")]
    counts = bounded <= np.sort(bounded)[math.ceil(share * 15_625) - 1]
    truth = np.stack([100 - accuracy, latency], axis=1)
    front = truth[counts][best_of_table(truth[counts])]
    low, high = front.min(axis=0), front.max(axis=0)
    whole = hypervolume((front - low) / (high - low), np.full(2, 1.1))
    picks, sets = picks_of(rows, view), returned_sets(rows, view)
    values = view.scores["val"].values[picks]
    for run_ in range(len(picks)):
        for step in range(0, 60, 7):
            usable = [
                k
                for k in range(step + 1)
                if np.isfinite(rows.losses[run_, k]).all() and counts[rows.architectures[run_, k]]
            ]
            kept = [usable[k] for k in best_of(rows.losses[run_, usable])]
            points = (truth[rows.architectures[run_, kept]] - low) / (high - low)
            expected = 100 * hypervolume(points, np.full(2, 1.1)) / whole if kept else 0.0
            assert values[run_, step] == pytest.approx(expected, abs=1e-4)
        last = usable_rows(rows, run_, counts)
        kept = [last[k] for k in best_of(rows.losses[run_, last])]
        found = np.unique(rows.architectures[run_, kept])
        on_front = {tuple(point) for point in np.round(front, 9).tolist()}
        hits = {tuple(point) for point in np.round(truth[found], 9).tolist()} & on_front
        assert sets.sizes[run_] == len(found)
        assert sets.shares[run_] == pytest.approx(len(hits) / len(on_front))


def usable_rows(rows, run_, counts):
    has_value = np.isfinite(rows.losses[run_]).all(axis=1)
    return [row for row in range(len(has_value)) if has_value[row] and counts[rows.architectures[run_, row]]]


def best_of_table(points):
    order = np.lexsort(points.T[::-1])
    kept, lowest = [], np.inf
    for row in order.tolist():
        if points[row, 1] < lowest:
            kept.append(row)
            lowest = points[row, 1]
    return kept


def test_the_true_front_has_no_regret(task):
    view = task.under(Protocol(objectives="val_accuracy,latency_ms", noise="mean"))
    front = true_front(view)
    members = np.flatnonzero(front.point >= 0)
    rows, _ = rows_under(task, Protocol(len(members), objectives="val_accuracy,latency_ms", noise="mean"), 1)
    answers = view.oracle.evaluate(members, np.zeros(len(members), dtype=int), np.full(len(members), -1))
    losses = view.measures.losses(answers.values)[None]
    full = rows.__class__(members[None], np.full((1, len(members)), Status.OK), losses)
    assert picks_of(full, view)[0, -1] == 0
    assert returned_sets(full, view).shares.tolist() == [1.0]


def test_runs_without_a_feasible_row_lose_everything(task):
    view = task.under(Protocol(objectives="val_accuracy,latency_ms", constraints="latency_ms<=q1"))
    slow = int(task.under(Protocol()).problem().lookup("latency_ms", np.arange(15_625)).argmax())
    losses = np.array([[[np.inf, np.inf], [10.0, 30.0]]])
    status = np.array([[Status.OVERRUN, Status.OK]])
    rows, _ = rows_under(task, view.protocol, 1)
    rows = rows.__class__(np.array([[slow, slow]]), status, losses, is_feasible=np.array([[False, False]]))
    assert picks_of(rows, view).tolist() == [[-1, 1_000_000]]
    assert returned_sets(rows, view).lacks_feasible.tolist() == [True]


def test_a_study_with_two_objectives_is_reported(tmp_path):
    study = run(
        ["random-search", "regularized-evolution"],
        ["nb201-cifar10"],
        seeds=12,
        out=tmp_path,
        evaluations=40,
        objectives="val_accuracy,latency_ms",
    )
    (entry,) = study.analysis.tasks
    for result in entry.results:
        np.testing.assert_allclose(result.val.value + result.val.regret, 100)
        assert (result.sets.sizes >= 1).all()
        assert result.after_evaluations.mean[-1] == pytest.approx(result.val.regret.mean())
    assert {"hypervolume", "regret_pp", "front_size", "front_share"} <= set(study.frame().columns)
    study.write_report()
    text = (study.folder.report_folder / "report.md").read_text(encoding="utf-8")
    assert "objectives val_accuracy, latency_ms" in text
    assert "| front size | share of the front (%) |" in text
    assert "| true front |" in text
    meaning = "Final regret (pp): 100 − hypervolume of the returned set, in % of the true front's."
    assert overview_tables(study.analysis)[0].title == meaning
    assert main_tables(study.analysis)[0].title == "Value of the returned set."
    assert "of the noiseless regret of the returned set. Area" in text
    assert "choice" not in text.partition("## Measures over time")[2].partition("|")[0]
    assert verifiable_tasks(study) == []


def test_runs_without_a_feasible_choice_are_counted_and_scored_as_the_worst_feasible_row(tmp_path):
    study = run(
        ["random-search"], ["nb201-cifar10"], seeds=30, out=tmp_path, evaluations=3, constraints="latency_ms<=q20"
    )
    (entry,) = study.analysis.tasks
    (result,) = entry.results
    view = entry.val.view
    worst = view.values[view.is_feasible].min()
    assert 5 <= result.num_infeasible <= 25  # half of the runs see no row of the fastest fifth
    assert (result.val.value == worst).sum() >= result.num_infeasible
    study.write_report()
    text = (study.folder.report_folder / "report.md").read_text(encoding="utf-8")
    assert f"scored as the worst feasible row: random-search on CIFAR-10 {result.num_infeasible} of 30." in text
    assert "Feasible (CIFAR-10: latency_ms ≤ " in text
    assert "constraint latency_ms<=q20" in text
    assert "--constraints 'latency_ms<=q20'" in study.command
    assert "distance of the final choice to the best feasible mean of" in overview_tables(study.analysis)[0].title
    assert "over the table, an infeasible row as the worst feasible one, or in closed form." in text
