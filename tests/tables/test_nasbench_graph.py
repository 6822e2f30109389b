"""NAS-Bench-Graph against the package's files and the numbers that were measured or published."""

import pickle
import random

import numpy as np
import pytest
from kit.cases import fast_first
from nas_bench_graph import light_read
from scipy import stats

from nasbench_harness.errors import TableError
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import NASBenchGraphSpace
from nasbench_harness.spaces.nasbench_graph import PROTEINS_OPERATIONS
from nasbench_harness.tables import nasbench_graph
from nasbench_harness.tables.cache import open_table, write_table
from nasbench_harness.tables.unpickle import restricted_load

LARGE = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")
DATASETS = (*LARGE, "proteins")
# Key, validation and test accuracy (%) of the best by validation; Cora has two.
BEST = {
    "cora": {"83102": (81.93, 80.80), "87072": (81.93, 82.63)},
    "citeseer": {"31144": (72.80, 71.03)},
    "pubmed": {"30224": (81.13, 75.60)},
    "cs": {"26503": (92.13, 90.59)},
    "physics": {"60717": (94.00, 91.35)},
    "photo": {"30743": (94.07, 92.08)},
    "computers": {"73033": (91.90, 82.03)},
    "arxiv": {"83533": (73.67, 71.95)},
    "proteins": {"74578": (85.33, 76.11)},
}
# Rows without a strictly better neighbor by validation.
LOCAL_MAXIMA = dict(zip(DATASETS, (314, 198, 368, 150, 406, 164, 237, 53, 14), strict=True))
VALIDATION_STEPS = {"cora": 1_500, "citeseer": 1_500, "pubmed": 1_500}
TEST_NODES = {"cora": 1_000, "citeseer": 1_000, "pubmed": 1_000, "cs": 17_583, "physics": 34_243}
TEST_NODES |= {"photo": 7_087, "computers": 12_881, "arxiv": 48_603}


@pytest.fixture(scope="session")
def graph():
    """NAS-Bench-Graph, converted here and now."""
    return nasbench_graph.convert()


@pytest.fixture(params=DATASETS)
def dataset(request):
    return request.param


@pytest.fixture
def values(graph):
    """Returns one metric of every architecture, (num_architectures,)."""
    return lambda dataset, metric: graph.column(dataset, metric).values[:, 0, 0]


@pytest.fixture
def rewrite(monkeypatch, tmp_path):
    """Reads, as Cora, what a function made of the package's file."""
    (tmp_path / "light").mkdir()
    monkeypatch.setattr(nasbench_graph, "_package_folder", lambda: tmp_path)

    def write(change):
        (tmp_path / "light" / "cora.bench").write_bytes(pickle.dumps(change(light_read("cora"))))

    return write


def test_axes_and_spaces(graph, dataset):
    rows = 2_021 if dataset == "proteins" else 26_206
    entry = graph.datasets[dataset]
    names = ["val_accuracy", "test_accuracy", "latency_ms", "params_m"]
    assert {name: column.values.shape for name, column in entry.columns.items()} == dict.fromkeys(names, (rows, 1, 1))
    assert entry.space.num_architectures == rows
    assert entry.space.operations == (PROTEINS_OPERATIONS if dataset == "proteins" else NASBenchGraphSpace().operations)
    assert entry.fidelities == ()


def test_eight_data_sets_share_one_space(graph):
    assert len({id(graph.datasets[dataset].space) for dataset in LARGE}) == 1


def test_roles(graph, dataset):
    metrics = {name: column.metric for name, column in graph.datasets[dataset].columns.items()}
    assert {name: (metric.role, metric.free) for name, metric in metrics.items()} == {
        "val_accuracy": ("search", False),
        "test_accuracy": ("test", False),
        "latency_ms": ("hardware", True),
        "params_m": ("hardware", True),
    }
    assert [metric.unit for metric in metrics.values()] == ["%", "%", "ms", "million"]
    assert [metric.direction for metric in metrics.values()] == ["maximize"] * 2 + ["minimize"] * 2


def test_provenance_names_source_version_license_and_digests(graph):
    provenance = graph.provenance
    assert "NAS-Bench-Graph" in provenance.source
    assert (provenance.version, provenance.license) == ("1.4.0", "Apache-2.0")
    assert sorted(provenance.sha256) == sorted(f"{dataset}.bench" for dataset in DATASETS)
    assert {len(digest) for digest in provenance.sha256.values()} == {64}


