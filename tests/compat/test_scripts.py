"""Loops in the style of the published scripts run on a table of this package with at most three changed lines."""

import warnings

import numpy as np
import pytest

from nasbench_harness import record
from nasbench_harness.compat import NATStopology
from nasbench_harness.spaces.nasbench201 import OPERATIONS
from nasbench_harness.tables.registry import load_table

NATS = {
    "from nats_bench import create": "from nasbench_harness.compat import create",
    'api = create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False)': (
        'api = create("nb201", "tss", fast_mode=True, verbose=False)'
    ),
    'HP = "12"': 'HP = "200"',
}
NAS_BENCH_201 = {
    "from nas_201_api import NASBench201API as API": "from nasbench_harness.compat import NASBench201API as API",
    'api = API("NAS-Bench-201-v1_1-096897.pth", verbose=False)': 'api = API("nb201", verbose=False)',
    'HP = "12"': 'HP = "200"',
}
CHANGED = {"random_search": NATS, "regularized_evolution": NATS, "reinforce": NAS_BENCH_201, "bohb": NATS}
SETTINGS = {"OPS": OPERATIONS, "TIME_BUDGET": 1e5, "CANDIDATES": range(15_625), "EPOCHS": (200,)}


@pytest.fixture(scope="module")
def accuracy():
    return load_table("nb201").column("cifar10", "val_accuracy").values[:, :, 0]


def run(old_script, name, seed=0):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "table nb201 stores no seconds of evaluation")
        return old_script(name, CHANGED[name], SEED=seed, **SETTINGS)


@pytest.mark.parametrize("name", CHANGED)
def test_an_old_script_runs_on_the_table_of_the_package(name, old_script, accuracy):
    assert len(CHANGED[name]) <= 3
    names = run(old_script, name)
    history = names["history"]
    assert len(history) >= 40
    for index, observed in history:
        assert observed in accuracy[index]
    assert names["best_accuracy"] == max(observed for index, observed in history if index == names["best_index"])
    assert run(old_script, name)["history"] == history
    assert run(old_script, name, seed=1)["history"] != history


def test_the_scripts_spend_the_seconds_of_the_table(old_script):
    names = run(old_script, "random_search")
    train_cost = load_table("nb201").column("cifar10", "train_cost_s").values[:, :, 0]
    accuracy = load_table("nb201").column("cifar10", "val_accuracy").values[:, :, 0]
    steps = np.diff([0.0, *names["total_time"]])
    for (index, observed), seconds in zip(names["history"], steps, strict=True):
        assert np.isclose(train_cost[index][accuracy[index] == observed], seconds).any()
    assert names["total_time"][-2] < SETTINGS["TIME_BUDGET"] <= names["total_time"][-1]


@pytest.mark.thorough
def test_evolution_finds_better_cells_than_random_search(old_script):
    """The loops search: over 20 seeds the evolution's last cells are better than those of random search."""
    means = {
        name: np.mean([observed for seed in range(20) for _, observed in run(old_script, name, seed)["history"][-10:]])
        for name in ("random_search", "regularized_evolution")
    }
    assert means["regularized_evolution"] > means["random_search"] + 2


def test_the_missing_seconds_of_evaluation_are_named_once():
    api = NATStopology("nb201")
    with pytest.warns(UserWarning, match="nb201 stores no seconds of evaluation: simulated time is that of training"):
        api.simulate_train_eval(5, "cifar10")
    accuracy, latency, seconds, used = api.simulate_train_eval(5, "cifar10")
    assert 80 < accuracy < 95
    assert 0.001 < latency < 0.1
    assert used > seconds > 1_000
    assert api.used_time == used
    api.reset_time()
    assert api.used_time == 0
    assert api.simulate_train_eval(5, "cifar10", account_time=False)[3] == 0


RECORDED = {
    "from nats_bench import create": "from nasbench_harness import record",
    'api = create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False)': "api = RECORDING",
    "from nas_201_api import NASBench201API as API": "from nasbench_harness import record",
    'api = API("NAS-Bench-201-v1_1-096897.pth", verbose=False)': "api = RECORDING",
    'HP = "12"': 'HP = "200"',
}


@pytest.mark.parametrize("name", ["random_search", "regularized_evolution", "reinforce"])
def test_an_old_script_is_recorded_as_a_run(name, old_script, tmp_path):
    changed = {line: RECORDED[line] for line in CHANGED[name]}
    assert len(changed) <= 3
    with record("old", task="nb201-cifar10", seed=0, out=tmp_path, evaluations=30) as recording:
        old_script(name, changed, SEED=0, RECORDING=recording, **{**SETTINGS, "TIME_BUDGET": np.inf})
    plain = run(old_script, name)["history"]
    proposals = [index for index, _ in recording.proposals]
    assert len(proposals) == 30
    assert proposals[0] == plain[0][0]  # the plain object draws replicates from the script's own generator
