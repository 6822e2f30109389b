"""``.pth`` files of NAS-Bench-201, written by torch and the package's own classes; read without either."""

import copy
import os
import random
import subprocess
import sys

import nas_201_api
import numpy as np
import pytest
import torch
from nas_201_api import api_utils

from nasbench_harness.errors import HarnessError, TableError
from nasbench_harness.importers.archives.importer import read_archive
from nasbench_harness.spaces import NASBench201Space

CELLS = NASBench201Space()
NAMES = [CELLS.to_string(index) for index in reversed(range(20))]
SCHEDULES = {"12": 3, "200": 6}
FORMATS = {"zip": True, "legacy": False}


def packed(architectures, names=NAMES):
    """What the authors' file holds."""
    return {
        "meta_archs": names,
        "total_archs": len(names),
        "arch2infos": {index: {"full": states["200"], "less": states["12"]} for index, states in architectures.items()},
        "evaluated_indexes": set(architectures),
    }


def write(path, content, kind="zip"):
    torch.save(content, path, _use_new_zipfile_serialization=FORMATS[kind])
    return path


@pytest.fixture(scope="module")
def architectures(official_results):
    settings = {0: ((777,), float), 7: ((777, 888), np.float64), 19: ((111, 777, 999), float)}
    return {
        index: official_results(api_utils, index, NAMES[index], SCHEDULES, seeds, number)
        for index, (seeds, number) in settings.items()
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_every_value_is_what_the_package_answers(kind, architectures, tmp_path, assert_answers):
    path = write(tmp_path / "NAS-Bench-201-v1_1-096897.pth", packed(architectures), kind)
    table = read_archive(path, tmp_path / "work")
    api = nas_201_api.NASBench201API(packed(architectures), verbose=False)
    assert sum(assert_answers(table, api, index, SCHEDULES) for index in architectures) == 1_890
    assert (table.name, table.provenance.version) == ("nas-bench-201", "v1_1-096897")


def test_old_numpy_names_are_read(architectures, tmp_path):
    def values(path):
        return read_archive(path, tmp_path / "work").column("cifar100-200", "val_accuracy").values[12].copy()

    new = write(tmp_path / "new.pth", packed(architectures), "legacy")
    old = tmp_path / "old.pth"
    old.write_bytes(new.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert old.stat().st_size < new.stat().st_size
    np.testing.assert_array_equal(values(old), values(new))


def test_torch_is_not_needed(architectures, tmp_path):
    path = write(tmp_path / "NAS-Bench-201-v1_0-e61699.pth", packed(architectures))
    code = (
        "import sys; from pathlib import Path; from nasbench_harness.importers.archives.importer import read_archive; "
        f"read_archive(Path({str(path)!r}), Path({str(tmp_path / 'work')!r})); "
        "print({'torch', 'nas_201_api', 'nats_bench'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize("kind", FORMATS)
def test_weights_are_passed_over(kind, architectures, tmp_path):
    content = copy.deepcopy(packed({0: architectures[0]}))
    trial = content["arch2infos"][0]["full"]["all_results"]["cifar100", 777]
    bare = read_archive(write(tmp_path / "bare.pth", content, kind), tmp_path / "work")
    expected = bare.column("cifar100-200", "val_accuracy").values[19].copy()
    trial["net_state_dict"] = torch.nn.Sequential(torch.nn.Linear(30, 40), torch.nn.BatchNorm1d(40)).state_dict()
    table = read_archive(write(tmp_path / "weights.pth", content, kind), tmp_path / "work")
    np.testing.assert_array_equal(table.column("cifar100-200", "val_accuracy").values[19], expected)
    trial["eval_acc1es"]["x-valid@5"] = torch.tensor(50.0)
    with pytest.raises(TableError, match="architecture 0: its field eval_acc1es holds something that is no number"):
        read_archive(write(tmp_path / "tensor.pth", content, kind), tmp_path / "work")


def test_the_short_schedule_may_have_one_data_set(architectures, tmp_path):
    content = packed({7: architectures[7]})
    less = dict(content["arch2infos"][7]["less"])
    less["dataset_seed"] = {"cifar10-valid": [777, 888]}
    content["arch2infos"][7]["less"] = less
    table = read_archive(write(tmp_path / "a.pth", content), tmp_path / "work")
    assert [name for name in table.datasets if name.endswith("-12")] == ["cifar10-valid-12"]


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_in_a_file_is_run(kind, architectures, tmp_path):
    for place in ("meta_archs", "evaluated_indexes", "else"):
        content = {**packed(architectures), place: Hostile(tmp_path / "marker")}
        path = write(tmp_path / "hostile.pth", content, kind)
        with pytest.raises(TableError, match=r"refers to (posix|nt)\.system, which no official archive does"):
            read_archive(path, tmp_path / "work")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_end_in_one_line(kind, architectures, tmp_path):
    """Cut off or changed anywhere: an error of the harness, or a table."""
    path = write(tmp_path / "NAS-Bench-201.pth", packed({0: architectures[0]}), kind)
    whole, rng = path.read_bytes(), random.Random(kind)
    refused = 0
    for attempt in range(200):
        position = rng.randrange(len(whole))
        if attempt % 2:
            path.write_bytes(whole[:position])
        else:
            path.write_bytes(whole[:position] + rng.randbytes(rng.randrange(1, 4)) + whole[position + 2 :])
        try:
            read_archive(path, tmp_path / "work")
        except HarnessError:
            refused += 1
    assert refused >= 100
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["NAS-Bench-201.pth", "work"]
