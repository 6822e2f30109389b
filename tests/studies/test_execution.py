"""Batches are planned within their memory, run here or in workers, stored, and fail alone."""

import json
import pickle
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kit.cases import fast_first
from loky import get_reusable_executor
from loky.process_executor import BrokenProcessPool

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.needs import check_needs
from nasbench_harness.engine.strategy import Needs, Proposals, Strategy
from nasbench_harness.engine.streams import RunStream, stream_keys
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.store.seed_ranges import missing_seeds
from nasbench_harness.store.segments import read_columns, read_record
from nasbench_harness.studies.batches import BatchPlan, SentPlan, identity, plan_batches
from nasbench_harness.studies.execution import execute
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.studies.replay import ReplayedTrace, RunRows, TraceRows
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

MEMORY = 32 * 2**20  # bytes of a batch's visit counts
ROWS = 2_000_000  # rows of a batch's trace


@pytest.fixture(scope="module")
def cifar100():
    return load_task("nb201-cifar100")


@pytest.fixture(scope="module")
def cache(tiny, tmp_path_factory):
    """A cache that holds the tiny table."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(folder))
        register_table(tiny.table)
    return folder


@pytest.fixture
def named(cache, monkeypatch):
    """The tiny task under its name, as workers open it."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(cache))
    load_table.cache_clear()
    yield load_task("tiny-set")
    load_table.cache_clear()


@pytest.fixture(scope="module")
def random_search():
    return resolve(StrategyRef("random-search"))


