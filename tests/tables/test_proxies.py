"""The shipped table of scores: readable without torch, free metrics of the NAS-Bench-201 tasks."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.analysis.proxies import mean_of_ranks
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.statistics import rank_correlation, top_means
from nasbench_harness.tables import proxies
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.score_files import read_scores
from nasbench_harness.tables.table import Metric, MetricArray

TASKS = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120")
SPACE = NASBench201Space()


def correlations(scores):
    views = [load_task(name).scores["val"].values for name in TASKS]
    return np.array([rank_correlation(scores, values).estimate for values in views])


def test_the_file_holds_the_columns_that_the_code_names():
    file = read_scores()
    assert tuple(file.scores) == proxies.SHIPPED
    assert file.architectures.tolist() == list(range(15_625))
    assert len(proxies.shipped_content()) <= 1_000_000
    assert all(values.dtype == np.float32 for values in proxies.shipped_scores().values())


@pytest.mark.parametrize("name", proxies.SHIPPED)
def test_provenance_names_data_batch_size_initialization_macro_and_seed(name):
    provenance = proxies.shipped_provenance()
    entry = provenance["columns"][name]
    assert {"data", "batch_size", "initialization", "macro", "method", "formula", "paper"} <= set(entry)
    assert {"num_cells", "channels", "side", "num_classes"} <= set(entry["macro"])
    assert provenance["initializations"]
    assert provenance["batches"]
    assert provenance["seeds"]
    assert provenance["set"] == "all 15,625 cells of NAS-Bench-201"
    assert "tuned on NAS-Bench-201" in provenance["note"]
    assert provenance["command"].startswith("nasbench-harness proxies build")


def test_the_first_file_leaves_the_ids_of_runs_and_another_one_changes_them(monkeypatch):
    spaces = [load_task(name).space for name in ("nb201-cifar10", "nb201-cifar10@without=none", "graph-cora")]
    assert [proxies.later_digest(space) for space in spaces] == ["", "", ""]
    monkeypatch.setattr(proxies, "shipped_digest", lambda: "other")
    assert [proxies.later_digest(space) for space in spaces] == ["other", "other", ""]


def test_size_is_the_closed_form():
    scores = proxies.shipped_scores()
    assert np.allclose(scores["params"], SPACE.params_m(10) * 1e6, rtol=1e-6)
    assert np.allclose(scores["flops"], SPACE.flops_m(10, 32) * 1e6, rtol=1e-6)


def test_missing_scores_are_nan_never_a_sentinel():
    scores, is_connected = proxies.shipped_scores(), SPACE.is_connected()
    for name in ("jacob_cov", "synflow", "zen", "zen_features"):
        assert np.array_equal(np.isnan(scores[name]), ~is_connected), name
    for name in ("params", "flops", "l2_norm", "logsynflow", "meco", "swap", "zen_norm"):
        assert np.isfinite(scores[name]).all(), name
    assert not any(np.isinf(values).any() for values in scores.values())
    assert all(np.nanmin(values) > -1e6 for values in scores.values())


def test_correlations_reach_the_bars():
    scores = proxies.shipped_scores()
    assert (correlations(mean_of_ranks([scores["meco"], scores["swap"]])) >= [0.90, 0.90, 0.85]).all()
    three = mean_of_ranks([scores[name] for name in ("synflow", "meco", "jacob_cov")])
    assert (correlations(three) >= [0.88, 0.88, 0.85]).all()
    assert np.allclose(correlations(scores["params"]), [0.712, 0.726, 0.679], atol=6e-4)
    # Both closed forms order cells by (3 × 3 convolutions, 1 × 1 convolutions).
    assert np.allclose(correlations(scores["flops"]), correlations(scores["params"]), atol=1e-9)
    for name, expected in {
        "synflow": (0.736, 0.767, 0.739),
        "logsynflow": (0.761, 0.792, 0.761),
        "nwot": (0.797, 0.829, 0.793),
        "meco": (0.840, 0.827, 0.802),
        "swap": (0.843, 0.853, 0.804),
        "jacob_cov": (0.789, 0.754, 0.739),
    }.items():
        assert np.allclose(correlations(scores[name]), expected, atol=0.03), name


def test_a_high_correlation_is_no_good_pick():
    accuracy = load_task("nb201-cifar10").scores["val"].values
    scores = proxies.shipped_scores()
    pair = mean_of_ranks([scores["meco"], scores["swap"]])
    assert correlations(pair)[0] > correlations(scores["params"])[0] + 0.1
    assert top_means(pair, accuracy, (10,))[0] < top_means(scores["params"], accuracy, (10,))[0] + 0.2


@pytest.mark.parametrize("task", TASKS)
def test_scores_are_free_metrics_of_the_tasks(task):
    problem = load_task(task).problem(Protocol())
    found = problem.lookup("meco", np.array([5, 17]))
    assert found.dtype == np.float64
    assert np.array_equal(found, proxies.shipped_scores()["meco"][[5, 17]])
    found[:] = 0
    assert proxies.shipped_scores()["meco"][5] != 0
    assert problem.num_lookups == {"meco": 2}
    assert problem.lookup("params_m", np.array([0])).shape == (1,)
    with pytest.raises(UnknownNameError, match="did you mean 'meco'"):
        problem.lookup("mecoo", np.array([0]))


def test_minus_one_is_not_the_last_architecture():
    problem = load_task("nb201-cifar10").problem(Protocol())
    with pytest.raises(InvalidInputError, match="an architecture is in 0 … 15,624, got -1"):
        problem.lookup("meco", np.array([3, -1]))
    assert problem.lookup("meco", np.zeros(0, dtype=int)).shape == (0,)
    assert problem.num_lookups == {"meco": 0}


def test_other_spaces_have_no_scores():
    with pytest.raises(UnknownNameError):
        load_task("graph-cora").problem(Protocol()).lookup("meco", np.array([0]))


def test_a_restricted_task_has_the_scores_of_its_own_architectures():
    task, whole = load_task("nb201-cifar10@without=none"), load_task("nb201-cifar10")
    for index in (0, 7, task.space.num_architectures - 1):
        row = whole.space.from_string(task.space.to_string(index))
        found = task.problem(Protocol()).lookup("meco", np.array([index]))
        assert found == whole.problem(Protocol()).lookup("meco", np.array([row]))


def test_a_metric_of_the_table_comes_before_a_shipped_one():
    metrics = proxies.FreeMetrics({"meco": np.zeros(3)}, NASBench201Space())
    assert metrics["meco"].tolist() == [0, 0, 0]
    assert len(metrics) == len(list(metrics)) == len(proxies.SHIPPED)
    assert "nwot" in metrics
    assert "nothing" not in metrics


def test_a_metric_of_the_table_that_is_not_free_hides_the_shipped_score_of_its_name():
    base = load_table("nb201")
    entry = base.datasets["cifar10"]
    columns = dict(entry.columns)
    for name, role in (("params", "hardware"), ("flops", "test")):
        columns[name] = MetricArray(Metric(name, "million", "minimize", role), np.ones((15_625, 1, 1)))
    task = make_task(replace(base, datasets={"cifar10": replace(entry, columns=columns)}), "cifar10")
    with pytest.raises(UnknownNameError, match="params"):
        task.problem(Protocol()).lookup("params", np.array([0, 1]))
    assert np.isfinite(task.problem(Protocol()).lookup("nwot", np.array([0]))).all()
    for rule in ({"objectives": ("val_accuracy", "params")}, {"constraints": ("params<=1.2",)}):
        with pytest.raises(InvalidInputError, match="params has the role hardware"):
            task.problem(Protocol(**rule))
    with pytest.raises(InvalidInputError, match="test never selects"):
        task.problem(Protocol(objectives=("flops",)))


def test_the_table_of_accuracies_and_its_digest_know_nothing_of_scores():
    table = load_table("nb201")
    assert not set(table.datasets["cifar10"].columns) & set(proxies.SHIPPED)


def test_scores_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from nasbench_harness.tables.proxies import shipped_scores, shipped_provenance\n"
        "assert len(shipped_scores()) == 12 and shipped_provenance()\n"
        "from nasbench_harness.trainer.proxies.catalogue import PROXIES, TABLE_COLUMNS\n"
        "from nasbench_harness.tables.proxies import SHIPPED\n"
        "assert TABLE_COLUMNS == SHIPPED and set(TABLE_COLUMNS) < set(PROXIES)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
