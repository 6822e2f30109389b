"""The line of the user's code that an error passed."""

import numpy as np

from nasbench_harness.errors import StrategyError
from nasbench_harness.places import place_in


def test_the_innermost_line_outside_of_packages_is_named():
    def fails():
        return np.zeros(3)[[7]]  # raised below, in a package or in compiled code

    line = fails.__code__.co_firstlineno + 1
    try:
        fails()
    except IndexError as error:
        found = place_in(error)
        chained = StrategyError("in other words")
        chained.__cause__ = error
    assert found == f", at test_places.py:{line}"
    assert place_in(chained) == found


def test_an_error_that_passed_no_line_has_no_place():
    assert place_in(StrategyError("made, and never raised")) == ""


def test_errors_that_cause_each_other_have_no_place():
    one, other = StrategyError("one"), StrategyError("other")
    one.__cause__, other.__cause__ = other, one
    assert place_in(one) == ""
