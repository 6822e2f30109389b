"""Numbers and their nouns."""

import pytest

from nasbench_harness.words import plural


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "run", "0 runs"),
        (1, "strategy", "1 strategy"),
        (2, "strategy", "2 strategies"),
        (5, "array", "5 arrays"),
        (1_500, "batch", "1,500 batches"),
    ],
)
def test_a_number_has_its_noun(number, noun, text):
    assert plural(number, noun) == text
