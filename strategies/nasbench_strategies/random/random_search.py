"""Random search: independent architectures, uniform over the space, with replacement.

Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019, argue for it as the
baseline of every comparison.

Reference: 91.14 / 71.78 / 45.50 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Bools, Proposals, Results, Strategy


class RandomSearch(Strategy):
    """Propose uniform architectures; learn nothing."""

    def ask(self, idle: Bools) -> Proposals:
        """Sample an architecture for every idle run."""
        if idle.all():
            return Proposals(self.problem.space.sample(self.rng))
        architectures = np.full(len(idle), -1)
        architectures[idle] = self.problem.space.sample(self.rng, np.flatnonzero(idle))
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Nothing to learn."""
