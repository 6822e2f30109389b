"""Imported tables through the whole harness: searched, scored and reported; test accuracy chooses nothing."""

import re

import numpy as np
import pandas as pd
import pytest

from nasbench_harness import compare, load_task, run
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Trained
from nasbench_harness.importers.files.build import import_table
from nasbench_harness.regression.traces import run_choices, trace_hash
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table

METRIC = '[datasets.one.metrics.{}]\n{}\nunit = "{}"\ndirection = "{}"\nrole = "{}"\n'
SPEC = (
    'name = "mine"\nsource = "made here"\nlicense = "MIT"\n[space]\nkind = "product"\n[space.decisions]\n'
    + "".join(f"d{index} = [0, 1, 2, 3]\n" for index in range(4))
    + '[datasets.one]\ntitle = "One"\n'
    + METRIC.format("val_accuracy", 'prefix = "v"', "%", "maximize", "search")
    + METRIC.format("test_accuracy", 'columns = "test"', "%", "maximize", "test")
    + METRIC.format("train_cost_s", 'prefix = "s"', "s", "minimize", "cost")
)


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """A table of 256 architectures whose test accuracy is the negative of its validation accuracy."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    rng = np.random.default_rng(0)
    choices = np.array(np.meshgrid(*[range(4)] * 4, indexing="ij")).reshape(4, -1).T
    final = rng.permutation(256) / 4 + 10
    frame = pd.DataFrame(choices, columns=[f"d{index}" for index in range(4)])
    frame["v1"], frame["v10"] = rng.permutation(256) / 8, final
    frame["test"], frame["s1"], frame["s10"] = 100 - final, 2.0, 20.0
    frame.to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "mine.toml").write_text(SPEC)
    register_table(import_table(tmp_path / "mine.csv", tmp_path / "mine.toml"))
    yield frame
    load_table.cache_clear()


@pytest.mark.thorough
def test_test_accuracy_stands_beside_and_validation_alone_chooses(imported, tmp_path):
    study = compare(["random-search"], ["mine-one"], seeds=20, evaluations=30, fidelity=10, out=tmp_path / "study")
    frame = study.frame()
    np.testing.assert_allclose(frame.test_accuracy, 100 - frame.val_accuracy)
    # Chosen by validation, the choices are the worst by test; a leak of test would turn this round.
    assert (frame.regret_pp < frame.test_regret_pp).all()
    text = (tmp_path / "study" / "report" / "report.md").read_text(encoding="utf-8")
    assert "optimum by val" in text
    assert "optimum by test" in text
    assert "fidelity 10 epochs" in text


def test_a_harness_that_leaks_test_accuracy_is_caught(imported, tmp_path):
    """The counter-example: with test in place of validation on the search side, what holds above is wrong."""
    task = load_task("mine-one")
    leaky = type(task.under(Protocol(30, fidelity=10)).oracle)([task.table.column("one", "test_accuracy")], None)
    spec, rules = resolve(StrategyRef("random-search")), Rules(Protocol(30, fidelity=10), 0)
    honest = run_seeds(spec, task, rules, np.arange(20)).trace.columns()
    leaking = run_seeds(spec, _with_oracle(task, leaky), rules, np.arange(20)).trace.columns()

    def choices(columns):
        best = columns["value_val_accuracy"].argmax(axis=0)
        return columns["architecture"][best, np.arange(20)]

    assert (task.scores["val"].regret(choices(honest)) < task.scores["test"].regret(choices(honest))).all()
    assert not (task.scores["val"].regret(choices(leaking)) < task.scores["test"].regret(choices(leaking))).any()
    # A baseline's trace sees it too: it holds what runs return.
    hashes = {trace_hash(columns, run_choices(columns, task, rules)) for columns in (honest, leaking)}
    assert len(hashes) == 2


def _with_oracle(task, oracle):
    from dataclasses import replace

    return replace(task, trained=Trained(oracle, task.scores))


@pytest.mark.thorough
def test_each_task_is_read_at_its_own_fidelity(imported, tmp_path, cli):
    """A study file names the epochs of each task; the runs are those of a study with this fidelity for all."""
    (tmp_path / "mine.toml").write_text(SPEC.replace('"mine"', '"other"'))
    register_table(import_table(tmp_path / "mine.csv", tmp_path / "mine.toml"))
    text = 'tasks = ["mine-one", "other-one"]\nseeds = 10\n[[strategies]]\nuse = "random-search"\n[protocol]\n'
    by_task = "evaluations = 5\n[protocol.fidelity]\nmine-one = 1\n"
    for name, fidelity in {"study": "other-one = 10\n", "wrong": "other-on = 10\n", "part": ""}.items():
        (tmp_path / f"{name}.toml").write_text(text + by_task + fidelity)
    done = cli("compare", "--config", tmp_path / "study.toml", "--out", "both")
    assert done.returncode == 0, done.stderr
    for task, epochs in (("mine-one", 1), ("other-one", 10)):
        run(["random-search"], [task], seeds=10, evaluations=5, fidelity=epochs, out=tmp_path / "alone" / task)
        alone, both = (
            list(folder.glob(f"runs/{task}/*/*")) for folder in (tmp_path / "alone" / task, tmp_path / "both")
        )
        assert [path.name for path in alone] == [path.name for path in both]
        assert alone[0].parent.name == both[0].parent.name
    report = (tmp_path / "both" / "report" / "report.md").read_text(encoding="utf-8")
    assert "fidelity by task in epochs (mine-one 1, other-one 10)" in report
    assert "compare --config study.toml" in report
    again = cli("compare", "--config", tmp_path / "both" / "study.toml", "--out", "both")
    assert "nothing to run" in again.stdout
    wrong = cli("compare", "--config", tmp_path / "wrong.toml", "--out", "w")
    assert (wrong.returncode, "other-on" in wrong.stderr) == (2, True)
    part = cli("compare", "--config", tmp_path / "part.toml", "--out", "p")
    assert part.returncode == 2
    assert "task other-one has 2 fidelities (1, 10 epochs): name one" in part.stderr


def test_several_fidelities_must_be_named_and_seconds_are_those_of_the_fidelity(imported, tmp_path, cli):
    refused = cli("compare", "--tasks", "mine-one", NASBENCH_HARNESS_CACHE=str(tmp_path / "cache"))
    assert refused.returncode == 2
    assert "task mine-one has 2 fidelities (1, 10 epochs): name one, --fidelity" in refused.stderr
    cheap = run(["random-search"], ["mine-one"], seeds=10, simulated_seconds=40, fidelity=1, out=tmp_path / "a")
    assert (cheap.frame().evaluations == 20).all()
    whole = run(["random-search"], ["mine-one"], seeds=10, simulated_seconds=40, fidelity=10, out=tmp_path / "b")
    assert (whole.frame().evaluations == 2).all()


@pytest.mark.thorough
def test_a_study_names_a_table_that_is_missing_or_another_one(imported, tmp_path, cli):
    cache = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    out = ("--strategies", "random-search", "--tasks", "mine-one", "--fidelity", "10", "--seeds", "10")
    out += ("--evaluations", "9", "--out", "s")
    assert cli("compare", *out, **cache).returncode == 0
    assert (tmp_path / "s" / "tables" / "mine.toml").read_text() == SPEC
    before = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    digest = load_table("mine").digest[:16]
    verbs = [("status", "s"), ("report", "s"), ("export", "s"), ("compare", *out)]
    remake = ("tables", "import", "mine.csv", "--spec", "s/tables/mine.toml", "--name", "mine")

    assert cli("tables", "remove", "mine", **cache).returncode == 0
    for verb in verbs[:3]:
        done = cli(*verb, **cache)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: the table mine of the study s is not here: digest {digest}, source made here: "
            "nasbench-harness tables import FILE --spec s/tables/mine.toml --name mine\n"
        )
    assert "the table mine of the study s is not here" in cli(*verbs[3], **cache).stderr

    frame = pd.read_csv(tmp_path / "mine.csv")
    frame.assign(v10=frame.v10 + 1).to_csv(tmp_path / "other.csv", index=False)
    assert cli(remake[0], remake[1], "other.csv", *remake[3:], **cache).returncode == 0
    for verb in verbs:
        done = cli(*verb, **cache)
        assert done.returncode == 2
        assert re.fullmatch(
            f"error: the runs of mine-one in s were made with a table mine of digest {digest} \\(made here"
            r"\), but the one here has digest [0-9a-f]{16}: nasbench-harness tables import FILE --spec "
            r"s/tables/mine.toml --name mine --replace, or compare under another --out\n",
            done.stderr,
        )
    (tmp_path / "two.toml").write_text(SPEC.replace("datasets.one", "datasets.two"))
    assert cli(*remake[:2], "other.csv", "--spec", "two.toml", "--replace", **cache).returncode == 0
    assert cli("status", "s", **cache).stderr == (
        f"error: the table mine of the study s is not here, another one has its name: digest {digest}, source made "
        "here: nasbench-harness tables import FILE --spec s/tables/mine.toml --name mine --replace\n"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == before
    assert cli(*remake, "--replace", **cache).returncode == 0
    assert "10 of 10 runs done" in cli("status", "s", **cache).stdout


def test_the_note_of_a_table_reaches_no_terminal_with_escape_sequences(imported, tmp_path, cli):
    out = ("--strategies", "random-search", "--tasks", "mine-one", "--fidelity", "10", "--seeds", "2", "--out", "s")
    assert cli("run", *out, NASBENCH_HARNESS_CACHE=str(tmp_path / "cache")).returncode == 0
    path = tmp_path / "s" / "tables" / "mine.json"
    path.write_text(path.read_text().replace("made here", "made \\u001b[31mhere"))
    message = cli("status", "s", NASBENCH_HARNESS_CACHE=str(tmp_path / "other")).stderr
    assert "source made \N{REPLACEMENT CHARACTER}[31mhere" in message
    assert "\x1b" not in message


def test_without_tasks_only_embedded_tables_are_compared(imported):
    from nasbench_harness.studies.choosing import task_list

    assert "mine-one" not in task_list(None)
