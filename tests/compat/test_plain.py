"""The plain object on tables of this package: what it answers, and what it refuses."""

import doctest
import random

import numpy as np
import pytest

from nasbench_harness import compat
from nasbench_harness.compat import MissingResultError, NASBench201API, NATSsize, NATStopology, create
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space, ProductSpace, restricted
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

CELLS = NASBench201Space()


@pytest.fixture(scope="module")
def api():
    return NATStopology("nb201")


def table_of(space=CELLS, epochs=(1, 2), **datasets):
    """A table whose value is 10 · replicate + epoch; each data set is a dictionary {metric: number of epochs}."""

    def column(name, num_epochs):
        role = "cost" if name.endswith("_s") else "test" if name.startswith(("test", "valtest")) else "search"
        values = 10.0 * np.arange(2)[:, None] + np.arange(1, num_epochs + 1)
        return MetricArray(Metric(name, "%", "maximize", role), np.tile(values, (space.num_architectures, 1, 1)))

    made = {
        name.replace("_", "-"): Dataset(name, space, {key: column(key, size) for key, size in metrics.items()}, epochs)
        for name, metrics in datasets.items()
    }
    return Table("made", made, Provenance("here", "1", "MIT"))


def test_the_official_names_and_numbers(api):
    accuracy = load_table("nb201").column("cifar100", "val_accuracy").values[7, :, 0]
    trials = api.query_by_index(7, "cifar100", hp="200")
    known = accuracy[~np.isnan(accuracy)].tolist()
    assert {seed: trial.get_eval("x-valid")["accuracy"] for seed, trial in trials.items()} == dict(
        zip((777, 888, 999), known, strict=False)
    )
    results = api.query_by_index(7)
    assert results.get_dataset_names() == ["cifar10-valid", "cifar100", "ImageNet16-120"]
    assert results.get_metrics("cifar100", "x-valid")["accuracy"] == sum(known) / len(known)
    assert results.get_total_epoch() == 200
    assert api.get_latency(7, "cifar100") == results.get_latency("cifar100")
    assert results.get_compute_costs("cifar100")["params"] == pytest.approx(CELLS.params_m(100)[7])
    assert api.get_net_config(7, "ImageNet16-120")["num_classes"] == 120


def test_replicates_are_never_padded(api):
    accuracy = load_table("nb201").column("cifar10", "val_accuracy").values[:, :, 0]
    (index, *_) = np.flatnonzero(np.isnan(accuracy[:, 2]))
    results = api.query_by_index(int(index))
    assert results.get_dataset_seeds("cifar10-valid") == [777, 888]
    with pytest.raises(MissingResultError, match="no training seed 999 on cifar10-valid"):
        api.get_more_info(int(index), "cifar10-valid", is_random=999)


def test_architectures_and_indices(api):
    assert len(api) == 15_625 == len(api.evaluated_indexes)
    assert list(api) == api.meta_archs == [api[index] for index in range(15_625)]
    assert CELLS.to_key(api.query_index_by_arch(api.arch(3))) == CELLS.to_key(3)
    assert api.query_index_by_arch(np.int64(3)) == 3
    assert api.query_index_by_arch("no cell") == api.query_index_by_arch(object()) == -1
    with pytest.raises(ValueError, match="Invalid architecture index 15625"):
        api.query_index_by_arch(15_625)
    with pytest.raises(ValueError, match="invalid index"):
        api.arch(-1)
    assert repr(api) == "NATStopology(15625/15625 architectures, table=nb201)"


def test_a_random_index_is_drawn_as_the_official_api_draws_it(api):
    random.seed(3)
    drawn = [api.random() for _ in range(5)]
    random.seed(3)
    assert drawn == [random.randint(0, 15_624) for _ in range(5)]


@pytest.mark.parametrize("split", ["x-test", "ori-test", "test"])
def test_a_missing_split_is_an_error_and_never_another_split(api, split):
    with pytest.raises(MissingResultError, match=f"no result of cifar100, schedule 200, on {split}") as caught:
        api.query_by_index(0).get_metrics("cifar100", split)
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, ValueError)
    assert not str(caught.value).startswith(("'", '"'))
    assert {key.partition("-")[0] for key in api.get_more_info(0, "cifar100")} == {"train", "valid"}


def test_validation_and_test_together_are_never_used_instead_of_validation():
    columns = {"train_accuracy": 2, "train_cost_s": 2, "valtest_accuracy": 2, "test_accuracy": 2}
    api = NATStopology(table_of(cifar100=columns | {"val_accuracy": 1}))
    info = api.get_more_info(0, "cifar100", iepoch=0)
    assert "valid-accuracy" not in info
    assert info["valtest-accuracy"] in (1, 11)
    with pytest.raises(MissingResultError, match="that on validation and test together is not used instead"):
        api.simulate_train_eval(0, "cifar100", iepoch=0)
    with pytest.warns(UserWarning, match="no seconds of evaluation"):
        assert api.simulate_train_eval(0, "cifar100", iepoch=1)[0] in (1, 11)


def test_a_missing_epoch_is_an_error(api):
    with pytest.raises(MissingResultError, match=r"no result of cifar10-valid.* on train after epoch 11"):
        api.get_more_info(0, "cifar10-valid", iepoch=11)
    with pytest.raises(MissingResultError, match="no epoch 200"):
        api.get_more_info(0, "cifar10-valid", iepoch=200)


