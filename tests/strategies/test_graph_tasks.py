"""The default strategies on tasks without training times, whose space is no product."""

import numpy as np
import pytest

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.catalog import DEFAULT_STRATEGIES
from nasbench_harness.studies.references import parse_strategy, resolve

TASKS = ["graph-cora", "graph-proteins"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", DEFAULT_STRATEGIES)
def test_a_run_has_the_trace_it_has_in_any_batch(run, name, task):
    columns = run(name, task, 30, evaluations=80)
    spec, rules = resolve(parse_strategy(name)), Rules(Protocol(evaluations=80), 0)
    for seed in (0, 7, 29):
        alone = run_seeds(spec, load_task(task), rules, np.array([seed])).trace.rows(slice(0, 1))
        rows = columns["run"] == seed
        np.testing.assert_array_equal(alone["architecture"], columns["architecture"][rows])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", DEFAULT_STRATEGIES)
def test_values_are_the_tables_and_time_is_unknown(run, name, task):
    columns = run(name, task, 30, evaluations=80)
    assert len(columns["run"]) == 30 * 80
    stored = load_task(task).table.column(task.removeprefix("graph-"), "val_accuracy").values[:, 0, 0]
    np.testing.assert_array_equal(columns["value_val_accuracy"], stored[columns["architecture"]])
    assert np.isnan(columns["cost_s"]).all()
    assert np.isnan(columns["finished_s"]).all()


def test_a_search_that_learns_beats_chance_on_proteins(run, incumbents_of):
    """Local search finds the best of 2,021 rows in most runs; random search in one of nine."""
    report = load_task("graph-proteins").scores["val"]
    found = {
        name: (incumbents_of(run(name, "graph-proteins", 100, evaluations=250), 100, 250) == report.optimum).mean()
        for name in ("local-search", "random-search")
    }
    chance = 1 - (1 - 1 / 2_021) ** 250
    # A correct random search fails this once in a million: five standard errors.
    assert abs(found["random-search"] - chance) < 5 * np.sqrt(chance * (1 - chance) / 100)
    assert found["local-search"] > 0.6


def test_a_budget_in_seconds_is_refused_with_the_task():
    with pytest.raises(InvalidInputError, match="task graph-cora has no training times"):
        run_seeds(
            resolve(parse_strategy("random-search")),
            load_task("graph-cora"),
            Rules(Protocol(simulated_seconds=1_000), 0),
            np.arange(2),
        )
