"""Notes of supernets: health, ranking, entropy, epochs, and the tables that show them."""

import math

import numpy as np
import pytest

from nasbench_harness import Protocol, load_task
from nasbench_harness.analysis.supernets import mean_entropy, supernet_run
from nasbench_harness.report.sections.supernets import epochs_table, supernets_table

CELLS = list(range(40, 60))


@pytest.fixture(scope="module")
def task():
    return load_task("nb201-cifar10").under(Protocol(simulated_seconds=100.0))


def notes(accuracies, alpha=None, architectures=(None, 7)):
    epochs = [
        {"cost_s": 1.5, "architecture": architecture, "alpha": alpha, "median_accuracy": 50.0}
        for architecture in architectures
    ]
    return {"epochs": epochs, "ranking": {"architectures": CELLS, "accuracies": list(accuracies)}}


def test_a_healthy_supernet_that_orders_the_cells_as_the_table_does(task):
    values = task.scores["val"].values[CELLS]
    for sign in (1, -1):
        run = supernet_run("rsps", task, 3, notes(85 + sign * values / 100))
        assert run.is_healthy
        assert run.kendall == pytest.approx(sign)
        assert run.num_ranked == len(CELLS)


def test_no_ranking_is_shown_below_the_health_threshold(task):
    values = task.scores["val"].values[CELLS]
    accuracies = values - np.median(values) + 79.9
    run = supernet_run("rsps", task, 0, notes(accuracies))
    assert not run.is_healthy
    assert math.isnan(run.kendall)
    (row,) = supernets_table([run]).rows
    assert row.cells[7].text == "–"
    assert row.cells[5].text == "79.9"


def test_epochs_without_a_cell_and_with_one(task):
    uniform = [[0.2] * 5] * 6
    run = supernet_run("gdas", task, 0, notes([90.0] * 20, uniform))
    first, second = epochs_table([run]).rows
    assert (first.cells[5].text, second.cells[5].text) == ("–", "7")
    assert [row.cells[4].text for row in (first, second)] == ["1.50", "3.00"]
    assert first.cells[7].text == f"{math.log(5):.3f}"
    assert supernets_table([run]).rows[0].cells[6].text == "1.61"


def test_a_report_says_that_halves_were_drawn_and_reads_notes_without_their_origin(task):
    old = notes([90.0] * 20)
    titles = [
        supernets_table([supernet_run("gdas", task, 0, shown)]).title
        for shown in (old, {**old, "halves": "file"}, {**old, "halves": "drawn"})
    ]
    assert ["halves of the images were drawn" in title for title in titles] == [False, False, True]


def test_entropy_of_a_certain_and_of_no_choice():
    assert mean_entropy([[1.0, 0.0, 0.0]] * 6) == 0.0
    assert math.isnan(mean_entropy(None))
