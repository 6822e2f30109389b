"""Sources: search values of other tasks under their own noise, counted, and never the task's own data."""

import gc
import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation import source_tasks
from nasbench_harness.evaluation.hashing import GOLDEN, OTHER_ODD, mix, name_hash, seed_sequence_keys, to_unit
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.source_tasks import (
    answers_version,
    check_sources,
    same_data,
    source_digests,
    with_sources,
)
from nasbench_harness.evaluation.task import Task, load_task, make_task, restricted_task
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.store.identity import identity_of, study_id
from nasbench_harness.tables.metadata import metadata_of, table_from_metadata
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.testing.rules import with_fidelities

CIFAR10, CIFAR100 = "nb201-cifar10", "nb201-cifar100"


def protocol(*sources, number=50, cost="reported", **fields):
    return Protocol(sources=sources or (CIFAR100,), source_evaluations=number, source_cost=cost, **fields)


def sources_of(task=CIFAR10, num_runs=3, rules=None):
    view = load_task(task).under(rules or protocol())
    return with_sources(view.problem(), view, 0, np.arange(num_runs)).sources


def replicates(architectures, run_seeds, trainings, source):
    """The documented draw, written once more."""
    keys = seed_sequence_keys([0, name_hash("replicate"), *([name_hash(source)] if source else [])], run_seeds)
    words = architectures.astype(np.uint64) * GOLDEN + keys + trainings.astype(np.uint64) * OTHER_ODD
    return to_unit(mix(words))


def test_a_value_is_a_replicate_of_the_source_with_its_name_in_the_hash():
    sources, rows = sources_of(), np.array([[7, 7, 12], [7, 500, 500], [15_624, 0, 7]])
    losses = sources[CIFAR100].evaluate(rows)
    trainings = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    table = load_task(CIFAR100).table.column("cifar100", "val_accuracy").values[:, :, 0]
    for run, (of_run, numbers) in enumerate(zip(rows, trainings, strict=True)):
        counts = (~np.isnan(table[of_run])).sum(axis=1)
        drawn = (replicates(of_run, np.full(3, run), numbers, CIFAR100) * counts).astype(int)
        assert losses[run].tolist() == (100 - table[of_run, drawn]).tolist()
    again = sources[CIFAR100].evaluate(np.array([[7], [7], [7]]))
    later = replicates(np.full(3, 7), np.arange(3), np.array([2, 1, 1]), CIFAR100)
    assert again[:, 0].tolist() == (100 - table[7, (later * 3).astype(int)]).tolist()


def test_the_draws_of_a_source_are_not_those_of_the_task():
    architectures = np.arange(300)
    here = replicates(architectures, np.zeros(300, int), np.zeros(300), "")
    there = replicates(architectures, np.zeros(300, int), np.zeros(300), CIFAR100)
    assert abs(np.corrcoef(here, there)[0, 1]) < 0.2


def test_a_run_reads_the_same_in_any_batch():
    rows = np.array([[1, 2, 3, 3]])
    view = load_task(CIFAR10).under(protocol())
    together = with_sources(view.problem(), view, 0, np.array([4, 9])).sources[CIFAR100]
    alone = with_sources(view.problem(), view, 0, np.array([9])).sources[CIFAR100]
    assert (together.evaluate(rows, np.array([1])) == alone.evaluate(rows)).all()


@pytest.mark.parametrize("noise", ["mean", "per_run"])
def test_the_protocol_decides_about_noise(noise):
    source = sources_of(rules=protocol(noise=noise))[CIFAR100]
    first, second = source.evaluate(np.full((3, 1), 9)), source.evaluate(np.full((3, 1), 9))
    assert (first == second).all()
    if noise == "mean":
        assert first[0, 0] == pytest.approx(100 - load_task(CIFAR100).scores["val"].values[9])


