"""The strategies that come with nasbench_harness: one file each, found through entry points."""
