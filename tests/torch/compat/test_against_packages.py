"""The drop-in beside the packages on genuine archives: the same values, errors, random draws and texts."""

import copy
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import nasbench_harness
from nasbench_harness import compat
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.importers.archives.importer import read_archive
from nasbench_harness.spaces.nasbench201 import OPERATIONS
from nasbench_harness.tables.registry import load_table, task_names

nats_bench = pytest.importorskip("nats_bench")
nas_201_api = pytest.importorskip("nas_201_api")

INDICES = (0, 11, 284)
TRAINED = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
SETS = ("train", "x-valid", "valid", "x-test", "ori-test", "nonsense")
FOLDERS = {"tss": "NATS-tss-v1_0-3ffb9-simple", "sss": "NATS-sss-v1_0-50262-simple"}
SCHEDULES = {"tss": {"12": 12, "200": 200}, "sss": {"01": 1, "12": 12, "90": 90}}


@pytest.fixture(scope="module", params=["tss", "sss", "nas-bench-201"])
def pair(request, genuine_archives, tmp_path_factory):
    """(the package's object, ours, {schedule: epochs})."""
    kind = "tss" if request.param == "nas-bench-201" else request.param
    folder = genuine_archives / FOLDERS[kind]
    table = read_archive(folder, tmp_path_factory.mktemp("work"))
    theirs = nats_bench.create(str(folder), kind, fast_mode=True, verbose=False)
    for index in INDICES:
        theirs.reload(str(folder), index)
    if request.param != "nas-bench-201":
        return theirs, compat.create(table, kind), SCHEDULES[kind]
    states = {
        index: {
            name: theirs.arch2infos_dict[index][hp].state_dict() for name, hp in {"less": "12", "full": "200"}.items()
        }
        for index in INDICES
    }
    packed = {"meta_archs": theirs.meta_archs, "arch2infos": states, "evaluated_indexes": set(INDICES)}
    return nas_201_api.NASBench201API(packed, verbose=False), compat.NASBench201API(table), SCHEDULES["tss"]


def same(ask, theirs, ours):
    """Compare two answers, or check that both raise; returns 1 where there is an answer."""
    try:
        expected = ask(theirs)
    except (KeyError, ValueError, AssertionError) as error:
        # The older package asserts what is a ValueError in the newer one.
        kind = ValueError if isinstance(error, AssertionError) else type(error)
        with pytest.raises(kind):
            ask(ours)
        return 0
    found = ask(ours)
    if isinstance(expected, dict):
        expected = {key: value for key, value in expected.items() if key != "comment"}
        assert list(found) == list(expected) or set(found) == set(expected)
        for key, value in expected.items():
            # Seconds of one epoch are differences of sums here, and NumPy adds them in another order.
            close = key == "cur_time" or key.startswith("T-")
            assert found[key] == (pytest.approx(value, rel=1e-9) if close and value is not None else value), key
    else:
        assert found == expected
    return 1


def test_get_more_info(pair):
    theirs, ours, schedules = pair
    count = 0
    for hp, num_epochs in schedules.items():
        epochs = {None, 0, 5, 11, num_epochs - 2, num_epochs - 1, num_epochs, -1}
        asked = itertools.product(INDICES, [*TRAINED, "mnist"], epochs, (False, 777, 888, 999, 111, 5))
        for index, dataset, iepoch, seed in asked:
            count += same(lambda api, *a: api.get_more_info(index, dataset, iepoch, hp, seed), theirs, ours)  # noqa: B023
    assert count > 150


def test_get_metrics(pair):
    theirs, ours, schedules = pair
    count = 0
    for hp, num_epochs in schedules.items():
        for index in INDICES:
            their_results, our_results = (api.query_by_index(index, hp=hp) for api in (theirs, ours))
            asked = itertools.product(TRAINED, SETS, (None, 0, num_epochs - 2, num_epochs), (False, 777, 111, 5))
            for dataset, name, iepoch, seed in asked:
                count += same(
                    lambda results: results.get_metrics(dataset, name, iepoch, seed),  # noqa: B023
                    their_results,
                    our_results,
                )
    assert count > 200


