"""Random candidates through the real design on the real table: how often would they be confirmed?"""

import numpy as np
import pytest

from nasbench_harness.statistics import mann_whitney, within_blocks
from nasbench_harness.verification.design import ALPHA, make_design
from nasbench_harness.verification.verify import VerifyOptions

NUM_VERIFICATIONS = 1_000
NUM_RUNS = 200  # of a study; each ends with a random cell, so that some cells and classes come twice
TRAINING_STD = 0.9  # about that of animals8-10 (results/verification/animals8-10.csv)


def verdicts(task, options):
    """One verdict for each of many draws of candidates from all connected cells."""
    connected = np.flatnonzero(task.space.is_connected())
    for number in range(NUM_VERIFICATIONS):
        rng = np.random.default_rng([31, number])
        design = make_design(
            task,
            rng.choice(connected, size=NUM_RUNS),
            lambda _: 0.0,
            number,
            top=options.top,
            kind=options.controls,
            num_controls=options.num_controls,
            training_seeds=options.training_seeds,
        )
        values = task.scores["val"].values[np.array(design.blocks)]
        scores = values + rng.normal(scale=TRAINING_STD / np.sqrt(options.training_seeds), size=values.shape)
        test = within_blocks if design.kind == "matched" else lambda one, others: mann_whitney(one, others.ravel())
        yield test(scores[:, 0], scores[:, 1:]).verdict(ALPHA)


@pytest.mark.thorough
@pytest.mark.parametrize("options", [VerifyOptions(), VerifyOptions().quick()], ids=["default", "quick"])
def test_random_cells_are_confirmed_in_at_most_7_percent(task, options):
    """At level .05, more than 70 of 1,000 come less than once in 200 choices of the seed."""
    found = list(verdicts(task, options))
    print(found.count("confirmed"), found.count("contradicted"))
    assert found.count("confirmed") <= 70
    assert found.count("contradicted") <= 70
