"""Cases of which the fast suite tries a few, and the thorough one all others."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def fast_first(cases: Iterable[Any], num_fast: int = 1) -> list[Any]:
    """Parameters of a test: the first cases stay in the fast suite.

    Args:
        cases: Values of one parameter, or one tuple of values for each case.
        num_fast: Number of cases that stay.
    """
    return fast_only(all_cases := list(cases), all_cases[:num_fast])


def fast_only(cases: Iterable[Any], fast: Sequence[Any]) -> list[Any]:
    """Parameters of a test: these cases stay in the fast suite, in the order of all."""
    return [
        case
        if case in fast
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.thorough)
        for case in cases
    ]
