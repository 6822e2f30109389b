"""Measures the latency of networks on this machine, in rounds over all of them. Needs torch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import HarnessError, InvalidInputError
from nasbench_harness.journal import LineJournal
from nasbench_harness.trainer import networks as package
from nasbench_harness.trainer.loop.devices import (
    Execution,
    is_out_of_memory,
    needed_memory,
    processor_name,
    release_memory,
    synchronize,
    watch_memory,
)
from nasbench_harness.trainer.networks.network import Network
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.trainer.recipe import Recipe


@dataclass(frozen=True)
class Timing:
    """Settings of the measurement of one latency.

    Attributes:
        rounds: Passes over all architectures; each builds every network again.
        repeats: Timed forward passes of a network in a round.
        warm_up: Forward passes before them that are not timed.
        batch_size: Images of a forward pass.
    """

    rounds: int = 5
    repeats: int = 10
    warm_up: int = 3
    batch_size: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name == "warm_up" else 1
            if not least <= value <= 100_000:
                raise InvalidInputError(f"{name} must lie in {least} … 100,000, not {value}")


@dataclass(frozen=True)
class Networks:
    """The networks that are measured.

    Attributes:
        names: Architectures as the trainer reads them.
        recipe: Gives the number of cells and channels.
        num_classes: Outputs of the classifier.
        side: Pixels of an image's side.
        image_channels: Channels of an image.
    """

    names: Sequence[str]
    recipe: Recipe
    num_classes: int
    side: int
    image_channels: int = 3

    def build(self, name: str, device: torch.device) -> Network:
        """One network with its weights drawn, ready to answer."""
        structure = structure_of(
            name, self.recipe.num_cells, self.recipe.channels, self.image_channels, self.num_classes
        )
        network: Network = Network(structure, [0]).eval()
        network.to(device, memory_format=torch.channels_last)
        return network

    def images(self, number: int, device: torch.device) -> torch.Tensor:
        """Images of noise, the same for every network."""
        draws = torch.Generator().manual_seed(0)
        images = torch.randn(number, self.image_channels, self.side, self.side, generator=draws)
        return images.to(device, memory_format=torch.channels_last)


@dataclass(frozen=True)
class Measured:
    """Measured latencies.

    Attributes:
        latency_ms: Median over all timed passes, shape (num_networks,).
        spread: Largest minus smallest median of a round over the median of all, shape (num_networks,).
        seconds: Real seconds of all visits in the journal, warm-up and building included.
        device: Name of the device.
    """

    latency_ms: Floats
    spread: Floats
    seconds: float
    device: str


def measure(
    networks: Networks,
    device_name: str,
    timing: Timing,
    journal: Path,
    identity: Mapping[str, Any],
    on_visit: Callable[[int, int], None] | None = None,
) -> Measured:
    """Measure the latency of every network in interleaved rounds.

    A round visits the networks in an order of its own, so a machine that grows slower slows all of them alike. Each
    visit is a line of the journal; the same call continues after the last one. The first visit after each start is
    done twice, and the first time is dropped.

    Args:
        networks: The networks.
        device_name: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. A CPU uses one thread.
        timing: Numbers of rounds, repeats and warm-up passes, and the batch.
        journal: File of finished visits.
        identity: Everything else that the journal belongs to, e.g. the digest of the table.
        on_visit: Called with (visits done, visits in all) after each visit.

    Raises:
        InvalidInputError: The device is not there, or the journal belongs to other settings or to another process.
        HarnessError: The device's memory is too small.
    """
    execution = Execution(device_name)
    device = execution.checked_device()
    name = name_of(device)
    count = len(networks.names)
    settings = {
        **identity,
        "device": name,
        "torch": torch.__version__,
        "code": _code_digest(),
        "recipe": networks.recipe.digest,
        "num_classes": networks.num_classes,
        "side": networks.side,
        "image_channels": networks.image_channels,
        "architectures": list(networks.names),
        **dataclasses.asdict(timing),
    }
    with LineJournal(journal, settings) as kept, execution.applied(device):
        visits = _read_visits(kept, timing, count)
        images = networks.images(timing.batch_size, device)
        is_cold = True
        for number in range(timing.rounds):
            for position in np.random.default_rng(number).permutation(count).tolist():
                if (number, position) not in visits:
                    if is_cold:  # the first passes of a process are slow for any network
                        _visit(networks, networks.names[position], images, device, timing)
                        is_cold = False
                    begun = perf_counter_ns()
                    times = _visit(networks, networks.names[position], images, device, timing)
                    seconds = round((perf_counter_ns() - begun) / 1e9, 6)
                    visits[number, position] = times, seconds
                    kept.add({"round": number, "network": position, "ns": times, "seconds": seconds})
                if on_visit is not None:
                    on_visit(len(visits), count * timing.rounds)
    times_ms = np.array([[visits[k, i][0] for k in range(timing.rounds)] for i in range(count)]) / 1e6
    latency_ms = np.median(times_ms.reshape(count, -1), axis=1)
    spread = np.ptp(np.median(times_ms, axis=2), axis=1) / latency_ms
    return Measured(latency_ms, spread, sum(seconds for _, seconds in visits.values()), name)


def name_of(device: torch.device) -> str:
    """Name of a device's hardware."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{processor_name()}, one thread" if device.type == "cpu" else str(device.type)


def _code_digest() -> str:
    """Digest of the code of the networks and of their measurement: other code, other latencies."""
    folder = Path(package.__file__).parent
    files = [Path(__file__), *sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read_visits(journal: LineJournal, timing: Timing, count: int) -> dict[tuple[int, int], tuple[list[int], float]]:
    """(nanoseconds of each pass, seconds) of the visits in a journal, by (round, position)."""
    visits = {}
    try:
        for entry in journal.entries:
            key, times = (int(entry["round"]), int(entry["network"])), [int(time) for time in entry["ns"]]
            is_known = 0 <= key[0] < timing.rounds and 0 <= key[1] < count
            if not is_known or len(times) != timing.repeats or min(times) <= 0:
                raise journal.damaged()
            visits[key] = times, float(entry["seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise journal.damaged() from error
    return visits


def _visit(networks: Networks, name: str, images: torch.Tensor, device: torch.device, timing: Timing) -> list[int]:
    """Nanoseconds of each timed forward pass."""
    watch_memory(device)
    try:
        return _times(networks.build(name, device), images, device, timing)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        needed = needed_memory(device, error)
    free = release_memory(device)
    raise HarnessError(f"the device's memory is too small for {name} ({needed}{free}): use a smaller --batch-size")


def _times(network: Network, images: torch.Tensor, device: torch.device, timing: Timing) -> list[int]:
    times = []
    with torch.inference_mode():
        for _ in range(timing.warm_up):
            network(images)
        for _ in range(timing.repeats):
            synchronize(device)
            begun = perf_counter_ns()
            network(images)
            synchronize(device)
            times.append(perf_counter_ns() - begun)
    return times
