"""A table of trained cells: finished parts to one file, the file to a table; everything without torch."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.cells import RULES, invented_rows, write_part, write_parts
from scipy.stats import spearmanr

from nasbench_harness import run
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables import location, registry, trained_cells
from nasbench_harness.tables.cells_file import is_cells_file, read_cells
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import default_task_names, load_table, task_names
from nasbench_harness.tables.trained_cells import read_table
from nasbench_harness.trainer.assembling import DEAD_BIASES, assemble, offered_epochs, table_file
from nasbench_harness.trainer.networks.structure import cell_edges, structure_of

SPACE = NASBench201Space()
CLASSES = SPACE.canonical(np.arange(SPACE.num_architectures))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(rows of all parts, the file that they become)"""
    folder = tmp_path_factory.mktemp("parts")
    rows = write_parts(folder)
    assert assemble(folder, RULES) == 0
    return rows, table_file(folder)


@pytest.fixture
def first_part(tmp_path):
    """(rows of the first 200 classes, function that writes them as the only part)"""
    rows = {name: values[:200] for name, values in invented_rows().items()}
    return rows, lambda changed, **origin: write_part(tmp_path / "part-000.parquet", changed, **origin)


def test_every_cell_has_the_counts_of_its_class(built):
    rows, file = built
    dataset = read_table(file).datasets["animals8"]
    place = {int(one): row for row, one in enumerate(rows["architecture"])}
    valid, test = (dataset.columns[name].values for name in ("val_accuracy", "test_accuracy"))
    assert valid.shape == test.shape == (15_625, 3, len(dataset.fidelities))
    for cell in np.random.default_rng(0).choice(15_625, 50, replace=False):
        row = place[int(CLASSES[cell])]
        for replicate in range(3):
            counts = rows["valid_correct"][row, np.array(dataset.fidelities) - 1, replicate]
            np.testing.assert_array_equal(valid[cell, replicate], 100 * counts / 3_701)
            shown = dict(zip(dataset.fidelities, test[cell, replicate], strict=True))
            assert [shown[8], shown[10]] == (100 * rows["test_correct"][row, 1:, replicate] / 3_014).tolist()
            assert np.isnan([shown[7], shown[9]]).all()


def test_size_and_seconds_are_those_of_the_cell_itself(built):
    """For each of the 28 pairs of numbers of convolutions, against the structure of the network."""
    dataset = read_table(built[1]).datasets["animals8"]
    values = {name: column.values for name, column in dataset.columns.items()}
    kinds, cells = np.unique(SPACE.num_convolutions(), axis=0, return_index=True)
    assert len(kinds) == 28
    for cell in cells.tolist():
        structure = structure_of(SPACE.to_string(cell), 1, 8, 1, 10)
        assert values["params_m"][cell] == structure.num_params() / 1e6
        assert values["flops_m"][cell] == structure.flops(8) / 1e6
        whole = RULES.recipe.cost_s(structure.flops(8), 3_001)
        expected = whole * np.array(dataset.fidelities) / 10
        np.testing.assert_allclose(values["train_cost_s"][cell, 0], expected, rtol=1e-15)
        assert values["train_cost_s"][cell, 0, -1] == whole


def test_epochs_are_offered_by_their_agreement_with_the_end_of_another_seed(built):
    rows, file = built
    record = read_cells(file).record
    counts = rows["valid_correct"][SPACE.is_connected()[rows["architecture"]]]
    pairs = [(one, other) for one in range(3) for other in range(3) if one != other]
    for epoch in range(10):
        found = [spearmanr(counts[:, epoch, one], counts[:, -1, other]).statistic for one, other in pairs]
        assert record.rank_correlation[epoch] == pytest.approx(np.mean(found), abs=1e-4)
    offered = [epoch for epoch, one in enumerate(record.rank_correlation, start=1) if one >= 0.3]
    assert list(record.offered) == offered
    assert record.uninformative == tuple(range(1, offered[0]))
    assert f"Epochs {', '.join(map(str, record.uninformative))} are uninformative" in record.notes[1]
    assert offered_epochs([0.5, 0.2, float("nan"), 0.1]) == (1, 4)


@pytest.mark.thorough
def test_the_file_is_small_says_where_it_comes_from_and_repeats(built, tmp_path):
    rows, file = built
    assert file.stat().st_size <= 1.5e6
    record = read_cells(file).record
    assert record.recipe == dataclasses.asdict(RULES.recipe)
    assert record.digests == RULES.digests
    assert record.versions == {"torch": ("2.13.0",), "nasbench-harness": ("0.1.0",), "animal-shape-mnist": ("0.39",)}
    assert record.processors == ("A processor", "B")
    assert record.dates == ("2026-11-01", "2026-11-28")
    assert record.command == "nasbench-harness tables build tiny201"
    write_parts(tmp_path, rows, per_part=1_000)
    assemble(tmp_path, RULES)
    assert read_cells(table_file(tmp_path)).valid_correct.tolist() == read_cells(file).valid_correct.tolist()
    before = file.read_bytes()
    assert assemble(file.parent, RULES) == 0
    assert file.read_bytes() == before


