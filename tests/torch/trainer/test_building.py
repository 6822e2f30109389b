"""Parts of a table of trained cells: the numbers of ``train``, whole after an interruption, one process at a time."""

import dataclasses
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from kit.cells import RULES, invented_rows, write_part, write_parts
from kit.files import largest_file

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.cells_file import read_cells
from nasbench_harness.tables.registry import load_table
from nasbench_harness.trainer import building, load_data, recipe_of, table_rules, train
from nasbench_harness.trainer.assembling import assemble, part_files, table_file
from nasbench_harness.trainer.building import ClassCurves, build_parts, class_order, part_path
from nasbench_harness.trainer.task import trained_task

RECIPE = "animals8-1"  # one epoch


@pytest.fixture
def three_cheap_classes(monkeypatch):
    """The build has three classes only, in parts of two and one."""
    cheap = class_order(recipe_of(RECIPE), load_data("animals8"))[-3:]
    monkeypatch.setattr(building, "class_order", lambda *_: cheap)
    return cheap


def build(folder, **options):
    return build_parts(folder, recipe_name=RECIPE, classes_per_part=2, **options)


def rows(folder):
    return [pq.read_table(path).to_pydict() for path in part_files(folder)]


def test_every_class_is_trained_once_and_the_most_work_comes_first():
    space, order = NASBench201Space(), class_order(recipe_of(RECIPE), load_data("animals8"))
    assert np.array_equal(np.sort(order), np.unique(space.canonical(np.arange(space.num_architectures))))
    assert len(order) == 6_466
    convolutions = space.num_convolutions()[order]
    assert convolutions[0].sum() == 6
    assert convolutions[-1].sum() == 0


def test_a_part_holds_the_numbers_of_single_trainings(tmp_path, three_cheap_classes):
    assert build(tmp_path) == 0
    data = load_data("animals8")
    first = rows(tmp_path)[0]
    assert first["architecture"] == three_cheap_classes[:2].tolist()
    results = train(NASBench201Space().to_string(first["architecture"][0]), recipe_of(RECIPE), data, [0, 1, 2])
    assert [100 * count / len(data.valid_labels) for count in first["valid_correct"][0]] == [
        r.accuracy for r in results
    ]
    assert first["train_loss"][0] == [np.float32(result.train_loss[0]) for result in results]
    assert len(first["test_correct"][0]) == 3
    assert max(first["test_correct"][0]) <= len(data.sealed.open()[1])
    provenance = json.loads(pq.read_schema(part_path(tmp_path, 0)).metadata[b"provenance"])
    assert {"origin", "torch", "processor", "date", "command"} <= set(provenance)


