"""Instances: runs see the space under labels of their own, and nothing but the strategy sees labels."""

import numpy as np
import pytest

from nasbench_harness import (
    InvalidInputError,
    Needs,
    Proposals,
    Protocol,
    Strategy,
    compare,
    declare,
    load_task,
    record,
)
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.instances import Labels
from nasbench_harness.spaces import NASBench201Space, ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve

TASK = "nb201-cifar10"
SPACE = NASBench201Space()
SEEDS = np.array([3, 0, 41])


@pytest.fixture
def labels():
    return Labels(SPACE, 0, SEEDS)


def rows(strategy, seeds=SEEDS, task=TASK, **protocol):
    """Columns of the runs, shape (num_runs, num_rows)."""
    rules = Rules(Protocol(**{"evaluations": 4, "instances": "relabel", **protocol}), 0)
    batch = run_seeds(resolve(StrategyRef(strategy)), load_task(task), rules, np.asarray(seeds))
    return {name: column.T for name, column in batch.trace.columns().items()}


def test_labels_are_a_permutation_of_each_decisions_choices(labels):
    everything = np.tile(np.arange(15_625), (3, 1))
    own = labels.own(everything)
    for run in range(3):
        assert sorted(own[run].tolist()) == list(range(15_625))
        before, after = SPACE.choices(everything[run]), SPACE.choices(own[run])
        for decision in range(6):
            pairs = set(zip(before[:, decision].tolist(), after[:, decision].tolist(), strict=True))
            assert len(pairs) == 5
    assert np.array_equal(labels.shown(own), everything)
    assert labels.own(np.array([-1, 5, -1])).tolist()[::2] == [-1, -1]


def test_neighbors_stay_neighbors(labels):
    shown = np.random.default_rng(0).integers(0, 15_625, 3)
    of_own = np.sort(SPACE.neighbors(labels.own(shown)), axis=1)
    assert np.array_equal(np.sort(labels.own(SPACE.neighbors(shown)), axis=1), of_own)


def test_decisions_of_different_sizes_have_labels():
    space = ProductSpace("uneven", [["a", "b"], [*"vwxyz"], ["c", "d", "e"]])
    labels = Labels(space, 0, np.arange(50))
    own = labels.own(np.tile(np.arange(30), (50, 1)))
    assert (np.sort(own, axis=1) == np.arange(30)).all()
    assert len({tuple(row) for row in own.tolist()}) > 40


def test_all_runs_share_the_tables_of_the_product():
    space = ProductSpace("uneven", [["a", "b"], [*"vwxyz"], ["c", "d", "e"]])
    labels = Labels(space, 0, np.arange(3))
    views = [labels.space, *map(labels.of_run, range(3))]
    assert "_neighbor_table" not in vars(space)  # nothing is computed that nobody needs
    assert all(view._neighbor_table is space._neighbor_table for view in views)
    assert all(view._all_choices is space._all_choices for view in views)


def test_labels_are_uniform_and_independent_of_the_batch():
    own = Labels(SPACE, 0, np.arange(4_000)).own(np.zeros(4_000, dtype=int))
    counts = np.stack([np.bincount(column, minlength=5) for column in SPACE.choices(own).T])
    assert np.abs(counts - 800).max() < 130  # five standard deviations
    assert Labels(SPACE, 0, np.array([17])).own(np.array([0]))[0] == own[17]
    assert Labels(SPACE, 1, np.arange(4_000)).own(np.zeros(4_000, dtype=int)).tolist() != own.tolist()


def counts_up(problem, rng):
    """Checks that it is told about the architectures that it proposed."""
    for architecture in range(100, 200):
        evaluation = yield architecture
        assert evaluation.architecture == architecture