def test_losses_are_quantized_and_a_training_that_diverged_counts_as_chance(tmp_path):
    rows = invented_rows()
    rows["train_loss"][0, :, 0] = [0.12349, 1e9, np.inf, np.nan, 2.3, 1, 1, 1, 1, 1]
    rows["is_finite"][0, 7, 0] = False  # the epochs after it show accuracies again: they count as chance, too
    write_parts(tmp_path, rows)
    assemble(tmp_path, RULES)
    cells = read_cells(table_file(tmp_path))
    row = int(np.searchsorted(cells.architectures, rows["architecture"][0]))
    np.testing.assert_allclose(cells.losses()[row, :5, 0], [0.123, 65.534, np.nan, np.nan, 2.3], rtol=1e-12)
    assert (cells.valid_accuracy()[row, 7:, 0] == 10).all()
    assert cells.valid_accuracy()[row, 6, 0] == 100 * rows["valid_correct"][0, 6, 0] / 3_701
    assert cells.test_accuracy()[row, :, 0].tolist()[1:] == [10, 10]
    np.testing.assert_allclose(
        cells.losses()[row + 1], rows["train_loss"][rows["architecture"] == cells.architectures[row + 1]][0], atol=5e-4
    )


def test_missing_classes_are_counted_and_nothing_is_written(tmp_path, first_part):
    rows, write = first_part
    assert assemble(tmp_path, RULES) == 6_466
    write(rows)
    assert assemble(tmp_path, RULES) == 6_266
    assert not table_file(tmp_path).exists()


@pytest.mark.parametrize("replicates", [2, 4])
def test_a_part_without_exactly_three_replicates_is_refused_by_name(tmp_path, first_part, replicates):
    rows, write = first_part
    write({**rows, "valid_correct": np.resize(rows["valid_correct"], (200, 10, replicates))})
    with pytest.raises(
        InvalidInputError, match=r"part-000\.parquet: valid_correct must have 10 epochs of exactly 3 re"
    ):
        assemble(tmp_path, RULES)


