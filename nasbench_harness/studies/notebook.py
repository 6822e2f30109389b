"""Progress of a study in a notebook: one line that is updated in place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_harness.studies.batches import BatchResult

from nasbench_harness.words import plural


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; imports nothing."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules


def shown(results: Iterable[BatchResult], num_runs: int) -> Iterator[BatchResult]:
    """The same results; in a notebook a line counts the runs that are done.

    Args:
        results: Results of batches as they end.
        num_runs: Runs to be done.
    """
    if not in_notebook() or not num_runs:
        yield from results
        return
    from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

    handle: Any = display(_line(0, num_runs), raw=True, display_id=True)
    done = 0
    for result in results:
        done += result.num_runs
        handle.update(_line(done, num_runs), raw=True)
        yield result


def _line(done: int, num_runs: int) -> dict[str, str]:
    return {"text/plain": f"{done:,} of {plural(num_runs, 'run')}"}