@pytest.fixture
def written(tmp_path, monkeypatch):
    """``written.py`` in the current folder: a search that fails, one that does not, one whose process dies."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("written_strategies.py").write_text(
        "def fails(problem, rng):\n"
        "    yield rng.integers(problem.space.num_architectures)\n"
        "    raise RuntimeError('out of ideas')\n"
        "def works(problem, rng):\n"
        "    while True:\n"
        "        yield rng.integers(problem.space.num_architectures)\n"
        "def kills(problem, rng):\n"
        "    yield rng.integers(problem.space.num_architectures)\n"
        "    import os\n"
        "    os._exit(1)\n"
        "def kills_some(problem, rng):\n"
        "    if rng.uniform() < 0.3:\n"
        "        yield from kills(problem, rng)\n"
        "    yield from works(problem, rng)\n"
        "def kills_once(problem, rng):\n"
        "    from pathlib import Path\n"
        "    if rng.uniform() < 0.3 and not Path('killed').exists():\n"
        "        Path('killed').touch()\n"
        "        yield from kills(problem, rng)\n"
        "    yield from works(problem, rng)\n"
        "def kills_late(problem, rng):\n"
        "    import time\n"
        "    time.sleep(1)\n"
        "    yield from kills(problem, rng)\n"
    )
    yield "written_strategies"
    sys.modules.pop("written_strategies", None)


@pytest.fixture
def _fresh_workers():
    """No worker processes of earlier studies, nor any left behind."""
    get_reusable_executor(max_workers=2).shutdown(wait=True)
    yield
    get_reusable_executor(max_workers=2).shutdown(wait=True)


def cells(num_seeds):
    return missing_seeds([], num_seeds)


@pytest.mark.parametrize("evaluations", [50, 200, 3_000, 15_000])
@pytest.mark.parametrize("num_seeds", [1, 99, 100, 250, 5_000])
def test_batches_stay_within_their_memory(cifar100, random_search, evaluations, num_seeds):
    ranges = cells(num_seeds)
    plans = plan_batches(random_search, cifar100, ranges, Protocol(evaluations=evaluations))
    assert [segment for plan in plans for segment in plan.segments] == ranges
    for plan in plans:
        num_runs = len(plan.run_seeds)
        assert num_runs * 15_625 * 2 <= MEMORY
        assert num_runs * evaluations <= ROWS


def test_batches_are_as_large_as_their_memory_allows(cifar100, random_search):
    plans = plan_batches(random_search, cifar100, cells(5_000), Protocol(evaluations=200))
    assert [len(plan.run_seeds) for plan in plans] == [1_000] * 5
    plans = plan_batches(random_search, cifar100, cells(1_000), Protocol(evaluations=10_000))
    assert [len(plan.run_seeds) for plan in plans] == [200] * 5


@pytest.mark.parametrize(
    "rules", [{"fidelity": "all"}, {"fidelity": 1, "duplicates": "free", "duplicates_by": "class"}]
)
def test_large_spaces_run_parts_of_a_segment_at_a_time(random_search, rules):
    space = ProductSpace("large", [[str(choice) for choice in range(70)]] * 3)
    values = np.arange(2.0 * space.num_architectures).reshape(-1, 1, 2)
    column = MetricArray(Metric("val_loss", "nats", "minimize", "search"), values)
    table = Table("large", {"one": Dataset("One", space, {"val_loss": column}, (1, 2))}, Provenance("here", "1", "MIT"))
    task, protocol = make_task(table, "one"), Protocol(**rules)
    plans = plan_batches(random_search, task, cells(150), protocol)
    assert np.concatenate([plan.run_seeds for plan in plans]).tolist() == list(range(150))
    num_runs = max(len(plan.run_seeds) for plan in plans)
    ledger = Ledger(task, protocol, 0, np.arange(num_runs))
    parts = [part for owner in (ledger, ledger._trainings) if owner is not None for part in vars(owner).values()]
    num_slots = num_runs * space.num_architectures
    num_bytes = sum(part.nbytes for part in parts if isinstance(part, np.ndarray) and part.size == num_slots)
    assert 0.8 * MEMORY <= num_bytes <= MEMORY


def test_a_large_budget_still_runs_a_segment_at_a_time(cifar100, random_search):
    plans = plan_batches(random_search, cifar100, cells(250), Protocol(evaluations=70_000))
    assert [plan.segments for plan in plans] == [((0, 99),), ((100, 199),), ((200, 249),)]


def test_the_largest_budgets_run_a_part_of_a_segment_at_a_time(cifar100, random_search):
    plans = plan_batches(random_search, cifar100, cells(101), Protocol(evaluations=400_000))
    assert [plan.segments for plan in plans] == [((0, 49),), ((50, 99),), ((100, 100),)]


def test_segments_need_not_be_neighbors(tiny, random_search):
    (plan,) = plan_batches(random_search, tiny, [(60, 99), (300, 301)], Protocol())
    assert plan.run_seeds.tolist() == [*range(60, 100), 300, 301]
    assert plan_batches(random_search, tiny, [], Protocol()) == []


def all_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def specs_of(*texts):
    return [resolve(parse_strategy(text)) for text in texts]


def run_study(specs, task, rules, folder, jobs, ranges=((0, 99), (100, 119))):
    plans = [BatchPlan(spec, task, (segment,)) for spec in specs for segment in ranges]
    return list(execute(plans, rules, folder, jobs))


def test_a_plan_travels_without_arrays_and_paths(cifar100, random_search, tmp_path):
    """Name and digest stand for the task; the rows of a trace are read from the study's folder."""
    seeds, num_rows = np.arange(500), 500 * 200
    rows = RunRows.from_rows(
        np.repeat(seeds, 200), np.arange(num_rows) % 15_625, np.zeros(num_rows, int), np.zeros(num_rows)
    )
    trace = TraceRows({cifar100.name: rows}, str(tmp_path / "runs.csv"))
    record = trace.record("mine")
    assert len(pickle.dumps(trace)) > 1_000_000
    study = StudyFolder(tmp_path)
    trace.write(study.trace_path(record.sha256))
    for spec in (random_search, ReplayedTrace.of(record, trace)):
        (plan,) = plan_batches(spec, cifar100, [(0, 99)], Protocol())
        sent = pickle.dumps(SentPlan.of(plan))
        assert len(sent) < 2_000  # 50 kB are allowed
        for path in (cifar100.table.folder, tmp_path, Path.home(), Path.cwd()):
            assert str(path).encode() not in sent
        again = pickle.loads(sent).opened(study)
        assert again.task is cifar100
        assert again.spec.source_hash == spec.source_hash
        assert again.run_seeds.tolist() == plan.run_seeds.tolist()


