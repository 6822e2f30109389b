"""Real-time limits for code that may hang: a POSIX timer interrupts it wherever it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any

from nasbench_harness.errors import InvalidInputError, StrategyError

_AGAIN_S = 1.0  # code that swallowed the interruption is interrupted again after so long


class OutOfTimeError(BaseException):
    """Raised inside code that exceeded its limit; no Exception, so that ``except Exception`` does not swallow it."""


class TimeLimit:
    """Interrupts calls when they have used up a number of real seconds, counted for each key.

    Args:
        seconds: Limit of the calls with the same key together.
        owner: Name of the code in messages.

    Raises:
        InvalidInputError: The platform has no such timer, or this is not the main thread.
    """

    def __init__(self, seconds: float, owner: str) -> None:
        check_limit(seconds)
        self.seconds = seconds
        self._owner = owner
        self._left: dict[Hashable, float] = {}
        self._is_armed = False

    def call(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function.

        Raises:
            StrategyError: The calls with this key used more than the limit.
        """
        left = self._left.get(key, self.seconds)
        before = signal.signal(signal.SIGALRM, self._interrupt)
        start = perf_counter()
        try:
            self._is_armed = True
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), _AGAIN_S)
            return function(*arguments)
        except OutOfTimeError:
            fault = f"{self._owner} used more than {self.seconds:g} s of real time, its limit"
            raise StrategyError(f"{fault}: raise the limit, or make the strategy faster") from None
        finally:
            self._is_armed = False  # first, and without a call: from here on nothing is interrupted
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._left[key] = left - (perf_counter() - start)

    def _interrupt(self, *_: object) -> None:
        if self._is_armed:
            raise OutOfTimeError


def check_limit(seconds: float, name: str = "run_timeout") -> None:
    """Reject limits that cannot be kept here.

    Args:
        seconds: The limit.
        name: Its name in messages.

    Raises:
        InvalidInputError: It is no number above 0, the platform has no such timer, or this is not the main thread.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < float("inf"):
        raise InvalidInputError(f"{name} must be a number of seconds above 0, not {seconds!r}")
    if not can_limit():
        raise InvalidInputError(f"{name} needs a POSIX system and the main thread: leave it out here")


def can_limit() -> bool:
    """Whether calls can be interrupted here."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