def test_there_is_no_default_schedule_if_there_are_several():
    columns = {"val_accuracy": 2, "train_accuracy": 2}
    api = NASBench201API(table_of(cifar100_2=columns, cifar100_02=columns))
    assert api.avaliable_hps == ["2", "02"]
    with pytest.raises(MissingResultError, match="several schedules: name one, hp= '2' or '02'"):
        api.get_more_info(0, "cifar100")
    assert api.get_more_info(0, "cifar100", hp=2, is_random=777)["valid-accuracy"] == 2
    with pytest.raises(MissingResultError, match="no schedule '200'"):
        api.query_by_index(0, hp="200")


def test_two_data_sets_with_one_official_name_are_refused():
    with pytest.raises(InvalidInputError, match="two data sets that the official API calls cifar100, schedule 2"):
        NATStopology(table_of(cifar100_2={"val_accuracy": 2}, cifar100={"val_accuracy": 2}))


def test_own_tables_keep_their_names():
    space = ProductSpace("letters", [["a", "b"], ["c", "d"]])
    api = NATStopology(table_of(space, letters={"val_accuracy": 2, "test_accuracy": 1, "train_cost_s": 2}))
    assert api.meta_archs == ["a:c", "a:d", "b:c", "b:d"]
    info = api.get_more_info("b:c", "letters", is_random=888)
    assert (info["valid-accuracy"], info["test-accuracy"], info["train-all-time"]) == (12, 11, 12)
    assert info["train-accuracy"] is None
    trial = api.query_by_index(2, "letters")[888]
    assert [trial.get_train(epoch)["cur_time"] for epoch in (0, 1)] == [11, 1]
    with pytest.raises(MissingResultError, match="no official settings"):
        api.get_net_config(2, "letters")
    unnamed = NATStopology(table_of(space, epochs=(), letters={"val_accuracy": 1}))
    assert unnamed.avaliable_hps == ["full"]
    with pytest.raises(MissingResultError, match="does not say how many epochs"):
        unnamed.query_by_index(0).get_total_epoch()


def test_rows_without_results_are_named():
    space = ProductSpace("letters", [["a", "b"], ["c", "d"]])
    table = table_of(space, letters={"val_accuracy": 2})
    table.datasets["letters"].columns["val_accuracy"].values[1:3] = np.nan
    api = NASBench201API(table)
    assert api.evaluated_indexes == [0, 3]
    with pytest.raises(MissingResultError, match="no result of architecture 1"):
        api.query_by_index(1)
    assert api.query_info_str_by_arch(1) is None
    assert api.query_info_str_by_arch(0).startswith("a:c\ndatasets : ['letters'], extra-info : arch-index=0")


def test_tables_are_named(api):
    assert isinstance(create("nb201", "tss"), NATStopology)
    with pytest.raises(InvalidInputError, match="invalid search space"):
        create("nb201", "darts")
    for wrong in ("NAS-Bench-201-v1_1-096897.pth", {"meta_archs": []}):
        with pytest.raises(InvalidInputError, match=r"is no table: name one of nb201, .* tables import FILE"):
            NASBench201API(wrong)
    with pytest.raises(InvalidInputError, match=r"different search spaces, .*; record\(…, task=…\) serves one"):
        NASBench201API("graph")


def test_a_class_does_not_serve_the_space_of_another():
    widths = table_of(ProductSpace("nats-sss", [["8", "16"]] * 2), cifar100={"val_accuracy": 2})
    without = table_of(restricted.restrict(CELLS, ["none"])[0], cifar100={"val_accuracy": 2})
    for table, kind, wrong, advice in (
        ("nb201", "tss", NATSsize, r"NATStopology \(tss\)"),
        (without, "topology", NATSsize, r"NATStopology \(tss\)"),
        (widths, "size", NATStopology, r"NATSsize \(sss\)"),
        (widths, "sss", NASBench201API, r"NATSsize \(sss\)"),
    ):
        with pytest.raises(InvalidInputError, match=rf"{wrong.__name__} does not serve: use {advice}"):
            wrong(table)
        assert len(create(table, kind, verbose=False)) > 1
    own = table_of(ProductSpace("letters", [["a", "b"]] * 2), letters={"val_accuracy": 2})
    assert {create(own, kind).search_space_name for kind in ("tss", "sss")} == {"topology", "size"}


def test_show_prints_what_the_table_has(api, capsys):
    api.show(1)
    text = capsys.readouterr().out
    assert "cifar100       train : [loss = None & top1 = None%], valid : [loss = None & top1 = " in text
    assert "test" not in text
    api.show(15_625)
    assert "out of range (0~15625)" in capsys.readouterr().out


def test_cells_as_lists_and_matrices():
    text = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert NATStopology.str2lists(text)[0] == (("nor_conv_1x1", 0),)
    assert NATStopology.str2matrix(text).tolist() == [[0, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    with pytest.raises(InvalidInputError, match="is no NAS-Bench-201 cell"):
        NATStopology.str2lists("no cell")
    with pytest.raises(InvalidInputError, match="this op"):
        NATStopology.str2matrix(text, ["none"])


@pytest.mark.parametrize("module", [compat.api, compat.networks, restricted])
def test_the_examples_in_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
