"""Recorded runs: charged by the protocol, blind to test, and equal to the rows of a study."""

import csv
import random
import threading
from dataclasses import replace

import pandas as pd
import pytest
from kit.cases import fast_first
from kit.curves import curves_table

from nasbench_harness import record, run
from nasbench_harness.compat import NATStopology
from nasbench_harness.compat.recording import BudgetSpentError, Recording
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.studies.replay import TraceRows, check_rules, rules_of

TASK = "nb201-cifar10"
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def random_architecture():
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(random.choice(OPS) for _ in range(6)))


def old_random_search(api):
    """A loop in the style of the published scripts, which never ends by itself."""
    seen = []
    while True:
        accuracy, _, _, _ = api.simulate_train_eval(random_architecture(), "cifar10", hp="200")
        seen.append(accuracy)
        api.seen = seen


def record_runs(out, seeds=range(10), **rules):
    seen = {}
    for seed in seeds:
        random.seed(seed)
        with record("mine", task=TASK, seed=seed, out=out, **rules) as api:
            old_random_search(api)
        seen[seed] = api.seen
    return seen


@pytest.mark.parametrize(
    "protocol",
    fast_first(
        [
            {"evaluations": 12, "duplicates": "free"},
            {"simulated_seconds": 40_000.0},
            {"evaluations": 12},
            {"evaluations": 12, "noise": "per_run"},
        ],
        2,
    ),
)
def test_what_a_script_saw_are_the_rows_of_the_study(tmp_path, protocol):
    seen = record_runs(tmp_path / "recordings", **protocol)
    study = run(["random-search"], tasks=[TASK], seeds=10, out=tmp_path / "study", **protocol)
    study.add_trace(tmp_path / "recordings" / "mine.csv", "mine")
    study.export()
    rows = pd.read_parquet(study.path / "export" / "runs.parquet")
    rows = rows[(rows["strategy"] == "mine") & (rows["status"] != "overrun")]
    stored = {seed: group["value_val_accuracy"].tolist() for seed, group in rows.groupby("seed")}
    assert stored == {seed: pytest.approx(values, abs=1e-9) for seed, values in seen.items()}
    assert len(seen[0]) >= 10


@pytest.mark.parametrize(
    ("task", "dataset"),
    [("graph-cora", "cora"), ("graph-proteins", "proteins"), ("nb201-cifar10@without=none", "cifar10")],
)
def test_every_task_of_a_table_can_be_recorded(tmp_path, task, dataset):
    with record("mine", task=task, seed=0, out=tmp_path, evaluations=3) as api:
        while True:
            api.simulate_train_eval(api.arch(api.random()), dataset)
    assert len((tmp_path / "mine.csv").read_text().splitlines()) == 4


def test_the_schedule_may_be_in_the_place_of_the_older_package(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=3) as api:
        while True:
            api.simulate_train_eval(7, "cifar10", "200")
            with pytest.raises(InvalidInputError, match="schedule '200', not '12'"):
                api.simulate_train_eval(7, "cifar10", "12")
            with pytest.raises(InvalidInputError, match="account_time=False"):
                api.simulate_train_eval(7, "cifar10", "200", False)
    assert api.used_time > 0


def test_the_budget_ends_the_script_and_nothing_more_is_charged(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=5) as api:
        for _ in range(100):
            api.evaluate(3)
    assert len(api.proposals) == 5
    with pytest.raises(BudgetSpentError):
        api.evaluate(3)


def test_a_script_that_ends_early_or_fails_records_nothing(tmp_path):
    def search(evaluations, error):
        with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=evaluations) as api:
            api.evaluate(3)
            if error is not None:
                raise error

    with pytest.raises(InvalidInputError, match=r"ended after 1 evaluations and has budget left \(seed 0\)"):
        search(5, None)
    with pytest.raises(ZeroDivisionError):
        search(1, ZeroDivisionError())
    assert not (tmp_path / "mine.csv").exists()


def test_test_accuracy_and_other_data_sets_are_refused(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=1) as api:
        for name in ("query_by_index", "query_meta_info_by_index", "query_info_str_by_arch", "query_by_arch", "show"):
            with pytest.raises(InvalidInputError, match="without a charge"):
                getattr(api, name)(0)
        with pytest.raises(InvalidInputError, match="searches cifar10-valid"):
            api.simulate_train_eval(0, "cifar100")
        with pytest.raises(InvalidInputError, match="schedule '200', not '12'"):
            api.simulate_train_eval(0, "cifar10", hp="12")
        for is_random in (False, 777):
            with pytest.raises(InvalidInputError, match="the protocol"):
                api.get_more_info(0, "cifar10-valid", is_random=is_random)
        with pytest.raises(InvalidInputError, match="charges every evaluation"):
            api.simulate_train_eval(0, "cifar10", account_time=False)
        with pytest.raises(AttributeError, match="no 'secret'"):
            _ = api.secret
        assert api.proposals == []
        info = api.get_more_info(0, "cifar10-valid")
    assert set(info) == {"valid-accuracy", "train-all-time", "valid-per-time"}


