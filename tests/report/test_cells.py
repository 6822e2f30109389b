import numpy as np
import pytest

from nasbench_harness.report.cells import interval_cell, mean_and_std, mean_std, plain


def test_no_number_is_minus_zero():
    assert interval_cell((0.0, -1e-9, 0.25), 2).text == "0.00 [0.00, 0.25]"
    assert plain(-1e-9, 3).text == "0.000"
    assert plain(-1e-9, 3, plus=True).text == "+0.000"
    assert plain(-0.004, 2).text == "0.00"
    assert plain(-0.5, 2).text == "−0.50"


def test_printed_deviations_divide_by_n_minus_1():
    mean, std = mean_and_std(np.array([1.0, 2.0, 3.0, 6.0]))
    assert (mean, std) == (3.0, pytest.approx((14 / 3) ** 0.5))
    assert mean_std(mean, std, 2).text == "3.00 ± 2.16"
    assert np.isnan(mean_and_std(np.array([1.0]))[1])


def test_negative_numbers_have_a_minus_in_text_and_a_hyphen_for_siunitx():
    assert (mean_std(-0.5, 0.2, 2).text, mean_std(-0.5, 0.2, 2).latex) == ("−0.50 ± 0.20", "-0.50(20)")
    assert (mean_std(-0.001, 0.2, 2).text, mean_std(-0.001, 0.2, 2).latex) == ("0.00 ± 0.20", "0.00(20)")
