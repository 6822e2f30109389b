"""Hostile and damaged archives: every one ends in one line, runs nothing and leaves nothing behind."""

import bz2
import collections
import io
import os
import pickle
import random
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.cases import fast_first
from kit.files import rewrite
from nats_bench import api_utils

from nasbench_harness.errors import HarnessError, InvalidInputError, TableError
from nasbench_harness.importers.archives import references
from nasbench_harness.importers.archives.constructors import PLACEHOLDER
from nasbench_harness.importers.archives.importer import import_archive, read_archive
from nasbench_harness.importers.archives.machine import DataPickle
from nasbench_harness.importers.archives.tar import members_of
from nasbench_harness.importers.archives.trials import _latency, trials_of
from nasbench_harness.spaces import NASBench201Space

NAME = NASBench201Space().to_string(0)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
    | st.binary(min_size=1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(-300, 70_000), inner)
    | st.tuples(inner, inner) | st.tuples(inner, inner, inner, inner)
    | st.dictionaries(st.text(), inner).map(collections.OrderedDict),
    max_leaves=30,
)  # fmt: skip


def read(content, piece=1 << 20, **settings):
    source = io.BytesIO(content)
    return DataPickle(lambda count: source.read(min(count, piece)), **settings).load()


def plain(content):
    """Ordered dictionaries are read as plain ones."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    return type(content)(map(plain, content)) if isinstance(content, list | tuple) else content


@given(PLAIN, st.sampled_from([2, 3, 4, 5]), st.sampled_from([1, 7, 1 << 20]))
def test_plain_data_is_read_as_python_reads_it(content, protocol, piece):
    packed = pickle.dumps(content, protocol=protocol)
    assert repr(read(packed, piece)) == repr(plain(content))  # unlike ==, this tells 1, 1.0 and True apart


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool"])
def test_numpy_numbers_are_read_under_both_names_of_their_module(kind, protocol):
    number = np.dtype(kind).type(1.7)
    assert read(pickle.dumps([number, number], protocol)) == [number.item()] * 2
    old = pickle.dumps(number, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"_core" not in old
    assert read(old) == number.item()


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1_000, 1_001, 2_500])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", [dict, collections.OrderedDict])
def test_entries_arrive_one_by_one_and_are_forgotten(count, protocol, kind):
    shared_text, shared_list, epochs = "shared text", [1.5, 2.5], range(5)
    entries = kind(
        (index, {"12": {"name": shared_text, "latency": shared_list, "curve": {e: index + e / 7 for e in epochs}}})
        for index in range(count)
    )
    entries |= {count + 1: {"12": {}}} if count else {}
    content = {"meta_archs": [shared_text], "arch2infos": entries, "evaluated_indexes": set(range(3))}
    received = []
    rest = read(
        pickle.dumps(content, protocol), 5_000, streamed="arch2infos", on_entry=lambda *entry: received.append(entry)
    )
    assert received == list(entries.items())
    assert rest == {"meta_archs": [shared_text], "arch2infos": {}, "evaluated_indexes": [0, 1, 2]}


def test_what_an_earlier_entry_held_is_not_kept():
    large = {epoch: float(epoch) for epoch in range(200)}
    entries = {0: {"12": large, "200": 1.5}, 1: {"12": large, "200": 2.5}}
    received = []
    read(pickle.dumps({"arch2infos": entries}), streamed="arch2infos", on_entry=lambda *entry: received.append(entry))
    assert received == [(0, entries[0]), (1, {"12": PLACEHOLDER, "200": 2.5})]


class Hostile:
    """Would run a command if it were unpickled by Python."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def marker(tmp_path):
    """A file that appears if code of a pickle runs."""
    marker = tmp_path / "marker"
    yield marker
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "function", [os.system, eval, exec, getattr, open, __import__, bytes, io.BytesIO, np.frombuffer]
)
def test_no_function_is_called(function, protocol, marker):
    hostile = Hostile(function, f"open({str(marker)!r}, 'w')")
    for content in (hostile, {"meta_archs": [hostile]}, {"arch2infos": {0: {"12": hostile}}}):
        with pytest.raises(TableError, match=r"which no official archive does|more than plain data"):
            read(pickle.dumps(content, protocol))


def test_allowed_names_are_no_way_to_others(marker):
    for packed in (
        b"\x80\x04\x8c\x05numpy\x8c\x07dtype.x\x93.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00V8\x85R.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.",
        b"\x80\x02ccollections\nOrderedDict\n]\x85R.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\nK\x01K\x02\x86R.",
        b"\x80\x02]}b.",
        b"\x80\x02(i__main__\nx\n.",
        b"\x80\x02\x82\x01.",
    ):
        with pytest.raises(TableError):
            read(packed)