def test_reads_are_counted_per_run_and_bounded_over_all_sources():
    sources = sources_of(rules=protocol(CIFAR100, "nb201-imagenet16-120", number=5))
    assert list(sources) == [CIFAR100, "nb201-imagenet16-120"]
    sources[CIFAR100].evaluate(np.array([[1, 2], [3, 4]]), np.array([0, 2]))
    sources["nb201-imagenet16-120"].evaluate(np.array([[8, 9, 10]]), np.array([2]))
    assert sources.left.tolist() == [3, 5, 0]
    assert sources.reads.counts[CIFAR100].tolist() == [2, 0, 2]
    cost = load_task(CIFAR100).table.column("cifar100", "train_cost_s").values[:, :, 0]
    assert np.nanmin(cost[[1, 2]], axis=1).sum() <= sources.reads.seconds[0] <= np.nanmax(cost[[1, 2]], axis=1).sum()
    with pytest.raises(InvalidInputError, match="asks for 1 evaluations, and 0 of its 5 source evaluations are left"):
        sources[CIFAR100].evaluate(np.array([[1]]), np.array([2]))
    assert sources.left.tolist() == [3, 5, 0], "a refused read changes nothing"


def test_a_generator_reads_for_its_run_alone():
    whole = sources_of()
    mine = whole.of_run(1)
    assert mine.left == 50
    assert mine[CIFAR100].evaluate(np.arange(6).reshape(2, 3)).shape == (2, 3)
    assert mine[CIFAR100].evaluate(4).shape == ()
    assert (mine.left, whole.left.tolist()) == (43, [50, 43, 50])
    with pytest.raises(InvalidInputError, match="leave runs out"):
        mine[CIFAR100].evaluate(np.arange(2), np.array([0, 1]))


def test_wrong_shapes_and_indices_are_refused():
    source = sources_of()[CIFAR100]
    with pytest.raises(InvalidInputError, match=r"runs of shape \(3,\) for architectures of shape \(2, 4\)"):
        source.evaluate(np.zeros((2, 4), dtype=int))
    with pytest.raises(InvalidInputError, match="architecture index 15625 is outside"):
        source.evaluate(np.full((3, 1), 15_625))
    with pytest.raises(InvalidInputError, match="run index 3 is outside"):
        source.evaluate(np.zeros((1, 1), dtype=int), np.array([3]))


@pytest.mark.parametrize("indices", [[1.5, 2.0], [True, False], [np.nan]])
def test_indices_are_whole_numbers(indices):
    with pytest.raises(InvalidInputError, match="architectures are whole numbers, not"):
        sources_of().of_run(0)[CIFAR100].evaluate(indices)


def test_no_run_reads_in_the_place_of_another():
    mine = sources_of().of_run(1)
    assert list(mine.of_run(1)) == [CIFAR100]
    with pytest.raises(InvalidInputError, match="no run reads in the place of another"):
        mine.of_run(0)


def test_a_task_is_never_its_own_source():
    assert load_task(CIFAR10).under(protocol(CIFAR10, CIFAR100)).sources == (CIFAR100,)
    assert list(source_digests(load_task(CIFAR10), protocol(CIFAR10, CIFAR100))) == [CIFAR100]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "graph-cora",
            r"graph-cora has another search space \(26,206 architectures\) than task nb201-cifar10 \(15,625",
        ),
        ("nb201-cifar100@without=none", "has another search space"),
        ("trained-animals8", "trained-animals8 has no table" if find_spec("torch") else "training needs torch"),
    ],
)
def test_unusable_sources_are_refused(source, message):
    with pytest.raises(InvalidInputError, match=message) as refused:
        sources_of(rules=protocol(source))
    assert len(str(refused.value).splitlines()) == 1


def test_a_source_with_one_fidelity_is_read_there_if_the_task_has_several():
    several = with_fidelities(load_task(CIFAR10)).under(protocol(fidelity="all", continuation="restart"))
    sources = with_sources(several.problem(), several, 0, np.arange(1)).sources
    once = sources_of(num_runs=1)[CIFAR100].evaluate(np.array([[3, 4]]))
    assert sources[CIFAR100].evaluate(np.array([[3, 4]])).tolist() == once.tolist()
    with pytest.raises(InvalidInputError, match="task nb201-cifar100 has no fidelity of 9 epochs"):
        with_sources(several.problem(), replace(several, protocol=protocol(fidelity=9)), 0, np.arange(1))


