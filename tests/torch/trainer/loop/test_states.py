"""A long training that was killed continues after its last saved epoch, with the same bits."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest
import torch

from nasbench_harness.trainer import train
from nasbench_harness.trainer.loop import states
from nasbench_harness.trainer.loop.states import SavedState
from nasbench_harness.trainer.loop.training import StackTraining

from ..conftest import ON_CPU, cell

CELL = cell("320142")
DISCONNECTED = cell("100000")  # most of its layers have no gradients, so no momenta


@pytest.fixture
def saved_always(monkeypatch):
    monkeypatch.setattr(states, "SAVE_EVERY_S", 0.0)


@pytest.fixture
def epochs_done(monkeypatch):
    """Epochs that were trained; the training is killed where ``killed_at`` says."""
    done, epoch = [], StackTraining.epoch

    def counted(self, number):
        if number == done_until.get("killed_at"):
            raise KeyboardInterrupt
        done.append(number)
        return epoch(self, number)

    done_until = {}
    monkeypatch.setattr(StackTraining, "epoch", counted)
    return done, done_until


def numbers(results):
    return [(one.seed, one.accuracy, one.curve, one.train_loss, one.diverged) for one in results]


@pytest.mark.parametrize("architecture", [CELL, DISCONNECTED])
def test_a_killed_training_goes_on_with_the_same_bits(recipe, data, tmp_path, saved_always, epochs_done, architecture):
    recipe = dataclasses.replace(recipe, epochs=8)
    done, until = epochs_done
    expected = numbers(train(architecture, recipe, data, [1, 2, 3, 4], ON_CPU))
    done.clear()
    until["killed_at"] = 7
    with pytest.raises(KeyboardInterrupt):
        train(architecture, recipe, data, [1, 2, 3, 4], ON_CPU, states=tmp_path)
    del until["killed_at"]
    assert done == list(range(7))
    assert [path.suffix for path in tmp_path.iterdir()] == [".state"]
    found = train(architecture, recipe, data, [1, 2, 3, 4], ON_CPU, states=tmp_path)
    assert done == [*range(7), 7, *range(8)]  # the last epoch of the first stack, then the second stack
    assert numbers(found) == expected
    assert list(tmp_path.iterdir()) == []


def test_states_of_other_trainings_are_not_used(recipe, data, tmp_path, saved_always, epochs_done):
    done, until = epochs_done
    until["killed_at"] = 1
    with pytest.raises(KeyboardInterrupt):
        train(CELL, recipe, data, [1, 2, 3], ON_CPU, states=tmp_path)
    del until["killed_at"]
    others = [([1, 2, 4], recipe), ([2, 1, 3], recipe), ([1, 2, 3], dataclasses.replace(recipe, learning_rate=0.05))]
    for seeds, other in others:
        done.clear()
        train(CELL, other, data, seeds, ON_CPU, states=tmp_path)
        assert done == [0, 1]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("position", [0, 40, 2_000, -1])
def test_a_damaged_state_is_ignored(recipe, data, tmp_path, saved_always, epochs_done, position):
    done, until = epochs_done
    expected = numbers(train(CELL, recipe, data, [1, 2, 3], ON_CPU))
    until["killed_at"] = 1
    with pytest.raises(KeyboardInterrupt):
        train(CELL, recipe, data, [1, 2, 3], ON_CPU, states=tmp_path)
    del until["killed_at"]
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    done.clear()
    assert numbers(train(CELL, recipe, data, [1, 2, 3], ON_CPU, states=tmp_path)) == expected
    assert done == [0, 1]


def test_a_short_training_is_never_saved(recipe, data, tmp_path):
    train(CELL, recipe, data, [1], ON_CPU, states=tmp_path / "states")
    assert not (tmp_path / "states").exists()


def test_a_state_keeps_layout_and_bits(tmp_path):
    state = {"x": torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last), "losses": [0.1, float("inf")]}
    saved = SavedState(tmp_path / "states", ["key"])
    saved.write(state)
    found = saved.read(torch.device("cpu"))
    assert torch.equal(found["x"], state["x"])
    assert found["x"].stride() == state["x"].stride()
    assert found["losses"] == state["losses"]
    assert SavedState(tmp_path / "states", ["other"]).read(torch.device("cpu")) is None


SCRIPT = """
import dataclasses, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.torch.trainer.conftest import cell, small_data
from nasbench_harness.trainer import Execution, recipe_of, train
from nasbench_harness.trainer.loop import states
from nasbench_harness.trainer.loop.training import StackTraining

states.SAVE_EVERY_S = 0.0
recipe = dataclasses.replace(recipe_of("animals8-10"), epochs=200, batch_size=8, channels=4, warmup_steps=0)
epoch = StackTraining.epoch

def killed(self, number):
    if number == 199 and sys.argv[3] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print(number)
    return epoch(self, number)

StackTraining.epoch = killed
results = train(cell("320142"), recipe, small_data(), [1, 2, 3], Execution("cpu"), states=Path(sys.argv[2]))
print([(one.accuracy, one.curve, one.train_loss) for one in results])
"""


@pytest.mark.slow
def test_of_200_epochs_the_last_alone_is_repeated_after_a_kill(tmp_path, request):
    def run(folder, what):
        command = [sys.executable, "-c", SCRIPT, str(request.config.rootpath), str(folder), what]
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)

    whole = run(tmp_path / "whole", "let live")
    killed = run(tmp_path / "killed", "kill")
    assert killed.returncode == -signal.SIGKILL
    rest = run(tmp_path / "killed", "let live")
    assert rest.stdout.splitlines()[0] == "199"
    assert rest.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    assert len(whole.stdout.splitlines()) == 201
