import os
import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness.errors import TableError
from nasbench_harness.tables.unpickle import restricted_load

PLAIN = {"421211": {"val_acc": [81.5, 82.0], "none": None, "nested": [(1, "é", b"x", True, {2**70})]}}


class Calls:
    """Unpickling this runs a function."""

    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.fixture
def write(tmp_path):
    def write(content, protocol=None):
        path = tmp_path / "file.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_round_trips(write, protocol):
    plain = {"421211": {"val_acc": [81.5, 82.0], "none": None, "nested": [(1, "é", True, 2**70)]}}
    assert restricted_load(write(plain, protocol)) == plain


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_a_command_is_refused(write, tmp_path, protocol):
    path = write({"421211": Calls(os.system, f"touch {tmp_path / 'ran'}")}, protocol)
    with pytest.raises(TableError, match=rf"refused to read {path}.*\.system"):
        restricted_load(path)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(TypeError, match="int"):  # the counter-example: the plain unpickler does run it
        os.fspath(pickle.loads(path.read_bytes())["421211"])
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "function", [eval, exec, getattr, __import__, print, object, pickle.loads], ids=lambda function: function.__name__
)
def test_every_global_is_refused(write, function):
    with pytest.raises(TableError, match="may not contain"):
        restricted_load(write(pickle.dumps(function)))


def test_a_refused_module_is_not_imported(write, tmp_path, monkeypatch):
    (tmp_path / "bomb_of_test.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TableError, match=r"bomb_of_test\.x"):
        restricted_load(write(b"cbomb_of_test\nx\n."))
    assert not (tmp_path / "imported").exists()


def test_allowed_globals_are_exact(write):
    content = np.float64(1.5)
    names = {
        (argument.split(" ")[0], argument.split(" ")[1])
        for opcode, argument, _ in pickletools.genops(pickle.dumps(content, 2))
        if opcode.name == "GLOBAL"
    }
    assert restricted_load(write(content, 2), frozenset(names)) == 1.5
    for name in names:
        with pytest.raises(TableError, match="refused"):
            restricted_load(write(content, 2), frozenset(names - {name}))
    with pytest.raises(TableError, match="refused"):
        restricted_load(write(np.array([1.5]), 2), frozenset(names))


def test_allowing_once_allows_only_once(write):
    path = write(pickle.dumps(print))
    assert restricted_load(path, frozenset({("builtins", "print")})) is print
    with pytest.raises(TableError):
        restricted_load(path)


def test_a_torn_file_is_refused_at_every_length(write):
    whole = pickle.dumps(PLAIN["421211"]["val_acc"])
    for length in range(len(whole)):
        with pytest.raises(TableError, match="no complete pickle"):
            restricted_load(write(whole[:length]))


@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(content)
    try:
        restricted_load(path)
    except TableError as error:
        assert str(path) in str(error)  # noqa: PT017 - a few random bytes are a valid pickle


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"cannot read .*absent\.pkl: No such file"):
        restricted_load(tmp_path / "absent.pkl")
    with pytest.raises(TableError, match="cannot read"):
        restricted_load(tmp_path)


def test_types_inside_types_are_refused(write):
    """Thirty lists of two, each twice in the next one: NumPy would visit a thousand million types."""
    fields = [("a", "f8"), ("b", "f8")]
    for _ in range(30):
        fields = [("a", fields), ("b", fields)]
    packed = pickle.dumps(fields, 4)
    content = packed[:2] + b"cnumpy\ndtype\n" + packed[packed.index(b"]") : -1] + b"\x85R."
    with pytest.raises(TableError, match="no plain number"):
        restricted_load(write(content), frozenset({("numpy", "dtype")}))
