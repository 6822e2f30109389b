"""Other processes play the same traces: recommendations too, and with the tasks in another order."""

import numpy as np
import pytest

from nasbench_harness.evaluation.task import load_task
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.testing import StrategyContract, elsewhere
from nasbench_harness.testing.contract import BrokenContractError
from nasbench_harness.testing.traces import digest, trace_of

SEARCHES = """
import functools
from nasbench_harness import Proposal

FOUND = {}


@functools.cache
def found_before(task):
    return [min(losses, key=losses.get) for name, losses in FOUND.items() if name != task]


def remembers(problem, rng):
    for architecture in found_before(problem.task):
        yield architecture
    losses = FOUND.setdefault(problem.task, {})
    while True:
        evaluation = yield problem.space.sample(rng)
        losses[evaluation.architecture] = evaluation.loss


def recommends_by_hash(problem, rng):
    names = set()
    recommended = None
    while True:
        evaluation = yield Proposal(problem.space.sample(rng), recommendation=recommended)
        names.add(problem.space.to_string(evaluation.architecture))
        recommended = problem.space.from_string(next(iter(names)))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["remembers", "recommends_by_hash"])
def test_memory_of_other_tasks_and_recommendations_by_hash_are_seen(tmp_path, monkeypatch, name):
    (tmp_path / "forgetless.py").write_text(SEARCHES)
    monkeypatch.syspath_prepend(tmp_path)
    members = {"strategy": f"forgetless:{name}", "tasks": ("nb201-cifar10", "nb201-cifar100"), "evaluations": 10}
    contract = type("Mutant", (StrategyContract,), members)()
    with pytest.raises(BrokenContractError, match="with its tasks in any order"):
        contract.test_another_process_and_hash_seed_give_the_same_trace()


@pytest.mark.parametrize("name", ["fidelity", "recommended"])
def test_the_digest_holds_fidelities_and_recommendations(name):
    spec = resolve(StrategyRef("random-search"))
    rows = trace_of(spec, load_task("nb201-cifar10"), np.arange(1), {"evaluations": 3})[0]
    one, other = ({**rows, name: np.array([0, 0, last])} for last in (1, 2))
    assert digest([rows]) != digest([one]) != digest([other])


@pytest.mark.thorough
def test_prints_at_the_end_of_a_process_are_no_answer(tmp_path, monkeypatch):
    (tmp_path / "waves.py").write_text(
        "import atexit\n"
        "atexit.register(print, 'bye')\n"
        "def search(problem, rng):\n"
        "    while True:\n"
        "        yield problem.space.sample(rng)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("atexit.register", lambda *_: None)  # in this process only
    monkeypatch.setattr(elsewhere, "_HASH_SEEDS", ("1",))
    members = {"strategy": "waves:search", "tasks": ("nb201-cifar10",), "evaluations": 5}
    type("Waves", (StrategyContract,), members)().test_another_process_and_hash_seed_give_the_same_trace()
