"""A run's trace depends on its identity only: not on its batch, the workers, the process or the hash seed."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from itertools import product

import numpy as np
import pytest
from kit.cases import fast_only

from nasbench_harness.engine.batches import Rules
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.store.segments import read_columns
from nasbench_harness.studies.batches import BatchPlan, identity
from nasbench_harness.studies.execution import execute
from nasbench_harness.studies.references import resolve

TASK = "nb201-cifar100"
STRATEGIES = ("random-search", "regularized-evolution", "local-search", "genetic-algorithm", "reinforce")
PROTOCOLS = {
    "charge": {"evaluations": 60, "noise": "per_query"},
    "free": {"evaluations": 60, "noise": "per_query", "duplicates": "free"},
    "mean": {"evaluations": 60, "noise": "mean"},
    "async": {"evaluations": 60, "workers": 8, "duplicates": "free"},
    "sync": {"evaluations": 60, "workers": 8, "mode": "sync"},
}
CASES = list(product(STRATEGIES, PROTOCOLS))
DIGESTS = """
import json, sys
from hashlib import sha256
import numpy as np
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
task, digests = load_task("%s"), {}
for strategy, name, protocol in json.load(sys.stdin):
    batch = run_seeds(resolve(StrategyRef(strategy)), task, Rules(Protocol(**protocol), 0), np.arange(7))
    rows = batch.trace.rows(slice(0, 7))
    digests[f"{strategy} {name}"] = sha256(b"".join(rows[column].tobytes() for column in sorted(rows))).hexdigest()
print(json.dumps(digests), hash("a"))
"""


@pytest.fixture(scope="module")
def task():
    return load_task(TASK)


@pytest.fixture(scope="module")
def batch_of_500(search, task):
    """Traces of seeds 0 … 499, by (strategy, protocol)."""
    return {(strategy, name): search(strategy, range(500), task, **PROTOCOLS[name]) for strategy, name in CASES}


@pytest.mark.parametrize(
    ("strategy", "name"), fast_only(CASES, [case for case in CASES if case[1] in ("charge", "async")])
)
def test_alone_in_a_batch_of_7_and_of_500(search, task, batch_of_500, assert_same, strategy, name):
    together = batch_of_500[strategy, name]
    for seed in (0, 1, 6, 99, 100, 313, 499):
        (alone,) = search(strategy, [seed], task, **PROTOCOLS[name])
        assert_same(alone, together[seed])
    for seed, trace in enumerate(search(strategy, range(7), task, **PROTOCOLS[name])):
        assert_same(trace, together[seed])
    seeds = [313, 5, 499, 100, 6, 0, 77]
    for seed, trace in zip(seeds, search(strategy, seeds, task, **PROTOCOLS[name]), strict=True):
        assert_same(trace, together[seed])


@pytest.mark.thorough
@pytest.mark.parametrize("name", PROTOCOLS)
def test_with_one_and_with_two_jobs(task, batch_of_500, tmp_path, name):
    rules = Rules(Protocol(**PROTOCOLS[name]), study_seed=0)
    specs = [resolve(StrategyRef(strategy)) for strategy in STRATEGIES]
    plans = [BatchPlan(spec, task, (segment,)) for spec in specs for segment in ((0, 6), (100, 149))]
    for jobs in (1, 2):
        folder = tmp_path / f"{jobs}"
        assert not any(report.failure for report in execute(plans, rules, folder, jobs))
        for spec in specs:
            for first, last in ((0, 6), (100, 149)):
                path = StudyFolder(folder).segment_path(identity(spec, task, rules), first, last)
                expected = batch_of_500[spec.reference, name][first : last + 1]
                for column in expected[0].keys() - {"run"}:
                    stored = read_columns(path, [column])[column]
                    assert stored.tobytes() == np.concatenate([trace[column] for trace in expected]).tobytes(), column


def test_in_another_process_with_another_hash_seed(batch_of_500):
    cases = [(strategy, name, PROTOCOLS[name]) for strategy, name in CASES]
    answers = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS % TASK],
            input=json.dumps(cases),
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "4242")
    ]
    (first, first_hash), (second, second_hash) = (answer.rsplit(" ", 1) for answer in answers)
    assert first_hash != second_hash
    digests = json.loads(first)
    assert digests == json.loads(second)
    for strategy, name in CASES:
        traces = batch_of_500[strategy, name][:7]
        columns = [np.concatenate([trace[column] for trace in traces]).tobytes() for column in sorted(traces[0])]
        assert digests[f"{strategy} {name}"] == sha256(b"".join(columns)).hexdigest()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seeds_are_different_runs(batch_of_500, strategy):
    traces = batch_of_500[strategy, "mean"]
    assert len({trace["architecture"].tobytes() for trace in traces}) == 500


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_longer_budget_begins_with_the_shorter(search, task, batch_of_500, assert_same, strategy):
    longer = {**PROTOCOLS["charge"], "evaluations": 90}
    for trace, shorter in zip(
        search(strategy, range(7), task, **longer), batch_of_500[strategy, "charge"], strict=False
    ):
        assert_same({name: column[:60] for name, column in trace.items()}, shorter)
