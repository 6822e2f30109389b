"""The official API as a drop-in: objects that old scripts call, served from any table of this package."""

from nasbench_harness.compat.api import NASBench201API, NATSsize, NATStopology, create
from nasbench_harness.compat.stored import MissingResultError

__all__ = ["MissingResultError", "NASBench201API", "NATSsize", "NATStopology", "create"]
