import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness import run
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.files import temporary_name
from nasbench_harness.store.folder import Segment, StudyFolder, file_name
from nasbench_harness.store.identity import identity_of, run_id, study_id
from nasbench_harness.store.seed_ranges import missing_seeds
from nasbench_harness.store.segments import SEEDS_PER_SEGMENT, read_record, write_segment
from nasbench_harness.store.sources import note_tables

IDENTITY = identity_of("random-search", {}, "nb201-cifar10", "digest", Protocol(), 0)


def put(folder, first, last, identity=IDENTITY, code="c0"):
    columns = {"seed": np.repeat(np.arange(first, last + 1, dtype=np.int32), 2)}
    write_segment(folder.segment_path(identity, first, last), columns, {"run_id": run_id(identity), "code": code})


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 50))), st.integers(1, 420))
def test_missing_seeds_are_exactly_those_no_segment_holds(spans, num_seeds):
    segments = [Segment(None, first, first + length) for first, length in spans]
    ranges = missing_seeds(segments, num_seeds)
    found = [seed for first, last in ranges for seed in range(first, last + 1)]
    held = {seed for segment in segments for seed in range(segment.first, segment.last + 1)}
    assert found == [seed for seed in range(num_seeds) if seed not in held]
    assert all(first // SEEDS_PER_SEGMENT == last // SEEDS_PER_SEGMENT for first, last in ranges)


def test_only_wanted_seeds_are_missing():
    assert missing_seeds([Segment(None, 2, 3)], 150, [0, 1, 2, 4, 99, 100, 101, 150]) == [
        (0, 1),
        (4, 4),
        (99, 99),
        (100, 101),
    ]


def test_file_names_of_different_labels_differ():
    assert [file_name(label) for label in ("random-search", "my_search", "a--b")] == [
        "random-search",
        "my_search",
        "a--b",
    ]
    assert re.fullmatch("a-b-[0-9a-f]{8}", file_name("a b"))
    assert len({file_name(label) for label in ("a-b", "a b", "a:b", "a(b")}) == 4


def test_more_seeds_are_new_files():
    assert missing_seeds([], 60) == [(0, 59)]
    assert missing_seeds([Segment(None, 0, 59)], 250) == [(60, 99), (100, 199), (200, 249)]


def test_segments_are_found_in_order(tmp_path):
    folder = StudyFolder(tmp_path)
    for first, last in ((100, 199), (0, 59), (60, 99)):
        put(folder, first, last)
    assert [(segment.first, segment.last) for segment in folder.segments(IDENTITY)] == [(0, 59), (60, 99), (100, 199)]


def test_segments_that_are_not_those_of_their_name_and_folder_are_damaged(tmp_path):
    folder = StudyFolder(tmp_path)
    other = {**IDENTITY, "study_seed": 1}
    put(folder, 0, 9, other)
    put(folder, 100, 109)
    put(folder, 200, 209)
    folder.segment_path(other, 0, 9).rename(folder.segment_path(IDENTITY, 0, 9))
    folder.segment_path(IDENTITY, 100, 109).rename(folder.segment_path(IDENTITY, 300, 309))
    shutil.copy(folder.segment_path(IDENTITY, 200, 209), folder.runs_folder(IDENTITY) / "copy.parquet")
    folder.segment_path(IDENTITY, 400, 409).mkdir()
    segments, damaged = folder.scan(IDENTITY)
    assert [segment.first for segment in segments] == [200]
    assert {damage.path.name: damage.reason for damage in damaged} == {
        "copy.parquet": "does not have the name of a segment",
        "seeds-0-9.parquet": "does not hold the runs of its name and folder",
        "seeds-300-309.parquet": "does not hold the runs of its name and folder",
        "seeds-400-409.parquet": "is a folder, not a segment",
    }
    for damage in damaged:
        folder.set_aside(damage)
    assert folder.scan(IDENTITY) == (segments, [])
    assert len(list((tmp_path / "damaged").glob("*/*/*.parquet"))) == 4


def test_a_segment_that_changes_after_it_was_read_is_read_again(tmp_path):
    folder = StudyFolder(tmp_path)
    put(folder, 0, 9)
    assert len(folder.segments(IDENTITY)) == 1
    path = folder.segment_path(IDENTITY, 0, 9)
    path.write_bytes(path.read_bytes()[:-9])
    assert folder.segments(IDENTITY) == []


def test_a_folder_has_the_path_that_it_had_at_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = StudyFolder(Path("s"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    put(folder, 0, 9)
    assert (tmp_path / "s" / "runs").is_dir()
    assert folder.show(folder.report_folder) == Path("s/report")


def test_names_that_no_file_can_have_are_refused_or_shortened(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no folder can be .*File name too long"):
        StudyFolder(tmp_path / ("x" * 256))
    with pytest.raises(InvalidInputError, match="cannot name a"):
        StudyFolder(tmp_path).runs_folder({**IDENTITY, "task": "../../escaped"})
    long = {**IDENTITY, "strategy": f"{'m' * 300}:search"}
    put(StudyFolder(tmp_path), 0, 9, long)
    assert len(StudyFolder(tmp_path).segments(long)) == 1
    assert len(file_name("x" * 300)) < 200
    assert file_name("x" * 300) != file_name("x" * 299)


def test_generated_files_replace_each_other_and_those_of_people_stay(tmp_path):
    folder = StudyFolder(tmp_path)
    generated = {
        "main.tex": b"% generated by: nasbench-harness compare\n",
        "main_1.tex": b"% generated by: nasbench-harness compare\n",
        "main.csv": b"# generated by: nasbench-harness compare\n",
        "report.md": b"<!-- generated by: nasbench-harness compare -->\n",
        "report.json": b'{\n "command": "nasbench-harness compare"}',
    }
    with folder.replacing(folder.report_folder) as temporary:
        for name, content in generated.items():
            (temporary / name).write_bytes(content)
    (folder.report_folder / "mine.tex").write_bytes(generated["main.tex"] + b"with my own last line")
    with folder.replacing(folder.report_folder) as temporary:
        (temporary / "main.tex").write_bytes(generated["main.tex"] + b"new")
    assert sorted(path.name for path in folder.report_folder.iterdir()) == [".generated", "main.tex", "mine.tex"]
    with pytest.raises(InvalidInputError), folder.replacing(folder.report_folder) as temporary:
        (temporary / "main.tex").write_bytes((tmp_path / "none").read_bytes())
    assert (folder.report_folder / "main.tex").read_bytes().endswith(b"new")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_temporary_files_of_a_killed_writer_are_no_segments(tmp_path):
    folder = StudyFolder(tmp_path)
    put(folder, 0, 9)
    (folder.runs_folder(IDENTITY) / ".seeds-10-19.parquet.123.tmp").write_bytes(b"half")
    assert len(folder.segments(IDENTITY)) == 1


def test_files_of_dead_writers_are_removed_in_the_studys_own_folders_only(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    name = temporary_name(tmp_path / "x").name.replace(f".{os.getpid()}.", f".{ended.pid}.")
    own = [tmp_path / name, tmp_path / "runs" / "task" / name, tmp_path / "report" / name]
    foreign = tmp_path / "somebody" / name
    for path in (*own, foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    StudyFolder(tmp_path).remove_abandoned()
    assert [path.exists() for path in own] == [False] * 3
    assert foreign.exists()


def test_superseded_segments_are_kept(tmp_path):
    folder = StudyFolder(tmp_path)
    for _ in range(2):  # the second time the name is taken
        put(folder, 0, 9)
        (segment,) = folder.stale_segments(folder.segments(IDENTITY), "c1")
        folder.supersede(segment)
    assert folder.segments(IDENTITY) == []
    assert [read_record(path)["code"] for path in (tmp_path / "superseded").rglob("*.parquet")] == ["c0", "c0"]
    put(folder, 0, 9, code="c1")
    assert folder.stale_segments(folder.segments(IDENTITY), "c1") == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InvalidInputError, match="file is a file, but the study's folder should be there"):
            StudyFolder(path)


def test_identity_does_not_depend_on_labels_versions_or_the_order_of_parameters():
    first = identity_of("s", {"a": 1, "b": 2}, "t", "d", Protocol(), 0)
    assert identity_of("s", {"a": 1, "b": 2}, "t", "d", Protocol(), 0, answers_version=1) == first
    second = identity_of("s", {"b": 2, "a": 1}, "t", "d", Protocol(), 0)
    assert run_id(first) == run_id(second)
    assert run_id(identity_of("s", {"a": None}, "t", "d", Protocol(), 0)) == run_id(
        identity_of("s", {}, "t", "d", Protocol(), 0)
    )


@pytest.mark.parametrize(
    "other",
    [
        identity_of("r", {}, "t", "d", Protocol(), 0),
        identity_of("s", {"a": 1}, "t", "d", Protocol(), 0),
        identity_of("s", {}, "u", "d", Protocol(), 0),
        identity_of("s", {}, "t", "e", Protocol(), 0),
        identity_of("s", {}, "t", "d", Protocol(noise="mean"), 0),
        identity_of("s", {}, "t", "d", Protocol(), 1),
        identity_of("s", {}, "t", "d", Protocol(), 0, answers_version=2),
        identity_of("s", {}, "t", "d", Protocol(), 0, scores="other"),
    ],
)
def test_everything_that_decides_a_run_enters_its_id(other):
    assert run_id(other) != run_id(identity_of("s", {}, "t", "d", Protocol(), 0))


def test_study_id_is_of_protocol_and_study_seed():
    assert len(study_id(Protocol(), 0)) == 8
    assert study_id(Protocol(), 0) != study_id(Protocol(evaluations=300), 0) != study_id(Protocol(), 1)


def test_ids_are_stable():
    """Raising TRACE_VERSION or renaming a field would orphan everybody's runs: do it knowingly."""
    assert run_id(IDENTITY) == "e8eaf193d15204e9"
    assert study_id(Protocol(), 0) == "fe382adc"


@pytest.mark.parametrize(
    "name", ["../escaped", "/escaped", "..", ".hidden", "a/b", "a\\b", "a\0b", "a\nb", "", "x" * 300]
)
def test_no_path_of_a_study_leads_out_of_it(tmp_path, name):
    folder = StudyFolder(tmp_path / "study")
    identity = identity_of("random-search", {}, name, "digest", Protocol(), 0)
    provenance = SimpleNamespace(source="", version="")
    table = SimpleNamespace(name=f"../{name}", digest="", provenance=provenance, folder=None)
    for use in (
        lambda: folder.task_folder(name),
        lambda: folder.runs_folder(identity),
        lambda: folder.segment_path(identity, 0, 9),
        lambda: folder.trace_path(f"../{name}"),
        lambda: note_tables(folder, [("task", table)]),
    ):
        with pytest.raises(InvalidInputError, match="cannot name a"):
            use()
    strange = identity_of(f"{name}:search", {}, "nb201-cifar10", "digest", Protocol(), 0)
    try:
        runs = folder.runs_folder(strange)
    except InvalidInputError:
        pass
    else:
        assert runs.resolve().parent == folder.task_folder("nb201-cifar10").resolve()
    assert not list(tmp_path.iterdir())


def test_superseded_segments_stay_below_the_study(tmp_path):
    folder = StudyFolder(tmp_path / "study")
    put(folder, 0, 9, code="../../../escaped")
    folder.supersede(folder.segments(IDENTITY)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["study"]
    assert [path.parent.name for path in (tmp_path / "study/superseded").rglob("*.parquet")] == ["escaped"]


@pytest.mark.parametrize("name", ["report", "runs", "superseded"])
def test_nothing_is_written_through_a_link(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / name).symlink_to(tmp_path / "elsewhere")
    folder = StudyFolder(tmp_path / "study")
    writes = {
        "report": lambda: folder.replacing(folder.report_folder).__enter__(),
        "runs": lambda: put(folder, 0, 9),
        "superseded": lambda: folder.write_text(folder.path / "superseded" / "file", "text"),
    }
    with pytest.raises(InvalidInputError, match=f"study/{name} is a link: nothing is written outside"):
        writes[name]()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["runs", "notes", "states"])
def test_a_study_with_a_link_inside_is_refused_before_any_run(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInputError, match=f"study/{name} is a link: nothing is written outside"):
        run(["random-search"], ["nb201-cifar10"], 2, tmp_path / "study", evaluations=2)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert [path.name for path in (tmp_path / "study").iterdir()] == [name]


def test_a_small_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name, call in (("fsync", os.fsync), ("replace", os.replace)):
        monkeypatch.setattr(os, name, lambda *given, name=name, call=call: (calls.append(name), call(*given)))
    StudyFolder(tmp_path).write_text(tmp_path / "study.toml", "text")
    assert calls == ["fsync", "replace"]


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    folder = StudyFolder(tmp_path)
    (tmp_path / "export").write_text("")
    with pytest.raises(InvalidInputError, match=r"cannot write .*export/runs.csv: .*: make it writable"):
        folder.write_text(folder.export_folder / "runs.csv", "text")


def test_a_study_may_be_named_by_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "study").symlink_to(tmp_path / "big")
    folder = StudyFolder(tmp_path / "study")
    with folder.replacing(folder.report_folder) as temporary:
        (temporary / "file").write_text("text")
    assert (tmp_path / "big" / "report" / "file").read_text() == "text"
