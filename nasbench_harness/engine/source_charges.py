"""Evaluations of sources, charged and recorded as rows of the runs that read them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import MAX_EVALUATIONS, Protocol
from nasbench_harness.evaluation.sources import SourceReads
from nasbench_harness.evaluation.status import Status


class SourceCharges:
    """Charges a batch for the evaluations of sources that it reads.

    Args:
        reads: Reads the sources and counts.
        ledger: Charges.
        protocol: Says whether reads are charged, or counted only.
        record: Records a row of some runs: the runs, the status, and seconds.

    Attributes:
        num_rows: Rows of each run, shape (num_runs,).
    """

    def __init__(
        self, reads: SourceReads, ledger: Ledger, protocol: Protocol, record: Callable[[Bools, Status, Floats], None]
    ) -> None:
        self._reads, self._ledger, self._record = reads, ledger, record
        self._is_charged = protocol.source_cost == "charged"
        self._most, self._end_s = protocol.evaluations, protocol.simulated_seconds
        self.num_rows = np.zeros(reads.num_runs, dtype=np.int64)

    def open(self) -> None:
        """Allow reads from now on: of each run no more than it can pay for before its last evaluation."""
        self._charge()  # the constructor may have read
        self._reads.open(True)
        if self._is_charged:
            left = MAX_EVALUATIONS if self._most is None else self._most - self._ledger.counted - 1
            self._reads.bound(np.where(self._ledger.has_budget(), left, 0), self._ledger.clock_s)

    def close(self) -> Bools:
        """Refuse reads from now on and charge those until now; returns the runs that read any, shape (num_runs,)."""
        self._reads.open(False)
        return self._charge()

    def _charge(self) -> Bools:
        runs, cost_s = self._reads.claim()
        reads = np.bincount(runs, minlength=len(self.num_rows))
        if self._is_charged and len(runs):
            order = np.argsort(runs, kind="stable")
            row_of = np.arange(len(runs)) - np.repeat(np.cumsum(reads) - reads, reads)
            seconds = np.zeros((int(reads.max()), len(reads)))
            seconds[row_of, runs[order]] = cost_s[order]
            for row, of_row in enumerate(seconds):
                self._ledger.counted = self._ledger.counted + (reads > row)
                charged_s, _ = self._ledger.spend(of_row)
                self._record(reads > row, Status.SOURCE, charged_s)
            self.num_rows += reads
            if self._end_s is not None:
                has_ended = (reads > 0) & (self._ledger.clock_s >= self._end_s)
                before = self._ledger.ended_by_sources
                self._ledger.ended_by_sources = has_ended if before is None else before | has_ended
        has_read: Bools = reads > 0
        return has_read