@pytest.mark.usefixtures("_fresh_workers")
def test_a_plan_that_a_worker_cannot_open_fails_in_one_line(named, tmp_path, random_search):
    elsewhere = replace(named, table=replace(named.table, digest="0" * 64))
    plans = [BatchPlan(random_search, task, ((0, 4),)) for task in (elsewhere, named)]
    lost, done = execute(plans, Rules(Protocol(evaluations=5), 0), tmp_path, jobs=2)
    assert "tiny-set, seeds 0-4: task tiny-set: the table here has the digest" in lost.failure
    assert "\n" not in lost.failure
    assert (lost.num_failed, done.failure, done.num_evaluations) == (5, "", 25)


def test_one_and_two_jobs_store_the_same_bytes(named, tmp_path):
    specs = specs_of("random-search", "local-search", "regularized-evolution(population_size=5,sample_size=2)")
    rules = Rules(Protocol(evaluations=30), study_seed=3)
    reports = [run_study(specs, named, rules, tmp_path / f"{jobs}", jobs) for jobs in (1, 2)]
    first, second = (all_files(tmp_path / jobs / "runs") for jobs in ("1", "2"))
    assert len(first) == 6
    assert first == second
    order = [(spec.label, count) for spec in specs for count in (100, 20)]
    for report in reports:
        assert [(batch.label, batch.num_runs) for batch in report] == order
        assert [batch.num_evaluations for batch in report] == [count * 30 for _, count in order]
        assert all(not batch.failure and batch.seconds > 0 for batch in report)


def test_stored_rows_are_those_of_the_batch(tiny, tmp_path):
    (spec,) = specs_of("local-search")
    rules = Rules(Protocol(evaluations=25), study_seed=1)
    plan = BatchPlan(spec, tiny, ((10, 12), (150, 151)))
    list(execute([plan], rules, tmp_path, jobs=1))
    rows = run_seeds(spec, tiny, rules, plan.run_seeds).trace.rows(slice(0, 5))
    folder, this = StudyFolder(tmp_path), identity(spec, tiny, rules)
    offset = 0
    for first, last in plan.segments:
        path = folder.segment_path(this, first, last)
        names = [name for name in rows if name != "run"]
        stored = read_columns(path, ["seed", *names])
        count = last - first + 1
        assert stored["seed"].tolist() == np.repeat(np.arange(first, last + 1), 25).tolist()
        chosen = (rows["run"] >= offset) & (rows["run"] < offset + count)
        for name in names:
            np.testing.assert_array_equal(stored[name], rows[name][chosen], err_msg=name)
        assert read_record(path)["identity"] == this
        assert read_record(path)["code"] == spec.source_hash
        offset += count


def test_how_runs_are_batched_changes_no_byte_of_a_segment(tiny, tmp_path):
    (spec,) = specs_of("regularized-evolution")
    rules = Rules(Protocol(evaluations=40), study_seed=0)
    segments = ((0, 99), (100, 199), (200, 204))
    list(execute([BatchPlan(spec, tiny, segments)], rules, tmp_path / "together", jobs=1))
    list(
        execute(
            [BatchPlan(spec, tiny, (segment,)) for segment in reversed(segments)], rules, tmp_path / "apart", jobs=1
        )
    )
    assert all_files(tmp_path / "together" / "runs") == all_files(tmp_path / "apart" / "runs")