def test_unknown_sources_are_refused():
    with pytest.raises(UnknownNameError, match="nb201-cifar1000"):
        sources_of(rules=protocol("nb201-cifar1000"))


def small_task(name, values, data=(), has_cost=False, space="small", separator=":"):
    space = ProductSpace(space, [["a", "b", "c"]] * 2, separator=separator)
    columns = {"val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.01), values)}
    if has_cost:
        columns["train_cost_s"] = MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), np.ones((9, 1, 1)))
    dataset = Dataset("Set", space, columns, data=data)
    return make_task(Table(name, {"set": dataset}, Provenance("made here", "1", "MIT"), digest="0" * 64), "set")


@pytest.fixture
def in_memory(monkeypatch):
    """Tasks that are found by their names."""
    tasks = {}
    monkeypatch.setattr(source_tasks, "open_named_task", tasks.__getitem__)
    return tasks


VALUES = np.arange(30.0, 39.0)[:, None, None]


def test_the_own_data_under_another_name_are_refused(in_memory):
    in_memory["union-set"] = small_task("union", VALUES[::-1] + 5, data=("svhn", "cifar10"))
    target = small_task("one", VALUES, data=("cifar10",)).under(protocol("union-set"))
    with pytest.raises(
        InvalidInputError, match=r"^source union-set is the data of task one-set under another name \(cifar10\): leave"
    ):
        with_sources(target.problem(), target, 0, np.arange(1))
    in_memory["union-set"] = small_task("union", VALUES[::-1] + 5, data=("svhn",))
    with_sources(target.problem(), target, 0, np.arange(1))
    in_memory["union-set"] = small_task("union", VALUES[::-1] + 5)  # only the same name of the data set tells
    with pytest.raises(InvalidInputError, match=r"under another name \(set\)"):
        check_sources([small_task("one", VALUES).under(protocol("union-set"))])


def test_a_copy_of_the_values_is_refused_before_any_run(in_memory):
    in_memory["copy-set"] = small_task("copy", VALUES[::-1], data=("elsewhere",))
    view = small_task("one", VALUES).under(protocol("copy-set"))
    with pytest.raises(
        InvalidInputError, match="copy-set holds, in this or another order, the very values of task one-set"
    ):
        check_sources([view])
    in_memory["copy-set"] = small_task("copy", VALUES[::-1] + 0.01, data=("elsewhere",))
    check_sources([view])


def test_spaces_may_have_names_of_their_own(in_memory):
    in_memory["one-set"] = small_task("one", VALUES, data=("svhn",))
    in_memory["other-set"] = small_task("other", VALUES[::-1] + 0.01, data=("elsewhere",), space="other")
    in_memory["named-set"] = small_task("named", VALUES[::-1], data=("svhn",), space="other")
    check_sources([in_memory["one-set"].under(protocol("other-set"))])
    assert same_data("one-set", "named-set") == "is the data of named-set under another name (svhn)"
    smaller = {f"{name}@without=c": restricted_task(in_memory[name].table, "set", "c") for name in in_memory}
    in_memory.update(smaller)
    check_sources([in_memory["one-set@without=c"].under(protocol("other-set@without=c"))])
    in_memory["dashed-set"] = small_task("dashed", VALUES[::-1] + 0.02, data=("elsewhere",), separator="-")
    check_sources([in_memory["one-set"].under(protocol("dashed-set"))])


