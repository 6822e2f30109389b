"""``strategies tune``: splits, cost, the journal, and studies that demand equal tuning."""

import dataclasses
import json
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from click.testing import CliRunner

from nasbench_harness import Needs, Proposals, Protocol, Range, Strategy, StrategyRef, compare, declare
from nasbench_harness.cli import main
from nasbench_harness.errors import HarnessError, InvalidInputError
from nasbench_harness.journal import with_checksum, without_checksum
from nasbench_harness.store.record import TuningRule
from nasbench_harness.store.study_file import read_record, read_study_file
from nasbench_harness.store.tuning import read_tuning, tuning_path
from nasbench_harness.studies.planning import plan_study
from nasbench_harness.tables.extending import with_columns
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tuning import playing
from nasbench_harness.tuning import tune as module
from nasbench_harness.tuning.tune import TUNING_SEED, change_interval, plan_tuning, tune

TASKS = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120")
RULES = {"trials": 4, "seeds": 10, "protocol": Protocol(evaluations=20)}


def quick(problem, rng, *, waste: Annotated[int, Range(1)] = 8):
    """Random search that throws away all but one of ``waste`` evaluations: a small value is better."""
    best = yield problem.space.sample(rng)
    while True:
        for _ in range(waste - 1):
            yield best.architecture
        evaluation = yield problem.space.sample(rng)
        best = min(best, evaluation, key=lambda one: one.loss)


def fragile(problem, rng, *, size: Annotated[int, Range(1)] = 2):
    if size != 2:
        raise ValueError("no")
    while True:
        yield problem.space.sample(rng)


@pytest.fixture
def twin(filled):
    """Another name of NAS-Bench-201, as ``tables adapt-device`` makes it."""
    register_table(with_columns(load_table("nb201"), "cifar10", [], "nb201-twin", "a copy"))
    return "nb201-twin-cifar10"


@pytest.fixture
def tuned(tmp_path):
    """Function (strategy, …) -> record, in the folder ``tuning``."""

    def run(strategy="regularized-evolution", on=TASKS, held_out=(), jobs=1, **rules):
        ref = strategy if isinstance(strategy, StrategyRef) else StrategyRef(strategy)
        return tune(plan_tuning(ref, on, held_out, **{**RULES, **rules}), tmp_path / "tuning", jobs)

    return run


def test_each_task_is_held_out_once_and_never_tuned_on(tuned):
    record = tuned()
    assert [split.held_out for split in record.splits] == [(name,) for name in TASKS]
    for split in record.splits:
        assert set(split.development) == set(TASKS) - set(split.held_out)
        assert [result.task for result in split.results] == list(split.held_out)


def test_evaluations_are_counted_exactly(tuned):
    record = tuned()
    # 4 settings × 10 runs, then 2 × 10 more, on two tasks of 20 evaluations.
    assert [(split.runs, split.evaluations) for split in record.splits] == [(120, 2_400)] * 3
    assert record.budget == 2_400
    # A run that two splits need is done once.
    assert 2_400 < record.evaluations < 3 * 2_400


@declare(needs=Needs(sources=True))
def reads_first(problem, rng, *, size: Annotated[int, Range(1)] = 2):
    problem.sources[TASKS[1]].evaluate([problem.space.sample(rng) for _ in range(15)])
    while True:
        yield problem.space.sample(rng)


@pytest.mark.parametrize("cost", ["charged", "reported"])
def test_evaluations_of_sources_are_counted(tuned, cost):
    protocol = Protocol(evaluations=20, sources=TASKS[1:2], source_evaluations=15, source_cost=cost)
    record = tuned(StrategyRef(reads_first), TASKS[:1], TASKS[2:], trials=2, protocol=protocol)
    (split,) = record.splits
    assert split.runs == 20
    assert (split.evaluations, split.source_evaluations) == (20 * 20, 20 * 15)
    assert split.source_seconds > 20 * 15 * 1_000  # an architecture trains for more than 1,000 s


class Stumbling(Strategy):
    """Fails after five evaluations of each run, unless its size is 2."""

    def __init__(self, problem, rng, *, size: Annotated[int, Range(1)] = 2):
        self.problem, self.rng, self.size, self.told = problem, rng, size, 0

    def ask(self, idle):
        if self.size != 2 and self.told == 5:
            raise ValueError("no")
        return Proposals(np.where(idle, self.problem.space.sample(self.rng), -1))

    def tell(self, results):
        self.told += 1


