import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nasbench_harness import files
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.store import locks
from nasbench_harness.store.locks import Presence, not_writable, updating


def test_a_second_writer_waits_for_the_first(tmp_path):
    order = []

    def second():
        with updating(tmp_path):
            order.append("second")

    with updating(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_that_is_never_released_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_MAX_WAIT_S", 0.05)
    with updating(tmp_path), pytest.raises(InvalidInputError, match="another command has kept"), updating(tmp_path):
        pass


def test_commands_see_each_other_until_they_end_or_are_killed(tmp_path):
    first = Presence(tmp_path)
    second = Presence(tmp_path)
    assert (first.is_alone, second.is_alone) == (True, False)
    first.end()
    second.end()
    code = f"""
import pathlib
from nasbench_harness.store.locks import Presence
presence = Presence(pathlib.Path({str(tmp_path)!r}))
print(presence.is_alone, flush=True)
input()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "True\n"
    assert not Presence(tmp_path).is_alone
    other.kill()
    other.communicate()
    assert Presence(tmp_path).is_alone


def test_without_locks_every_command_is_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    with updating(tmp_path):
        assert Presence(tmp_path).is_alone
        assert Presence(tmp_path).is_alone


def test_a_lock_that_cannot_be_opened_is_one_error(tmp_path):
    (tmp_path / ".commands.lock").mkdir()
    with pytest.raises(InvalidInputError, match="cannot write"):
        Presence(tmp_path)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EACCES, "make it writable")],
)
def test_the_remedy_suits_the_reason(code, remedy):
    message = str(not_writable(Path("s"), OSError(code, os.strerror(code))))
    assert message == f"cannot write s: {os.strerror(code)}: {remedy}, or choose another --out"
