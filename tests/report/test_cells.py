from nasbench_harness.report.cells import interval_cell, plain


def test_no_number_is_minus_zero():
    assert interval_cell((0.0, -1e-9, 0.25), 2).text == "0.00 [0.00, 0.25]"
    assert plain(-1e-9, 3).text == "0.000"
    assert plain(-1e-9, 3, plus=True).text == "+0.000"
    assert plain(-0.004, 2).text == "0.00"
    assert plain(-0.5, 2).text == "−0.50"