def test_everything_else_about_an_architecture(pair):
    theirs, ours, schedules = pair
    questions = {
        "names": lambda results, dataset: results.get_dataset_names(),
        "seeds": lambda results, dataset: results.get_dataset_seeds(dataset),
        "epochs": lambda results, dataset: results.get_total_epoch(dataset),
        "all epochs": lambda results, dataset: results.get_total_epoch(),
        "latency": lambda results, dataset: results.get_latency(dataset),
        "costs": lambda results, dataset: results.get_compute_costs(dataset),
        "trials": lambda results, dataset: list(results.query(dataset)),
        "config": lambda results, dataset: results.query(dataset, 777).get_config(None),
        "structure": lambda results, dataset: results.query(dataset, 777).get_config(len),
        "times": lambda results, dataset: results.query(dataset, 777).get_times(),
        "params": lambda results, dataset: results.query(dataset, 777).params,
        "flop": lambda results, dataset: results.query(dataset, 777).flop,
        "sets": lambda results, dataset: sorted(results.query(dataset, 777).get_eval_set()),
        "strange": lambda results, dataset: results.query(dataset, 5),
    }
    count = 0
    for hp, index, dataset in itertools.product(schedules, INDICES, [*TRAINED, "mnist"]):
        their_results, our_results = (api.query_by_index(index, hp=hp) for api in (theirs, ours))
        for ask in questions.values():
            count += same(lambda results: ask(results, dataset), their_results, our_results)  # noqa: B023
        for name in ("get_cost_info", "get_latency"):
            count += same(lambda api: getattr(api, name)(index, dataset, hp), theirs, ours)  # noqa: B023
        count += same(lambda api: sorted(api.query_by_index(index, dataset, hp)), theirs, ours)  # noqa: B023
        count += same(lambda api: api.get_net_config(index, dataset), theirs, ours)  # noqa: B023
    assert count > 300


def test_architectures(pair):
    theirs, ours, _ = pair
    assert (len(ours), list(ours), ours.meta_archs) == (len(theirs), list(theirs), theirs.meta_archs)
    assert type(ours.evaluated_indexes) is type(theirs.evaluated_indexes)
    assert sorted(ours.evaluated_indexes) == sorted(theirs.evaluated_indexes) == list(INDICES)
    assert sorted(ours.avaliable_hps) == sorted(theirs.avaliable_hps)
    for arch in (5, theirs.arch(7), "nothing", 3.5, -1, len(theirs)):
        same(lambda api: api.query_index_by_arch(arch), theirs, ours)  # noqa: B023
    for index in (3, -1, len(theirs)):
        same(lambda api: api.arch(index), theirs, ours)  # noqa: B023


def test_texts(pair, capsys):
    theirs, ours, schedules = pair
    for index, hp in itertools.product(INDICES, schedules):
        assert ours.query_info_str_by_arch(index, hp) == theirs.query_info_str_by_arch(index, hp)
        assert ours.query_by_arch(theirs.arch(index), hp) == theirs.query_by_arch(theirs.arch(index), hp)
    texts = []
    for api in (theirs, ours):
        for index in (*INDICES, len(theirs)):
            api.show(index)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_random_draws(pair):
    theirs, ours, schedules = pair
    for hp, seed in itertools.product(schedules, range(10)):
        answers = []
        for api in (theirs, ours):
            random.seed(seed)
            answers.append(
                [
                    api.random(),
                    api.get_more_info(11, "cifar10-valid", hp=hp)["valid-accuracy"],
                    api.query_by_index(11, hp=hp).get_metrics("cifar10-valid", "x-valid", is_random=True)["loss"],
                    random.random(),
                ]
            )
        assert answers[0] == answers[1]


