"""Pure functions on arrays that compare strategies: estimates, intervals, tests, effect sizes, ranks, curves.

Axes are named (num_strategies, num_tasks, num_runs, num_steps), in this order; losses and regrets, smaller is better,
unless a function says otherwise. Nothing here reads files, keeps state or touches a global random generator. A wrong
input raises a ValueError that names the entry. Importing this package loads numpy only.
"""

from nasbench_harness.statistics.anytime import expected_running_time, mean_over_time
from nasbench_harness.statistics.correlation import Correlation, rank_correlation, ranks_with_missing, top_means
from nasbench_harness.statistics.differences import equivalence, mean_difference, mean_interval
from nasbench_harness.statistics.dominance import (
    front_hypervolumes,
    hypervolume,
    nondominated,
)
from nasbench_harness.statistics.effects import a12
from nasbench_harness.statistics.estimands import Proportion, iqm, proportion
from nasbench_harness.statistics.exact_random_search import ExactCurve, exact_random_search
from nasbench_harness.statistics.friedman import RankTests, rank_tests
from nasbench_harness.statistics.grid_counts import count_grid_values, permutation_p_better, permutation_p_worse
from nasbench_harness.statistics.independent import (
    MAX_RUNS_EXACT,
    brunner_munzel,
    compare_means,
    compare_ranks,
    mann_whitney_two_sided,
    runs_for_a12,
    runs_for_margin,
    welch,
)
from nasbench_harness.statistics.intervals import (
    Interval,
    Resamples,
    count_matrix,
    iqm_band,
    iqm_interval,
    resampled_iqm,
    resampled_mean,
    resamples,
    stratified_iqm,
)
from nasbench_harness.statistics.multiple import adjust, not_significantly_worse
from nasbench_harness.statistics.non_inferiority import (
    Case,
    Difference,
    NonInferiority,
    decide,
    difference,
    more_runs,
    non_inferiority,
    non_inferiority_family,
)
from nasbench_harness.statistics.random_search_law import RandomSearchLaw
from nasbench_harness.statistics.ranking import first_shares, mean_ranks, resampled_mean_ranks
from nasbench_harness.statistics.signed_rank import SignedRank, signed_rank
from nasbench_harness.statistics.verification import OneSidedTests, mann_whitney, smallest_p, within_blocks

__all__ = [
    "MAX_RUNS_EXACT",
    "Case",
    "Correlation",
    "Difference",
    "ExactCurve",
    "Interval",
    "NonInferiority",
    "OneSidedTests",
    "Proportion",
    "RandomSearchLaw",
    "RankTests",
    "Resamples",
    "SignedRank",
    "a12",
    "adjust",
    "brunner_munzel",
    "compare_means",
    "compare_ranks",
    "count_grid_values",
    "count_matrix",
    "decide",
    "difference",
    "equivalence",
    "exact_random_search",
    "expected_running_time",
    "first_shares",
    "front_hypervolumes",
    "hypervolume",
    "iqm",
    "iqm_band",
    "iqm_interval",
    "mann_whitney",
    "mann_whitney_two_sided",
    "mean_difference",
    "mean_interval",
    "mean_over_time",
    "mean_ranks",
    "more_runs",
    "non_inferiority",
    "non_inferiority_family",
    "nondominated",
    "not_significantly_worse",
    "permutation_p_better",
    "permutation_p_worse",
    "proportion",
    "rank_correlation",
    "rank_tests",
    "ranks_with_missing",
    "resampled_iqm",
    "resampled_mean",
    "resampled_mean_ranks",
    "resamples",
    "runs_for_a12",
    "runs_for_margin",
    "signed_rank",
    "smallest_p",
    "stratified_iqm",
    "top_means",
    "welch",
    "within_blocks",
]
