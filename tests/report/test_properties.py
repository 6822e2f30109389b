"""Reports do not depend on the order of strategies, tasks and seeds, and refuse what has no answer in one line."""

import csv
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.errors import StoreError
from nasbench_harness.report.captions import caption_text
from nasbench_harness.report.cells import interval_text
from nasbench_harness.report.render.text import to_csv
from nasbench_harness.report.sections.main import main_tables
from nasbench_harness.report.sections.pairs import across_table, pairs_table
from nasbench_harness.report.sections.sentences import study_sentences
from nasbench_harness.report.sections.summary import equivalents_table, summary_table
from nasbench_harness.report.sections.task import task_table

VAL = np.random.default_rng(7).permutation(40) / 2 + 50
LABELS = ("a", "b", "c", "d")
PICKS = st.lists(st.sampled_from(range(40)), min_size=10, max_size=12)


@st.composite
def studies(draw):
    """Runs of two to four strategies on two or three tasks, and another order of everything."""
    labels = draw(st.permutations(LABELS))[: draw(st.integers(2, 4))]
    names = ["one", "two", "three"][: draw(st.integers(2, 3))]
    runs = {name: {label: draw(PICKS) for label in labels} for name in names}
    orders = draw(st.permutations(labels)), draw(st.permutations(names)), draw(st.randoms(use_true_random=False))
    return runs, orders


def rounded(value):
    """A number with nine digits, which orders of addition do not change; any other text as it is."""
    try:
        return f"{float(value) + 0.0:.9g}"
    except ValueError:
        return value


def tables_of(analysis):
    """Every table over all tasks, and those of each task."""
    over_tasks = [across_table(analysis), pairs_table(analysis), summary_table(analysis), equivalents_table(analysis)]
    return [
        *main_tables(analysis),
        *(task_table(analysis, entry) for entry in analysis.tasks),
        *filter(None, over_tasks),
    ]


def numbers_of(analysis):
    """Numbers of every table by strategy and column; those of pairs by the pair in any order."""
    found = {}
    for entry in analysis.tasks:
        for row in csv.DictReader(io.StringIO(to_csv(task_table(analysis, entry)))):
            found |= {(entry.task.name, row["strategy"], key): value for key, value in row.items()}
        for pair in entry.comparison.pairs:
            sign = 1 if pair.first < pair.second else -1
            signed = (pair.difference, pair.low + pair.high, pair.a12 - 0.5)
            numbers = [*(sign * value for value in signed), pair.p, pair.p_column, pair.p_study]
            found[entry.task.name, *sorted((pair.first, pair.second))] = numbers
    for row in csv.DictReader(io.StringIO(to_csv(summary_table(analysis)))):
        found |= {(row["strategy"], key): value for key, value in row.items()}
    return {key: [*map(rounded, value)] if isinstance(value, list) else rounded(value) for key, value in found.items()}


@given(studies())
@settings(deadline=None, max_examples=8)
def test_no_order_changes_a_number(made_task, analysis_of, study):
    runs, (labels, names, random) = study
    tasks = {name: made_task(VAL, name=name) for name in runs}
    here = analysis_of(*((tasks[name], runs[name]) for name in runs))
    shuffled = {
        name: {label: random.sample(runs[name][label], len(runs[name][label])) for label in labels} for name in names
    }
    there = analysis_of(*((tasks[name], shuffled[name]) for name in names))
    assert numbers_of(here) == numbers_of(there)


@given(studies())
@settings(deadline=None, max_examples=8)
def test_another_strategy_changes_no_number_of_the_others(made_task, analysis_of, study):
    """But for what is about the others: ranks, A12 against the field, wins, marks and corrected p-values."""
    runs, (labels, _, _) = study
    tasks = {name: made_task(VAL, name=name) for name in runs}
    every = analysis_of(*((tasks[name], runs[name]) for name in runs))
    kept = labels[:-1]
    fewer = analysis_of(*((tasks[name], {label: runs[name][label] for label in kept}) for name in runs))
    for entry, other in zip(every.tasks, fewer.tasks, strict=True):
        for label in kept:
            one, two = entry.result(label), other.result(label)
            np.testing.assert_array_equal(one.val.regret, two.val.regret)
            assert one.val.iqm == two.val.iqm
            assert one.share_optimal == two.share_optimal
            for name in ("mean", "iqm"):
                np.testing.assert_array_equal(
                    getattr(one.after_evaluations, name), getattr(two.after_evaluations, name)
                )
            np.testing.assert_array_equal(one.after_evaluations.band.low, two.after_evaluations.band.low)
    by_label = {entry.label: entry.normalized for entry in every.summaries}
    assert {entry.label: entry.normalized for entry in fewer.summaries} == {
        label: by_label[label] for label in fewer.labels
    }
    assert {label: every.styles[label] for label in kept} == {label: fewer.styles[label] for label in kept}


