"""The oracle that trains: contract, what it keeps, and a study on it from search to report."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")

from nasbench_harness import compare, open_study, verify
from nasbench_harness.errors import HarnessError, InvalidInputError, TableError, UnknownNameError
from nasbench_harness.evaluation import task as tasks
from nasbench_harness.evaluation import task_names
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.statistics import compare_means
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.testing import OracleContract
from nasbench_harness.trainer import load_data, recipe_of, train
from nasbench_harness.trainer import task as oracles
from nasbench_harness.trainer.data.images import SealedTest
from nasbench_harness.trainer.data.sources import Images
from nasbench_harness.trainer.loop import processes
from nasbench_harness.trainer.task import TrainerOracle, trained_table, trained_task
from nasbench_harness.verification.winners import verify_command

from .conftest import ON_CPU

NAME = "trained-small"
SPACE = NASBench201Space()


@pytest.fixture(scope="session")
def tested(data):
    """The tiny data with a test part: the validation images, upside down."""
    part = Images(data.valid_images.numpy()[:, :, ::-1].copy(), data.valid_labels.numpy())
    return dataclasses.replace(data, sealed=SealedTest(part))


@pytest.fixture
def count(monkeypatch):
    """Architectures that were trained."""
    done = []

    def counting(architecture, *arguments, **how):
        done.append(architecture)
        return train(architecture, *arguments, **how)

    monkeypatch.setattr(processes, "train", counting)
    return done


@pytest.fixture
def small(monkeypatch, tmp_path, recipe, tested, count):
    """Register the tiny task; each call of the returned function stands for a new process."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    for module in (tasks, task_names):
        monkeypatch.setattr(module, "trained_task_names", lambda: (NAME,))
    made = {}

    def registered(name, cache):
        if "task" not in made:
            made["task"] = trained_task(recipe, tested, num_processes=1)
        return made["task"]

    monkeypatch.setattr(tasks, "_registered_task", registered)
    return made.clear


class TestTrainerOracle(OracleContract):
    num_architectures = 6

    @pytest.fixture(autouse=True)
    def _setup(self, tmp_path_factory, recipe, tested):
        self._arguments = (SPACE, recipe, tested, tmp_path_factory.getbasetemp() / "oracle", "cpu", 1)

    def make_oracle(self):
        return TrainerOracle(*self._arguments)


def ask(oracle, *architectures, replicate=-1):
    asked = np.array(architectures)
    return oracle.evaluate(asked, np.zeros_like(asked), np.full_like(asked, replicate))


def test_answers_are_what_training_gives(tmp_path, recipe, tested, count):
    oracle = TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1)
    answers = [ask(oracle, 7, replicate=k).values[0, 0] for k in range(recipe.num_replicates)]
    text = SPACE.to_string(7)
    assert count == [text]
    direct = train(text, recipe, tested, oracle._seeds(text), ON_CPU)
    assert answers == [result.accuracy for result in direct]
    assert ask(oracle, 7).values[0, 0] == pytest.approx(np.mean(answers), abs=1e-9)
    assert len(set(oracle._seeds(text))) == recipe.num_replicates
    assert set(oracle._seeds(text)).isdisjoint(oracle._seeds(SPACE.to_string(8)))


def test_test_accuracy_is_that_of_the_test_part(tmp_path, recipe, tested):
    """With the validation images as test part both are equal; with others they are not, and validation stays."""
    part = Images(tested.valid_images.numpy(), tested.valid_labels.numpy())
    swapped = dataclasses.replace(tested, sealed=SealedTest(part))
    same = TrainerOracle(SPACE, recipe, swapped, tmp_path / "same", num_processes=1)
    other = TrainerOracle(SPACE, recipe, tested, tmp_path / "other", num_processes=1)
    np.testing.assert_array_equal(ask(same, 7).values, ask(other, 7).values)
    np.testing.assert_array_equal(same.test.values[7], same.valid.values[7])
    assert (other.test.values[7] != other.valid.values[7]).any()


