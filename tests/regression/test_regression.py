"""Baselines against strategies as they are now: traces, the gate, and what a user could have wrong."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kit.cases import fast_only

from nasbench_harness import InvalidInputError, UnknownNameError, api, check_baseline, load_task, run, save_baseline
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation import choice
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.journal import with_checksum, without_checksum
from nasbench_harness.regression.baselines import Subject, find_subjects
from nasbench_harness.regression.gate import check_baselines
from nasbench_harness.regression.traces import grid_regrets, run_choices, trace_hash
from nasbench_harness.store.baselines import baseline_path, read_baseline
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.catalog import DEFAULT_STRATEGIES, describe, strategy_entry_points
from nasbench_harness.studies.references import resolve

BASELINES = Path(__file__).parents[2] / "results" / "baselines"
TASK = "nb201-cifar100"
SMALL = {"tasks": [TASK], "seeds": 300, "evaluations": 40}


def walk(problem, rng, *, patience=3):
    """Recommends what it saw last."""
    while True:
        evaluation = yield problem.space.sample(rng)
        for _ in range(patience):
            evaluation = yield problem.space.mutate(evaluation.architecture, rng)


def first_of_all(problem, rng):
    best = yield problem.space.sample(rng)
    for _ in range(10):
        yield problem.space.sample(rng)
    return best.architecture


def last_of_all(problem, rng):
    for _ in range(11):
        best = yield problem.space.sample(rng)
    return best.architecture


def proposes_nothing(problem, rng):
    return
    yield 0


def one_draw_later(problem, rng):
    """Random search on other draws: another trace, the same distribution."""
    rng.uniform()
    while True:
        yield problem.space.sample(rng)


def pretend(path, target):
    """A subject whose code has become ``target``; its streams are those of its baseline."""
    baseline = read_baseline(path)
    spec = resolve(StrategyRef(baseline.reference, None, baseline.given))
    return Subject(replace(spec, target=target, parameters={}), {}, baseline, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baselines")
    save_baseline(
        ["random-search", "small=regularized-evolution(population_size=10, sample_size=5)"], folder=folder, **SMALL
    )
    return folder


def test_every_registered_strategy_owns_a_baseline_and_there_are_no_orphans():
    # The traces of adapters belong to the versions of their packages; weight sharing needs images. No installed table
    # has several fidelities: tests/strategies holds those baselines.
    apart = ("adapters", "multi-fidelity", "weight-sharing")
    ours = {name for name in strategy_entry_points() if describe(name).family not in apart}
    assert {path.stem for path in BASELINES.iterdir()} == ours
    for subject in find_subjects(BASELINES):
        assert subject.baseline.label == subject.baseline.reference == subject.path.stem
        assert not subject.baseline.given
        num_seeds = {runs.num_seeds for runs in subject.baseline.tasks.values()}
        assert num_seeds == {3_000} if subject.path.stem in DEFAULT_STRATEGIES else min(num_seeds) >= 100


SLOW_TO_REPLAY = (  # 100 runs of each take a second and more
    "bananas",
    "few-shot-predictor",
    "gaussian-process",
    "nao",
    "npenas",
    "pareto-evolution",
    "random-forest",
    "ranking-weighted-ensemble",
    "rnn-controller",
    "score-seeded-evolution",
    "tpe",
)
OWNERS = sorted(path.stem for path in BASELINES.glob("*.json"))


@pytest.mark.parametrize("name", fast_only(OWNERS, [name for name in OWNERS if name not in SLOW_TO_REPLAY]))
def test_no_registered_strategy_has_changed(name):
    checks = check_baseline([name], folder=BASELINES)
    assert checks
    assert {check.verdict for check in checks if check.by == "trace"} <= {"equivalent"}
    elsewhere = [check for check in checks if check.by != "trace"]
    # On other versions of Python or NumPy the traces of these may differ; then statistics have the word.
    assert all("platform" in " ".join(check.notes) and check.verdict != "inferior" for check in elsewhere)


def test_a_baseline_holds_what_compare_stores(folder, tmp_path):
    study = run(["random-search"], [TASK], 300, tmp_path, evaluations=40)
    runs = read_baseline(baseline_path(folder, "random-search")).tasks[TASK]
    step = load_task(TASK).scores["val"].resolution
    codes = np.rint(study.frame()["regret_pp"].to_numpy() / step).astype(int)
    assert dict(runs.counts) == {
        int(code): int(count) for code, count in zip(*np.unique(codes, return_counts=True), strict=True)
    }
    assert (runs.step, runs.unit, runs.metric) == (step, "pp", "val_accuracy")


def test_report_verification_and_gate_ask_one_rule(tmp_path, monkeypatch):
    """Another rule of the incumbent changes them all, in the same way."""
    task, rules = load_task(TASK), Rules(Protocol(evaluations=20), 0)
    monkeypatch.setattr(choice, "incumbent_rows", lambda rows: np.zeros(rows.status.shape, dtype=int))  # the first row
    study = run([walk], [TASK], 30, tmp_path, evaluations=20)
    columns = run_seeds(resolve(StrategyRef(walk)), task, rules, np.arange(30)).trace.columns()
    first = columns["architecture"][0].tolist()
    assert first == study.frame()["architecture"].tolist()
    assert first == study.run_sets()[0].read().final.tolist()  # these are the candidates of a verification
    assert first == run_choices(columns, task, rules).tolist()
    regrets = task.scores["val"].grid_regrets(np.array(first))
    assert regrets.tolist() == grid_regrets(resolve(StrategyRef(walk)), task, rules, 0, 30).tolist()


@pytest.mark.parametrize("selection", ["own", "incumbent"])
def test_recommendations_count_for_the_gate_as_for_the_report(selection, tmp_path):
    study = run([first_of_all], [TASK], 30, tmp_path, evaluations=20, selection=selection)
    rules = Rules(Protocol(evaluations=20, selection=selection), 0)
    columns = run_seeds(resolve(StrategyRef(first_of_all)), load_task(TASK), rules, np.arange(30)).trace.columns()
    assert run_choices(columns, load_task(TASK), rules).tolist() == study.frame()["architecture"].tolist()


def test_the_trace_sees_proposals_and_recommendations():
    def trace(use, first=0):
        rules = Rules(Protocol(evaluations=30), 0)
        spec = replace(resolve(StrategyRef(use)), reference="the same streams")
        columns = run_seeds(spec, load_task(TASK), rules, np.arange(first, first + 20)).trace.columns()
        return trace_hash(columns, run_choices(columns, load_task(TASK), rules))

    assert trace(walk) == trace(walk)
    assert trace(first_of_all) != trace(last_of_all)  # the same proposals, another recommendation
    assert trace(walk) != trace(one_draw_later)
    assert trace(walk) != trace(walk, 1)


def test_an_unchanged_strategy_is_equivalent_by_its_trace(folder):
    for check in check_baseline(folder=folder):
        assert (check.verdict, check.by, check.num_seeds) == ("equivalent", "trace", 100)
        assert check.describe() == "equivalent, same trace, 100 seeds"
        assert check.is_fine


def test_without_traces_statistics_decide(folder):
    (check,) = check_baseline(["random-search"], folder=folder, trace=False, margin=0.5)
    assert (check.verdict, check.by) == ("equivalent", "statistics")
    assert check.difference.num_old == 300


def test_a_changed_hyperparameter_is_caught_and_named(folder):
    worse = "small=regularized-evolution(population_size=10, sample_size=1)"
    (check,) = check_baseline([worse], folder=folder, looks=[100, 300])
    assert (check.verdict, check.by) == ("inferior", "statistics")
    assert not check.is_fine
    assert check.difference.low > 0
    assert check.notes == ("sample_size was 5, is 1",)
    assert "(one-sided bounds at 0.005, margin 0.05)" in check.describe()
    command = shlex.split(check.accept)
    assert command[:5] == ["nasbench-harness", "baseline", "save", "--strategies", worse]
    assert command[5:] == ["--tasks", TASK, "--seeds", "300", "--evaluations", "40", "--out", str(folder)]


def test_changed_draws_alone_are_no_alarm_but_no_trace_either(folder):
    subject = pretend(baseline_path(folder, "random-search"), one_draw_later)
    (check,) = check_baselines([subject], gate=api.Gate(margin=0.6))
    assert (check.verdict, check.by) == ("equivalent", "statistics")
    (check,) = check_baselines([subject], gate=api.Gate(looks=(20,)))
    assert check.verdict == "inconclusive"
    assert "no number of seeds decides" in check.describe() or "fresh seeds would decide" in check.describe()


def test_a_line_says_that_the_permutation_p_keeps_a_case_from_inferior(folder):
    subject = pretend(baseline_path(folder, "random-search"), one_draw_later)
    (check,) = check_baselines([subject], gate=api.Gate(looks=(20,)))
    kept = replace(check, verdict="inconclusive", num_seeds=20, num_more=20, p_permutation=0.0156)
    line = "a permutation p of 0.016 (before Holm) keeps it from inferior; all declared looks are used"
    assert line in kept.describe()
    assert kept.describe().endswith("take at least 40 fresh seeds: --first-seed 20 --looks 40")
    assert kept.record()["p_permutation"] == 0.0156


def test_the_advice_after_an_inconclusive_check_is_a_fresh_set_of_seeds(folder):
    """A look at the same seeds that is declared after they were seen would be optional stopping."""
    subject = pretend(baseline_path(folder, "random-search"), one_draw_later)
    (check,) = check_baselines([subject], gate=api.Gate(looks=(40,), margin=0.35))
    assert check.verdict == "inconclusive"
    advice = f"--first-seed 40 --looks {40 + check.num_more}"
    assert check.describe().endswith(f"about {40 + check.num_more:,} fresh seeds would decide: {advice}")
    (again,) = check_baselines([subject], gate=api.Gate(looks=(40,), margin=0.35, first_seed=40))
    rules = Rules(Protocol.from_mapping(subject.baseline.protocol, ""), subject.baseline.study_seed)
    regrets = grid_regrets(subject.spec, load_task(TASK), rules, 40, 80)
    assert sum(code * number for code, number in again.new.items()) == regrets.sum()
    assert again.first_seed == 40
    with pytest.raises(InvalidInputError, match="first_seed must be a whole number in 0 … 1,000,000,000, not -1"):
        api.Gate(first_seed=-1)


def test_an_equal_trace_settles_the_matter_with_fresh_seeds_too(folder):
    (check,) = check_baseline(["random-search"], folder=folder, first_seed=5_000)
    assert (check.verdict, check.by, check.num_seeds) == ("equivalent", "trace", 100)


def test_only_what_differs_is_in_the_family(folder, monkeypatch):
    sizes = []
    real = api.check_baselines.__globals__["non_inferiority_family"]
    monkeypatch.setitem(
        api.check_baselines.__globals__,
        "non_inferiority_family",
        lambda cases, *rest: sizes.append(len(cases)) or real(cases, *rest),
    )
    subjects = [
        pretend(baseline_path(folder, "random-search"), one_draw_later),
        *(subject for subject in find_subjects(folder) if subject.spec.label == "small"),
    ]
    check_baselines(subjects, gate=api.Gate(margin=0.6))
    assert sizes == [1]


def replace_text(path, copy, old, new):
    """A copy of a baseline with another text, and the checksum of this text."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    content = json.dumps(without_checksum(json.loads(text)), indent=1)
    copy.write_text(json.dumps(with_checksum(json.loads(content.replace(old, new)))), encoding="utf-8")