def stumbling(problem, rng, *, size: Annotated[int, Range(1)] = 2):
    for _ in range(5 if size != 2 else 1_000):
        yield problem.space.sample(rng)
    raise ValueError("no")


@pytest.mark.parametrize("strategy", [Stumbling, stumbling])
def test_evaluations_before_a_failure_are_counted(tuned, strategy):
    record = tuned(StrategyRef(strategy), TASKS[:1], TASKS[1:2], trials=2, budget=20 * 20)
    (split,) = record.splits
    assert split.parameters == {"size": 2}
    assert split.evaluations == 10 * 20 + 10 * 5


def test_tasks_that_are_named_are_held_out(tuned):
    record = tuned(on=TASKS[:1], held_out=TASKS[1:])
    (split,) = record.splits
    assert (split.development, split.held_out) == (TASKS[:1], TASKS[1:])
    assert len(split.results) == 2


def test_tuning_finds_what_helps(tuned):
    record = tuned(StrategyRef(quick), trials=8, seeds=60, protocol=Protocol(evaluations=60))
    for split in record.splits:
        assert split.parameters["waste"] < 8
        assert split.results[0].high < 0
        assert split.results[0].difference == pytest.approx(split.results[0].tuned - split.results[0].untuned)


def test_the_interval_of_the_change_does_not_depend_on_labels_of_seeds():
    before, after = np.random.default_rng(0).normal(size=(2, 30))
    low, high = change_interval(before, after)
    assert low < after.mean() - before.mean() < high
    assert (low, high) == pytest.approx(change_interval(before, after[::-1]))
    assert change_interval(before, before) == (0, 0)


def test_runs_of_tuning_are_no_runs_of_a_study(tuned, tmp_path):
    tuned()
    lines = (tmp_path / "tuning" / "regularized-evolution.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    seeds = {(entry["first"] >= TUNING_SEED) for entry in map(json.loads, lines)}
    assert seeds == {True, False}
    assert all(entry["end"] <= 10 for entry in map(json.loads, lines) if entry["first"] < TUNING_SEED)


def test_the_record_is_the_same_again_and_does_no_run_twice(tuned, tmp_path, monkeypatch):
    tuned()
    path = tuning_path(tmp_path / "tuning", "regularized-evolution")
    before = path.read_bytes()
    monkeypatch.setattr(playing, "play_one", lambda *_: pytest.fail("a run is done again"))
    tuned()
    assert path.read_bytes() == before


@pytest.mark.thorough
def test_a_killed_tuning_continues(tuned, tmp_path, monkeypatch):
    whole = tuned()
    files = {path.name: path.read_bytes() for path in (tmp_path / "tuning").iterdir()}
    for path in (tmp_path / "tuning").iterdir():
        path.unlink()
    run, calls = playing.play_one, []

    def dying(*arguments):
        calls.append(arguments)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(playing, "play_one", dying)
    with pytest.raises(KeyboardInterrupt):
        tuned()
    assert tuned() == whole
    assert {path.name: path.read_bytes() for path in (tmp_path / "tuning").iterdir()} == files
    assert len(calls) == len(files["regularized-evolution.jsonl"].splitlines())  # the first line holds the settings


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.thorough
def test_workers_write_the_same_bytes(tuned, tmp_path):
    tuned()
    alone = files_of(tmp_path / "tuning")
    (tmp_path / "tuning").rename(tmp_path / "alone")
    tuned(jobs=3)
    assert files_of(tmp_path / "tuning") == alone


def test_workers_continue_what_was_interrupted(tuned, tmp_path):
    tuned()
    alone, journal = files_of(tmp_path / "tuning"), tmp_path / "tuning" / "regularized-evolution.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:6]) + lines[6][:30], encoding="utf-8")
    (tmp_path / "tuning" / "regularized-evolution.toml").unlink()
    tuned(jobs=2)
    assert files_of(tmp_path / "tuning") == alone


DYING = """
import os
from typing import Annotated
from nasbench_harness import Range

def search(problem, rng, *, size: Annotated[int, Range(1)] = 4):
    if size != 4:
        os._exit(3)
    while True:
        yield problem.space.sample(rng)
"""


def test_a_worker_that_ends_is_one_error_and_finished_runs_stay(tuned, tmp_path, monkeypatch):
    (tmp_path / "dying_search.py").write_text(DYING, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(HarnessError, match="a worker process ended while dying_search:search was tuned on nb201"):
        tuned("dying_search:search", jobs=2)
    assert list(files_of(tmp_path / "tuning")) == ["dying_search-search.jsonl"]


def test_several_strategies_have_the_budget_and_the_records_that_each_has_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rules = ["--on", ",".join(TASKS[:2]), "--trials", "3", "--seeds", "5", "--evaluations", "20", "--budget", "600"]
    names = ["local-search", "regularized-evolution(sample_size=3,population_size=10)"]
    for name in names:
        done = CliRunner().invoke(main, ["strategies", "tune", name, *rules, "--out", "alone"])
        assert done.exit_code == 0, done.stderr
    done = CliRunner().invoke(main, ["strategies", "tune", ",".join(names), *rules, "--out", "both", "--json"])
    assert done.exit_code == 0, done.stderr
    assert files_of(Path("both")) == files_of(Path("alone"))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["strategy"], one["budget"]) for one in found] == [
        ("local-search", 600),
        ("regularized-evolution", 600),
    ]


