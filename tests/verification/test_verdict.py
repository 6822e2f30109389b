import json
import math

import numpy as np
import pytest
from scipy import stats

from nasbench_harness.statistics import within_blocks
from nasbench_harness.verification.design import make_design
from nasbench_harness.verification.report import verification_files, verification_table
from nasbench_harness.verification.running import train_design
from nasbench_harness.verification.verdict import judge


@pytest.fixture
def outcome_of(task, finals, tmp_path, make_trainer):
    def make(is_own_recipe=False, finals=finals, trainer=None, **options):
        defaults = {"top": 5, "kind": "matched", "num_controls": 3, "training_seeds": 2}
        design = make_design(task, finals, lambda _: 0.0, 0, **{**defaults, **options})
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        progressed = train_design(design, task, trainer or make_trainer(), path, 0)
        return judge(design, task, "stand-in", "images", progressed.entries, is_own_recipe)

    return make


def test_the_unit_is_the_architecture(outcome_of):
    outcome = outcome_of()
    blocks = [[item.score for item in outcome.trained if item.block == block] for block in range(5)]
    expected = within_blocks([block[0] for block in blocks], [block[1:] for block in blocks])
    assert outcome.test == expected
    assert outcome.trained[0].score == pytest.approx(outcome.trained[0].accuracies.mean())
    assert outcome.verdict == "confirmed"
    assert "trained from scratch on images with the recipe stand-in" in outcome.sentence
    assert "better than architectures of the same size (p = 0.00" in outcome.sentence


def test_the_worst_architectures_are_contradicted(task, outcome_of):
    connected = np.flatnonzero(task.space.is_connected())
    worst = connected[np.argsort(task.report.values[connected], kind="stable")[:40]]
    assert outcome_of(finals=worst, kind="random").verdict == "contradicted"


def test_a_table_recipe_is_compared_with_the_table(outcome_of, make_trainer):
    assert outcome_of().agreement is None
    close = outcome_of(is_own_recipe=True, trainer=make_trainer(noise=0.1)).agreement
    assert close.verdict == "agrees"
    assert max(map(abs, close.z)) < 4

    class Lower(type(make_trainer())):
        def train(self, jobs, on_result):
            from dataclasses import replace

            super().train(jobs, lambda found: on_result([replace(e, accuracy=e.accuracy - 1.5) for e in found]))

    base = make_trainer()
    assert outcome_of(is_own_recipe=True, trainer=Lower(base.task)).agreement.verdict == "differs"


def test_divergence_counts_as_chance_and_is_shown(task, finals, outcome_of, make_trainer):
    best = int(finals[0])
    outcome = outcome_of(trainer=make_trainer(diverges=(best,)))
    (item,) = [item for item in outcome.trained if item.architecture == best]
    assert (item.num_diverged, item.score) == (2, 10.0)
    table = verification_table(outcome, task)
    assert "2 trainings diverged and count with the accuracy of chance" in table.caption


def test_files_have_the_same_bytes_and_no_seconds(task, outcome_of):
    outcome = outcome_of()
    first = dict(verification_files(outcome, task, "nasbench-harness verify", timings=False))
    second = dict(verification_files(outcome, task, "nasbench-harness verify", timings=False))
    assert first == second
    assert {name.rpartition(".")[2] for name in first} == {"md", "tex", "csv", "json", "pdf", "png"}
    record = json.loads(first["verification.json"])
    assert record["verdict"] == "confirmed"
    assert record["p_better"] == outcome.test.p_better
    assert "seconds" not in first["verification.csv"].splitlines()[1]
    timed = dict(verification_files(outcome, task, "nasbench-harness verify", timings=True))
    assert "seconds" in timed["verification.csv"].splitlines()[1]


def test_the_caption_names_what_may_be_claimed(task, outcome_of):
    text = verification_table(outcome_of(), task).caption
    for fact in (
        "Exact permutation of labels within blocks on means over 2 training seeds",
        "the unit is the architecture",
        "P(candidate beats control)",
        "Kendall's tau-b",
        "size alone",
        "The table's own accuracies are not reproduced",
    ):
        assert fact in text, fact


def test_tau_is_that_of_scipy(outcome_of):
    outcome = outcome_of()
    scores, values = zip(*((item.score, item.table_value) for item in outcome.trained), strict=True)
    assert outcome.tau == pytest.approx(stats.kendalltau(scores, values).statistic)
    sizes = [item.params_m for item in outcome.trained]
    assert outcome.tau_size == pytest.approx(stats.kendalltau(scores, sizes).statistic)
    assert outcome.tau_low <= outcome.tau <= outcome.tau_high


def test_tau_is_indicative_below_ten_architectures(task, outcome_of):
    outcome = outcome_of(top=3, kind="random", num_controls=1, training_seeds=3)
    assert len(outcome.trained) == 6
    assert ", indicative" in verification_table(outcome, task).caption
    assert not math.isnan(outcome.tau)
