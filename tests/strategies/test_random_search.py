"""Random search against a plain generator, the closed form and the reference values."""

import numpy as np
import pytest
from scipy.stats import norm, skew

from nasbench_harness.evaluation.task import load_task
from nasbench_harness.statistics import exact_random_search
from nasbench_harness.studies.catalog import describe

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
# Accuracy of the incumbent and its standard deviation over runs, by noise and evaluations: closed form.
REFERENCE = {
    ("mean", 150): ([91.120, 71.695, 45.559], [0.228, 0.750, 0.548]),
    ("mean", 200): ([91.177, 71.878, 45.695], [0.203, 0.716, 0.506]),
    ("mean", 300): ([91.247, 72.125, 45.870], [0.180, 0.651, 0.451]),
    ("per_query", 150): ([91.093, 71.584, 45.398], [0.245, 0.844, 0.658]),
    ("per_query", 200): ([91.146, 71.765, 45.520], [0.222, 0.813, 0.627]),
    ("per_query", 300): ([91.211, 72.012, 45.673], [0.202, 0.751, 0.588]),
}
CASES = [
    (noise, evaluations, dataset, means[position], stds[position])
    for (noise, evaluations), (means, stds) in REFERENCE.items()
    for position, dataset in enumerate(DATASETS)
]


def plain_random_search(problem, rng):
    while True:
        yield problem.space.sample(rng)


def test_the_docstring_names_the_paper():
    assert "Li and Talwalkar" in describe("random-search").text
    assert "UAI 2019" in describe("random-search").text


@pytest.mark.parametrize("protocol", [{}, {"duplicates": "free"}, {"duplicates": "forbid", "noise": "mean"}], ids=str)
def test_a_plain_generator_has_the_same_traces(run, run_plain, assert_same_traces, protocol):
    lockstep = run("random-search", "nb201-cifar100", 50, evaluations=300, **protocol)
    plain = run_plain(plain_random_search, "random-search", "nb201-cifar100", 50, evaluations=300, **protocol)
    assert_same_traces(plain, lockstep)


def test_rows_are_drawn_with_replacement(run):
    columns = run("random-search", "nb201-cifar100", 500, evaluations=300, noise="mean")
    architectures = columns["architecture"].reshape(500, 300)
    num_pairs = sum(300 - len(np.unique(row)) for row in architectures)
    # Expected: 500 · C(300, 2) / 15,625 = 1,435 repeats, nearly Poisson; the bounds are five standard deviations.
    assert abs(num_pairs - 1_435) < 190


@pytest.mark.parametrize(("noise", "evaluations", "dataset", "mean", "std"), CASES)
def test_reference_values(scores, assert_near, assert_std_near, noise, evaluations, dataset, mean, std):
    sample = scores("random-search", dataset, noise, evaluations)
    assert_near(sample, mean, np.inf, std)
    assert_std_near(sample, std)


@pytest.mark.parametrize("noise", ["mean", "per_query"])
def test_the_mean_of_2000_runs_lies_in_the_band_of_the_exact_curve(run, noise):
    num_runs, steps = 2_000, 200
    # 99.9 % for all 200 steps of the three tasks at once, by Bonferroni: 600 two-sided statements at .001 / 600 each.
    critical = norm.isf(0.001 / 600 / 2)
    for dataset in DATASETS:
        task = load_task(f"nb201-{dataset}")
        columns = run("random-search", task.name, num_runs, evaluations=steps, noise=noise)
        observed = columns["value_val_accuracy"].reshape(num_runs, steps)
        architectures = columns["architecture"].reshape(num_runs, steps)
        is_new = np.maximum.accumulate(observed, axis=1)
        is_new = np.concatenate([np.ones((num_runs, 1), dtype=bool), observed[:, 1:] > is_new[:, :-1]], axis=1)
        latest = np.maximum.accumulate(np.where(is_new, np.arange(steps), 0), axis=1)
        losses = 100.0 - task.scores["val"].values[np.take_along_axis(architectures, latest, axis=1)]
        values = 100.0 - task.table.column(dataset, "val_accuracy").values[:, :, 0]
        exact = exact_random_search(values, steps, noise)
        # A single loss is skewed (most at step 2 of cifar10, by 10: a few runs met chance-level rows only), so the mean
        # of 2,000 is by 1/√2,000 of that. Cornish and Fisher's first term widens a normal quantile z by (z² − 1)/6
        # times the mean's skewness; both sides get it. It makes 5.7 of 4.8 there and hardly changes later steps.
        widened = critical + (critical**2 - 1) / 6 * np.abs(skew(losses)) / np.sqrt(num_runs)
        assert widened.max() < 6
        distance = np.abs(losses.mean(axis=0) - exact.mean) / (exact.std / np.sqrt(num_runs))
        assert (distance <= widened).all(), (dataset, int(distance.argmax()) + 1, distance.max())