def test_time_is_that_of_the_protocol(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=2) as api:
        _, _, cost, used = api.simulate_train_eval(0, "cifar10")
        assert used == api.used_time == cost > 0
        api.reset_time()
        _, _, cost, used = api.simulate_train_eval(1, "cifar10")
        assert used == pytest.approx(cost)


def test_forbidden_repeats_have_no_value(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=2, duplicates="forbid") as api:
        assert api.evaluate(7).status == Status.OK
        assert api.evaluate(7).status == Status.REJECTED
        api.evaluate(8)


def test_runs_recorded_at_once_are_all_kept(tmp_path):
    def one(seed):
        with record("mine", task=TASK, seed=seed, out=tmp_path, evaluations=3) as api:
            while True:
                api.evaluate(seed)

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with (tmp_path / "mine.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["seed"] for row in rows} == set(map(str, range(8)))
    assert len(rows) == 24


def test_a_seed_that_is_recorded_again_replaces_its_rows(tmp_path):
    for index in (3, 4):
        with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=2) as api:
            while True:
                api.evaluate(index)
    with (tmp_path / "mine.csv").open(encoding="utf-8") as file:
        assert [row["index"] for row in csv.DictReader(file)] == ["4", "4"]


def test_a_label_takes_runs_of_one_protocol_and_study_seed(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=2) as api:
        while True:
            api.evaluate(3)
    kept = (tmp_path / "mine.csv").read_bytes()
    for seed, other, named in (
        (1, {"noise": "mean"}, '"noise": "mean"'),
        (1, {"study_seed": 7}, "study_seed 7"),
        (1, {"evaluations": 3}, '"evaluations": 3'),
    ):
        session = record("mine", **{"task": TASK, "seed": seed, "out": tmp_path, "evaluations": 2, **other})
        with (
            pytest.raises(InvalidInputError, match=r"holds runs on nb201-cifar10 under study_seed 0, .*") as caught,
            session,
        ):
            pytest.fail("the block must not start")
        assert named in str(caught.value)
        assert (tmp_path / "mine.csv").read_bytes() == kept
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=3) as api:  # no other run is left
        while True:
            api.evaluate(3)


@pytest.mark.parametrize(
    ("other", "theirs"),
    fast_first(
        [
            ({"noise": "mean"}, 'study_seed 0, protocol {"evaluations": 3, "noise": "mean"}'),
            ({"study_seed": 7}, 'study_seed 7, protocol {"evaluations": 3}'),
        ]
    ),
)
def test_a_study_with_other_rules_refuses_a_recording(tmp_path, other, theirs):
    record_runs(tmp_path, evaluations=3, **other)
    study = run(["random-search"], tasks=[TASK], seeds=10, out=tmp_path / "study", evaluations=3)
    with pytest.raises(InvalidInputError, match="were recorded under") as caught:
        study.add_trace(tmp_path / "mine.csv", "mine")
    assert theirs in str(caught.value)
    assert 'the study has study_seed 0, protocol {"evaluations": 3}' in str(caught.value)
    assert study.labels == ["random-search"]
    # A file from elsewhere does not say what its runs saw.
    pd.read_csv(tmp_path / "mine.csv").drop(columns="recorded_under").to_csv(tmp_path / "elsewhere.csv", index=False)
    (notice,) = study.add_trace(tmp_path / "elsewhere.csv", "mine")
    assert "an earlier version does not say its protocol and study seed" in notice


def test_a_study_with_the_same_rules_in_other_words_takes_a_recording(tmp_path):
    record_runs(tmp_path, evaluations=3)
    words = {"objectives": ["val_accuracy"], "selection": "incumbent"}
    study = run(["random-search"], tasks=[TASK], seeds=10, out=tmp_path / "study", evaluations=3, **words)
    assert study.add_trace(tmp_path / "mine.csv", "mine") == []


def test_rules_name_the_table(tmp_path):
    task = load_task(TASK)
    other = replace(task, table=replace(task.table, digest="0" * 64))
    ours, theirs = (rules_of(Protocol(evaluations=3), 0, each) for each in (task, other))
    assert theirs.endswith(", table 00000000")
    assert ours != theirs
    trace = TraceRows({}, "mine.csv", {TASK: (theirs,)})
    with pytest.raises(InvalidInputError, match=r"were recorded under .*, table 00000000, and the study has"):
        check_rules(trace, Protocol(evaluations=3), 0, {TASK: task})