def test_a_stack_that_memory_made_smaller_is_not_kept(tmp_path, recipe, tested, monkeypatch):
    def halved(*arguments, **how):
        return [dataclasses.replace(result, stack=1, notice="too small") for result in train(*arguments, **how)]

    monkeypatch.setattr(processes, "train", halved)
    with pytest.raises(HarnessError, match="too small, and a table must not mix both"):
        ask(TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1), 3)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_shared_and_what_was_written_first_stands(tmp_path, recipe, tested, count):
    first = ask(TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1), 3, 9)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1)
    np.testing.assert_array_equal(ask(other, 3, 9).values, first.values)
    assert (len(count), len(files)) == (2, 2)
    late = TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1)
    results = train(SPACE.to_string(3), recipe, tested, late._seeds(SPACE.to_string(3)), ON_CPU, keep_networks=True)
    late._keep(3, [dataclasses.replace(result, accuracy=1.0) for result in results])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    np.testing.assert_array_equal(ask(late, 3).values, first.values[:1])


@pytest.mark.parametrize("damage", ['{"trainings": [', '{"trainings": [{"key": "x"}]}', "other"])
def test_a_damaged_file_is_named(tmp_path, recipe, tested, damage):
    ask(TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1), 3)
    (path,) = tmp_path.iterdir()
    if damage == "other":
        damage = json.dumps({"trainings": [row | {"key": "x"} for row in json.loads(path.read_text())["trainings"]]})
    path.write_text(damage)
    with pytest.raises(TableError, match=rf"{path.name}.*delete it"):
        ask(TrainerOracle(SPACE, recipe, tested, tmp_path, num_processes=1), 3)


def test_a_replicate_that_no_recipe_trains_is_refused(tmp_path, recipe, tested, count):
    with pytest.raises(InvalidInputError, match="replicate index 3 is outside"):
        ask(TrainerOracle(SPACE, recipe, tested, tmp_path), 3, replicate=3)
    assert not count


def test_cost_is_declared_not_measured(tmp_path, recipe, tested):
    oracle = TrainerOracle(SPACE, recipe, tested, tmp_path)
    index = SPACE.from_key("333333")
    expected = 3 * oracle.flops[index] * len(tested.train_labels) * recipe.epochs / recipe.flops_per_s
    assert oracle.cost_s[index] == pytest.approx(expected)
    assert oracle.cost_s[SPACE.from_key("000000")] < oracle.cost_s[index] == oracle.cost_s.max()


def test_other_rules_are_another_table(recipe, tested, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path))
    task = trained_task(recipe, tested)
    longer = trained_task(dataclasses.replace(recipe, epochs=3), tested)
    other = trained_task(recipe, dataclasses.replace(tested, digest="other"))
    assert len({entry.table.digest for entry in (task, longer, other)}) == 3
    assert len({entry.table.folder for entry in (task, longer, other)}) == 3


def test_a_table_of_the_same_rules_answers_and_its_gaps_are_trained(tmp_path, recipe, tested, count, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "there"))
    task = trained_task(recipe, tested, num_processes=1)
    first = ask(task.under(Protocol()).oracle, 3, 9)
    again = trained_task(recipe, tested, num_processes=1)  # has read nothing yet
    stored = register_table(trained_table(again, "shared"))
    assert np.flatnonzero(~np.isnan(stored.column("small", "val_accuracy").values[:, 0, 0])).tolist() == [3, 9]

    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "here"))
    load_table.cache_clear()
    register_table(stored)
    filled = trained_task(recipe, tested, num_processes=1, table="shared")
    count.clear()
    np.testing.assert_array_equal(ask(filled.under(Protocol()).oracle, 3, 9).values, first.values)
    np.testing.assert_array_equal(filled.scores["test"].values[[3, 9]], task.scores["test"].values[[3, 9]])
    np.testing.assert_array_equal(filled.scores["val"].grid_values[[3, 9]], task.scores["val"].grid_values[[3, 9]])
    assert not count
    ask(filled.under(Protocol()).oracle, 3, 7)
    assert count == [SPACE.to_string(7)]
    assert filled.table.digest != task.table.digest


@pytest.mark.parametrize("mark", ["recipe", "data", "split"])
def test_rows_of_other_rules_are_never_mixed(tmp_path, recipe, tested, monkeypatch, mark):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path))
    load_table.cache_clear()
    task = trained_task(recipe, tested, num_processes=1)
    ask(task.under(Protocol()).oracle, 0)
    register_table(trained_table(task, "shared"))
    if mark == "recipe":
        recipe = dataclasses.replace(recipe, learning_rate=0.2)
    else:
        tested = dataclasses.replace(tested, **{"data": {"digest": "x"}, "split": {"split_digest": "x"}}[mark])
    with pytest.raises(InvalidInputError, match=rf"table shared was not trained .* \(different: {mark}\)"):
        trained_task(recipe, tested, table="shared")


