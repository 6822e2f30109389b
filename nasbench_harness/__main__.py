"""``python -m nasbench_harness``."""

from nasbench_harness.cli import main

main()
