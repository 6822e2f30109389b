"""Pure functions on arrays that compare strategies: estimates, intervals, tests, effect sizes, ranks, curves.

Axes are named (num_strategies, num_tasks, num_runs, num_steps), in this order; losses and regrets, smaller is better,
unless a function says otherwise. Nothing here reads files, keeps state or touches a global random generator. A wrong
input raises a ValueError that names the entry. Importing this package loads numpy only.
"""

from nasbench_harness.statistics.anytime import at_times, incumbent_steps
from nasbench_harness.statistics.effects import CliffsDelta, a12, a12_matrix, cliffs_delta
from nasbench_harness.statistics.estimands import Proportion, grid_codes, iqm, proportion
from nasbench_harness.statistics.exact_random_search import ExactCurve, exact_random_search
from nasbench_harness.statistics.intervals import (
    Interval,
    count_matrix,
    iqm_band,
    iqm_interval,
    mean_interval,
    resampled_iqm,
    stratified_iqm_interval,
)
from nasbench_harness.statistics.multiple import adjust, not_significantly_worse
from nasbench_harness.statistics.ranking import mean_ranks
from nasbench_harness.statistics.regression import (
    Case,
    Difference,
    Regression,
    count_codes,
    decide,
    difference,
    more_runs,
    permutation_p_better,
    regress,
    regress_family,
)
from nasbench_harness.statistics.signed_rank import AllPairs, SignedRank, all_pairs, signed_rank
from nasbench_harness.statistics.verification import TwoWayTest, mann_whitney, smallest_p, within_blocks

__all__ = [
    "AllPairs",
    "Case",
    "CliffsDelta",
    "Difference",
    "ExactCurve",
    "Interval",
    "Proportion",
    "Regression",
    "SignedRank",
    "TwoWayTest",
    "a12",
    "a12_matrix",
    "adjust",
    "all_pairs",
    "at_times",
    "cliffs_delta",
    "count_codes",
    "count_matrix",
    "decide",
    "difference",
    "exact_random_search",
    "grid_codes",
    "incumbent_steps",
    "iqm",
    "iqm_band",
    "iqm_interval",
    "mann_whitney",
    "mean_interval",
    "mean_ranks",
    "more_runs",
    "not_significantly_worse",
    "permutation_p_better",
    "proportion",
    "regress",
    "regress_family",
    "resampled_iqm",
    "signed_rank",
    "smallest_p",
    "stratified_iqm_interval",
    "within_blocks",
]