def test_simulated_trainings(pair):
    theirs, ours, schedules = pair
    hp = list(schedules)[1]
    for api in (theirs, ours):
        random.seed(1)
        api.reset_time()
        assert api.used_time == 0
    states = [random.getstate()] * 2
    for index, dataset in itertools.product(INDICES, ("cifar10", "cifar100", "ImageNet16-120")):
        answers = []
        for position, api in enumerate((theirs, ours)):
            random.setstate(states[position])
            accuracy, _, seconds, used = api.simulate_train_eval(index, dataset, hp=hp)
            answers.append((accuracy, seconds, used, api.used_time))
            states[position] = random.getstate()
        assert answers[0] == answers[1]
    with pytest.raises(ValueError, match="Invalid dataset name"):
        ours.simulate_train_eval(0, "cifar10-valid", hp=hp)


def test_validation_and_test_together_are_never_answered(pair):
    """Since 1.5, nats-bench answers with them where validation is missing; that is test leakage."""
    theirs, ours, _ = pair
    if not isinstance(theirs, nats_bench.NATStopology):
        pytest.skip("the other objects have no such fallback, or no such epoch")
    leaked, *_ = theirs.simulate_train_eval(0, "cifar100", iepoch=100, hp="200")
    assert leaked in [
        trial.get_eval("ori-test", 100)["accuracy"] for trial in theirs.query_by_index(0, "cifar100", "200").values()
    ]
    with pytest.raises(compat.MissingResultError, match="that on validation and test together is not used instead"):
        ours.simulate_train_eval(0, "cifar100", iepoch=100, hp="200")


def test_the_seconds_of_the_same_schedule_are_charged(pair):
    """The older package reads the latency of the 12-epoch schedule whatever was asked."""
    _, ours, schedules = pair
    for hp in schedules:
        _, latency, _, _ = ours.simulate_train_eval(0, "cifar100", hp=hp)
        assert latency == ours.get_latency(0, "cifar100", hp)


# From objects in memory to tables.


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()


def same_arrays(first, second, names):
    assert list(first.datasets) == names
    for name, dataset in first.datasets.items():
        other = second.datasets[name]
        assert (dataset.fidelities, dataset.replicate_seeds) == (other.fidelities, other.replicate_seeds)
        assert list(dataset.columns) == list(other.columns)
        for metric, column in dataset.columns.items():
            assert column.metric == other.columns[metric].metric
            np.testing.assert_array_equal(column.values, other.columns[metric].values)


def test_an_object_becomes_the_table_of_its_archive(pair, cache, genuine_archives, tmp_path):
    theirs, ours, _ = pair
    in_memory = copy.copy(theirs)
    if hasattr(theirs, "fast_mode"):
        in_memory.reset_fast_mode(False)
    before = copy.deepcopy(theirs.arch2infos_dict[0]["12"].state_dict())
    table = nasbench_harness.table_from_api(in_memory, "mine", schedules=["12"])
    same_arrays(table, ours.table, ["cifar10-valid-12", "cifar100-12", "imagenet16-120-12"])
    assert "mine-cifar100-12" in task_names()
    assert "official API object of" in table.provenance.source
    assert theirs.arch2infos_dict[0]["12"].state_dict() == before


def test_a_fast_object_is_read_from_its_folder(cache, genuine_archives):
    folder = genuine_archives / FOLDERS["tss"]
    theirs = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    table = nasbench_harness.table_from_api(theirs, schedules=["12"])
    assert table.name == "nats-tss"
    assert np.isfinite(table.column("cifar100-12", "val_accuracy").values[list(INDICES), 0, -1]).all()


