"""Which replicate answers a query: a hash shared by all strategies (common random numbers)."""

from __future__ import annotations

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.hashing import GOLDEN, OTHER_ODD, mix, name_hash, seed_sequence_keys, to_unit
from nasbench_harness.evaluation.oracle import Oracle
from nasbench_harness.evaluation.protocol import Protocol

_PURPOSE = name_hash("replicate")


class Noise:
    """Chooses replicates for a batch of runs.

    The replicate of a query is floor(u · number of replicates of the row), u = hash(study seed, run seed,
    architecture, training) = mix(key of the run + architecture · c₁ + training · c₂) with two odd constants. Strategy
    and task do not enter: two strategies with the same run seed meet the same noise.

    Args:
        protocol: Its ``noise`` is used.
        oracle: Tells the number of replicates of every architecture.
        num_architectures: Size of the space.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).
        source: Name of the task whose values a strategy reads as a source, which then enters the hash; empty for the
            searched task.

    Raises:
        InvalidInputError: ``replicate=k`` if rows do not have it; the message counts them.
    """

    def __init__(
        self,
        protocol: Protocol,
        oracle: Oracle,
        num_architectures: int,
        study_seed: int,
        run_seeds: Ints,
        source: str = "",
    ) -> None:
        self._kind = protocol.noise
        self._fixed = protocol.replicate
        self._counts = oracle.num_replicates(np.arange(num_architectures))
        self._order = oracle.replicate_order
        entropy = [study_seed, _PURPOSE, *([name_hash(source)] if source else [])]
        self._keys = seed_sequence_keys(entropy, run_seeds)
        if self._fixed is not None:
            has_it = self._counts > self._fixed if self._order is None else (self._order == self._fixed).any(axis=1)
            num_lacking = int((~has_it).sum())
            if num_lacking:
                raise InvalidInputError(
                    f"noise=replicate={self._fixed}: {num_lacking:,} of {num_architectures:,} architectures have no "
                    f"replicate {self._fixed} (they count from 0); use per_query, per_run or mean"
                )

    def replicates(self, architectures: Ints, trainings: Ints, runs: Ints | None = None) -> Ints:
        """Replicate that answers each query, −1 for the mean; all shapes (n,).

        Args:
            architectures: Architecture of each query.
            trainings: Number of trainings of that architecture that the run started before.
            runs: Position of the run of each query; None: one query per run, in order.
        """
        if self._kind == "mean":
            return np.full(len(architectures), -1)
        if self._fixed is not None:
            return np.full(len(architectures), self._fixed)
        words = architectures.astype(np.uint64) * GOLDEN
        words += self._keys if runs is None else self._keys[runs]
        if self._kind == "per_query":
            words += trainings.astype(np.uint64) * OTHER_ODD
        drawn: Ints = (to_unit(mix(words)) * self._counts[architectures]).astype(np.int64)
        return drawn if self._order is None else self._order[architectures, drawn]