def test_a_journal_of_another_protocol_is_refused(tuned):
    tuned()
    with pytest.raises(InvalidInputError, match=r"belongs to other settings \(protocol\)"):
        tuned(protocol=Protocol(evaluations=30))


@pytest.mark.thorough
def test_regrets_in_steps_of_another_size_are_played_anew(tuned, tmp_path):
    tuned()
    before = files_of(tmp_path / "tuning")
    path = tmp_path / "tuning" / "regularized-evolution.jsonl"
    lines = [without_checksum(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    for entry in lines[1:]:  # as if an earlier version had counted in steps of ten times the size
        entry.update(step=entry["step"] * 10, regrets=[regret // 10 for regret in entry["regrets"]])
    text = "\n".join(json.dumps(with_checksum(entry)) for entry in lines) + "\n"
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".toml").unlink()
    tuned()
    assert files_of(tmp_path / "tuning")["regularized-evolution.toml"] == before["regularized-evolution.toml"]


def test_a_damaged_journal_is_refused(tuned, tmp_path):
    tuned()
    path = tmp_path / "tuning" / "regularized-evolution.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"regrets":[', '"regrets":["x",', 1), encoding="utf-8")
    with pytest.raises(InvalidInputError, match="is damaged"):
        tuned()


def test_settings_that_fail_lose_and_a_strategy_that_fails_is_an_error(tuned):
    record = tuned(StrategyRef(fragile))
    assert all(split.parameters == {"size": 2} for split in record.splits)
    with pytest.raises(HarnessError, match="ValueError: no"):
        tuned(StrategyRef(fragile, None, {"size": 3}))


def test_settings_that_failed_are_named_and_tried_again(tmp_path, monkeypatch):
    """An error of the moment, such as a full disk, is not kept in the journal."""
    (tmp_path / "unlucky.py").write_text(
        "from pathlib import Path\n"
        "from typing import Annotated\n"
        "from nasbench_harness import Range\n"
        "def search(problem, rng, *, size: Annotated[int, Range(1)] = 2):\n"
        "    if Path('full').exists() and size in eval(Path('full').read_text()):\n"
        "        raise OSError(28, 'No space left on device')\n"
        "    while True:\n"
        "        yield problem.space.sample(rng)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["strategies", "tune", "unlucky:search", "--on", TASKS[0], "--held-out", TASKS[1]]
    arguments += ["--trials", "3", "--seeds", "2", "--evaluations", "5"]
    full = Path("full")
    full.write_text("[2]")  # the setting as it is given
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, "No space left on device" in done.stderr) == (2, True)
    full.write_text("set(range(1, 100)) - {2}")
    done = CliRunner().invoke(main, arguments)
    assert "(3 settings, 2 of which failed, " in done.stdout
    assert "failed, and lost: size=" in done.stdout
    assert "on nb201-cifar10: OSError: [Errno 28] No space left on device (the record names all)" in done.stdout
    (split,) = read_tuning(Path("tuning/unlucky-search.toml")).splits
    assert len(split.failed) == 2
    full.unlink()
    done = CliRunner().invoke(main, arguments)
    assert read_tuning(Path("tuning/unlucky-search.toml")).splits[0].failed == ()


def test_nothing_to_tune_is_a_record_without_cost(tuned):
    record = tuned("random-search")
    assert record.evaluations == 0
    assert [(split.trials, split.runs) for split in record.splits] == [(1, 0)] * 3
    assert all(result.difference == 0 for split in record.splits for result in split.results)


def test_a_record_is_read_as_it_was_written(tuned, tmp_path):
    record = tuned()
    read = read_tuning(tuning_path(tmp_path / "tuning", "regularized-evolution"))
    assert json.dumps(dataclasses.asdict(read)) == json.dumps(dataclasses.asdict(record))


ANOTHER_NAME = r"under another name \(cifar10\): tuning on it would see"
PARTS = f"shares its architectures with {TASKS[0]}@without=none: tuning on it would see"


@pytest.mark.parametrize(
    ("on", "held_out", "message"),
    [
        ((TASKS[0],), ("nb201-twin-cifar10",), f"^task {TASKS[0]} is the data of nb201-twin-cifar10 {ANOTHER_NAME}"),
        ((TASKS[0], "nb201-twin-cifar10"), (), f"^task nb201-twin-cifar10 is the data of {TASKS[0]} {ANOTHER_NAME}"),
        ((TASKS[0],), (f"{TASKS[0]}@without=none",), f"^task {TASKS[0]} {PARTS}"),
        (("nb201-twin-cifar10@without=none", TASKS[1]), (TASKS[0],), ANOTHER_NAME),
    ],
)
def test_no_strategy_is_tuned_on_the_data_that_are_held_out(twin, on, held_out, message):
    with pytest.raises(InvalidInputError, match=message):
        plan_tuning(StrategyRef("local-search"), on, held_out, **RULES)


def test_development_tasks_may_share_data(twin):
    plan_tuning(StrategyRef("local-search"), (TASKS[0], twin), TASKS[1:2], **RULES)


HAS_TORCH = find_spec("torch") is not None
MISTAKES = [
    (["regularized-evolutoin", "--on", "nb201-cifar10,nb201-cifar100"], "did you mean 'regularized-evolution'"),
    (["local-search", "--on", "nb201-cifar10"], "leaving one task out needs two tasks"),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar11"], "did you mean 'nb201-cifar10'"),
    (["local-search", "--on", "nb201-cifar10", "--held-out", "nb201-cifar10"], "is named twice"),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar100", "--trials", "0"], "trials must be a whole number"),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar100", "--budget", "100"], "100 evaluations is too small"),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar100", "--seeds", "1"], "seeds must be a whole number in 2"),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar100", "--simulated-seconds", "9"], "budget of evaluations"),
    (
        ["local-search", "--on", "nb201-cifar10,trained-animals8"],
        "trained-animals8" if HAS_TORCH else "training needs torch",
    ),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar100", "--noise", "loud"], "noise must be"),
    (
        [
            "local-search",
            "--on",
            "nb201-cifar10,nb201-cifar100",
            "--sources",
            "nb201-cifar100",
            "--source-evaluations",
            "5",
        ],
        "source nb201-cifar100 is held out",
    ),
    (["local-search,local-search", "--on", "nb201-cifar10,nb201-cifar100"], "would write local-search.toml"),
    (["local-search,local-serch", "--on", "nb201-cifar10,nb201-cifar100"], "did you mean 'local-search'"),
    ([",", "--on", "nb201-cifar10,nb201-cifar100"], "no strategies given"),
    (["local-search", "--on", "nb201-cifar10,nb201-cifar100", "--jobs", "0"], "jobs must be a whole number"),
    (["local-search(num_initial=0)", "--on", "nb201-cifar10,nb201-cifar100"], "num_initial must"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["strategies", "tune", *arguments])
    assert done.exit_code == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_prints_splits_and_names_the_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["strategies", "tune", "local-search", "--on", ",".join(TASKS[:2]), "--trials", "2", "--seeds", "10"]
    done = CliRunner().invoke(main, [*arguments, "--evaluations", "20"])
    assert done.exit_code == 0, done.stderr
    assert "tuned on nb201-cifar100 (2 settings, 400 of 400 evaluations)" in done.stdout
    assert f"record: {Path('tuning/local-search.toml')}" in done.stdout
    content = tomllib.loads(Path("tuning/local-search.toml").read_text(encoding="utf-8"))
    assert content["command"] == f"nasbench-{'harness'} " + " ".join([*arguments, "--evaluations", "20"])