BOMBS = {
    "a large memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a long text": b"\x80\x02X\xff\xff\xff\x7f" + b"a" * 100_000,
    "a huge number": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
    "keys that take forever to hash": b"\x80\x02}K\x01K\x01\x86" + b"q\x00h\x00\x86" * 60 + b"N s.".replace(b" ", b""),
    "marks": b"\x80\x02" + b"(" * (12 << 20),
    "dictionaries": b"\x80\x02" + b"}" * (12 << 20),
    "frames": b"\x80\x04" + b"\x95\x00\x00\x00\x00\x00\x00\x00\x00" * (2 << 20),
    "zeros": b"\x80\x02" + b"\0" * (12 << 20),
}


@pytest.mark.parametrize("bomb", fast_first(BOMBS, 4))
def test_bombs_are_refused(bomb, tmp_path):
    with pytest.raises(TableError):
        read(BOMBS[bomb])
    (tmp_path / "NATS-tss.pickle.pbz2").write_bytes(bz2.compress(BOMBS[bomb], 1))
    with pytest.raises(TableError):
        read_archive(tmp_path / "NATS-tss.pickle.pbz2", tmp_path / "work")


@pytest.fixture(scope="module")
def states(official_results):
    return official_results(api_utils, 0, NAME, {"12": 3}, (777,))


def bz2_pickle(content):
    return bz2.compress(pickle.dumps(content, protocol=4))


def members(states):
    meta = {"meta_archs": [NAME], "total_archs": 1, "arch2infos": None, "evaluated_indexes": set()}
    return {"meta.pickle.pbz2": bz2_pickle(meta), "000000.pickle.pbz2": bz2_pickle(states)}


def write_tar(path, files, **changes):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.get(name, {}).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("../evil.pickle.pbz2", {}, "leads out of its folder"),
        ("/etc/000001.pickle.pbz2", {}, "leads out of its folder"),
        ("a/../../000001.pickle.pbz2", {}, "leads out of its folder"),
        ("..\\000001.pickle.pbz2", {}, "leads out of its folder"),
        ("000001.pickle.pbz2", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "neither a file nor a folder"),
        ("000001.pickle.pbz2", {"type": tarfile.LNKTYPE, "linkname": "x"}, "neither a file nor a folder"),
        ("000001.pickle.pbz2", {"type": tarfile.FIFOTYPE}, "neither a file nor a folder"),
        ("000001.pickle.pbz2", {"type": tarfile.CHRTYPE}, "neither a file nor a folder"),
        ("000001.pickle.pbz2", {"type": tarfile.GNUTYPE_SPARSE}, "neither a file nor a folder"),
        ("x/000000.pickle.pbz2", {}, "two files for 0"),
        ("0.pickle.pbz2", {}, "two files for 0"),
    ],
)
def test_tars_with_strange_members_are_refused(name, change, message, states, tmp_path):
    files = {**members(states), name: b""}
    path = write_tar(tmp_path / "NATS.tar", files, **{name: change})
    with pytest.raises(TableError, match=message):
        import_archive(path)
    assert [path.name for path in tmp_path.iterdir()] == ["NATS.tar"]


