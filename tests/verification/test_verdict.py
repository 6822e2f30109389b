import json
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.statistics import within_blocks
from nasbench_harness.tables.table import Dataset, MetricArray, Table
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.verification.design import make_design
from nasbench_harness.verification.journal import TrainingRecord
from nasbench_harness.verification.report import caption, verification_figure, verification_files, verification_table
from nasbench_harness.verification.running import train_design
from nasbench_harness.verification.verdict import _tau, _tau_b, judge


def _num_params(architecture):
    return structure_of(architecture, 1, 8, 1, 10).num_trained_params()


@pytest.fixture
def outcome_of(task, finals, tmp_path, make_trainer):
    def make(is_own_recipe=False, finals=finals, trainer=None, **options):
        defaults = {"top": 5, "kind": "matched", "num_controls": 3, "training_seeds": 2}
        design = make_design(task, finals, lambda _: 0.0, 0, **{**defaults, **options})
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        progressed = train_design(design, task, trainer or make_trainer(), path, 0)
        return judge(design, task, "stand-in", "images", progressed.entries, _num_params, is_own_recipe)

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
    worst = connected[np.argsort(task.scores["val"].values[connected], kind="stable")[:40]]
    assert outcome_of(finals=worst, kind="random").verdict == "contradicted"


def test_a_table_recipe_is_compared_with_the_table(outcome_of, make_trainer):
    assert outcome_of().agreement is None
    close = outcome_of(is_own_recipe=True, trainer=make_trainer(noise=0.1)).agreement
    assert close.verdict == "agrees"
    assert max(map(abs, close.z)) < 4

    class Lower(type(make_trainer())):
        def train(self, jobs, on_result, states):
            super().train(jobs, lambda found: on_result([replace(e, accuracy=e.accuracy - 1.5) for e in found]), states)

    base = make_trainer()
    assert outcome_of(is_own_recipe=True, trainer=Lower(base.task)).agreement.verdict == "differs"


def entries_with(design, score, count=2):
    """Trainings of every architecture that all came to the same score."""
    everyone = [one for block in design.blocks for one in block]
    return {one: [TrainingRecord("", "", 0, score(one), (score(one),), False, 0.0)] * count for one in everyone}


@pytest.fixture
def design(task, finals):
    return make_design(task, finals, lambda _: 0.0, 0, top=5, kind="matched", num_controls=3, training_seeds=2)


def test_z_counts_trainings_replicates_and_the_spread_of_neighbors(task, design):
    """(trained − table) / (s √(1/n + 1/r)), s pooled over cells within half a point that have two replicates."""
    outcome = judge(
        design,
        task,
        "r",
        "d",
        entries_with(design, lambda one: task.scores["val"].values[one] + 0.4),
        _num_params,
        True,
    )
    replicates = task.under(Protocol()).search.values[:, :, 0]
    controls = [item for item in outcome.trained if not item.is_candidate]
    for item, z in zip(controls, outcome.agreement.z, strict=True):
        squares = freedom = 0
        for row in replicates[np.abs(task.scores["val"].values - item.table_value) <= 0.5]:
            row = row[~np.isnan(row)]
            if len(row) > 1:
                squares += ((row - row.mean()) ** 2).sum()
                freedom += len(row) - 1
        num_replicates = int((~np.isnan(replicates[item.architecture])).sum())
        error = math.sqrt(squares / freedom) * math.sqrt(1 / 2 + 1 / num_replicates)
        assert z == pytest.approx(0.4 / error)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(0.29, "agrees"), (-0.29, "agrees"), (0.31, "differs"), (-0.31, "differs")],
)
def test_the_margin_is_three_tenths_of_a_point(task, design, difference, verdict):
    entries = entries_with(design, lambda one: task.scores["val"].values[one] + difference)
    assert judge(design, task, "r", "d", entries, _num_params, True).agreement.verdict == verdict


def test_winners_enter_the_shrinkage_and_not_the_agreement(task, design):
    """A search chose the candidates for the values of the table, so these are lucky ones."""
    lower = dict.fromkeys(design.candidates, 8.0)
    entries = entries_with(design, lambda one: task.scores["val"].values[one] - lower.get(one, 0.1))
    outcome = judge(design, task, "r", "d", entries, _num_params, True)
    assert outcome.agreement.verdict == "agrees"
    assert outcome.agreement.difference == pytest.approx(-0.1)
    assert outcome.shrinkage == pytest.approx(8.0)
    text = caption(outcome, task)
    assert "of the same recipe, on 15 controls, which were drawn by chance: agrees" in text
    assert "Table − trained of the candidates: +8.00 pp" in text


