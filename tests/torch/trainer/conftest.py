"""A plain second implementation to compare with, and tiny data."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer import Execution
from nasbench_harness.trainer.data.images import image_data
from nasbench_harness.trainer.data.sources import Images, Source
from nasbench_harness.trainer.recipe import recipe_of

torch.set_num_threads(1)
SPACE = NASBench201Space()
ON_CPU = Execution("cpu")


def cell(key):
    """Official string of a key."""
    return SPACE.to_string(SPACE.from_key(key))


def conv_norm(channels_in, channels_out, kernel, stride=1):
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class PlainCell(nn.Module):
    def __init__(self, key, channels):
        super().__init__()
        self.edges = nn.ModuleList(
            {"2": conv_norm(channels, channels, 1), "3": conv_norm(channels, channels, 3)}.get(digit, nn.Identity())
            for digit in key
        )
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.key = key

    def forward(self, x):
        nodes = [x]
        position = 0
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for source in range(target):
                digit, module = self.key[position], self.edges[position]
                position += 1
                if digit == "4":
                    total = total + self.pool(nodes[source])
                elif digit != "0":
                    total = total + module(nodes[source])
            nodes.append(total)
        return nodes[3]


class PlainReduction(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a, self.b = conv_norm(channels, 2 * channels, 3, 2), conv_norm(2 * channels, 2 * channels, 3)
        self.down = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x):
        return self.down(x) + self.b(self.a(x))


class PlainNetwork(nn.Module):
    """The published network, one seed, written with the usual modules."""

    def __init__(self, key, num_cells, channels, image_channels, num_classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        blocks = []
        for stage in range(3):
            if stage:
                blocks.append(PlainReduction(channels * 2 ** (stage - 1)))
            blocks += [PlainCell(key, channels * 2**stage) for _ in range(num_cells)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(nn.BatchNorm2d(4 * channels), nn.ReLU())
        self.classifier = nn.Linear(4 * channels, num_classes)

    def forward(self, x):
        return self.classifier(self.last(self.blocks(self.stem(x))).mean((2, 3)))


@pytest.fixture
def noisy():
    """Give every parameter of a network a new value, also the biases that start at zero."""

    def change(network, seed=0):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        return network

    return change


def small_data(num_train=22, num_valid=20, channels=1, side=8, can_flip=True, num_classes=4):
    """Random images whose brightness tells the class; the test part must stay closed."""
    generator = np.random.default_rng(3)

    def part(number):
        labels = np.arange(number) % num_classes
        images = (
            generator.integers(0, 120, (number, channels, side, side))
            + 160 // num_classes * labels[:, None, None, None]
        )
        return Images(images.clip(0, 255).astype(np.uint8), labels)

    train, valid = part(num_train), part(num_valid)
    found = Source("small", train, valid, None, can_flip=can_flip)
    data = image_data(found, train, valid, None, "digest", "split", "source")
    return dataclasses.replace(data, sealed=Closed())


class Closed:
    """A test part that nobody may open."""

    def open(self):
        raise AssertionError("the test part was opened")


@pytest.fixture(scope="session")
def data():
    return small_data()


@pytest.fixture(scope="session")
def recipe():
    """Tiny networks, three stacked seeds, two epochs of batches of 8, 8, 6."""
    return dataclasses.replace(
        recipe_of("animals8-10"), name="tiny", epochs=2, batch_size=8, channels=4, warmup_steps=0
    )