def test_parts_that_do_not_belong_together_are_refused_by_name(tmp_path, first_part):
    rows, write = first_part
    for changed, origin, message in (
        ({}, {"origin": "another"}, "was trained by another recipe"),
        ({"architecture": np.roll([*rows["architecture"][:199], rows["architecture"][0]], 1)}, {}, "is there twice"),
        ({"architecture": rows["architecture"] * 0 + 15_624}, {}, "cell 15624, which is no class"),
        ({"valid_correct": rows["valid_correct"] + 3_701}, {}, "more correct images than the 3,701"),
    ):
        write({**rows, **changed}, **origin)
        with pytest.raises(InvalidInputError, match=rf"part-000\.parquet .*{message}"):
            assemble(tmp_path, RULES)
    (tmp_path / "part-000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidInputError, match=r"part-000\.parquet is damaged: delete it"):
        assemble(tmp_path, RULES)
    write(rows)
    write_part(tmp_path / "part-001.parquet", rows)
    with pytest.raises(InvalidInputError, match=r"part-001\.parquet holds cell \d+, which .* is there twice"):
        assemble(tmp_path, RULES)


def damaged(file, table, tmp_path, **provenance):
    """The file with another content or provenance."""
    content = {**json.loads(pq.read_schema(file).metadata[b"provenance"]), **provenance}
    path = tmp_path / "tiny201.parquet"
    pq.write_table(table.replace_schema_metadata({"provenance": json.dumps(content)}), path)
    return path


def test_files_that_are_no_such_table_are_refused_in_one_line(built, tmp_path):
    table = pq.read_table(built[1])
    reversed_rows = table.take(pa.array(np.arange(6_466)[::-1]))
    renamed = table.rename_columns([*table.column_names[:-1], "other"])
    for changed, provenance, message in (
        (reversed_rows, {}, "not the classes of cells in ascending order"),
        (table.slice(0, 6_465), {}, "it has not 6,466 rows"),
        (renamed, {}, "is_finite"),
        (table, {"epochs": 9}, "must ascend to the last epoch"),
        (table, {"seeds": [0, 1]}, "valid_correct holds .*, not 20 values a row"),
        (table, {"num_valid": 100}, "of 100 images are correct"),
        (table, {"num_test": 0}, "num_test: Input should be greater"),
        (table, {"digests": {}}, "a digest, or the name of the recipe"),
        (table, {"surprise": 1}, "surprise"),
    ):
        path = damaged(built[1], changed, tmp_path, **provenance)
        with pytest.raises(
            InvalidInputError, match=rf"tiny201\.parquet is no table that tables build wrote: .*{message}"
        ):
            read_table(path)
    path.write_bytes(built[1].read_bytes()[:-100])
    with pytest.raises(InvalidInputError, match="is no table that tables build wrote"):
        read_table(path)
    assert not is_cells_file(path)
    with pytest.raises(InvalidInputError, match="cannot read"):
        read_table(tmp_path / "none.parquet")


def test_the_command_imports_the_file_and_describes_it(built, cli, cache):
    environment = {"NASBENCH_HARNESS_CACHE": str(cache)}
    done = cli("tables", "import", built[1], "--name", "mine", **environment)
    assert (done.returncode, done.stdout.splitlines()[1].split()[0]) == (0, "mine-animals8")
    shown = cli("tables", "info", "mine", **environment).stdout
    assert "for testing methods, not for claims about CIFAR" in shown
    assert "10 by default" in shown
    assert "No image comes with the table." in shown
    assert "trained with animal-shape-mnist" in shown
    assert "by: nasbench-harness tables build tiny201" in shown
    assert "test_accuracy (%): test" in shown
    other = cli("tables", "import", built[1], **environment)
    assert other.returncode == 2
    assert "give the imported one another name" in other.stderr


def test_a_study_reads_the_last_epoch_unless_it_names_another(built, cache, tmp_path):
    register_table(read_table(built[1], "mine"))
    task = ["mine-animals8"]
    study = run(["random-search", "regularized-evolution"], task, seeds=12, evaluations=20, out=tmp_path / "default")
    said = "Fidelity by default of the table: animals8 (8 × 8 pixels) 10 epochs."
    assert said in study.table().caption
    assert said in study.table().summary
    early = run(["random-search"], task, seeds=12, evaluations=20, out=tmp_path / "early", fidelity=8)
    frames = [part.frame().query("strategy == 'random-search'") for part in (study, early)]
    whole, part = (frame["simulated_s"].to_numpy() for frame in frames)
    np.testing.assert_allclose(part, 0.8 * whole, rtol=1e-12)  # the same cells, eight epochs of ten
    assert {"regret_pp", "test_regret_pp"} <= set(frames[0])
    assert (frames[1]["regret_pp"].to_numpy() != frames[0]["regret_pp"].to_numpy()).any()


@pytest.fixture
def shipped(monkeypatch, cache):
    """Function (file) that puts a file in the place of the package's own."""

    def ship(file):
        for module in (location, registry, trained_cells):
            monkeypatch.setattr(module, "TRAINED_CELLS", file)
        if file.exists():
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            for module in (registry, trained_cells):
                monkeypatch.setattr(module, "TRAINED_CELLS_SHA256", digest)
        registry.table_entry_points.cache_clear()

    yield ship
    registry.table_entry_points.cache_clear()


def test_a_file_in_the_package_makes_the_task_appear_and_nothing_else(built, cache, tmp_path, shipped):
    shipped(tmp_path / "none.parquet")
    without, default = task_names(), default_task_names()
    assert not [name for name in without if "tiny201" in name]
    shipped(built[1])
    assert task_names() == [*without, "tiny201-animals8"]
    assert default_task_names() == default
    table = load_table("tiny201")
    assert table.folder == cache / "tables" / table.folder.name
    assert table.datasets["animals8"].notes[0].startswith("Small networks")
    assert registry.describe_table("tiny201")[0].startswith("NAS-Bench-201 cells trained by this package")
    with pytest.raises(InvalidInputError, match="comes with an installed package"):
        register_table(read_table(built[1]))


def test_the_suite_is_the_default_study_and_this_task():
    suites = Path(__file__).parents[2] / "results" / "suites"
    default, own = (tomllib.loads((suites / f"{name}.toml").read_text("utf-8")) for name in ("default", "with-tiny201"))
    assert own == {**default, "tasks": [*default_task_names(), "tiny201-animals8"]}


def test_the_table_is_opened_without_torch(built):
    code = f"""
import sys
from pathlib import Path
from nasbench_harness.tables.trained_cells import read_table
from nasbench_harness.evaluation.task import make_task
print(make_task(read_table(Path({str(built[1])!r})), "animals8").scores["test"].metric.role, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["test", "False"]


def test_dead_biases_move_the_official_table_by_the_numbers_that_the_note_prints(nb201):
    """Cells of one class that differ in convolutions of a dead node, in the official validation accuracy."""
    from nasbench_harness.spaces.nasbench201 import cell_operations

    edges = [cell_edges(cell_operations(SPACE.to_string(cell))) for cell in range(15_625)]
    biases = np.array([sum(edge.is_useful and edge.is_constant for edge in one) for one in edges])
    accuracy = np.nanmean(nb201.column("cifar10", "val_accuracy").values[:, :, 0], axis=1)
    gains = []
    for one in np.unique(CLASSES):
        members = np.flatnonzero(one == CLASSES)
        most, fewest = (members[biases[members] == end] for end in (biases[members].max(), biases[members].min()))
        if not np.array_equal(most, fewest):
            gains.append(accuracy[most].mean() - accuracy[fewest].mean())
    assert f"In {len(gains)} classes" in DEAD_BIASES
    assert f"{np.mean(gains):.2f} ± {np.std(gains, ddof=1):.2f} points" in DEAD_BIASES