def test_coarse_values_that_agree_by_chance_are_no_copy(in_memory):
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(9, 1, 1))
    ours, theirs = (np.round(90 + 0.4 * (quality + rng.normal(size=(9, 1, 1)))) for _ in range(2))
    assert (ours == theirs).mean() > 0.6
    assert not np.array_equal(np.sort(ours, axis=None), np.sort(theirs, axis=None))
    in_memory["coarse-set"] = small_task("coarse", theirs, data=("elsewhere",))
    check_sources([small_task("one", ours).under(protocol("coarse-set"))])


def test_a_copy_on_another_scale_or_of_some_rows_is_refused_before_any_run(in_memory):
    values = np.random.default_rng(0).uniform(50, 90, (9, 3, 1)).round(2)
    view = small_task("one", values).under(protocol("copy-set"))
    part = np.where(np.arange(9)[:, None, None] < 5, values[:, 1:2], 1.0 + np.arange(9)[:, None, None])
    for copy, message in (
        (values / 3 + 7, "orders the architectures exactly like task one-set"),
        (values.mean(axis=1, keepdims=True) ** 2, "orders the architectures exactly like task one-set"),
        (part, "has values in common, for 56% of the architectures, with task one-set"),
    ):
        in_memory["copy-set"] = small_task("copy", copy, data=("elsewhere",))
        with pytest.raises(InvalidInputError, match=f"^source copy-set {message}: leave it out$"):
            check_sources([view])


def test_two_tasks_hold_the_same_data_by_name_or_by_values(in_memory):
    in_memory["one-set"] = small_task("one", VALUES, data=("svhn",))
    in_memory["named-set"] = small_task("named", VALUES[::-1] + 5, data=("cifar10", "svhn"))
    in_memory["other-set"] = small_task("other", VALUES[::-1] * 2 + 5, data=("elsewhere",))
    in_memory["copy-set"] = small_task("copy", VALUES * 2 + 5, data=("elsewhere",))
    assert same_data("one-set", "named-set") == "is the data of named-set under another name (svhn)"
    assert same_data("one-set", "copy-set") == "orders the architectures exactly like copy-set"
    assert same_data("one-set", "other-set") == ""


def test_tasks_of_other_spaces_hold_other_data():
    assert same_data("nb201-cifar10", "graph-cora") == ""


def test_no_data_sets_of_the_packages_count_as_copies():
    for tasks in (["nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120"], ["graph-cora", "graph-citeseer"]):
        check_sources([load_task(name).under(protocol(*tasks)) for name in tasks])


def test_cost_that_cannot_be_charged_is_refused(in_memory):
    in_memory["free-set"] = small_task("free", VALUES[::-1] + 1, data=("elsewhere",))
    target = small_task("one", VALUES, has_cost=True)
    with pytest.raises(InvalidInputError, match="free-set has no training times to charge, and task one-set has"):
        check_sources([target.under(protocol("free-set", cost="charged"))])
    check_sources([target.under(protocol("free-set"))])
    check_sources([small_task("one", VALUES).under(protocol("free-set", cost="charged"))])


def test_names_of_data_are_kept_in_the_metadata():
    table = small_task("one", VALUES, data=("cifar10", "svhn")).table
    written = metadata_of(table, {"set.val_accuracy.npy": "0" * 64})
    assert written["datasets"]["set"]["data"] == ["cifar10", "svhn"]
    assert (
        "data"
        not in metadata_of(small_task("one", VALUES).table, {"set.val_accuracy.npy": "0" * 64})["datasets"]["set"]
    )
    read = table_from_metadata(json.dumps(written), "0" * 64, lambda metric, _: MetricArray(metric, VALUES))
    assert read.datasets["set"].data == ("cifar10", "svhn")