NAMES = ("regularized-evolution", "local-search", "random-search")


@pytest.fixture
def equal(tuned, tmp_path, monkeypatch):
    """A study file on the first task whose strategies were tuned alike on the others; and a function to change it."""
    monkeypatch.chdir(tmp_path)
    records = {name: tuned(name, TASKS[1:], TASKS[:1]) for name in NAMES}

    def write(names=NAMES, change=None, task=TASKS[0], extra=""):
        text = f'seeds = 3\ntasks = ["{task}"]\ntuning = "equal"\n{extra}[protocol]\nevaluations = 20\n'
        for name in names:
            text += f'[[strategies]]\nuse = "{name}"\nlabel = "{name} tuned"\n[strategies.parameters]\n'
            parameters = {**records[name].splits[0].parameters, **((change or {}).get(name, {}))}
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in parameters.items())
        Path("study.toml").write_text(text, encoding="utf-8")
        return Path("study.toml")

    return write


@pytest.mark.thorough
def test_a_study_of_equally_tuned_strategies_is_run_and_says_so(equal):
    done = CliRunner().invoke(main, ["compare", "--config", str(equal()), "--out", "study"])
    assert done.exit_code == 0, done.stderr
    page = " ".join(Path("study/report/report.html").read_text(encoding="utf-8").split())
    assert "were tuned on other tasks with 4 trials and up to 2,400 evaluations" in page
    assert "on other tasks, 4 trials and" in page
    assert page.count("fewer settings exist for random-search tuned (1)") == 2  # protocol and checklist
    record = read_record(Path("study/study.toml"))
    assert record.tuning is not None
    assert (record.tuning.trials, record.tuning.records) == (4, "tuning")
    assert record.tuning.fewer == {"random-search tuned": 1}
    assert read_study_file(Path("study/study.toml")).tuning == record.tuning
    again = CliRunner().invoke(main, ["compare", "--config", "study/study.toml", "--out", "study"])
    assert again.exit_code == 0, again.stderr


