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
        self._most = protocol.evaluations
        self.num_rows = np.zeros(reads.num_runs, dtype=np.int64)

    def bound(self) -> None:
        """Let each run read no more than it can pay for before its last evaluation."""
        if self._is_charged:
            left = MAX_EVALUATIONS if self._most is None else self._most - self._ledger.counted - 1
            self._reads.bound(np.where(self._ledger.has_budget(), left, 0))

    def open(self, is_open: bool) -> None:
        """Allow or refuse reads from now on."""
        self._reads.open(is_open)

    def charge(self) -> Bools:
        """Charge the evaluations since the last call; returns the runs that read any, shape (num_runs,)."""
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
        has_read: Bools = reads > 0
        return has_read