@pytest.mark.usefixtures("_fresh_workers")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_strategy_is_recorded_and_the_others_go_on(named, tmp_path, written, jobs):
    specs = specs_of(f"{written}:fails", "random-search", f"works={written}:works")
    rules = Rules(Protocol(evaluations=5), study_seed=0)
    out = tmp_path / "out"
    reports = run_study(specs, named, rules, out, jobs, ranges=((0, 4),))
    assert [bool(report.failure) for report in reports] == [True, False, False]
    message = reports[0].failure
    assert message.startswith(
        f"{written}:fails on tiny-set, seeds 0-4: RuntimeError: out of ideas, at {written}.py:3 (log: "
    )
    (log,) = (out / "failures").iterdir()
    assert str(log) in message
    text = log.read_text()
    assert text.startswith(f"{written}:fails on tiny-set, seeds 0-4\nTraceback (most recent call last)")
    assert "raise RuntimeError('out of ideas')" in text
    assert len(list((out / "runs").rglob("*.parquet"))) == 2
    assert len(list((out / "timings").iterdir())) == 2
    assert not list(out.rglob("*.tmp"))


@pytest.mark.thorough
@pytest.mark.usefixtures("_fresh_workers")
def test_workers_of_an_earlier_study_find_code_of_the_folder_entered_since(named, tmp_path, random_search, written):
    rules = Rules(Protocol(evaluations=5), study_seed=0)
    run_study([random_search], named, rules, tmp_path / "earlier", jobs=2)
    reports = run_study(specs_of(f"{written}:works"), named, rules, tmp_path / "later", jobs=2)
    assert [report.failure for report in reports] == ["", ""]


@pytest.mark.thorough
@pytest.mark.usefixtures("_fresh_workers")
@pytest.mark.parametrize("kills", ["kills", "kills_late"])  # late: the others are done by then
def test_a_worker_that_dies_fails_alone(named, tmp_path, written, kills):
    # As a crash inside torch or the kernel's memory killer would end it.
    specs = specs_of("random-search", f"{written}:{kills}", f"{written}:works")
    reports = run_study(specs, named, Rules(Protocol(evaluations=5), 0), tmp_path, jobs=2, ranges=((0, 0),))
    assert [bool(report.failure) for report in reports] == [False, True, False]
    assert len(list((tmp_path / "failures").iterdir())) == 1


@pytest.mark.thorough
@pytest.mark.usefixtures("_fresh_workers")
def test_of_a_batch_that_kills_its_worker_only_the_runs_that_do_it_are_lost(named, tmp_path, random_search, written):
    (spec,) = specs_of(f"{written}:kills_some")
    rules = Rules(Protocol(evaluations=5), study_seed=0)
    draws = [RunStream(key).uniform() for key in stream_keys(0, spec.reference, named.name, np.arange(6)).tolist()]
    killers = [seed for seed, draw in enumerate(draws) if draw < 0.3]
    assert killers
    plans = [BatchPlan(spec, named, ((0, 5),)), BatchPlan(random_search, named, ((0, 5),))]
    report, other = execute(plans, rules, tmp_path, jobs=2)
    assert (report.num_runs, report.num_failed, report.num_evaluations) == (
        6,
        len(killers),
        5 * (6 - len(killers)),
    )
    assert f"{killers[0]}" in report.failure.partition("TerminatedWorkerError")[0]
    assert other.failure == ""
    segments = StudyFolder(tmp_path).segments(identity(spec, named, rules))
    stored = [seed for segment in segments for seed in range(segment.first, segment.last + 1)]
    assert stored == [seed for seed in range(6) if seed not in killers]


@pytest.mark.usefixtures("_fresh_workers")
def test_a_batch_whose_worker_dies_once_loses_no_run(named, tmp_path, random_search, written):
    # As a kernel that is short of memory for a moment would end it.
    plans = [BatchPlan(spec, named, ((0, 9),)) for spec in (*specs_of(f"{written}:kills_once"), random_search)]
    reports = list(execute(plans, Rules(Protocol(evaluations=5), 0), tmp_path, jobs=2))
    assert Path("killed").exists()
    assert [(report.num_runs, report.num_failed) for report in reports] == [(10, 0), (10, 0)]
    assert not (tmp_path / "failures").exists()