def test_titles_say_where_accuracy_is_roc_auc(graph):
    titles = {name: entry.title for name, entry in graph.datasets.items()}
    assert titles == nasbench_graph.DATASETS
    assert [name for name, title in titles.items() if "ROC-AUC" in title] == ["proteins"]


def test_values_are_those_of_the_package(graph, values, dataset):
    rows, space = light_read(dataset), graph.datasets[dataset].space
    ordered = [rows[int(space.to_key(index))] for index in range(space.num_architectures)]
    for metric, field, scale in [
        ("val_accuracy", "valid_perf", 100),
        ("test_accuracy", "perf", 100),
        ("latency_ms", "latency", 1e3),
        ("params_m", "para", 1),
    ]:
        expected = np.array([row[field] for row in ordered]) * scale
        np.testing.assert_allclose(values(dataset, metric), expected, rtol=1e-12)


def test_the_files_refer_to_two_globals_of_numpy_only(dataset):
    path = nasbench_graph._package_folder() / "light" / f"{dataset}.bench"
    with pytest.raises(TableError, match=r"numpy\.core\.multiarray\.scalar|numpy\.dtype"):
        restricted_load(path)
    allowed = frozenset({("numpy.core.multiarray", "scalar"), ("numpy", "dtype")})
    assert allowed < nasbench_graph._ALLOWED
    assert len(restricted_load(path, allowed)) in (2_021, 26_206)


def test_validation_lies_on_its_grid(graph, values, dataset):
    """Means of three accuracies on 500 nodes, or of three that the source rounded to three decimals."""
    steps = VALIDATION_STEPS.get(dataset, 3_000)
    assert graph.column(dataset, "val_accuracy").metric.resolution == pytest.approx(100 / steps)
    counts = np.rint(values(dataset, "val_accuracy") * steps / 100)
    np.testing.assert_array_equal(values(dataset, "val_accuracy"), counts / (steps / 100))
    assert (counts % 2).any()  # no coarser grid would do


def test_test_lies_on_the_grid_of_its_nodes(graph, values, dataset):
    resolution = graph.column(dataset, "test_accuracy").metric.resolution
    if dataset == "proteins":
        assert resolution is None
        assert len(np.unique(values(dataset, "test_accuracy"))) == 2_021
    else:
        counts = values(dataset, "test_accuracy") * 3 * TEST_NODES[dataset] / 100
        np.testing.assert_allclose(counts, np.rint(counts), rtol=0, atol=1e-6)
        assert resolution == pytest.approx(100 / 3 / TEST_NODES[dataset])


def test_equal_accuracies_are_equal_numbers(values, dataset):
    raw = np.array([row["valid_perf"] for row in light_read(dataset).values()], dtype=float)
    found = values(dataset, "val_accuracy")
    assert len(np.unique(found)) == len(np.unique(raw.round(9)))
    assert len(np.unique(found)) < len(np.unique(raw))


def test_best_by_validation(graph, values, dataset):
    validation, test = values(dataset, "val_accuracy"), values(dataset, "test_accuracy")
    best = np.flatnonzero(validation == validation.max())
    found = {graph.datasets[dataset].space.to_key(row): (validation[row], test[row]) for row in best}
    assert found.keys() == BEST[dataset].keys()
    for key, pair in BEST[dataset].items():
        assert found[key] == pytest.approx(pair, abs=0.005)


def test_the_optimum_is_the_first_of_the_best(graph, dataset):
    task = make_task(graph, dataset)
    assert task.name == f"graph-{dataset}"
    assert task.space.to_key(task.scores["val"].optimum) == min(BEST[dataset])
    assert not task.has_cost


