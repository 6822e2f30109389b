"""Worker processes: fresh interpreters that never outlive the process which started them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")
_SETTINGS = "NASBENCH_HARNESS_"  # begins the names of this package's environment variables
_IDLE_S = 20  # workers that wait so long for another call end
_CHECK_S = 0.5  # how often a worker looks for its parent
_pools: list[Any] = []  # the pool that was made last


def worker_pool(num_workers: int) -> Any:
    """The process pool of this process (a loky executor), with this many workers.

    Workers are reused by the next call. They import from the same folders as this process, have its settings, and
    ignore Ctrl-C, which this process handles for them. Each one ends by itself within a second when this process dies
    in any way.

    Args:
        num_workers: Number of worker processes.
    """
    from loky import get_reusable_executor

    settings = {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}
    arguments = (os.getpid(), list(sys.path), settings)
    pool = get_reusable_executor(num_workers, timeout=_IDLE_S, initializer=_prepare, initargs=arguments)
    _pools[:] = [pool]
    return pool


def submit(num_workers: int, call: Callable[..., Result], *arguments: Any, **named: Any) -> Future[Result]:
    """Hand a call to a worker; if a worker died this moment, the call fails, and not its caller.

    Args:
        num_workers: Number of worker processes.
        call: The function.
        *arguments: Its arguments.
        **named: Its named arguments.
    """
    from loky.process_executor import BrokenProcessPool

    try:
        with _held_interrupts():
            submitted: Future[Result] = worker_pool(num_workers).submit(call, *arguments, **named)
        return submitted
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


def stop_workers() -> None:
    """Kill the workers of this process at once, whatever they are doing; nothing happens if there are none."""
    while _pools:
        _pools.pop().shutdown(wait=True, kill_workers=True)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the block ends; processes that start in it do not receive any until ``_prepare``.

    A terminal sends Ctrl-C to workers, too. A worker that still imports would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start would release Ctrl-C before the workers start
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(parent: int, path: list[str], settings: dict[str, str]) -> None:
    """Runs first in every worker."""
    # Workers that were started from another folder would not find the user's modules.
    sys.path[:] = path
    os.environ.update(settings)  # e.g. the folder of the tables, which may have changed since loky started
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # programs that a strategy starts get it
        threading.Thread(target=_end_with, args=(parent,), name="parent watch", daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: a dead process cannot tell its workers to stop."""
    while os.getppid() == parent:
        time.sleep(_CHECK_S)
    os._exit(1)