@pytest.mark.usefixtures("_fresh_workers")
def test_a_batch_that_meets_broken_workers_runs_alone(named, tmp_path, random_search, monkeypatch):
    executor, calls = type(get_reusable_executor(max_workers=2)), []
    submit = executor.submit

    def breaks_once(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise BrokenProcessPool
        return submit(self, *arguments)

    monkeypatch.setattr(executor, "submit", breaks_once)
    plans = [BatchPlan(random_search, named, ((first, first + 4),)) for first in (0, 100, 200)]
    reports = list(execute(plans, Rules(Protocol(evaluations=5), 0), tmp_path, jobs=2))
    assert [report.failure for report in reports] == ["", "", ""]
    assert len(calls) == 4
    assert len(list((tmp_path / "runs").rglob("*.parquet"))) == 3


def test_a_message_of_the_harness_needs_no_type(tiny, tmp_path):
    spec = resolve(parse_strategy("reinforce(complexity_target=1.0)"))
    (report,) = execute([BatchPlan(spec, tiny, ((0, 4),))], Rules(Protocol(), 0), tmp_path, jobs=1)
    assert (
        "seeds 0-4: reinforce: complexity_target needs complexity, the name of a free metric (log: " in report.failure
    )


def test_timings_lie_beside_the_runs(tiny, tmp_path, random_search):
    list(execute([BatchPlan(random_search, tiny, ((0, 4),))], Rules(Protocol(evaluations=8), 0), tmp_path, jobs=1))
    (file,) = (tmp_path / "timings").iterdir()
    timing = json.loads(file.read_text())
    assert (timing["strategy"], timing["task"], timing["seeds"], timing["evaluations"]) == (
        "random-search",
        "tiny-set",
        [0, 4],
        40,
    )
    assert timing["wall_s"] >= timing["strategy_s"] > 0


class Needy(Strategy):
    """Needs what no task offers."""

    def ask(self, idle):
        return Proposals(np.full(len(idle), -1))

    def tell(self, results):
        pass


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs(num_objectives=2), r"Needy needs 2 objectives, and the protocol gives task tiny-set 1 \(val_accuracy\)"),
        (Needs(fidelities=True), "several fidelities, and the table of task tiny-set has one: choose a task"),
        (Needs(sources=True), "Needy needs sources, and the protocol names none for task tiny-set"),
        (
            Needs(torch=True),
            r"Needy needs torch, which is not installed: pip install torch nas-bench-201 animal-shape-mnist",
        ),
        (Needs(training_data=True), "Needy needs training data, and the study has none: name images with --data"),
    ],
)
def test_a_strategy_is_refused_if_what_it_needs_is_missing(tiny, monkeypatch, needs, message):
    monkeypatch.setattr("nasbench_harness.engine.needs.find_spec", lambda name: None)
    monkeypatch.setattr(Needy, "needs", needs)
    spec = resolve(StrategyRef(Needy))
    with pytest.raises(InvalidInputError, match=message):
        check_needs(spec, tiny.under(Protocol()))
    with pytest.raises(InvalidInputError, match=message):
        run_seeds(spec, tiny, Rules(Protocol(), 0), np.arange(3))


def test_label_and_hyperparameters_change_no_stream(tiny):
    rules = Rules(Protocol(evaluations=10, noise="mean"), study_seed=0)
    texts = ("regularized-evolution", "x=regularized-evolution(population_size=10,sample_size=10)")
    traces = [run_seeds(spec, tiny, rules, np.arange(4)).trace.rows(slice(0, 4)) for spec in specs_of(*texts)]
    assert traces[0]["architecture"].tolist() == traces[1]["architecture"].tolist()