def test_python_demands_it_too(equal, tuned):
    chosen = read_study_file(equal()).strategies
    rules = {"seeds": 3, "out": "study", "evaluations": 20, "tuning": "equal"}
    study = compare(chosen, TASKS[:1], **rules)
    assert study.record.tuning.records == "tuning"
    assert read_record(Path("study/study.toml")).tuning == study.record.tuning
    with pytest.raises(InvalidInputError, match="has num_initial"):
        compare(["local-search(num_initial=77)"], TASKS[:1], **rules)
    with pytest.raises(InvalidInputError, match="has no record elsewhere"):
        compare(chosen, TASKS[:1], **rules, tuning_records="elsewhere")


@pytest.mark.parametrize(
    ("given", "message"),
    [({"tuning": "fair"}, 'tuning must be "equal" or left out'), ({"tuning_records": "tuning"}, "belongs to tuning")],
)
def test_python_refuses_other_words(tmp_path, given, message):
    with pytest.raises(InvalidInputError, match=message):
        compare(["random-search"], TASKS[:1], seeds=2, out=tmp_path / "study", **given)
    assert not (tmp_path / "study").exists()


def refusal(path):
    with pytest.raises(InvalidInputError) as error:
        plan_study(read_study_file(path), "study")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_strategy_without_a_record_is_refused(equal, tmp_path):
    (tmp_path / "tuning" / "local-search.toml").unlink()
    assert "local-search has no record" in refusal(equal())
    assert not Path("study").exists()


def test_another_budget_is_refused(equal, tuned):
    tuned("local-search", TASKS[1:], TASKS[:1], trials=8)
    assert "was tuned with trials 4 and local-search with 8" in refusal(equal())


def test_other_development_tasks_are_refused(equal, tuned):
    tuned("local-search", (TASKS[1], "graph-cora"), TASKS[:1])
    assert f"local-search on {TASKS[1]}, graph-cora: tune one of them again" in refusal(equal())


def test_a_task_that_was_tuned_on_is_refused(equal):
    assert f"has no tuning that held {TASKS[1]} out" in refusal(equal(task=TASKS[1]))