def test_halves_that_are_not_the_tables_are_not_judged(task, design):
    """Other images of validation shift all architectures together, which no test over architectures sees."""
    entries = entries_with(design, lambda one: task.scores["val"].values[one] + 0.6)
    outcome = judge(design, task, "r", "d", entries, _num_params, True, unlike="the halves are others")
    assert outcome.agreement is None
    assert math.isnan(outcome.shrinkage)
    text = caption(outcome, task)
    assert "the table's own, but the halves are others: no difference from the table tells anything" in text
    assert "Against the table" not in text


@pytest.mark.parametrize(
    ("num_controls", "sentence"),
    [
        (1, "Fewer than two trained controls have a value in the table: no agreement with it is judged."),
        (3, "Against the table, of the same recipe, on 3 controls, which were drawn by chance: agrees "),
    ],
)
def test_after_one_block_only_what_is_known_is_told(task, finals, num_controls, sentence):
    make = {"top": 5, "kind": "matched", "num_controls": num_controls, "training_seeds": 2}
    design = make_design(task, finals, lambda _: 0.0, 0, **make)
    entries = entries_with(design, lambda one: task.scores["val"].values[one])
    outcome = judge(design, task, "r", "d", {one: entries[one] for one in design.blocks[0]}, _num_params, True)
    text = caption(outcome, task)
    assert sentence in text
    assert "Table − trained of the candidates: +0.00 pp; a search" in text
    assert "nan" not in text
    assert "not reproduced by this recipe" not in text


@pytest.mark.parametrize(("end", "verdict"), [(0.299, "agrees"), (0.301, "inconclusive")])
def test_the_interval_has_90_percent(task, design, end, verdict):
    """Differences .2 ± d of 14 controls, .2 of one; t(14, .95) = 1.761, so that the interval ends at ``end``."""
    half = (end - 0.2) / 1.761310136 * math.sqrt(15)
    signs = dict(zip((one for block in design.controls for one in block), [0] + 7 * [-1, 1], strict=True))
    entries = entries_with(design, lambda one: task.scores["val"].values[one] + 0.2 + half * signs.get(one, 9))
    found = judge(design, task, "r", "d", entries, _num_params, True).agreement
    assert found.high == pytest.approx(end)
    assert found.verdict == verdict


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_architectures_that_the_table_lacks_are_judged_all_the_same(task, finals, share):
    """Controls are drawn from all cells, so some may have no value; candidates have one, as a search found them."""
    values = np.array(task.under(Protocol()).search.values)
    rng = np.random.default_rng(3)
    values[rng.permutation(15_625)[: int(share * 15_625)]] = np.nan
    values[np.unique(finals)] = 91.0 + np.arange(10)[:, None, None] / 10
    column = MetricArray(task.under(Protocol()).search.metric, values)
    dataset = Dataset("CIFAR-10", task.space, {"val_accuracy": column}, (200,))
    gappy = make_task(Table("nb201", {"cifar10": dataset}, task.provenance), "cifar10")
    design = make_design(gappy, finals, lambda _: 0.0, 0, top=5, kind="matched", num_controls=3, training_seeds=2)
    entries = entries_with(design, lambda one: 80.0 + one % 7)
    outcome = judge(design, gappy, "nb201-200", "cifar10", entries, _num_params, True)
    known = [item for item in outcome.trained if not math.isnan(item.table_value)]
    assert outcome.test is not None
    assert 5 <= len(known) < 20
    num_controls = sum(not one.is_candidate for one in known)
    assert (outcome.agreement is None) == (num_controls < 2)
    if outcome.agreement is not None:
        assert len(outcome.agreement.z) == num_controls
        assert not np.isnan(outcome.agreement.z).any()
    expected = stats.kendalltau([one.score for one in known], [one.table_value for one in known]).statistic
    assert outcome.tau == pytest.approx(expected)
    files = dict(verification_files(outcome, gappy, "command", False))
    assert f"The table has no value of {20 - len(known)} of 20 architectures" in files["verification.md"]
    assert "nan" not in files["verification.md"] + files["verification.tex"] + files["verification.csv"]
    json.loads(files["verification.json"])


