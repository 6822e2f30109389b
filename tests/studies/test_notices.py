"""Lines of a plan about small budgets, changed hyperparameters and tight constraints."""

import sys
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.api import RunOptions, StudyRequest, execute_plan, plan_study
from nasbench_harness.studies.references import parse_strategy
from nasbench_harness.tables import proxies

TASK = "nb201-cifar10"


def plan(folder, *strategies, **protocol):
    request = StudyRequest(strategies=tuple(map(parse_strategy, strategies)), tasks=(TASK,), seeds=2, protocol=protocol)
    return plan_study(request, folder, RunOptions())


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Function that writes ``searches.py`` anew, with a default for the hyperparameter ``size``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(size):
        sys.modules.pop("searches", None)
        Path("searches.py").write_text(
            f"def search(problem, rng, *, size: int = {size}):\n"
            "    while True:\n"
            "        yield problem.space.sample(rng)\n"
        )

    yield write
    sys.modules.pop("searches", None)


@pytest.mark.parametrize(("evaluations", "is_short"), [(29, True), (30, True), (31, False)])
def test_a_budget_within_the_initial_population_is_named(tmp_path, evaluations, is_short):
    notices = plan(tmp_path / "s", "random-search", "regularized-evolution", evaluations=evaluations).notices
    line = (
        "regularized-evolution evaluates initial architectures only: population_size is 30, and the budget has "
        f"{evaluations} evaluations"
    )
    assert notices == ([line] if is_short else [])


def test_a_changed_default_is_named_once(tmp_path, search):
    search(3)
    first = plan(tmp_path / "s", "searches:search", evaluations=5)
    assert first.notices == []
    list(execute_plan(first))
    first.end()
    search(4)
    again = plan(tmp_path / "s", "searches:search", evaluations=5)
    assert again.notices == ["searches:search has size 4 now, and had size 3 in this study: runs again"]
    list(execute_plan(again))
    again.end()
    assert plan(tmp_path / "s", "searches:search", evaluations=5).notices == []


def test_a_number_that_is_written_otherwise_is_named(tmp_path):
    first = plan(tmp_path / "s", "mine=reinforce(learning_rate=1)", evaluations=5)
    list(execute_plan(first))
    first.end()
    again = plan(tmp_path / "s", "mine=reinforce(learning_rate=1.0)", evaluations=5)
    assert again.notices == ["mine has learning_rate 1.0 now, and had learning_rate 1 in this study: runs again"]


def test_runs_beside_other_scores_are_other_runs(tmp_path, monkeypatch):
    """A strategy may look the shipped scores up, whatever it declares."""
    for digest in ("first", "second"):
        monkeypatch.setattr(proxies, "shipped_digest", lambda digest=digest: digest)
        found = plan(tmp_path / "s", "random-search", evaluations=5)
        assert found.num_runs == 2
        list(execute_plan(found))
        found.end()
        assert plan(tmp_path / "s", "random-search", evaluations=5).num_runs == 0


def test_another_strategy_under_a_label_is_named(tmp_path):
    first = plan(tmp_path / "s", "mine=random-search", evaluations=5)
    list(execute_plan(first))
    first.end()
    (line,) = plan(tmp_path / "s", "mine=local-search(num_initial=2)", evaluations=5).notices
    assert line == "mine is local-search now, and was random-search in this study: runs again"


def test_the_share_of_feasible_architectures_is_shown(tmp_path):
    latency = load_task(TASK).table.datasets["cifar10"].columns["latency_ms"].values[:, :, -1]
    bound = float(np.nanquantile(latency, 0.25))
    count = int((np.nanmean(latency, axis=1) <= bound).sum())
    (line,) = plan(tmp_path / "s", "random-search", evaluations=5, constraints=(f"latency_ms<={bound}",)).notices
    assert line == f"{TASK}: {count:,} of 15,625 architectures ({100 * count / 15_625:.3g} %) meet the constraints"
    assert 3_000 < count < 5_000