def test_only_tasks_without_a_table_have_trained_something():
    with pytest.raises(InvalidInputError, match="task nb201-cifar10 has a table"):
        trained_table(tasks.load_task("nb201-cifar10"), "x")


def run_small(path, **more):
    options = {"seeds": 3, "evaluations": 4, "out": path} | more
    return compare(["random-search", "regularized-evolution(population_size=2,sample_size=2)"], [NAME], **options)


def test_a_study_trains_each_architecture_once_and_its_report_has_the_same_bytes(small, tmp_path, count):
    study = run_small(tmp_path / "one")
    trained = len(count)
    assert trained == len(set(count)) == int(study.tasks[0].scores["val"].exists.sum())
    files = {path.name: path.read_bytes() for path in (tmp_path / "one" / "report").iterdir()}
    small()
    again = run_small(tmp_path / "one")  # resumed: nothing is run
    assert {path.name: path.read_bytes() for path in (again.path / "report").iterdir()} == files
    small()
    other = run_small(tmp_path / "two")  # another study: run, from the same cache
    assert {path.name: path.read_bytes() for path in (other.path / "report").iterdir()} == files
    small()
    open_study(tmp_path / "one").write_report()
    assert len(count) == trained


def test_another_cache_gives_the_same_report(small, tmp_path, monkeypatch):
    first = run_small(tmp_path / "one", evaluations=2)
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "other"))
    small()
    second = run_small(tmp_path / "two", evaluations=2)
    reports = [{path.name: path.read_bytes() for path in (s.path / "report").iterdir()} for s in (first, second)]
    assert reports[0] == reports[1]


def test_reports_compare_losses_and_claim_no_optimum(small, tmp_path):
    study = run_small(tmp_path / "study", seeds=10, evaluations=2)
    text = (study.path / "report" / "report.md").read_text(encoding="utf-8")
    for absent in ("regret", "optimum (", "at optimum", "= optimum", "random sampling", "random search, exact", "nan"):
        assert absent not in text.replace("not regret", ""), absent
    assert "compared is the loss, 100 − val accuracy" in text
    frame = study.frame()
    np.testing.assert_allclose(frame["loss_pp"], 100 - frame["val_accuracy"], atol=1e-9)
    np.testing.assert_allclose(frame["test_loss_pp"], 100 - frame["test_accuracy"], atol=1e-9)
    task, (pair,) = study.tasks[0], study.analysis.tasks[0].comparison.pairs
    first, second = (
        frame[frame["strategy"] == label]["architecture"].to_numpy() for label in (pair.first, pair.second)
    )
    expected = compare_means(-task.scores["val"].grid_values[first], -task.scores["val"].grid_values[second])
    assert pair.p == pytest.approx(expected)
    result = study.analysis.tasks[0].results[0]
    assert float(result.val.iqm.point) == pytest.approx(np.sort(100 - result.val.value)[2:8].mean())


def test_beside_a_table_each_task_keeps_its_measure(small, tmp_path):
    study = compare(["random-search"], ["nb201-cifar10", NAME], seeds=3, evaluations=2, out=tmp_path / "study")
    main = (study.path / "report" / "main.csv").read_text(encoding="utf-8")
    assert "random sampling" in main
    assert "nan" not in main.lower()
    assert "Final regret or loss (pp)" in (study.path / "report" / "report.md").read_text(encoding="utf-8")
    for distance in ("regret_pp", "loss_pp"):
        assert study.frame()[distance].notna().sum() == 3


def test_one_objective_and_constraints_stand_beside_what_is_trained(small, tmp_path):
    goal = "mnasnet(val_accuracy,params_m,target=0.01,weight=-0.1)"
    study = run_small(tmp_path / "one", objectives=goal, constraints="params_m<=q75")
    small()
    report = {path.name: path.read_bytes() for path in (study.path / "report").iterdir()}
    again = run_small(tmp_path / "one", objectives=goal, constraints="params_m<=q75")
    assert {path.name: path.read_bytes() for path in (again.path / "report").iterdir()} == report
    task = study.tasks[0]
    chosen = study.frame().architecture.to_numpy()
    sizes = task.problem().lookup("params_m", chosen)
    assert (sizes <= task.constraints[0].bound).all()
    accuracy = task.task.scores["val"].values[chosen]
    np.testing.assert_allclose(task.scores["val"].values[chosen], accuracy * (sizes / 0.01) ** -0.1, rtol=1e-6)
    text = report["report.md"].decode()
    assert "mnasnet(val_accuracy, params_m" in text
    assert "nan" not in report["main.csv"].decode().lower()