def test_strategy_task_and_study_seed_change_the_stream(tiny, cifar100, random_search):
    def first_draws(spec, task, study_seed):
        rules = Rules(Protocol(), study_seed)
        return spec.make(task.problem(rules.protocol), task.name, rules.study_seed, np.arange(3)).rng.uniform().tolist()

    local_search = resolve(StrategyRef("local-search"))
    cases = [(random_search, tiny, 0), (random_search, tiny, 1), (random_search, cifar100, 0), (local_search, tiny, 0)]
    draws = [draw for case in cases for draw in first_draws(*case)]
    assert len(set(draws)) == 12
    assert first_draws(*cases[0]) == draws[:3]


def test_at_most_one_plan_more_than_workers_is_handed_out(named, tmp_path, random_search, monkeypatch):
    handed_out, most = [], []

    class Pool:
        def submit(self, run, plan):
            handed_out.append((Future(), run, plan))
            most.append(sum(not future.done() for future, _, _ in handed_out))
            under_way = [one for one in handed_out if not one[0].done()]
            # No more room: the second of those under way is done first; at the end all.
            for future, run, plan in under_way if len(handed_out) == 8 else under_way[1:2] if most[-1] == 4 else []:
                future.set_result(run(plan))
            return handed_out[-1][0]

    monkeypatch.setattr("nasbench_harness.workers.worker_pool", lambda num_workers: Pool())
    plans = [BatchPlan(random_search, named, ((first, first + 1),)) for first in range(0, 800, 100)]
    reports = list(execute(plans, Rules(Protocol(evaluations=5), 0), tmp_path, jobs=3))
    assert max(most) == 4
    assert len(reports) == len(handed_out) == 8
    assert len(list((tmp_path / "runs").rglob("*.parquet"))) == 8


@pytest.mark.usefixtures("_fresh_workers")
def test_who_asks_for_no_more_reports_leaves_no_worker(named, tmp_path, written):
    plans = [
        BatchPlan(spec, named, ((0, 4),)) for spec in specs_of("random-search", f"{written}:works", "local-search")
    ]
    reports = execute(plans, Rules(Protocol(evaluations=5), 0), tmp_path, jobs=2)
    next(reports)
    workers = list(get_reusable_executor(reuse=True)._processes.values())
    assert len(workers) == 2
    reports.close()
    assert not any(worker.is_alive() for worker in workers)


def works(problem, rng):
    while True:
        yield rng.integers(problem.space.num_architectures)


