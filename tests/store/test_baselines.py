"""Baseline files: read back as written, readable as a diff, and refused in one line where they are damaged."""

import errno
import json
import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from kit.cases import fast_first
from kit.files import rewrite

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.journal import with_checksum, without_checksum
from nasbench_harness.store.baselines import Baseline, TaskBaseline, baseline_path, read_baseline, write_baseline

RUNS = TaskBaseline("d" * 64, "val_accuracy", "pp", 0.25, "t" * 64, {100: 2, 20: 3, 0: 95})
BASELINE = Baseline(
    label="my_search:my_search(patience=3)",
    reference="my_search:my_search",
    given={"patience": 3},
    parameters={"patience": 3, "name": None},
    protocol={"evaluations": 200},
    study_seed=0,
    tasks={"nb201-cifar100": RUNS, "nb201-cifar10": RUNS},
    platform={"machine": "x86_64"},
    harness="0.1.0",
    command="nasbench-harness baseline save",
)


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    path = write_baseline(tmp_path, BASELINE)
    assert path == tmp_path / "my_search-my_search-patience-3-521a5cbe.json" == baseline_path(tmp_path, BASELINE.label)
    assert read_baseline(path) == BASELINE
    assert read_baseline(path).tasks["nb201-cifar10"].num_seeds == 100


def test_keys_are_sorted_and_codes_ascend_line_by_line(tmp_path):
    text = write_baseline(tmp_path, BASELINE).read_text(encoding="utf-8")
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert list(content["tasks"]) == ["nb201-cifar10", "nb201-cifar100"]
    assert re.findall(r'^ +"(\d+)": \d+,?$', text, re.MULTILINE) == ["0", "20", "100"] * 2


def test_saving_again_replaces_the_file_and_leaves_nothing_behind(tmp_path):
    first = write_baseline(tmp_path, BASELINE).read_bytes()
    assert write_baseline(tmp_path, BASELINE).read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "labels", [("s(temperature=-0.5)", "s(temperature=0.5)"), ("my run", "my-run"), ("a:b", "a-b")]
)
def test_labels_that_differ_in_other_characters_have_files_of_their_own(labels, tmp_path):
    paths = [write_baseline(tmp_path, replace(BASELINE, label=label)) for label in labels]
    assert [read_baseline(path).label for path in paths] == list(labels)
    assert len(set(paths)) == 2


def test_a_long_label_can_be_saved(tmp_path):
    assert read_baseline(write_baseline(tmp_path, replace(BASELINE, label="x" * 300))).label == "x" * 300


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"cannot write the baseline .*: choose another folder"):
        write_baseline(tmp_path / "file", BASELINE)


def test_a_baseline_on_a_full_disk_names_the_reason(tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(InvalidInputError, match=r"cannot write .*: No space left on device: choose another folder"):
        write_baseline(tmp_path, BASELINE)
    assert not list(tmp_path.iterdir())


def spoil(path, change):
    content = without_checksum(json.loads(path.read_text(encoding="utf-8")))
    change(content)
    path.write_text(json.dumps(with_checksum(content)), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("tasks"), r"damaged \(tasks: field required\)"),
        (lambda content: content.update(extra=1), r"damaged \(extra: "),
        (lambda content: content["tasks"]["nb201-cifar10"].update(step="x"), r"tasks\.nb201-cifar10\.step: "),
        (lambda content: content["tasks"]["nb201-cifar10"]["counts"].update({"7": 0}), "counts at least 1, step"),
        (
            lambda content: content["tasks"]["nb201-cifar10"]["counts"].update({"-7": 1}),
            "grid values must be at least 0",
        ),
        (lambda content: content["tasks"]["nb201-cifar10"]["counts"].clear(), "counts at least 1"),
        (lambda content: content.update(label="another"), "holds the baseline of 'another': rename it to another.json"),
    ],
)
def test_a_damaged_baseline_is_refused_in_one_line(change, message, tmp_path):
    path = write_baseline(tmp_path, BASELINE)
    spoil(path, change)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_baseline(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("bit", fast_first(range(8)))
def test_a_changed_bit_never_gives_another_baseline(bit, tmp_path):
    path = write_baseline(tmp_path, BASELINE)
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = whole[position] ^ 1 << bit
        rewrite(path, whole[:position] + bytes([changed]) + whole[position + 1 :])
        with suppress(InvalidInputError):
            assert read_baseline(path) == BASELINE  # only white space differs


def test_what_is_no_json_is_refused(tmp_path):
    path = write_baseline(tmp_path, BASELINE)
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"is damaged .*restore it, or save it again"):
        read_baseline(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="not UTF-8 text"):
        read_baseline(path)
    with pytest.raises(InvalidInputError, match="cannot read the baseline"):
        read_baseline(Path(tmp_path / "absent.json"))
