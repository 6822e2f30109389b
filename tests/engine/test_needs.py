"""A strategy gets everything that it declares to need, or one line that names the missing thing and the way to it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nasbench_harness import Needs, Proposals, Protocol, Strategy, declare
from nasbench_harness.engine.needs import check_needs
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table


class Needy(Strategy):
    """Proposes nothing."""

    def ask(self, idle):
        return Proposals(np.full(len(idle), -1))

    def tell(self, results):
        pass


@pytest.fixture
def needing(monkeypatch):
    def make(**needs):
        monkeypatch.setattr(Needy, "needs", Needs(**needs))
        return resolve(StrategyRef(Needy, "Needy"))

    return make


@pytest.fixture
def installed(monkeypatch):
    """Packages that are installed, as far as the check can see."""
    names = set()
    monkeypatch.setattr("nasbench_harness.engine.needs.find_spec", lambda name: name if name in names else None)
    return names


@pytest.fixture(scope="module")
def curves():
    """A task whose table has three fidelities and two search metrics."""
    space = ProductSpace("two", [["a", "b"]] * 2)
    values = np.arange(12.0).reshape(4, 1, 3)
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search", 1.0), values),
        "latency_ms": MetricArray(Metric("latency_ms", "ms", "minimize", "search", 1.0), values[:, :, ::-1]),
    }
    dataset = Dataset("Set", space, columns, (1, 3, 9))
    return make_task(Table("two", {"set": dataset}, Provenance("made here", "1", "MIT"), digest="0" * 64), "set")


def refusal(spec, view):
    with pytest.raises(InvalidInputError) as refused:
        check_needs(spec, view)
    (line,) = str(refused.value).splitlines()
    return line


def test_nothing_is_needed_by_default(needing, installed, tiny):
    check_needs(needing(), tiny.under(Protocol()))


def test_torch(needing, installed, tiny):
    spec, view = needing(torch=True), tiny.under(Protocol())
    assert refusal(spec, view) == (
        "strategy Needy needs torch, which is not installed: pip install torch nas-bench-201 animal-shape-mnist"
    )
    installed.add("torch")
    check_needs(spec, view)


def test_packages(needing, installed, tiny):
    spec, view = needing(packages=("pymoo", "optuna")), tiny.under(Protocol())
    assert refusal(spec, view) == "strategy Needy needs pymoo, which is not installed: pip install pymoo"
    installed.add("pymoo")
    assert refusal(spec, view) == "strategy Needy needs optuna, which is not installed: pip install optuna"
    installed.add("optuna")
    check_needs(spec, view)


def test_several_objectives(needing, curves):
    spec, fidelity = needing(num_objectives=2), 9
    assert refusal(spec, curves.under(Protocol(fidelity=fidelity))) == (
        "strategy Needy needs 2 objectives, and the protocol gives task two-set 1 (val_accuracy): name more with "
        "objectives, e.g. --objectives val_accuracy,params_m, or leave the strategy out"
    )
    both = Protocol(fidelity=fidelity, objectives=("val_accuracy", "latency_ms"))
    check_needs(spec, curves.under(both))
    assert "needs 3 objectives" in refusal(needing(num_objectives=3), curves.under(both))


def test_fidelities(needing, tiny, curves):
    spec = needing(fidelities=True)
    assert refusal(spec, tiny.under(Protocol())) == (
        "strategy Needy needs several fidelities, and the table of task tiny-set has one: choose a task whose table "
        "has several, e.g. tiny201-animals8 with fidelity=all"
    )
    assert refusal(spec, curves.under(Protocol(fidelity=3))) == (
        "strategy Needy needs several fidelities, and the protocol reads task two-set at 3 epochs only: use "
        "fidelity=all, or leave the strategy out"
    )
    dataset = replace(curves.table.datasets["set"], default_fidelity=9)
    declared = make_task(replace(curves.table, datasets={"set": dataset}), "set")
    assert refusal(spec, declared.under(Protocol())) == (
        "strategy Needy needs several fidelities, and by default task two-set is read at 9 epochs only: use "
        "fidelity=all, or leave the strategy out"
    )
    for fidelity in ("all", "1,9"):
        check_needs(spec, curves.under(Protocol(fidelity=fidelity)))


def test_training_data(needing, tiny):
    spec, view = needing(training_data=True), tiny.under(Protocol())
    assert refusal(spec, view) == (
        "strategy Needy needs training data, and the study has none: name images with --data or --data-dir"
    )
    check_needs(spec, view, SimpleNamespace(refusal=lambda task: ""))
    with pytest.raises(InvalidInputError, match=r"^strategy Needy needs other training data: not tiny-set$"):
        check_needs(spec, view, SimpleNamespace(refusal=lambda task: f"not {task}"))


def test_proxies(needing, tiny):
    spec = needing(proxies=True)
    assert refusal(spec, tiny.under(Protocol())) == (
        "strategy Needy needs training-free scores, and the table of task tiny-set has none: leave the strategy out"
    )
    check_needs(spec, load_task("nb201-cifar10").under(Protocol()))


def test_sources(needing, tiny, monkeypatch):
    spec, view = needing(sources=True), tiny.under(Protocol())
    assert refusal(spec, view) == (
        "strategy Needy needs sources, and the protocol names none for task tiny-set: name other tasks of its space, "
        "--sources A,B --source-evaluations N, or leave the strategy out"
    )
    monkeypatch.setattr(TaskView, "sources", ("another",))
    check_needs(spec, view)


def test_generators_declare_needs_and_have_one_worker(installed, tiny):
    @declare(needs=Needs(torch=True))
    def search(problem, rng):
        yield 0

    spec = resolve(StrategyRef(search))
    assert "needs torch, which is not installed" in refusal(spec, tiny.under(Protocol()))
    installed.add("torch")
    check_needs(spec, tiny.under(Protocol()))
    assert "is a generator, which has one evaluation under way: it cannot use 2 workers" in refusal(
        spec, tiny.under(Protocol(workers=2))
    )


def test_needs_must_be_of_their_class(needing, tiny, monkeypatch):
    spec = needing()
    monkeypatch.setattr(Needy, "needs", {"torch": True})
    assert refusal(spec, tiny.under(Protocol())) == "strategy Needy: needs must be Needs(…), not {'torch': True}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"num_objectives": "2"}, "must be an integer, got '2'"), ({"packages": "torch"}, "tuple of names, got 'torch'")],
)
def test_needs_of_another_kind_are_refused_where_they_are_written(fields, message):
    with pytest.raises(TypeError, match=message):
        Needs(**fields)
