"""Base of all contracts: messages that explain, and a runner without pytest."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, NoReturn

import numpy as np

from nasbench_harness.engine.limits import TimeLimit, can_limit
from nasbench_harness.errors import HarnessError, StrategyError
from nasbench_harness.places import place_in
from nasbench_harness.untrusted import first_line


class Contract:
    """Base of the contracts: every method whose name begins with ``test_`` is one rule.

    Attributes:
        max_seconds: Real seconds that ``run_contract`` gives to all rules together; None: any number.
        first: Rule without which ``run_contract`` tries no other one, e.g. ``test_it_can_be_played``.
    """

    max_seconds: ClassVar[float | None] = None
    first: ClassVar[str | None] = None


@dataclass(frozen=True)
class Finding:
    """Result of one rule of a contract.

    Attributes:
        name: The method, without ``test_``.
        rule: First line of its docstring.
        failure: Message if it does not hold or was not tried; empty if it holds.
        was_tried: Whether it was tried.
    """

    name: str
    rule: str
    failure: str = ""
    was_tried: bool = True


def run_contract(contract: Contract) -> list[Finding]:
    """Try every rule of a contract: its first one, then the others in the order in which they are written.

    The check ends by itself: code that hangs is interrupted when the contract's seconds are used up. If the first
    rule does not hold, the others are not tried: they would all fail for its cause.
    """
    findings: list[Finding] = []
    written = [name for cls in reversed(type(contract).__mro__) for name in vars(cls) if name.startswith("test_")]
    names = dict.fromkeys([contract.first, *written] if contract.first else written)
    end = None if contract.max_seconds is None or not can_limit() else monotonic() + contract.max_seconds
    for name in names:
        method = getattr(contract, name)
        rule = (method.__doc__ or "").partition("\n")[0]
        left = None if end is None else end - monotonic()
        reason = ""
        if contract.first and findings and findings[0].failure:
            reason = f"fix this first: {findings[0].rule}"
        elif left is not None and left <= 0:
            reason = "the time of the check was used up before"
        failure = f"not tried: {reason}" if reason else _failure(method, left)
        findings.append(Finding(name.removeprefix("test_"), rule, failure, not reason))
    return findings


def _failure(method: Callable[[], None], seconds: float | None) -> str:
    """Message of a rule that does not hold, else empty."""
    try:
        with redirect_stdout(sys.stderr):  # prints of the code under test
            if seconds is None:
                method()
            else:
                TimeLimit(seconds, "the rule").call(None, method)
    except BrokenContractError as error:
        return str(error)
    except HarnessError as error:
        text = str(error)
        place = place_in(error) if isinstance(error, StrategyError) or not text else ""
        return f"{text or type(error).__name__}{place}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the code under test may raise anything
        text = first_line(error)
        return f"raised {type(error).__name__}{': ' if text else ''}{text}{place_in(error)}"
    return ""


class BrokenContractError(AssertionError):
    """A rule of a contract does not hold. The code under test may raise any other AssertionError."""


def fail(expected: str, arrived: str, why: str, cause: str) -> NoReturn:
    """Raise a BrokenContractError that teaches."""
    raise BrokenContractError(f"expected: {expected}\narrived: {arrived}\nwhy: {why}\nusual cause: {cause}")


@contextmanager
def global_generators_untouched(what: str) -> Iterator[None]:
    """Fails if Python's or NumPy's global random generator moved meanwhile."""
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