def test_tar_headers_are_checked(states, tmp_path):
    path = write_tar(tmp_path / "NATS.tar", members(states))
    whole = path.read_bytes()
    assert len(members_of(path)) == 2
    negative = whole[:124] + b"\xff" * 12 + whole[136:]
    for damaged in (negative, whole[:700], whole[:2_000], b"x" + whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(TableError):
            members_of(path)
    path.write_bytes(whole.rstrip(b"\0"))
    with pytest.raises(TableError, match="truncated"):
        members_of(path)
    write_tar(path, {**members(states), "._000001.pickle.pbz2": b"what a Mac adds", "README": b""})
    assert len(read_archive(path, tmp_path / "work").datasets) == 3


def zip_of(path, packed, name="archive/data.pkl", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(name, packed)
    return path


def test_strange_zip_files_are_refused(states, tmp_path):
    packed = pickle.dumps({"meta_archs": [NAME], "arch2infos": {0: {"less": states["12"]}}}, 2)
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    assert len(read_archive(zip_of(path, packed), tmp_path / "work").datasets) == 3
    for name, compression, message in (
        ("archive/data.pkl", zipfile.ZIP_DEFLATED, "compressed"),
        ("archive/other", zipfile.ZIP_STORED, "holds no data.pkl"),
    ):
        with pytest.raises(TableError, match=message):
            read_archive(zip_of(path, packed, name, compression), tmp_path / "work")


def test_a_folder_may_hold_other_files_but_needs_its_own(states, tmp_path):
    for name, content in members(states).items():
        with pytest.raises(InvalidInputError, match="is no NATS-Bench archive"):
            read_archive(tmp_path, tmp_path / "work")
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "000001.pickle.pbz2")
    (tmp_path / "README").write_text("hello")
    assert len(read_archive(tmp_path, tmp_path / "work").datasets) == 3
    (tmp_path / "2.pickle.pbz2").symlink_to("/dev/zero")
    assert len(read_archive(tmp_path, tmp_path / "work").datasets) == 3


def test_results_that_no_package_writes_are_refused(states, tmp_path):
    def changed(change):
        copy = pickle.loads(pickle.dumps(states))
        change(copy["12"], copy["12"]["all_results"]["cifar100", 777])
        return copy

    for message, change in {
        "architecture 1": lambda state, _: state.update(arch_index=1),
        "no architecture string": lambda state, _: state.update(arch_str=None),
        "is no NAS-Bench-201 cell": lambda state, _: state.update(arch_str="|x~0|"),
        "not the one that its list": lambda state, _: state.update(arch_str=NASBench201Space().to_string(1)),
        "unknown data set svhn": lambda state, _: state["dataset_seed"].update(svhn=[1]),
        "no list of different numbers": lambda state, _: state["dataset_seed"].update(cifar100=[777, 777]),
        "results of cifar100, seed 888, 12 epochs are missing": lambda state, _: state["dataset_seed"].update(
            cifar100=[888]
        ),
        "unknown evaluation set": lambda _, trial: trial["eval_names"].append("x-other"),
        "accuracy outside": lambda _, trial: trial["eval_acc1es"].update({"x-valid@2": 100.1}),
        "impossible time": lambda _, trial: trial["train_times"].update({1: -1.0}),
        "train_losses holds something that is no number": lambda _, trial: trial["train_losses"].update({1: "1"}),
        "params holds something that is no number": lambda _, trial: trial.update(params="1"),
        "latency holds something that is no number": lambda _, trial: trial.update(latency=["1"]),
        "latency is not finite": lambda _, trial: trial.update(latency=[0.1, np.inf]),
        "params is negative or not finite": lambda _, trial: trial.update(params=-3.0),
        "flop is negative or not finite": lambda _, trial: trial.update(flop=np.inf),
        "are those of another data set": lambda _, trial: trial.update(name="cifar10"),
        "of another data set or seed": lambda _, trial: trial.update(seed="0888"),
        "train_acc1es is of another kind": lambda _, trial: trial.update(train_acc1es=[1.0, 2.0, 3.0]),
        "epochs": lambda _, trial: trial.update(epochs=10**9),
        "epochs here and 3 before": lambda _, trial: trial.update(epochs=2),
    }.items():
        path = write_tar(tmp_path / "NATS.tar", members(changed(change)))
        with pytest.raises(TableError, match=message):
            read_archive(path, tmp_path / "work")


def test_a_pipe_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "NATS.tar")
    with pytest.raises(InvalidInputError, match="is a device or a pipe"):
        read_archive(tmp_path / "NATS.tar", tmp_path / "work")


def test_a_renamed_torch_file_is_still_nas_bench_201(states, tmp_path):
    packed = pickle.dumps({"meta_archs": [NAME], "arch2infos": {0: {"less": states["12"]}}}, 2)
    table = read_archive(zip_of(tmp_path / "nas201-v1_1.pth", packed), tmp_path / "work")
    assert table.name == "nas-bench-201"
    assert table.provenance.source.startswith("NAS-Bench-201, official archive nas201-v1_1.pth with 1 of")
    both = pickle.dumps({"meta_archs": [NAME], "arch2infos": {0: {"less": states["12"], "12": states["12"]}}}, 2)
    with pytest.raises(TableError, match="a training schedule that no official archive has"):
        read_archive(zip_of(tmp_path / "both.pth", both), tmp_path / "work")


def test_missing_measurements_are_missing_values(states, tmp_path):
    copy = pickle.loads(pickle.dumps(states))
    for trial in copy["12"]["all_results"].values():
        trial.update(train_times=None, latency=None, eval_times={})
    table = read_archive(write_tar(tmp_path / "NATS.tar", members(copy)), tmp_path / "work")
    columns = table.datasets["cifar100-12"].columns
    assert np.isnan(columns["latency_ms"].values).all()
    assert not {"train_cost_s", "val_cost_s", "test_cost_s"} & set(columns)


class PackageUnpickler(pickle.Unpickler):
    """Python's own, for what archives hold."""

    def find_class(self, module, name):
        if (module, name) != ("collections", "OrderedDict"):
            raise pickle.UnpicklingError(name)
        return collections.OrderedDict