def change_record(name, old, new):
    path = Path(f"tuning/{name}.toml")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_development_table_that_was_replaced_is_refused(equal):
    for name in NAMES:
        change_record(name, load_table("nb201").digest, "0" * 64)
    assert f"{NAMES[0]} was tuned on another version of {TASKS[1]}" in refusal(equal())


def test_a_development_task_that_is_not_here_is_refused(equal):
    for name in NAMES:
        change_record(name, TASKS[1], "gone-cifar100")
    assert "were tuned on gone-cifar100, which is not here: import its table" in refusal(equal())


def test_a_task_whose_data_were_tuned_on_is_refused(twin, tuned, equal):
    for name in NAMES:
        change_record(name, TASKS[1], "nb201-twin-cifar10")
        change_record(name, load_table("nb201").digest, load_table("nb201-twin").digest)
    change_record("random-search", load_table("nb201-twin").digest, load_table("nb201").digest)
    assert "random-search was tuned on another version of nb201-twin-cifar10" in refusal(equal())
    change_record("random-search", load_table("nb201").digest, load_table("nb201-twin").digest)
    assert f"tuned on nb201-twin-cifar10, which is the data of {TASKS[0]} under another name" in refusal(equal())


def test_hyperparameters_that_the_tuning_did_not_choose_are_refused(equal):
    assert "num_initial 77, and its tuning" in refusal(equal(change={"local-search": {"num_initial": 77}}))


def test_hyperparameters_that_were_given_and_not_tuned_are_refused(equal, tuned):
    record = tuned(StrategyRef("local-search", None, {"num_initial": 7}), TASKS[1:], TASKS[:1])
    assert record.fixed == ("num_initial",)
    chosen = {"local-search": record.splits[0].parameters}
    assert "num_initial of local-search had a given value and was not tuned" in refusal(equal(change=chosen))
    tuned(StrategyRef("local-search", None, {"num_initial": 7, "acceptance": "first"}), TASKS[1:], TASKS[:1])
    assert "acceptance, num_initial of local-search" in refusal(equal())


def test_a_record_of_an_earlier_version_is_valid(equal):
    for name in NAMES:
        for line in ("fixed = []\n", "source_evaluations = 0\n", "failed = []\n"):
            change_record(name, line, "")
    assert plan_study(read_study_file(equal()), "study").study.record.tuning.trials == 4


def test_rules_of_commands_at_the_same_time_are_joined():
    one, other = TuningRule("tuning", 4, 90, 80, {"a": 1}), TuningRule("tuning", 4, 90, 80, {"b": 2})
    assert one.joined(other) == TuningRule("tuning", 4, 90, 80, {"a": 1, "b": 2})
    assert one.joined(TuningRule("tuning", 8, 90, 80)) is None
    assert one.joined(None) is None


def test_another_protocol_is_refused(equal):
    path = equal()
    path.write_text(path.read_text(encoding="utf-8").replace("evaluations = 20", "evaluations = 21"), encoding="utf-8")
    assert "another protocol (evaluations)" in refusal(path)


def test_changed_code_is_refused(equal, tmp_path):
    path = tmp_path / "tuning" / "local-search.toml"
    text = path.read_text(encoding="utf-8")
    digest = tomllib.loads(text)["source_hash"]
    path.write_text(text.replace(digest, "0" * 64), encoding="utf-8")
    assert "local-search has changed since it was tuned" in refusal(equal())


@pytest.mark.parametrize("damage", ["trials = true\n", "x", "extra = 1\n"])
def test_a_damaged_record_is_refused(equal, tmp_path, damage):
    path = tmp_path / "tuning" / "local-search.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(damage + (text.replace("trials = 4\n", "", 1) if "trials" in damage else text), encoding="utf-8")
    assert "local-search.toml" in refusal(equal())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('tuning = "fair"', "tuning"),
        ('tuning_records = "tuning"', 'belongs to tuning = "equal"'),
        ("[tuned]\ntrials = 3", 'belongs to tuning = "equal"'),
        ('tuning = "equal"\n[tuned]\ntrial = 3', "did you mean 'trials'"),
    ],
)
def test_a_study_file_with_a_wrong_key_is_refused(tmp_path, line, message):
    path = tmp_path / "study.toml"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_study_file(path)


def test_the_module_of_seeds_is_beyond_every_study():
    assert module.TUNING_SEED >= module.MAX_SEEDS