def test_nothing_of_a_source_leads_to_test_values_or_scores():
    """Objects that a strategy could follow from its problem."""
    rules = protocol("graph-citeseer", "graph-pubmed")
    view = load_task("graph-cora").under(rules)
    problem = with_sources(view.problem(), view, 0, np.arange(2))
    seen, waiting = {}, [problem.sources]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ in ("module", "function", "builtin"):
            continue
        seen[id(item)] = item
        waiting += [found for found in gc.get_referents(item) if not isinstance(found, dict) or "__name__" not in found]
    kinds = (Task, TaskView, Table, Dataset, ScoreView)
    assert [item for item in seen.values() if isinstance(item, kinds)] == []
    arrays = [item for item in seen.values() if isinstance(item, np.ndarray) and item.dtype.kind == "f"]
    assert len(arrays) > 2
    for name in ("cora", "citeseer", "pubmed"):
        secret = load_task(f"graph-{name}").table.column(name, "test_accuracy").values.ravel()
        assert not any(np.isin(secret, array).mean() > 0.99 for array in arrays if array.size >= secret.size)
    own = load_task("graph-cora").scores["val"].values
    assert not any(array.size == own.size and np.allclose(array.ravel(), own) for array in arrays)


def test_sources_change_no_identity_unless_they_are_declared():
    assert study_id(Protocol(), 0) == study_id(replace(Protocol(), source_cost="charged"), 0)
    assert "source" not in Protocol().identity()
    plain = identity_of("x", {}, CIFAR10, "digest", Protocol(), 0)
    assert "sources" not in plain
    assert identity_of("x", {}, CIFAR10, "digest", Protocol(), 0, sources={}) == plain
    declared = identity_of("x", {}, CIFAR10, "digest", protocol(), 0, sources={CIFAR100: "other"})
    assert declared["sources"] == {CIFAR100: "other"}
    assert '"sources": ["nb201-cifar100"]' in declared["protocol"]


def test_other_answers_of_a_source_make_other_runs_unless_means_are_read(monkeypatch):
    task, source = load_task(CIFAR10), load_task(CIFAR100)
    assert answers_version(task.under(protocol())) == 1
    monkeypatch.setattr(source.under(Protocol()).oracle, "version", 2)
    assert answers_version(task.under(protocol())) == answers_version(source.under(Protocol())) == 2
    assert answers_version(task.under(Protocol())) == 1
    assert (
        answers_version(task.under(protocol(noise="mean")))
        == answers_version(source.under(Protocol(noise="mean")))
        == 1
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sources": [CIFAR10]}, "sources need source_evaluations"),
        ({"source_evaluations": 5}, "source_evaluations needs sources"),
        ({"source_cost": "free"}, "source_cost needs sources"),
        ({"sources": [CIFAR10], "source_evaluations": 0}, "source_evaluations must be a whole number in 1 … 1,000,000"),
        ({"sources": [CIFAR10], "source_evaluations": 200}, "must be below the 200 evaluations of a run"),
        ({"sources": [CIFAR10], "source_evaluations": 5, "epochs": 9}, "not epochs"),
        ({"sources": 7, "source_evaluations": 5}, "sources must be a text with commas or a list of texts"),
    ],
)
def test_impossible_fields_are_refused(fields, message):
    with pytest.raises(InvalidInputError, match=message):
        Protocol(**fields)


def test_cost_is_charged_unless_something_else_is_declared():
    """A source costs nothing only under the word free, which stands in every caption."""
    assert Protocol(sources=[CIFAR10], source_evaluations=5).source_cost == "charged"
    assert (
        "up to 5 evaluations of the sources nb201-cifar10 (charged)"
        in protocol(CIFAR10, number=5, cost="charged").describe()
    )
    assert protocol(CIFAR10, cost="free").describe().endswith("of the sources nb201-cifar10 (free)")
    with pytest.raises(UnknownNameError, match="none"):
        protocol(cost="none")


def test_sources_are_a_set_however_they_are_written():
    texts = ("b,a", ["a", "b"], ("b", "a", "a"))
    assert {Protocol(sources=text, source_evaluations=3).sources for text in texts} == {("a", "b")}
    restricted = f"{CIFAR100}@without=none,skip_connect,{CIFAR10}"
    assert Protocol(sources=restricted, source_evaluations=3).sources == (
        CIFAR10,
        f"{CIFAR100}@without=none,skip_connect",
    )