def test_divergence_counts_as_chance_and_is_shown(task, finals, outcome_of, make_trainer):
    best = int(finals[0])
    outcome = outcome_of(trainer=make_trainer(diverges=(best,)))
    (item,) = [item for item in outcome.trained if item.architecture == best]
    assert (item.num_diverged, item.score) == (2, 10.0)
    table = verification_table(outcome, task)
    assert "2 trainings diverged and count with the accuracy of chance" in table.caption


def test_parameters_are_those_of_the_trained_network_and_the_tables_beside(task, outcome_of):
    outcome = outcome_of()
    for item in outcome.trained:
        assert item.num_params == _num_params(task.space.to_string(item.architecture))
        assert item.table_params_m == task.space.params_m(10)[item.architecture]
    table = verification_table(outcome, task)
    names = [column.header for column in table.columns]
    row = [cell.text for cell in table.rows[0].cells]
    assert row[names.index("parameters")] == f"{outcome.trained[0].num_params}"
    assert row[names.index("table, parameters (M)")] == f"{outcome.trained[0].table_params_m:.3f}"


@pytest.mark.thorough
def test_the_sealed_test_stands_beside_and_decides_nothing(task, finals, outcome_of, design):
    entries = entries_with(design, float)
    tested = {
        one: [replace(entry, test_accuracy=50.0 + number) for number, entry in enumerate(found)]
        for one, found in entries.items()
    }
    plain, beside = (judge(design, task, "r", "d", found, _num_params, False) for found in (entries, tested))
    assert beside.test == plain.test
    assert {item.test for item in beside.trained} == {50.5}
    files = dict(verification_files(beside, task, "command", False))
    assert "test (%)" in files["verification.md"]
    assert "the sealed test part, measured after training" in files["verification.md"]
    assert json.loads(files["verification.json"])["trainings"][0]["test_accuracy"] == 50.5
    hidden = dict(verification_files(plain, task, "command", False))["verification.tex"]
    assert "test (" not in hidden


def test_the_figure_shows_blocks(task, outcome_of):
    outcome = outcome_of()
    by_block, by_value = verification_figure(outcome, task).axes
    assert [label.get_text() for label in by_block.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    places = [line.get_xdata() for line in by_block.lines if line.get_marker() in ("o", "D")]
    assert [len(one) for one in places] == [15, 5]
    assert [round(place) for place in sorted(np.concatenate(places))] == np.repeat(np.arange(5), 4).tolist()
    assert sum(len(line.get_xdata()) for line in by_value.lines if line.get_marker() in ("o", "D")) == 20


@pytest.mark.thorough
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
    sizes = [item.num_params for item in outcome.trained]
    assert outcome.tau_size == pytest.approx(stats.kendalltau(scores, sizes).statistic)
    assert outcome.tau_low <= outcome.tau <= outcome.tau_high


def test_the_interval_of_tau_is_that_of_the_resamples_one_by_one(outcome_of):
    outcome = outcome_of()
    scores, values = np.array([(item.score, item.table_value) for item in outcome.trained]).T
    draws = np.random.Generator(np.random.PCG64(0)).integers(20, size=(2_000, 20))
    one_by_one = [stats.kendalltau(scores[draw], values[draw]).statistic for draw in draws[:200]]
    signs = [np.sign(np.subtract.outer(side, side)) for side in (scores, values)]
    counts = np.array([np.bincount(draw, minlength=20) for draw in draws], dtype=float)
    resampled = _tau_b(*signs, counts)
    assert resampled[:200] == pytest.approx(one_by_one)
    assert (outcome.tau_low, outcome.tau_high) == pytest.approx(tuple(np.quantile(resampled, (0.025, 0.975))))


def test_tau_of_many_architectures_needs_little_memory():
    first = np.random.default_rng(0).normal(size=400)
    tracemalloc.start()
    try:
        _tau(first, first + 1.0)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()


def test_tau_is_indicative_below_ten_architectures(task, outcome_of):
    outcome = outcome_of(top=3, kind="random", num_controls=1, training_seeds=3)
    assert len(outcome.trained) == 6
    assert ", indicative" in verification_table(outcome, task).caption
    assert not math.isnan(outcome.tau)
