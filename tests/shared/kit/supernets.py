"""A toy supernet: a cell of 4 channels per stage, 8 × 8 pixels, 4 classes, float64 where gradients are compared."""

import dataclasses
import pickle

import numpy as np
import torch

from nasbench_harness import TrainingData
from nasbench_harness.trainer.supernet import SharedWeights, settings_of

torch.set_num_threads(1)


def toy_data(num_images=24, seed=3, name="toy"):
    """Images whose brightness tells the class; sorted by class, as sources may be."""
    rng = np.random.default_rng(seed)

    def half():
        labels = np.sort(np.arange(num_images) % 4)
        images = rng.integers(0, 120, (num_images, 1, 8, 8)) + 40 * labels[:, None, None, None]
        return images.clip(0, 255).astype(np.uint8), labels

    first, second = half(), half()
    return TrainingData(name, *first, *second, 4, (100.0,), (60.0,), True, "digest", "source")


def toy_settings(method="darts-first", preset="demo-cpu", **changes):
    values = {"channels": 4, "num_cells": 1, "batch_size": 8, "epochs": 2, "num_judged": 5, "judged_images": 12}
    values |= {"controller_updates": 2, "controller_samples": 3, "reward_images": 6}
    values |= {"ranking_images": 12, "judge_every": 1}
    return settings_of(preset, method, **{**values, **changes})


def toy_shared(method="darts-first", seed=0, dtype=torch.float64, data=None, preset="demo-cpu", **changes):
    return SharedWeights(data or toy_data(), toy_settings(method, preset, **changes), seed, "cpu", dtype)


def parameters_of(shared):
    return {name: value.detach().clone() for name, value in shared.network.named_parameters()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def write_cifar(folder, number=10):
    """The official batches' format with few images."""
    rng = np.random.default_rng(0)
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    for name in [*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"]:
        labels = [index % 10 for index in range(number)]
        batch = {"data": rng.integers(0, 256, (number, 3072), dtype=np.uint8), "labels": labels}
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


@dataclasses.dataclass(frozen=True)
class ToyImages:
    """The toy data as a study offers them."""

    name: str = "toy"
    digest: str = "digest"

    def load(self):
        return toy_data(name=self.name)

    def refusal(self, task):
        return ""
