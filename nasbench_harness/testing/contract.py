"""What all contracts share: messages that teach, and a runner without pytest."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from nasbench_harness.errors import HarnessError


class Contract:
    """Base of the contracts: every method whose name begins with ``test_`` is one sentence."""


@dataclass(frozen=True)
class Finding:
    """What became of one sentence of a contract.

    Attributes:
        name: The method, without ``test_``.
        sentence: First line of its docstring.
        failure: Message where it does not hold; empty where it does.
    """

    name: str
    sentence: str
    failure: str = ""


def run_contract(contract: Contract) -> list[Finding]:
    """Try every sentence of a contract, in the order in which they are written."""
    findings = []
    names = [name for cls in reversed(type(contract).__mro__) for name in vars(cls) if name.startswith("test_")]
    for name in dict.fromkeys(names):
        method = getattr(contract, name)
        sentence = (method.__doc__ or "").partition("\n")[0]
        failure = ""
        try:
            method()
        except (AssertionError, HarnessError) as error:
            failure = str(error)
        except Exception as error:  # the code under test may raise anything
            failure = f"raised {type(error).__name__}: {error}"
        findings.append(Finding(name.removeprefix("test_"), sentence, failure))
    return findings


def fail(expected: str, arrived: str, why: str, cause: str) -> NoReturn:
    """Raise an AssertionError that teaches."""
    raise AssertionError(f"expected: {expected}\narrived: {arrived}\nwhy: {why}\nusual cause: {cause}")


@contextmanager
def global_generators_untouched(what: str) -> Iterator[None]:
    """Fails where Python's or NumPy's global random generator moved meanwhile."""
    before = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - it is the global one that is watched
    yield
    after = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    moved = [
        name for name, old, new in zip(("random", "numpy.random"), before, after, strict=True) if _differ(old, new)
    ]
    if moved:
        fail(
            f"{what} leaves the global random generators alone",
            f"the global generator of {' and '.join(moved)} moved",
            "a run must depend on its identity only: global generators are shared by everything in the process",
            "random.choice(…) or np.random.… instead of the rng that is handed over (rng.numpy_generator() wraps it)",
        )


def _differ(old: object, new: object) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return any(_differ(old[key], new[key]) for key in old)
    if isinstance(old, np.ndarray):
        return not np.array_equal(old, np.asarray(new))
    return old != new