class CountsUp(Strategy):
    """The same in lockstep; recommends its first proposal."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.next = np.full(rng.num_runs, 100)

    def ask(self, idle):
        proposed = np.where(idle, self.next, -1)
        self.next += idle
        return Proposals(proposed)

    def tell(self, results):
        assert (results.architectures == self.next - 1).all()

    def recommend(self):
        return np.full(len(self.next), 100)


@pytest.mark.parametrize("strategy", [counts_up, CountsUp])
def test_the_trace_holds_the_architectures_and_the_strategy_sees_labels(labels, strategy):
    columns = rows(strategy)
    shown = np.tile(np.arange(100, 104), (3, 1))
    assert np.array_equal(columns["architecture"], labels.own(shown))
    for run, seed in enumerate(SEEDS.tolist()):
        alone = rows(strategy, [seed])
        assert all(
            np.array_equal(alone[name][0], columns[name][run], equal_nan=True)
            for name in ("architecture", "value_val_accuracy")
        )
    if strategy is CountsUp:
        assert np.array_equal(columns["recommended"], np.tile(labels.own(np.full(3, 100))[:, None], 4))
    values = load_task(TASK).table.column("cifar10", "val_accuracy").values
    found = values[columns["architecture"], columns["replicate"], 0]
    assert np.array_equal(found, columns["value_val_accuracy"])


def test_several_workers_are_told_labels(labels):
    columns = rows(_RemembersItsProposals, workers=3, evaluations=30)
    assert (columns["architecture"] >= 0).sum() == 90


class _RemembersItsProposals(Strategy):
    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.proposed = [set() for _ in range(rng.num_runs)]

    def ask(self, idle):
        runs = np.flatnonzero(idle)
        architectures = np.full(len(idle), -1)
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        for run in runs.tolist():
            self.proposed[run].add(int(architectures[run]))
        return Proposals(architectures)

    def tell(self, results):
        for run, architecture in enumerate(results.architectures.tolist()):
            assert architecture < 0 or architecture in self.proposed[run]


def test_free_metrics_follow_the_architecture(labels):
    own = labels.own(np.full(3, 100))
    size = load_task(TASK).problem(Protocol()).lookup("params_m", own).tolist()
    seen = []

    def of_one(problem, rng):
        seen.append(float(problem.lookup("params_m", np.array([100]))[0]))
        yield 0

    class OfMany(CountsUp):
        def ask(self, idle):
            self.read = self.problem.lookup("params_m", np.full((3, 2), 100), np.arange(3))
            seen.append(self.read.tolist())
            return super().ask(idle)

    rows(of_one, evaluations=1)
    assert seen == size
    seen.clear()
    rows(OfMany, evaluations=1)
    assert seen[0] == [[value, value] for value in size]

    class OfAll(CountsUp):
        def __init__(self, problem, rng):
            super().__init__(problem, rng)
            problem.lookup("params_m", np.arange(10))

    with pytest.raises(InvalidInputError, match=r"labels differ from run to run, so lookup needs runs="):
        rows(OfAll)


def test_sources_have_the_labels_of_the_task(labels):
    seen = []

    @declare(needs=Needs(sources=True))
    def reads(problem, rng):
        seen.append(float(problem.sources["nb201-cifar100"].evaluate(np.array([100]))[0]))
        yield 0

    rows(reads, evaluations=2, noise="mean", sources="nb201-cifar100", source_evaluations=1)
    values = load_task("nb201-cifar100").scores["val"].values[labels.own(np.full(3, 100))]
    assert seen == pytest.approx((100 - values).tolist())


def test_classes_follow_the_architecture(labels):
    seen = []

    def of_one(problem, rng):
        seen.append(problem.space.canonical(np.arange(15_625)))
        yield 0

    rows(of_one, evaluations=1)
    for run, classes in enumerate(seen):
        own = labels.own(np.arange(15_625)[None], np.array([run]))[0]
        expected = SPACE.canonical(own)
        assert (classes <= np.arange(15_625)).all()
        assert len({*zip(classes.tolist(), expected.tolist(), strict=True)}) == len(set(expected.tolist())) == 6_466

    class OfMany(CountsUp):
        def ask(self, idle):
            self.problem.space.canonical(np.arange(3))
            return super().ask(idle)

    with pytest.raises(InvalidInputError, match="isomorphism classes differ from run to run"):
        rows(OfMany)


def test_repeats_are_those_of_the_architecture():
    """A free repeat by class is found, although labels of equal functions differ from run to run."""
    columns = rows("random-search", duplicates="free", duplicates_by="class", evaluations=400)
    classes = SPACE.canonical(np.maximum(columns["architecture"], 0))
    for run in range(3):
        is_repeat = np.array([value in classes[run, :row] for row, value in enumerate(classes[run])])
        known = columns["status"][run] > 0
        assert ((columns["status"][run] == 2) == is_repeat)[known].all()
        assert is_repeat[known].any()


@declare(needs=Needs(training_data=True))
def trains(problem, rng):
    yield 0


class InTiles(CountsUp):
    tile = 2


@pytest.mark.parametrize(
    ("strategy", "task", "message"),
    [
        ("random-search", "graph-cora", "space nasbench-graph is no product of choices: leave its tasks out"),
        (trains, TASK, "uses the meaning of operations, as it trains them, and instances=relabel hides that"),
        (InTiles, TASK, "computes in tiles, which have no labels of their own"),
    ],
)
def test_what_cannot_have_labels_is_refused_before_any_run(tmp_path, strategy, task, message):
    with pytest.raises(InvalidInputError, match=message):
        compare([strategy], [task], seeds=2, evaluations=3, instances="relabel", out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_scripts_and_traces_from_elsewhere_have_no_labels(tmp_path):
    with (
        pytest.raises(InvalidInputError, match="a script names operations"),
        record("mine", task=TASK, seed=0, out=tmp_path, instances="relabel"),
    ):
        pytest.fail("the block must not start")
    study = compare(["random-search"], [TASK], seeds=10, evaluations=3, instances="relabel", out=tmp_path / "s")
    study.export("random-search")
    (path,) = (tmp_path / "s" / "export").glob("*.csv")
    with pytest.raises(InvalidInputError, match="a trace from elsewhere was made without"):
        study.add_trace(path, "again")


@pytest.mark.thorough
def test_instances_are_part_of_the_identity_and_of_the_caption(tmp_path):
    options = {"seeds": 2, "evaluations": 3}
    compare(["random-search"], [TASK], out=tmp_path / "s", **options)
    with pytest.raises(InvalidInputError, match="relabel"):
        compare(["random-search"], [TASK], out=tmp_path / "s", instances="relabel", **options)
    compare(["random-search"], [TASK], out=tmp_path / "other", instances="relabel", **options)
    text = (tmp_path / "other" / "report" / "report.md").read_text(encoding="utf-8")
    assert "choices relabeled in each run" in text
    assert "--instances relabel" in text
    (first,), (second,) = (list((tmp_path / name / "runs" / TASK).iterdir()) for name in ("s", "other"))
    assert first.name != second.name


def test_restricted_products_have_labels():
    columns = rows("regularized-evolution", task=f"{TASK}@without=none", evaluations=40)
    assert (columns["architecture"] >= 0).all()