def lines_with(analysis, pattern):
    """Sentences of the captions that match."""
    return re.findall(rf"[^.]*(?:{pattern})[^.]*\.", caption_text(analysis))


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_one_and_two_seeds_have_one_line_and_no_test(made_task, analysis_of, num_seeds):
    runs = {"a": [3, 4][:num_seeds], "b": [5, 6][:num_seeds]}
    analysis = analysis_of((made_task(VAL, name="one"), runs), (made_task(VAL, name="two"), runs))
    assert len(lines_with(analysis, "no tests below 10 seeds")) == 1
    assert len(lines_with(analysis, "no intervals")) == 1
    for table in tables_of(analysis):
        for row in table.rows:
            assert not any(cell.is_marked for cell in row.cells)
            assert not any("[" in cell.text for cell in row.cells), table.name
    assert [line for line in study_sentences(analysis) if "better" in line] == []
    assert "No tests below 10 seeds." in study_sentences(analysis)[0]


def test_all_ties_are_no_difference_and_no_interval_of_width_zero(made_task, analysis_of):
    runs = {"a": [3] * 12, "b": [3] * 12}
    analysis = analysis_of((made_task(VAL, name="one"), runs), (made_task(VAL, name="two"), runs))
    for entry in analysis.tasks:
        (pair,) = entry.comparison.pairs
        assert (pair.p, pair.a12, pair.difference) == (1.0, 0.5, 0.0)
        assert entry.comparison.marked == ("a", "b")
    assert "a and b do not differ significantly on any of 2 tasks." in study_sentences(analysis)
    assert len(lines_with(analysis, "ended equal")) == 1
    texts = [cell.text for table in tables_of(analysis) for row in table.rows for cell in row.cells]
    assert [text for text in texts if re.search(r"([\d.]+) \[\1, \1\]", text)] == []


def test_a_value_that_is_missing_is_named_in_one_line(made_task, analysis_of):
    test = VAL.copy()
    test[3] = np.nan
    with pytest.raises(StoreError, match="task tiny-one: 12 of 12 final choices have no test_accuracy") as caught:
        analysis_of((made_task(VAL, test), {"a": [3] * 12}))
    assert "\n" not in str(caught.value)


def test_fewer_than_six_tasks_have_no_test_over_tasks(made_task, analysis_of):
    runs = {"a": [3, 4] * 6, "b": [5, 6] * 6}
    for number, has_test in ((5, False), (6, True)):
        tables = across_table(analysis_of(*((made_task(VAL, name=f"t{index}"), runs) for index in range(number))))
        assert ("p_tasks" in [column.key for column in tables.columns]) is has_test
        assert tables.caption.count("Fewer than 6 tasks: no test over tasks.") == (not has_test)


@given(st.floats(-100, 100), st.floats(0, 100), st.floats(0, 100), st.integers(0, 4))
def test_an_interval_with_width_never_prints_without(point, below, above, decimals):
    low, high = point - below, point + above
    text = interval_text(point, low, high, decimals)
    numbers = re.findall(r"−?\d+(?:\.\d+)?", text)
    if low == high:
        assert text.endswith("(≥ 95 % of resamples)")
    elif "±" in text:
        bound = float(text.partition("< ")[2].rstrip(")"))
        shown = float(numbers[0].replace("−", "-"))
        assert max(abs(low - shown), abs(high - shown)) <= bound * (1 + 1e-9) + 1e-12
    else:
        assert len(set(numbers)) > 1
    assert "-0." not in text
    assert "−0.00 " not in text