@pytest.mark.parametrize("cut", [0, 1, 25])
def test_a_build_that_was_killed_goes_on_with_the_same_numbers(tmp_path, three_cheap_classes, cut):
    whole, truncated = tmp_path / "whole", tmp_path / "truncated"
    build(whole)

    def die(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(truncated, on_class=die)
    journal = truncated / "part-000.jsonl"
    text = journal.read_text()
    journal.write_text(text[: len(text) - cut])  # the end of the last line may be missing
    trained = []
    assert build(truncated, on_class=lambda done, total: trained.append((done, total))) == 0
    assert rows(truncated) == rows(whole)
    assert trained[-1] == (3, 3)
    assert not journal.exists()


def test_a_full_disk_is_named(tmp_path):
    journal, part = tmp_path / "part-000.jsonl", part_path(tmp_path, 0)
    curves = ClassCurves(7, [[1, 2, 3]], [[1, 2, 3]], [[0.5] * 3], [[True] * 3])
    with building._Journal(journal, "x") as kept:
        named = f"cannot write {re.escape(str(journal))}: File too large"
        with largest_file(journal.stat().st_size + 9), pytest.raises(InvalidInputError, match=named):
            kept.add(curves)
    with largest_file(9), pytest.raises(InvalidInputError, match=f"cannot write {re.escape(str(part))}: File too"):
        building._write_part(part, [curves], "x", ["processor"])
    assert list(tmp_path.iterdir()) == [journal]


def test_the_journal_beside_a_finished_part_is_removed_unless_a_process_has_it(tmp_path, monkeypatch):
    """A kill between the last two steps of a part leaves both."""
    monkeypatch.setattr(building, "class_order", lambda *_: np.arange(3))
    journals = [tmp_path / f"part-00{number}.jsonl" for number in range(2)]
    for number, journal in enumerate(journals):
        part_path(tmp_path, number).touch()
        journal.touch()
    with building._Journal(journals[0], "x"):
        build(tmp_path, shard=(1, 2))
        assert journals[0].exists()
    build(tmp_path, shard=(1, 2))
    assert [journal.exists() for journal in journals] == [False, True]  # the other shard's stays


def test_a_part_names_every_processor_that_trained_it(tmp_path, three_cheap_classes, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    for name in ("One", "Another"):
        monkeypatch.setattr(building, "processor_name", lambda name=name: name)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, on_class=die)
    build(tmp_path)
    provenances = [json.loads(pq.read_schema(path).metadata[b"provenance"]) for path in part_files(tmp_path)]
    assert [one["processor"] for one in provenances] == ["One; Another", "Another"]


def test_a_journal_of_an_earlier_version_has_an_unknown_processor(tmp_path, three_cheap_classes, monkeypatch):
    monkeypatch.setattr(building, "processor_name", lambda: "One")
    rules = building.table_rules(RECIPE)
    (tmp_path / "part-000.jsonl").write_text(json.dumps({"origin": rules.digests["origin"]}) + "\n")
    build(tmp_path, max_parts=1)
    assert json.loads(pq.read_schema(part_path(tmp_path, 0)).metadata[b"provenance"])["processor"] == "unknown; One"


def test_shards_share_the_parts(tmp_path, three_cheap_classes):
    assert build(tmp_path, shard=(2, 2)) == 0
    assert not part_path(tmp_path, 0).exists()
    assert part_path(tmp_path, 1).exists()
    assert build(tmp_path, shard=(1, 2), max_parts=0) == 1


def test_a_journal_of_other_rules_or_another_process_is_refused(tmp_path, three_cheap_classes):
    journal = tmp_path / "part-000.jsonl"
    journal.write_text('{"origin":"another"}\n')
    with pytest.raises(InvalidInputError, match="another recipe"):
        build(tmp_path)
    journal.write_text("{]\n")
    with pytest.raises(InvalidInputError, match="damaged: delete it"):
        build(tmp_path)
    journal.unlink()
    with building._Journal(journal, "x"), pytest.raises(InvalidInputError, match="another process"):
        build(tmp_path)


def test_the_invented_parts_of_other_tests_have_the_true_format(tmp_path, three_cheap_classes):
    build(tmp_path / "true")
    rows = {name: values[:200] for name, values in invented_rows().items()}
    write_part(tmp_path / "part-000.parquet", rows)
    invented, true = (pq.read_schema(part_path(folder, 0)) for folder in (tmp_path, tmp_path / "true"))
    assert invented.names == true.names
    assert json.loads(invented.metadata[b"provenance"]).keys() == json.loads(true.metadata[b"provenance"]).keys()
    for name in true.names:
        kinds = [getattr(field.type, "value_type", field.type) for field in (invented.field(name), true.field(name))]
        assert kinds[0] == kinds[1]
    rules = table_rules()
    assert rules == dataclasses.replace(RULES, digests=rules.digests)
    assert rules.digests["recipe"] == RULES.digests["recipe"]


def test_the_oracle_answers_from_the_finished_table():
    table = load_table("tiny201")
    task = trained_task(recipe_of("animals8-10"), load_data("animals8"), num_processes=1, table="tiny201")
    cells = np.array([0, 7, 15_624])
    answers = task.trained.oracle.evaluate(cells, np.zeros(3, dtype=int), np.array([0, 1, 2]))  # trains nothing
    values = table.column("animals8", "val_accuracy").values
    np.testing.assert_array_equal(answers.values[:, 0], values[cells, [0, 1, 2], -1])
    np.testing.assert_array_equal(answers.cost_s, table.column("animals8", "train_cost_s").values[cells, 0, -1])
    assert task.trained.oracle.forecast(None).startswith("trains at most 0 architectures")
    assert not task.table.folder.exists()
    with pytest.raises(InvalidInputError, match="rows of different rules are never mixed"):
        trained_task(recipe_of("animals8-1"), load_data("animals8"), table="tiny201")


def test_the_command_assembles_the_finished_parts_and_counts_missing_classes(tmp_path, cli):
    rows, origin = invented_rows(), table_rules().digests["origin"]
    for number, start in enumerate(range(0, 6_466, 200)):
        part = {name: values[start : start + 200] for name, values in rows.items()}
        write_part(part_path(tmp_path / "parts", number), part, origin=origin)
    first = part_path(tmp_path / "parts", 0)
    kept = first.rename(tmp_path / "kept")
    command = ("tables", "build", "tiny201", "--out", "parts", "--shard")
    done = cli(*command, "2/33")
    assert (done.returncode, done.stdout) == (1, "parts: this shard is complete; 200 of 6,466 classes are missing\n")
    kept.rename(first)
    done = cli(*command, "2/33")
    assert done.returncode == 0
    assert done.stdout == (
        "parts/tiny201.parquet: complete; to use it: nasbench-harness tables import parts/tiny201.parquet --name mine\n"
    )
    for path in part_files(tmp_path / "parts"):
        path.unlink()  # the file is enough: nothing is trained again
    assert cli(*command, "1/1").stdout == done.stdout
    file = tmp_path / "parts" / "tiny201.parquet"
    assert read_cells(file).record.digests == dict(table_rules().digests)
    write_parts(tmp_path)
    assemble(tmp_path, RULES)
    table_file(tmp_path).replace(file)  # of invented rules
    done = cli(*command, "1/1")
    assert (done.returncode, done.stderr) == (
        2,
        "error: parts/tiny201.parquet has other rules, or another version of torch: name another --out\n",
    )


def test_the_command_wants_a_sensible_shard(cli):
    for shard in ("3/2", "0/1", "1", "a/b"):
        done = cli("tables", "build", "tiny201", "--shard", shard)
        assert done.returncode == 2
        assert done.stderr.startswith("error: --shard must be I/N")