def uneven(problem, rng):
    """Ends after one evaluation in half of the runs."""
    yield 5
    if rng.uniform() < 0.5:
        yield 6


def test_a_run_that_has_ended_causes_no_training(small, tmp_path, count):
    study = compare([uneven], [NAME], seeds=20, evaluations=3, out=tmp_path / "study")
    assert sorted(set(study.frame()["evaluations"])) == [1, 2]
    assert sorted(count) == sorted(map(SPACE.to_string, (5, 6)))


def test_only_named_and_suggested(small, tmp_path):
    with pytest.raises(UnknownNameError, match=f"did you mean '{NAME}'"):
        compare(["random-search"], ["trained-smal"], out=tmp_path / "study")
    with pytest.raises(InvalidInputError, match="it has 2 epochs"):
        tasks.load_task(NAME).under(Protocol(fidelity=12))
    study = run_small(tmp_path / "study", evaluations=2)
    assert verify_command(study) == ""
    with pytest.raises(InvalidInputError, match="trains on demand"):
        verify(study, NAME)


def test_without_torch_one_line_says_what_to_install(cli, tmp_path):
    script = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'torch' else real(name, *rest)\n"
        "from nasbench_harness.cli import main; main()"
    )
    arguments = ["compare", "--strategies", "random-search", "--tasks", "trained-animals8"]
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "training needs torch: pip install torch nas-bench-201 animal-shape-mnist" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_workers_share_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(oracles, "cache_folder", lambda: tmp_path)
    recipe = dataclasses.replace(recipe_of("animals8-1"), channels=2)
    alone, spread = (trained_task(recipe, load_data("animals8"), num_processes=n) for n in (1, 2))
    first = ask(alone.under(Protocol()).oracle, 3, 9).values
    for path in alone.table.folder.iterdir():
        path.unlink()
    np.testing.assert_array_equal(ask(spread.under(Protocol()).oracle, 3, 9).values, first)


@pytest.mark.slow
def test_the_full_task_from_the_command_line(cli, tmp_path):
    arguments = ["compare", "--strategies", "random-search", "--tasks", "trained-animals8", "--seeds", 3]
    arguments += ["--evaluations", 8, "--out", tmp_path / "study"]
    environment = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    assert cli(*arguments, **environment).returncode == 0
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "trained").rglob("*.json")}
    assert len(files) == 24
    report = {path.name: path.read_bytes() for path in (tmp_path / "study" / "report").iterdir()}
    assert cli(*arguments, **environment).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "trained").rglob("*.json")} == files
    assert {path.name: path.read_bytes() for path in (tmp_path / "study" / "report").iterdir()} == report


def test_what_will_be_trained_is_forecast_and_counted(tmp_path, recipe, tested, count):
    oracle = TrainerOracle(SPACE, recipe, tested, tmp_path / "kept", num_processes=1)
    learned = []
    oracle.on_learned = learned.append
    assert oracle.forecast(40).startswith("trains at most 40 architectures, 3 times each: about ")
    assert oracle.forecast(None).startswith("trains at most 15,625 architectures")
    assert not count
    ask(oracle, 3, 5)
    ask(oracle, 3, 8)
    assert learned == [1, 2, 3]
    assert oracle.forecast(20_000).startswith("trains at most 15,622 architectures")
    assert oracle.forecast(40).endswith("3 are kept from before")
    again = TrainerOracle(SPACE, recipe, tested, tmp_path / "kept", num_processes=1)  # it has read no file yet
    assert again.forecast(20_000).startswith("trains at most 15,622 architectures")


def test_a_trained_task_has_cells(tested):
    with pytest.raises(InvalidInputError, match="recipe animals8-widths-10 trains widths, a trained task has cells"):
        trained_task(recipe_of("animals8-widths-10"), tested)