def test_traces_of_platform_strategies_are_compared_on_their_platform_only(tmp_path):
    (path,) = save_baseline(["reinforce"], [TASK], tmp_path, seeds=100, evaluations=20)
    (check,) = check_baseline(folder=tmp_path)
    assert check.by == "trace"
    content = without_checksum(json.loads(path.read_text(encoding="utf-8")))
    content["platform"]["numpy"] = "1.0"
    path.write_text(json.dumps(with_checksum(content)), encoding="utf-8")
    (check,) = check_baseline(folder=tmp_path, looks=[100])
    assert check.by == "statistics"
    assert "not compared: numpy" in check.notes[0]
    assert "saved on 1.0" in check.notes[0]
    assert check.difference.value == 0


def test_strategies_that_do_not_depend_on_the_platform_are_compared_anywhere(folder, tmp_path):
    path = baseline_path(folder, "random-search")
    elsewhere = tmp_path / path.name
    replace_text(path, elsewhere, "x86_64", "other")
    (check,) = check_baseline(folder=tmp_path)
    assert check.by == "trace"


def test_mistakes_are_refused_in_one_line(folder, tmp_path):
    def refused(match, *args, error=InvalidInputError, **kwargs):
        with pytest.raises(error, match=match) as caught:
            check_baseline(*args, **kwargs)
        assert "\n" not in str(caught.value)

    refused("holds no baselines: go to the folder that has them, or save one", folder=tmp_path)
    refused("--strategies local-search --out", ["local-search"], folder=folder)
    refused("was saved under another protocol .40 evaluations", folder=folder, evaluations=200)
    refused("has no baseline for nb201-cifar10, only for nb201-cifar100", tasks=["nb201-cifar10"], folder=folder)
    refused("unknown task", tasks=["nb201-cifar"], folder=folder, error=UnknownNameError)
    refused("margin must be above 0", folder=folder, margin=0)
    refused("alpha must be", folder=folder, alpha=1)
    refused("looks must be ascending", folder=folder, looks=[300, 100])


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"reference": "random-search"', '"reference": "gone-search"', "is an orphan .unknown strategy 'gone-search'"),
        ('"reference": "random-search"', '"reference": "gone:search"', "is an orphan .*no module 'gone'"),
        ('"given": {}', '"given": {"depth": 3}', "is an orphan .unknown hyperparameter 'depth'"),
        ('"table": "', '"table": "0', "was saved on another table of nb201-cifar100"),
        ('"step": ', '"step": 1', "counts the regrets on nb201-cifar100 in steps of 10.*, and this version in"),
        ('"evaluations": 40', '"evaluation": 40', "unknown protocol field 'evaluation'"),
    ],
)
def test_files_that_no_longer_fit_are_refused_in_one_line(old, new, match, folder, tmp_path):
    path = baseline_path(folder, "random-search")
    replace_text(path, tmp_path / path.name, old, new)
    with pytest.raises(InvalidInputError, match=match) as caught:
        check_baseline(folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_margin_is_asked_for_where_the_metric_is_no_accuracy(folder):
    task = load_task(TASK)
    metric = replace(task.scores["val"].metric, name="val_loss", unit="nats")
    margin = api.check_baselines.__globals__["_margin"]
    with pytest.raises(InvalidInputError, match="val_loss is no accuracy in percent: give a margin in nats"):
        margin(api.Gate(), metric, TASK)
    assert margin(api.Gate(margin=0.1), metric, TASK) == 0.1


def test_save_refuses_too_few_seeds_and_runs_that_return_nothing(tmp_path):
    with pytest.raises(InvalidInputError, match="at least 100 seeds, not 99"):
        save_baseline(["random-search"], [TASK], tmp_path, seeds=99)
    with pytest.raises(InvalidInputError, match="study_seed must be a whole number of at least 0, not -1"):
        save_baseline(["random-search"], [TASK], tmp_path, study_seed=-1)
    with pytest.raises(StrategyError, match="100 of 100 runs returned nothing"):
        save_baseline([proposes_nothing], [TASK], tmp_path, seeds=100)
    assert not list(tmp_path.iterdir())


def test_regrets_do_not_depend_on_how_seeds_are_batched():
    spec, task, rules = resolve(StrategyRef("local-search")), load_task(TASK), Rules(Protocol(evaluations=30), 0)
    whole = grid_regrets(spec, task, rules, 0, 250)
    parts = np.concatenate([grid_regrets(spec, task, rules, first, end) for first, end in ((0, 130), (130, 250))])
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.thorough
def test_the_command_line_saves_checks_and_tells_by_its_exit_code(cli, tmp_path):
    small = ("--tasks", TASK, "--seeds", "300", "--evaluations", "40", "--out", "b")
    saved = cli("baseline", "save", "--strategies", "s=regularized-evolution(sample_size=5)", *small)
    assert (saved.returncode, saved.stdout) == (0, "saved: b/s.json\n")
    fine = cli("baseline", "check", "b")
    assert fine.returncode == 0
    assert fine.stdout.startswith(f"{TASK}  s: equivalent, same trace, 100 seeds, ")
    change = ("--strategies", "s=regularized-evolution(sample_size=1)", "b")
    inferior = cli("baseline", "check", *change, "--looks", "300", "--margin", "0.01", "--json")
    assert inferior.returncode == 1, inferior.stderr
    (row,) = json.loads(inferior.stdout)
    assert (row["verdict"], row["num_seeds"], row["margin"], row["level"]) == ("inferior", 300, 0.01, 0.01)
    assert row["low"] > 0
    open_ = cli("baseline", "check", *change, "--looks", "5", "--alpha", "0.0001")
    assert open_.returncode == 3
    assert "inconclusive: regret" in open_.stdout
    assert "sample_size was 5, is 1" in open_.stdout
    for arguments, message in (
        (("none",), "error: none holds no baselines: go to the folder that has them, or save one"),
        (("b", "--looks", "a,b"), "error: --looks must be whole numbers"),
        (("b", "--evaluations", "7"), "error: b/s.json was saved under another protocol"),
    ):
        wrong = cli("baseline", "check", *arguments)
        assert wrong.returncode == 2
        assert wrong.stderr.startswith(message)
        assert len(wrong.stderr.splitlines()) == 1
    command = shlex.split(json.loads((tmp_path / "b" / "s.json").read_text(encoding="utf-8"))["command"])
    assert command == [
        "nasbench-harness",
        "baseline",
        "save",
        "--strategies",
        "s=regularized-evolution(sample_size=5)",
        *small[:-2],
    ]
