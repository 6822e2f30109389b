"""Status of a query."""

from enum import IntEnum


class Status(IntEnum):
    """Status of one row of a run.

    NONE nothing finished · OK a training finished · DUPLICATE the stored value, nothing charged · OVERRUN it would
    have finished after the budget · REJECTED a duplicate under ``duplicates=forbid`` · FAILED the training failed ·
    MISSING the table does not have the row · PROGRESS the search itself spent time · SOURCE an evaluation of a source,
    which is charged.
    """

    NONE = 0
    OK = 1
    DUPLICATE = 2
    OVERRUN = 3
    REJECTED = 4
    FAILED = 5
    MISSING = 6
    PROGRESS = 7
    SOURCE = 8
