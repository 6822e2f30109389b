"""Devices of trainings: their arithmetic, and the remedy when their memory is too small."""

from __future__ import annotations

import gc
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from nasbench_harness.errors import InvalidInputError

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Execution:
    """Device and arithmetic of trainings: decides speed and rounding, never the meaning of a training.

    Attributes:
        device: ``auto`` (cuda if there is one, else cpu), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        deterministic: The same bits at every repetition on the same GPU too; slower. A CPU always repeats its bits.
        compiled: Compile each network with torch's own compiler first; on a GPU only. It pays when training takes much
            longer than compiling.
    """

    device: str = "auto"
    deterministic: bool = False
    compiled: bool = False

    def checked_device(self) -> torch.device:
        """The device, if it can do all that is asked of it.

        Raises:
            InvalidInputError: It is unknown, not there, or cannot compile.
        """
        device = torch_device(self.device)
        if self.compiled and device.type != "cuda":
            raise InvalidInputError(f"compiling pays on a GPU only, not on {device.type}: leave --compile out")
        return device

    @property
    def backend(self) -> str | None:
        """Backend of torch's compiler; None if nothing is compiled."""
        return "inductor" if self.compiled else None

    @contextmanager
    def applied(self, device: torch.device) -> Iterator[None]:
        """Calculate like this on the device, and put all settings back at the end."""
        with stated_arithmetic(device, self.deterministic):
            yield


DEFAULT = Execution()


def torch_device(device: str) -> torch.device:
    """The device of a name; ``auto`` is cuda if there is one, else cpu.

    Raises:
        InvalidInputError: It is unknown or not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = re.fullmatch(r"(cpu|cuda|mps)(?::(\d{1,3}))?", device)
    if parts is None:
        raise InvalidInputError(f"unknown device {device!r}: expected auto, cpu, cuda, cuda:1 or mps")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if int(parts[2] or 0) >= counts[parts[1]]:
        raise InvalidInputError(f"device {device} is not there: use --device cpu, or a build of torch that supports it")
    return torch.device(device)


@contextmanager
def stated_arithmetic(device: torch.device, deterministic: bool = False) -> Iterator[None]:
    """Calculate as the cache key says, and put all settings back at the end.

    A CPU uses one thread, because sums depend on their number. A GPU's convolutions in float32 are float32: by default
    PyTorch lets them round to TF32.

    Args:
        device: Device of the trainings.
        deterministic: Also the same bits at every repetition on the same GPU; slower.
    """
    threads, was = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    if device.type == "cpu":
        torch.set_num_threads(1)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
        torch.use_deterministic_algorithms(True)
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, deterministic=deterministic, allow_tf32=False
        ):
            yield
    finally:
        torch.set_num_threads(threads)
        if deterministic:  # even to set it back loads torch's compiler: a second and 50 MB
            torch.use_deterministic_algorithms(was, warn_only=was_warning)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted; the CPU and mps have no exception of their own for it."""
    told = isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
    return told or isinstance(error, torch.OutOfMemoryError | MemoryError)


def watch_memory(device: torch.device) -> None:
    """Measure from now on how much memory is needed on a GPU."""
    if device.type == "cuda":
        torch.cuda.init()  # resetting does it for a device without a number only, and fails for cuda:1
        torch.cuda.reset_peak_memory_stats(device)


def needed_memory(device: torch.device, error: BaseException) -> str:
    """Memory that was needed since ``watch_memory``, in words; elsewhere than on a GPU the text of the error."""
    if device.type != "cuda":
        return str(error).partition("\n")[0]
    return f"it takes more than {torch.cuda.max_memory_allocated(device) / 2**20:,.0f} MB"


def release_memory(device: torch.device) -> str:
    """Give back the memory that PyTorch holds in reserve; how much is free then, in words to follow others.

    An error holds the tensors of its traceback: call this when it is gone.
    """
    if device.type not in ("cuda", "mps"):
        return ""
    gc.collect()
    if device.type == "mps":
        torch.mps.empty_cache()
        return ""
    torch.cuda.empty_cache()
    return f", {torch.cuda.mem_get_info(device)[0] / 2**20:,.0f} MB are free"


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def processor_name() -> str:
    """Name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