def mutated(content, rng):
    kind = rng.randrange(4)
    position = rng.randrange(len(content))
    if kind == 0:
        return content[:position]
    if kind == 1:
        other = rng.randrange(len(content))
        return content[:position] + content[other : other + rng.randrange(40)] + content[position:]
    if kind == 2:
        return content[:position] + content[position + rng.randrange(1, 9) :]
    damaged = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def rows(states):
    if type(states) is not dict:
        raise TableError("no dictionary of schedules")
    return [trial for schedule, state in states.items() for trial in trials_of(schedule, state, 0, 0)]


@pytest.mark.parametrize("seed", range(20))
def test_mutated_pickles_are_refused_or_read_as_python_reads_them(seed, states):
    packed, rng, num_read = pickle.dumps(states, protocol=4), random.Random(seed), 0
    for _ in range(100):
        damaged = mutated(packed, rng)
        try:
            trials = rows(read(damaged))
        except HarnessError:
            continue
        num_read += 1
        expected = rows(PackageUnpickler(io.BytesIO(damaged)).load())
        for ours, theirs in zip(trials, expected, strict=True):
            assert ours[:3] == theirs[:3]
            np.testing.assert_array_equal(ours.numbers, theirs.numbers)
    assert num_read > 0


@pytest.mark.parametrize("kind", fast_first(["member", "tar", "zip", "bz2"]))
def test_mutated_files_are_refused_or_read_whole(kind, states, tmp_path):
    rng, content = random.Random(kind), {"meta_archs": [NAME], "arch2infos": {0: states}}
    path = tmp_path / "archive" / "NATS.tar"
    path.parent.mkdir()
    if kind == "zip":
        zip_of(path, pickle.dumps(content, 2))
    elif kind == "bz2":
        path.write_bytes(bz2_pickle(content))
    else:
        write_tar(path, members(states))
    whole = path.read_bytes()
    messages = []
    expected = read_archive(path, tmp_path / "work").datasets["cifar100-12"].columns["val_accuracy"].values[0].copy()
    for _ in range(50):
        if kind == "member":  # the pickle itself, behind the checksum of its compression
            damaged = bz2.compress(mutated(pickle.dumps(states, 4), rng))
            write_tar(path, {**members(states), "000000.pickle.pbz2": damaged})
        else:
            rewrite(path, mutated(whole, rng))
        try:
            table = read_archive(path, tmp_path / "work")
        except HarnessError as error:
            messages.append(str(error))
            continue
        values = table.datasets["cifar100-12"].columns["val_accuracy"].values
        assert kind == "member" or np.array_equal(values[0], expected, equal_nan=True)
    assert messages
    assert not any("\n" in message for message in messages)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "work"]
    assert [path.name for path in path.parent.iterdir()] == ["NATS.tar"]


def test_a_file_cut_off_anywhere_is_refused(states, tmp_path):
    content = {"meta_archs": [NAME], "arch2infos": {0: states}}
    for path, whole in (
        (tmp_path / "a.pickle.pbz2", bz2_pickle(content)),
        (zip_of(tmp_path / "b.pth", pickle.dumps(content, 2)), None),
    ):
        whole = whole or path.read_bytes()
        for length in [*range(0, 64, 3), *range(64, len(whole), len(whole) // 60), len(whole) - 1]:
            rewrite(path, whole[:length])
            with pytest.raises(HarnessError):
                read_archive(path, tmp_path / "work")


@pytest.mark.parametrize("room", fast_first([0, 20_000_000]))
def test_memory_does_not_grow_with_the_number_of_architectures(room, states, monkeypatch):
    """But for 4 bytes a reference, and while there is room for small things that later architectures may share."""
    monkeypatch.setattr(references, "_KEPT_TEXT_BYTES", 20_000)
    monkeypatch.setattr(references, "_KEPT_OTHER_BYTES", room)
    peaks, sizes = [], []
    for count in (50, 500):
        packed = pickle.dumps({"arch2infos": {i: pickle.loads(pickle.dumps(states)) for i in range(count)}}, 2)
        sizes.append(packed.count(b"q") + packed.count(b"r"))
        tracemalloc.start()
        read(packed, 5_000, streamed="arch2infos", on_entry=lambda *_: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    small_things = 450 * 12_000 if room else 0
    assert peaks[1] - peaks[0] < 6 * (sizes[1] - sizes[0]) + small_things


def test_a_mean_of_latencies_is_the_same_on_every_python():
    assert _latency({"latency": [0.1] * 10}) == 0.9999999999999999 / 10  # added one by one
    assert np.isnan(_latency({"latency": []}))