def test_a_recording_of_an_earlier_version_is_named(tmp_path):
    record_runs(tmp_path, [0], evaluations=3)
    pd.read_csv(tmp_path / "mine.csv").drop(columns="recorded_under").to_csv(tmp_path / "mine.csv", index=False)
    with (
        pytest.raises(InvalidInputError, match=r"mine\.csv was recorded by an earlier version"),
        record("mine", task=TASK, seed=1, out=tmp_path, evaluations=3),
    ):
        pytest.fail("the block must not start")


def test_mistakes_are_refused_before_anything_runs(tmp_path):
    for wrong in (
        {"task": "nb201-cifar11"},
        {"workers": 2},
        {"evaluations": 0},
        *({name: value} for name in ("seed", "study_seed") for value in (-1, 1.5, True, "1")),
    ):
        session = record("mine", **{"task": TASK, "seed": 0, "out": tmp_path, **wrong})
        with pytest.raises(InvalidInputError), session:
            pytest.fail("the block must not start")
    with pytest.raises(InvalidInputError), record("a/b", task=TASK, seed=0, out=tmp_path):
        pytest.fail("the block must not start")


def test_a_loop_that_tries_again_ends_with_the_budget(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=2) as api:
        for _ in range(100):
            try:
                api.evaluate(3)
            except Exception:
                continue
        pytest.fail("the budget must end the block")


def recorded(fidelity):
    return Recording(make_task(curves_table(), "set"), Protocol(fidelity=fidelity), 0, 0)


def test_what_is_minimized_is_no_accuracy():
    api = Recording(load_task(TASK), Protocol(objectives="params_m,val_accuracy"), 0, 0)
    for query in (api.simulate_train_eval, api.get_more_info):
        with pytest.raises(InvalidInputError, match=r"the run minimizes params_m, .* use evaluate"):
            query(0, "cifar10-valid")
    assert api.proposals == []
    assert api.evaluate(0).architecture == 0


@pytest.mark.parametrize("fidelity", [9, "1,9"])
def test_the_last_epoch_is_not_answered_with_an_earlier_one(fidelity):
    api = recorded(fidelity=fidelity)
    for query in (api.simulate_train_eval, api.get_more_info):
        with pytest.raises(InvalidInputError, match=r"the last of 27: name the epoch, .* \(iepoch=8\)"):
            query(0, "set")
    assert api.proposals == []
    api.simulate_train_eval(0, "set", iepoch=8)
    recorded(fidelity="all").simulate_train_eval(0, "set")


def test_costs_are_those_that_are_free(tmp_path):
    plain = NATStopology("nb201")
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=1) as api:
        costs = api.get_cost_info(7, "cifar10")
        known = plain.get_cost_info(7, "cifar10-valid")
        assert costs == {name: known[name] for name in ("flops", "params", "latency")}
        assert api.get_latency(api.arch(7), "cifar10-valid") == known["latency"] > 0
        for query in (api.get_cost_info, api.get_latency):
            with pytest.raises(InvalidInputError, match="the run searches cifar10-valid"):
                query(7, "cifar100")
        api.evaluate(7)


@pytest.mark.thorough
def test_a_run_returns_what_the_script_reports(tmp_path):
    """Odd seeds report the worst architecture that they saw; even seeds report nothing and return their incumbent."""
    worst, best = {}, {}
    for seed in range(10):
        random.seed(seed)
        with record("mine", task=TASK, seed=seed, out=tmp_path / "recordings", evaluations=6, noise="mean") as api:
            seen = [api.evaluate(random_architecture()) for _ in range(6)]
            worst[seed] = max(seen, key=lambda evaluation: evaluation.loss).architecture
            best[seed] = min(seen, key=lambda evaluation: evaluation.loss).architecture
            if seed % 2:
                api.report(worst[seed])
    study = run(["random-search"], tasks=[TASK], seeds=10, out=tmp_path / "study", evaluations=6, noise="mean")
    study.add_trace(tmp_path / "recordings" / "mine.csv", "mine")
    frame = study.frame()
    returned = frame[frame.strategy == "mine"].set_index("seed").architecture.to_dict()
    assert returned == {seed: (worst if seed % 2 else best)[seed] for seed in range(10)}
    study.write_report()
    assert "Choosing for themselves: mine" in (study.path / "report" / "report.md").read_text(encoding="utf-8")


def test_a_report_counts_from_the_evaluation_before_it(tmp_path):
    with record("mine", task=TASK, seed=0, out=tmp_path, evaluations=4) as api:
        api.report(9)
        api.evaluate(1)
        api.evaluate(2)
        api.report("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")
        api.evaluate(3)
        api.evaluate(4)
        api.report(4)
        with pytest.raises(InvalidInputError, match="'no cell' is no architecture of task nb201-cifar10"):
            api.report("no cell")
    with (tmp_path / "mine.csv").open(encoding="utf-8") as file:
        named = [int(row["recommended"]) for row in csv.DictReader(file)]
    assert named[0] == 9
    assert named[1] == named[2] not in (9, 4)
    assert named[3] == 4