def test_uniform_over_rows_is_not_uniform_over_descriptions(graph, values):
    """Mean validation on Cora: 76.31 over rows, 77.30 over the 24 link patterns and 9⁴ operations."""
    space, accuracy = graph.datasets["cora"].space, values("cora", "val_accuracy")
    assert accuracy.mean() == pytest.approx(76.31, abs=0.005)
    links = np.stack(np.meshgrid(*(range(count) for count in (1, 2, 3, 4)), indexing="ij"), axis=-1).reshape(-1, 4)
    operations = np.stack(np.meshgrid(*[range(9)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    rows = space.from_links(np.repeat(links, len(operations), axis=0), np.tile(operations, (len(links), 1)))
    assert accuracy[rows[rows >= 0]].mean() == pytest.approx(77.30, abs=0.005)


def test_validation_says_little_about_test_on_pubmed(values):
    pair = values("pubmed", "val_accuracy"), values("pubmed", "test_accuracy")
    assert np.corrcoef(*pair)[0, 1] == pytest.approx(0.34, abs=0.005)
    assert stats.spearmanr(*pair).statistic == pytest.approx(0.54, abs=0.005)


def test_data_sets_rank_architectures_differently(values):
    ranks = [stats.rankdata(values(dataset, "val_accuracy")) for dataset in LARGE]
    correlations = np.corrcoef(ranks)[np.triu_indices(len(LARGE), 1)]
    assert correlations.min() == pytest.approx(0.01, abs=0.005)
    assert correlations.max() == pytest.approx(0.62, abs=0.005)


def test_local_maxima(graph, values, dataset):
    space, accuracy = graph.datasets[dataset].space, values(dataset, "val_accuracy")
    neighbors = space.neighbors(np.arange(space.num_architectures))
    best = np.where(neighbors >= 0, accuracy[neighbors], -np.inf).max(axis=1)
    is_maximum = best <= accuracy
    assert is_maximum.sum() == LOCAL_MAXIMA[dataset]
    assert is_maximum[accuracy == accuracy.max()].all()


def test_hardware_units(values, dataset):
    assert 0.1 < values(dataset, "latency_ms").min() < values(dataset, "latency_ms").max() < 1_000
    assert 0.03 < values(dataset, "params_m").min() < values(dataset, "params_m").max() < 10


def test_the_cache_gives_the_table_back(graph, tmp_path):
    write_table(graph, tmp_path / "graph")
    again = open_table(tmp_path / "graph")
    for dataset, entry in graph.datasets.items():
        assert again.datasets[dataset].space.description() == entry.space.description()
        for name, column in entry.columns.items():
            assert again.column(dataset, name).metric == column.metric
            np.testing.assert_array_equal(again.column(dataset, name).values, column.values)


def test_converting_leaves_the_global_generators_alone():
    before, python = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 - what is checked
    nasbench_graph.convert()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - what is checked
    assert random.getstate() == python


def test_a_missing_package_names_the_install_command(monkeypatch):
    monkeypatch.setattr(nasbench_graph, "find_spec", lambda name: None)
    with pytest.raises(TableError, match="pip install nas-bench-graph"):
        nasbench_graph.convert()


def test_numbers_pickled_by_a_newer_numpy_are_read(rewrite):
    """They name the renamed module; reading goes on to the next file, which is not there."""
    rewrite(lambda rows: rows)
    with pytest.raises(TableError, match=r"cannot read \S+citeseer\.bench: No such file"):
        nasbench_graph.convert()


def without(key):
    return lambda rows: {other: row for other, row in rows.items() if other != key}


def changed(**fields):
    return lambda rows: {**rows, 87072: {**rows[87072], **fields}}


@pytest.mark.parametrize(
    ("change", "message"),
    fast_first(
        [
            (without(87072), "does not hold the 26,206 architectures of its space: reinstall nas-bench-graph"),
            (lambda rows: {**rows, 88888: rows[87072]}, "does not hold the 26,206 architectures"),
            (list, "does not hold the 26,206 architectures"),
            (changed(valid_perf=0.81931), "validation values are no multiples of 1/1500: reinstall"),
            (changed(perf=0.81931), "test values are no multiples of 1/3000: reinstall"),
            (changed(latency=float("nan")), "a row's latency is not finite: reinstall"),
            (changed(para=None), "a row has no number para: reinstall"),
            (lambda rows: {**rows, 87072: {}}, "a row has no number valid_perf: reinstall"),
            (lambda rows: {**rows, 87072: 0.8}, "a row has no number valid_perf: reinstall"),
            (
                lambda rows: {**rows, 87072: print},
                r"refused to read \S+cora\.bench: the pickle refers to builtins\.print",
            ),
        ],
        3,
    ),
    ids=["lacks", "has more", "list", "valid", "test", "latency", "none", "empty", "number", "code"],
)
def test_damaged_files_are_refused(rewrite, change, message):
    rewrite(change)
    with pytest.raises(TableError, match=message):
        nasbench_graph.convert()