@pytest.mark.parametrize("max_runs", fast_first([100, 1, 7, 250]))
def test_no_more_runs_are_alive_than_a_strategy_allows(tiny, tmp_path, monkeypatch, max_runs):
    spec = resolve(StrategyRef(works))
    list(execute(plan_batches(spec, tiny, cells(120), Protocol()), Rules(Protocol(), 0), tmp_path / "free", jobs=1))
    monkeypatch.setattr(works, "max_runs", max_runs, raising=False)
    plans = plan_batches(spec, tiny, cells(120), Protocol())
    most = min(max_runs, 100)
    assert max(len(plan.run_seeds) for plan in plans) == most
    assert np.concatenate([plan.run_seeds for plan in plans]).tolist() == list(range(120))
    list(execute(plans, Rules(Protocol(), 0), tmp_path / "bound", jobs=1))
    this = identity(spec, tiny, Rules(Protocol(), 0))
    segments = {name: StudyFolder(tmp_path / name).segments(this) for name in ("free", "bound")}
    assert len(segments["bound"]) == -(-100 // most) + -(-20 // most)
    rows = {
        name: np.concatenate([read_columns(segment.path)["architecture"] for segment in found])
        for name, found in segments.items()
    }
    np.testing.assert_array_equal(rows["free"], rows["bound"])


@pytest.mark.parametrize("max_runs", [0, -1, 1.5, True, "1"])
def test_a_strange_number_of_runs_is_refused(tiny, monkeypatch, max_runs):
    monkeypatch.setattr(works, "max_runs", max_runs, raising=False)
    with pytest.raises(InvalidInputError, match="max_runs must be a whole number of at least 1, or None"):
        plan_batches(resolve(StrategyRef(works)), tiny, cells(3), Protocol())


def test_a_class_may_bound_its_runs_too(tiny):
    class Single(Needy):
        max_runs = 1

    assert [plan.segments for plan in plan_batches(resolve(StrategyRef(Single)), tiny, [(5, 6)], Protocol())] == [
        ((5, 5),),
        ((6, 6),),
    ]


def reads_some(problem, rng):
    """Reads as many values as its first draw says, then all latencies of a hundred architectures."""
    count = rng.integers(4)
    for architecture in range(count):
        problem.lookup("params_m", architecture)
    if count == 3:
        problem.lookup("latency_ms", np.arange(100))
    while True:
        yield rng.integers(problem.space.num_architectures)


class ReadsItsResults(Strategy):
    """Reads the parameters of each result, and a hundred at the start; in tiles or not."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        problem.lookup("params_m", np.arange(100))

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        architectures[idle] = self.problem.space.sample(self.rng, np.flatnonzero(idle))
        return Proposals(architectures)

    def tell(self, results):
        runs = np.flatnonzero(results.architectures >= 0)
        self.problem.lookup("params_m", results.architectures[runs], runs)


def footers(spec, task, rules, folder):
    return [read_record(segment.path) for segment in StudyFolder(folder).segments(identity(spec, task, rules))]


def test_lookups_are_counted_for_each_run_and_stored_with_it(cifar100, tmp_path):
    spec, rules = resolve(StrategyRef(reads_some)), Rules(Protocol(evaluations=3), 0)
    keys = stream_keys(0, spec.reference, cifar100.name, np.arange(110)).tolist()
    draws = [RunStream(key).integers(4) for key in keys]
    for name, segments in (("together", ((0, 99), (100, 109))), ("apart", ((0, 99),)), ("apart", ((100, 109),))):
        list(execute([BatchPlan(spec, cifar100, segments)], rules, tmp_path / name, jobs=1))
    assert all_files(tmp_path / "together" / "runs") == all_files(tmp_path / "apart" / "runs")
    records = footers(spec, cifar100, rules, tmp_path / "together")
    assert [record["lookups"]["params_m"] for record in records] == [draws[:100], draws[100:]]
    assert records[0]["lookups"]["latency_ms"] == [100 * (count == 3) for count in draws[:100]]


@pytest.mark.parametrize("tile", [None, 8])
def test_lookups_of_a_class_are_counted_for_the_runs_that_it_names(cifar100, tmp_path, monkeypatch, tile):
    monkeypatch.setattr(ReadsItsResults, "tile", tile)
    spec, rules = resolve(StrategyRef(ReadsItsResults)), Rules(Protocol(evaluations=7), 0)
    list(execute([BatchPlan(spec, cifar100, ((3, 12),))], rules, tmp_path, jobs=1))
    (record,) = footers(spec, cifar100, rules, tmp_path)
    assert record["lookups"] == {"params_m": [107] * 10}


def test_a_strategy_that_reads_nothing_has_no_entry(tiny, tmp_path, random_search):
    rules = Rules(Protocol(evaluations=3), 0)
    list(execute([BatchPlan(random_search, tiny, ((0, 4),))], rules, tmp_path, jobs=1))
    assert "lookups" not in footers(random_search, tiny, rules, tmp_path)[0]


@pytest.mark.parametrize("runs", [np.arange(3), np.zeros((2, 1), dtype=int)])
def test_runs_of_a_lookup_must_fit(cifar100, runs):
    with pytest.raises(InvalidInputError, match="one entry for each row of the architectures"):
        cifar100.problem(Protocol()).lookup("params_m", np.arange(2), runs)
    with pytest.raises(InvalidInputError, match="left out in a generator"):
        cifar100.problem(Protocol()).of_run(0).lookup("params_m", np.arange(2), np.arange(2))
