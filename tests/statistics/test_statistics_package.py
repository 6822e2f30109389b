"""What holds for the whole package: exports, imports, doctests, inputs left alone."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

from nasbench_harness import statistics

MODULES = sorted(module.name for module in pkgutil.iter_modules(statistics.__path__))


def frozen(values):
    array = np.array(values)
    array.setflags(write=False)
    return array


LOSSES = frozen(np.random.default_rng(0).integers(0, 9, (4, 20)).astype(float))
CODES = frozen(np.random.default_rng(0).integers(0, 9, (4, 20)))
POINTS = frozen(LOSSES.reshape(4, 10, 2))
COUNTS = frozen(statistics.count_matrix(20, 50, 0))

CALLS = {
    "a12": (LOSSES[0], LOSSES[1]),
    "adjust": (frozen([0.3, 0.01, 0.2]),),
    "brunner_munzel": (LOSSES[0], LOSSES[1]),
    "compare_means": (LOSSES[0], LOSSES[1]),
    "compare_ranks": (LOSSES[0], LOSSES[1]),
    "count_grid_values": (CODES[0],),
    "count_matrix": (20, 50, 0),
    "decide": (statistics.difference({0: 9, 1: 9}, {0: 9, 1: 9}), 0.5, True),
    "difference": ({0: 9, 1: 9}, {0: 9, 1: 9}),
    "equivalence": (LOSSES[0], LOSSES[1], 0.5),
    "exact_random_search": (LOSSES, 5, "per_query", LOSSES[:, 0]),
    "expected_running_time": (frozen([1.0, np.inf]), 5.0),
    "first_shares": (LOSSES,),
    "front_hypervolumes": (POINTS, POINTS, frozen(np.zeros((4, 10), dtype=int)), frozen([9.0, 9.0])),
    "hypervolume": (POINTS[0], frozen([9.0, 9.0])),
    "iqm": (LOSSES,),
    "iqm_band": (LOSSES.T, COUNTS),
    "iqm_interval": (LOSSES, COUNTS),
    "mann_whitney": (frozen([1.0, 2.0]), frozen([0.0, 1.0])),
    "mann_whitney_two_sided": (LOSSES[0], LOSSES[1]),
    "mean_difference": (LOSSES[0], LOSSES[1]),
    "mean_interval": (LOSSES[0],),
    "mean_over_time": (frozen([1.0, 2.0]), frozen([0.5, 0.1]), 3.0),
    "mean_ranks": (LOSSES,),
    "more_runs": ({0: 9, 1: 9}, {0: 9, 1: 9}, 0.1),
    "nondominated": (POINTS[0],),
    "not_significantly_worse": (frozen([1.0, 2.0]), frozen([[np.nan, 0.1], [0.1, np.nan]])),
    "permutation_p_better": ({0: 9, 1: 9}, {0: 9, 1: 9}),
    "permutation_p_worse": ({0: 9, 1: 9}, {0: 9, 1: 9}),
    "proportion": (3, 20),
    "rank_correlation": (LOSSES[0], LOSSES[1], "kendall", 5),
    "rank_tests": (LOSSES,),
    "ranks_with_missing": (LOSSES[0],),
    "non_inferiority": ({0: 9, 1: 9}, CODES[0], 0.5),
    "non_inferiority_family": ([statistics.Case({0: 9, 1: 9}, lambda _: CODES[0], 1.0, 0.5)], 0.01, (20,)),
    "resampled_iqm": (LOSSES, COUNTS),
    "resampled_mean": (LOSSES[0], COUNTS),
    "resampled_mean_ranks": (LOSSES.reshape(4, 4, 5),),
    "resamples": (20, 50, 0),
    "runs_for_a12": (0.6,),
    "runs_for_margin": (LOSSES[0], LOSSES[1], 0.1),
    "signed_rank": (CODES,),
    "smallest_p": (3, 2, True),
    "stratified_iqm": ([LOSSES[0], LOSSES[1]], [COUNTS, COUNTS]),
    "top_means": (LOSSES[0], LOSSES[1], (1, 5)),
    "welch": (LOSSES[0], LOSSES[1]),
    "within_blocks": (frozen([1.0, 2.0]), frozen([[0.0], [1.0]])),
}


def test_all_is_sorted_and_complete():
    assert statistics.__all__ == sorted(statistics.__all__, key=lambda name: (not name.isupper(), name))
    functions = {name for name in statistics.__all__ if name[0].islower()}
    assert functions == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_inputs_may_be_read_only_and_are_left_alone(name):
    before = [np.copy(argument) for argument in CALLS[name]]
    getattr(statistics, name)(*CALLS[name])
    for old, new in zip(before, CALLS[name], strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(f"nasbench_harness.statistics.{name}")
    assert doctest.testmod(module).failed == 0


def test_import_loads_numpy_only():
    code = (
        "import sys, nasbench_harness.statistics; print([m for m in ('scipy', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
