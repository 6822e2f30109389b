"""Trainings of the recipe ``animals8-10`` keep their bits: tables and journals hold their results for good.

The digests hold for one minor version of torch and one processor model. Elsewhere convolutions may round differently:
accuracies of a seed then differ by about one standard deviation of a training (.9 points), never the rules.
``NASBENCH_RECORD_RESULTS=1 pytest tests/torch/trainer/test_frozen.py`` adds the digests for this machine.
"""

import dataclasses
import hashlib
import json
import os
import platform
import re
from pathlib import Path

import pytest
import torch

from nasbench_harness.trainer import RECIPES, load_data, recipe_of, train
from nasbench_harness.trainer.loop.keys import key_fields

from .conftest import ON_CPU, SPACE

KEPT = Path(__file__).parents[2] / "golden" / "animals8_10_trainings.json"
# Connected and disconnected cells; without a path from input to output most layers have no gradients.
INDICES = (0, 1462, 6111, 11472, 15624)
SEEDS = (0, 1, 2)
RECIPE_DIGESTS = {
    "nb201-200": "ac6dd34eef98cd36",
    "nb201-12": "743d6d80cc7951fa",
    "nats-sss-90": "b8a54762d202950e",
    "animals8-10": "aa80b8d9a56d2de4",
    "animals8-1": "f835e13e907cc2bf",
    "animals8-widths-10": "41ed1040d8552ab7",
}
KEY = "55ac436348ce6b94c1c2e1c7c478a214e1d8fbef129d6dc1452d2423100e9366"


def machine():
    """Version of torch and model of the processor, which decide the rounding."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    processor = [found[name] for name in ("vendor_id", "cpu family", "model") if name in found]
    version = torch.__version__.partition("+")[0].rpartition(".")[0]
    return " ".join(["torch", version, platform.machine(), torch.backends.cpu.get_cpu_capability(), *processor])


def digest(results):
    """sha256 of learning curve, training losses and accuracy of every seed, to the last bit."""
    numbers = [[one.curve, one.train_loss, one.accuracy] for one in results]
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("index", INDICES)
def test_trainings_keep_their_bits(index):
    golden = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    is_recording = bool(os.environ.get("NASBENCH_RECORD_RESULTS"))
    if not is_recording and machine() not in golden:
        pytest.skip(f"there are no digests for {machine()}, only for {', '.join(golden)}")
    found = digest(train(SPACE.to_string(index), recipe_of("animals8-10"), load_data(), SEEDS, ON_CPU))
    if is_recording:
        golden.setdefault(machine(), {})[str(index)] = found
        KEPT.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
        return
    assert found == golden[machine()][str(index)]


def test_recipes_keep_their_names_in_a_cache():
    """Another key would train everything again that tables and journals hold."""
    assert {name: recipe.digest[:16] for name, recipe in RECIPES.items()} == RECIPE_DIGESTS
    data = dataclasses.replace(load_data(), digest="d", split_digest="s")
    fields = key_fields("a", 1, recipe_of("animals8-10"), data, ON_CPU) | {"torch": "2.13"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == KEY