def test_the_command_line_reads_an_object(genuine_archives, cli, tmp_path):
    folder = genuine_archives / FOLDERS["sss"]
    (tmp_path / "mine.py").write_text(
        f"import nats_bench\n\n\ndef widths():\n    return nats_bench.create({str(folder)!r}, 'sss', True, False)\n"
        "number = 5\n\n\ndef broken():\n    return 1 / 0\n"
    )
    environment = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    done = cli("tables", "import", "--from-api", "mine:widths", "--name", "widths", "--schedules", "01", **environment)
    assert (done.returncode, done.stdout.splitlines()[0].partition(":")[0]) == (0, "widths")
    wrong = {
        ("--from-api", "mine"): "--from-api mine: write module:attribute",
        ("--from-api", "mine:nothing"): "unknown attribute 'nothing'",
        ("--from-api", "nowhere:widths"): "--from-api nowhere:widths: no module 'nowhere'",
        ("--from-api", "mine:number"): "expected an object of nas_201_api.NASBench201API",
        ("--from-api", "mine:broken"): "calling it failed with ZeroDivisionError",
        ("--from-api", "mine:widths", "--spec", "a.toml"): "--spec goes with FILE",
        (): "name either FILE, --from-api MODULE:ATTRIBUTE or --benchmark",
        ("file.csv", "--from-api", "mine:widths"): "name either FILE, --from-api MODULE:ATTRIBUTE or --benchmark",
    }
    for arguments, message in wrong.items():
        done = cli("tables", "import", *arguments, **environment)
        assert (done.returncode, done.stderr.count("\n"), message in done.stderr) == (2, 1, True), done.stderr


def test_other_objects_are_refused():
    for wrong in (None, {}, nats_bench, compat.NATStopology("nb201")):
        with pytest.raises(InvalidInputError, match="expected an object of"):
            nasbench_harness.table_from_api(wrong)


# Old scripts give the same traces with the package and with the drop-in.


@pytest.fixture(scope="module")
def both(official_results, tmp_path_factory):
    """A package object of the 64 cells of two operations, made by its own classes, and its table."""
    cells = [
        "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names) for names in itertools.product(OPERATIONS[:2], repeat=6)
    ]
    names = list(compat.NATStopology("nb201").meta_archs)
    infos = {}
    for text in cells:
        index = names.index(text)
        infos[index] = official_results(nats_bench.api_utils, index, text, {"12": 3}, seeds=(777, 888))
    packed = {"meta_archs": names, "arch2infos": infos, "evaluated_indexes": set(infos)}
    api = nats_bench.create(packed, "tss", verbose=False)
    patch = pytest.MonkeyPatch()
    patch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
    load_table.cache_clear()
    table = nasbench_harness.table_from_api(api, "made")
    patch.undo()
    load_table.cache_clear()
    return api, table, sorted(infos)


@pytest.mark.parametrize("name", ["random_search", "regularized_evolution", "bohb", "reinforce"])
def test_an_old_script_has_the_same_trace(name, both):
    api, table, candidates = both
    ours = compat.NATStopology(table)
    if name == "reinforce":  # written against the older package
        states = {index: results["12"].state_dict() for index, results in api.arch2infos_dict.items()}
        infos = {index: {"less": state, "full": state} for index, state in states.items()}
        packed = {"meta_archs": api.meta_archs, "arch2infos": infos, "evaluated_indexes": candidates}
        api, ours = nas_201_api.NASBench201API(packed, verbose=False), compat.NASBench201API(table)
    script = Path(__file__).parents[2] / "compat" / "scripts" / f"{name}.py"
    text = script.read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("api = ")]
    text = text.replace(line, "api.reset_time()")
    histories = []
    for each in (api, ours):
        settings = {
            "SEED": 5, "DATASET": "cifar10", "TIME_BUDGET": 1_000.0, "OPS": OPERATIONS[:2], "EPOCHS": (1, 3),
            "CANDIDATES": candidates, "api": each,
        }  # fmt: skip
        exec(compile(text, name, "exec"), settings)  # noqa: S102 - the script is part of the tests
        histories.append((settings["history"], settings["info"], each.used_time))
    assert len(histories[0][0]) > 20
    assert histories[0] == histories[1]
