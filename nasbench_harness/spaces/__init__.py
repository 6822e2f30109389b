"""Search spaces: pure combinatorics on arrays of architecture indices; no data needed."""

from nasbench_harness.spaces.base import RandomSource, SearchSpace
from nasbench_harness.spaces.graphs import Graphs
from nasbench_harness.spaces.kinds import from_description
from nasbench_harness.spaces.listed import ListSpace
from nasbench_harness.spaces.nasbench201 import NASBench201Space
from nasbench_harness.spaces.nasbench_graph import NASBenchGraphSpace
from nasbench_harness.spaces.product import ProductSpace

__all__ = [
    "Graphs",
    "ListSpace",
    "NASBench201Space",
    "NASBenchGraphSpace",
    "ProductSpace",
    "RandomSource",
    "SearchSpace",
    "from_description",
]
