import numpy as np
import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.statistics import within_blocks
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.verification.design import ALPHA, make_design, training_seed
from nasbench_harness.verification.halving import survivors
from nasbench_harness.verification.journal import Entry
from nasbench_harness.verification.verify import VerifyOptions, prepare

OPTIONS = {"top": 5, "kind": "matched", "num_controls": 3, "training_seeds": 2, "is_halving": True}


def trained_once(design, score):
    everyone = [architecture for block in design.blocks for architecture in block]
    return {one: [Entry("", "", 0, score(one), (score(one),), False, 0.0)] for one in everyone}


def test_the_better_of_two_takes_each_place(task, finals):
    wide = make_design(task, finals, lambda _: 0.0, 0, **OPTIONS)
    assert (len(wide.candidates), wide.training_seeds, wide.purpose) == (10, 1, "screening")
    final = survivors(wide, trained_once(wide, float), 2)
    assert (final.training_seeds, final.purpose) == (2, "verify")
    assert final.candidates == tuple(max(wide.candidates[one : one + 2]) for one in range(0, 10, 2))
    for block in range(5):
        first, second = wide.controls[2 * block : 2 * block + 2]
        assert final.controls[block] == tuple(map(max, first, second))
        supporting = dict(zip(wide.candidates, wide.num_supporting, strict=True))
        assert final.num_supporting[block] == supporting[final.candidates[block]]
    assert not final.is_same_size
    assert final.notes[-1].startswith("halving: two architectures held each place")


def test_equals_and_missing_trainings_leave_the_first(task, finals):
    wide = make_design(task, finals, lambda _: 0.0, 0, **OPTIONS)
    for entries in (trained_once(wide, lambda _: 50.0), {}):
        final = survivors(wide, entries, 2)
        assert final.candidates == wide.candidates[::2]
        assert final.controls == wide.controls[::2]


def test_screening_has_seeds_of_its_own():
    screened = {training_seed(0, "a", number, "screening") for number in range(9)}
    assert screened.isdisjoint(training_seed(0, "a", number) for number in range(9))


def test_from_screening_to_verdict_and_again(task, finals, make_trainer, tmp_path):
    def prepared(**options):
        trainer = make_trainer()
        chosen = VerifyOptions(allocate="halving", **options)
        return trainer, prepare(task, finals, lambda _: 0.0, StudyFolder(tmp_path), 0, "command", chosen, trainer)

    stopped = prepared(max_seconds=1e-9)[1].run()
    assert (stopped.outcome.num_blocks, stopped.progressed.was_stopped) == (0, True)
    trainer, first = prepared()
    assert first.announce() == "80 trainings of 40 architectures, about 160 s of computing"
    done = first.run()
    assert len(trainer.trained) == len(set(trainer.trained)) == 80
    assert done.outcome.verdict == "confirmed"
    assert {len(item.accuracies) for item in done.outcome.trained} == {2}
    assert "these trainings are not in the test" in (done.folder / "verification.md").read_text(encoding="utf-8")
    trainer, again = prepared()
    assert again.announce() == "nothing to train"
    assert again.run().outcome.test == done.outcome.test
    assert trainer.trained == []


def test_too_few_candidates_for_a_screening(task, finals):
    with pytest.raises(
        InvalidInputError, match=r"--top 6 with --allocate halving needs 12 candidates: .* ended with 10"
    ):
        make_design(task, finals, lambda _: 0.0, 0, **OPTIONS | {"top": 6})
    with pytest.raises(UnknownNameError, match="unknown allocation 'halve'"):
        VerifyOptions(allocate="halve")
    assert VerifyOptions(allocate="halving").flags() == " --allocate halving"


def test_random_cells_are_confirmed_at_the_level_only_if_controls_are_screened_too(task):
    """1,000 verifications: at level .05 more than 70 come once in 200 seeds; screening candidates only goes beyond."""
    connected = np.flatnonzero(task.space.is_connected())
    fair = unfair = 0
    for number in range(1_000):
        rng = np.random.default_rng([37, number])
        wide = make_design(task, rng.permutation(connected)[:40], lambda _: 0.0, number, **OPTIONS)
        values = task.report.values
        final = survivors(wide, trained_once(wide, lambda one: values[one] + rng.normal(scale=0.9)), 2)  # noqa: B023
        fresh = values + rng.normal(scale=0.6, size=len(values))
        candidates = fresh[list(final.candidates)]
        fair += within_blocks(candidates, fresh[np.array(final.controls)]).verdict(ALPHA) == "confirmed"
        unfair += within_blocks(candidates, fresh[np.array(wide.controls[::2])]).verdict(ALPHA) == "confirmed"
    assert fair <= 70 < unfair
