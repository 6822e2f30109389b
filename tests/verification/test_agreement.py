"""Agreement with a table that was trained by the same rules: on cells that no search chose."""

import json
from dataclasses import replace

import numpy as np
import pytest
from kit.cases import fast_first
from kit.cells import RULES, write_parts

from nasbench_harness import open_study, run
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.trained_cells import read_table
from nasbench_harness.trainer.assembling import assemble, table_file
from nasbench_harness.verification.agreement import agreement_of, draw_sample, shares_rules
from nasbench_harness.verification.verify import VerifyOptions, prepare
from nasbench_harness.verification.winners import prepare_verification

MARKS = {name: RULES.digests[name] for name in ("recipe", "data", "split")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The task of an invented table of trained cells."""
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder)
    assemble(folder, RULES)
    return make_task(read_table(table_file(folder)), "animals8")


@pytest.fixture
def best(tiny):
    """The ten best rows of the table, which a search would choose."""
    return np.argsort(-tiny.scores["val"].values, kind="stable")[:200]


@pytest.fixture
def verified(tiny, best, tmp_path, make_trainer):
    """Function (trainer, options of the verification) -> finished verification."""

    def verify(trainer, **options):
        study = StudyFolder(tmp_path / "study")
        return prepare(tiny, best, lambda _: 0.0, study, 0, "command", VerifyOptions(**options), trainer).run()

    return verify


def trainer_like(make_trainer, task, shift=0.0, **options):
    """A stand-in whose trainings have the table's value, shifted, with noise of half a point."""

    class Shifted(type(make_trainer())):
        marks = MARKS

        def train(self, jobs, on_result, states):
            super().train(
                jobs, lambda found: on_result([replace(e, accuracy=e.accuracy + shift) for e in found]), states
            )

    return Shifted(task, noise=0.5, **options)


def test_the_sample_is_connected_and_no_search_chose_its_classes(tiny, best):
    sample = np.array(draw_sample(tiny, best, 0))
    classes = tiny.space.canonical(np.arange(15_625))
    assert len(sample) == 20
    assert tiny.space.is_connected()[sample].all()
    assert len(set(classes[sample])) == 20
    assert not set(classes[sample]) & set(classes[best])
    assert draw_sample(tiny, best, 0) == tuple(sample)
    assert draw_sample(tiny, best, 1) != tuple(sample)
    representatives = np.unique(classes)
    assert draw_sample(tiny, representatives[19:], 0) == ()  # 19 classes are left


def test_the_rules_of_a_table_are_its_recipe_its_images_and_their_split(tiny):
    assert shares_rules(MARKS, tiny)
    assert not shares_rules({}, tiny)
    for name in MARKS:
        assert not shares_rules({**MARKS, name: "other"}, tiny)


@pytest.mark.parametrize(
    ("shift", "verdict"),
    fast_first([(0.6, "agrees"), (-1.0, "inconclusive"), (1.5, "differs"), (0, "agrees"), (-1.5, "differs")], 3),
)
def test_the_margin_is_one_point_on_the_sample(verified, tiny, make_trainer, shift, verdict):
    done = verified(trainer_like(make_trainer, tiny, shift))
    found = done.outcome.agreement
    assert found.verdict == verdict
    differences = [item.score - item.table_value for item in done.outcome.sampled]
    assert found.difference == pytest.approx(np.mean(differences))
    assert found.high - found.low == pytest.approx(2 * 1.729132812 * np.std(differences, ddof=1) / np.sqrt(20))


def test_winners_enter_the_shrinkage_and_not_the_agreement(verified, tiny, best, make_trainer):
    """Only the candidates train eight points below their rows: the cells of the sample agree all the same."""
    chosen = {tiny.space.to_string(one) for one in best.tolist()}

    class Lucky(type(trainer_like(make_trainer, tiny))):
        def train(self, jobs, on_result, states):
            def lower(found):
                on_result([replace(e, accuracy=e.accuracy - 8 * (e.architecture in chosen)) for e in found])

            super().train(jobs, lower, states)

    done = verified(Lucky(tiny, noise=0.2))
    assert done.outcome.agreement.verdict == "agrees"
    assert done.outcome.shrinkage == pytest.approx(8, abs=0.5)
    text = (done.folder / "verification.md").read_text(encoding="utf-8")
    assert "on 20 random connected cells that no search chose: agrees" in text
    assert "margin ± 1 pp" in text
    assert "Table − trained of the candidates: +" in text
    record = json.loads((done.folder / "verification.json").read_text(encoding="utf-8"))
    assert len(record["sample"]) == 20
    assert record["shrinkage"] == done.outcome.shrinkage
    assert len(record["trainings"]) == 20


def test_size_beside_the_table_is_that_of_its_own_networks(verified, tiny, make_trainer):
    item = verified(trainer_like(make_trainer, tiny)).outcome.trained[0]
    assert item.table_params_m == tiny.table.column("animals8", "params_m").values[item.architecture, 0, 0]


def test_a_recipe_of_other_rules_says_nothing_about_the_table(verified, tiny, make_trainer):
    done = verified(make_trainer())
    assert done.outcome.agreement is None
    assert done.outcome.sampled == ()
    assert "are not reproduced by this recipe" in (done.folder / "verification.md").read_text(encoding="utf-8")
    assert done.progressed.num_trained == 40


@pytest.mark.thorough
def test_the_sample_comes_last_and_its_trainings_are_counted(verified, tiny, make_trainer):
    trainer = trainer_like(make_trainer, tiny)
    done = verified(trainer, max_seconds=1e-9)
    assert done.progressed.was_stopped
    unfinished = "The cells for the agreement with the table are not all trained"
    assert unfinished in (done.folder / "verification.md").read_text(encoding="utf-8")
    done = verified(trainer_like(make_trainer, tiny), max_seconds=1e9)
    assert len(trainer.trained) < done.progressed.num_trained + len(trainer.trained) == 80
    assert done.outcome.agreement is not None
    assert unfinished not in (done.folder / "verification.md").read_text(encoding="utf-8")


def test_the_plan_names_the_sample(tiny, tmp_path, make_trainer, cache):
    register_table(replace(tiny.table, name="mine"))
    assert load_table("mine").digest
    run(["random-search"], ["mine-animals8"], seeds=30, evaluations=20, out=tmp_path / "study")
    trainer = trainer_like(make_trainer, tiny)
    plan = prepare_verification(open_study(tmp_path / "study"), None, None, VerifyOptions(), trainer).plan()
    assert len(plan["sample"]) == 20
    assert plan["trainings"] == 80


def test_the_sample_leaves_out_the_choices_of_searches_that_are_not_verified(tiny, tmp_path, make_trainer, cache):
    register_table(replace(tiny.table, name="mine"))
    names = ["random-search", "regularized-evolution"]
    study = run(names, ["mine-animals8"], seeds=60, evaluations=60, out=tmp_path / "study")
    chosen = np.concatenate([runs.read().final for runs in study.run_sets(task="mine-animals8")])
    classes = tiny.space.canonical(np.arange(15_625))
    plan = prepare_verification(study, None, [names[1]], VerifyOptions(), trainer_like(make_trainer, tiny)).plan()
    others = {int(tiny.space.from_key(key)) for key in plan["sample"]}
    assert len(others) == 20
    assert not set(classes[list(others)]) & set(classes[chosen])
    for path in (study.path / "runs" / "mine-animals8").glob("random-search-*/*"):
        path.unlink()  # a search that is not verified need not be complete
    again = open_study(tmp_path / "study")
    assert prepare_verification(again, None, [names[1]], VerifyOptions(), trainer_like(make_trainer, tiny)).plan()


def test_agreement_needs_two_cells_and_counts_the_spread(tiny):
    replicates = tiny.table.column("animals8", "val_accuracy").values[:, :, -1]
    found = agreement_of(tiny, [3, 5], [replicates[3], replicates[5]], replicates, 1.0)
    assert found.z == pytest.approx((0, 0), abs=1e-9)
    assert found.verdict == "agrees"
