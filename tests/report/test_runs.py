import json
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness.analysis.runs import read_runs
from nasbench_harness.errors import StoreError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.store.folder import Segment
from nasbench_harness.store.segments import write_segment

OK, DUPLICATE, REJECTED, PROGRESS = Status.OK, Status.DUPLICATE, Status.REJECTED, Status.PROGRESS


def segment(tmp_path, first, last, rows, recommended=None, finished_s=None):
    """rows: (seed, architecture, accuracy, status) in order."""
    seeds, architectures, values, status = (np.array(column) for column in zip(*rows, strict=True))
    columns = {
        "seed": seeds.astype(np.int32),
        "architecture": architectures.astype(np.int32),
        "value_val_accuracy": values.astype(float),
        "status": status.astype(np.int8),
        "finished_s": np.array(finished_s if finished_s is not None else np.zeros(len(rows)), dtype=float),
    }
    if recommended is not None:
        columns["recommended"] = np.array(recommended, dtype=np.int32)
    path = tmp_path / f"seeds-{first}-{last}.parquet"
    write_segment(path, columns, {})
    return Segment(path, first, last)


def read(segments, num_seeds, **protocol):
    return read_runs(segments, load_task("nb201-cifar100").under(Protocol(**protocol)), np.arange(num_seeds))


def picks(segments, num_seeds, evaluations, **protocol):
    return read(segments, num_seeds, evaluations=evaluations, **protocol).after_evaluations(evaluations).tolist()


def test_the_incumbent_is_the_first_of_equal_observed_values(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 6, 60.0, OK), (0, 7, 61.0, OK), (0, 8, 60.5, OK)]
    assert picks([segment(tmp_path, 0, 0, rows)], 1, evaluations=4) == [[5, 5, 7, 7]]


def test_uncounted_rows_belong_to_the_evaluation_before_them(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 5, 60.0, DUPLICATE), (0, 6, 61.0, OK), (0, 9, np.nan, REJECTED), (0, 7, 60.0, OK)]
    runs = read([segment(tmp_path, 0, 0, rows)], 1, evaluations=3)
    assert runs.after_evaluations(3).tolist() == [[5, 6, 6]]
    assert runs.num_evaluations.tolist() == [3]


def test_a_run_that_ended_early_keeps_its_last_choice(tmp_path):
    rows = [(0, 5, 60.0, OK), (1, 6, 60.0, OK), (1, 7, 61.0, OK), (1, 8, 62.0, OK)]
    runs = read([segment(tmp_path, 0, 1, rows)], 2, evaluations=3)
    assert runs.after_evaluations(3).tolist() == [[5, 5, 5], [6, 7, 8]]
    assert runs.num_evaluations.tolist() == [1, 3]


def test_recommendations_count_unless_the_protocol_says_incumbent(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 6, 61.0, OK), (0, 7, 59.0, OK)]
    segments = [segment(tmp_path, 0, 0, rows, recommended=[-1, 5, 7])]
    own, incumbent = read(segments, 1, evaluations=3), read(segments, 1, evaluations=3, selection="incumbent")
    assert own.after_evaluations(3).tolist() == [[5, 5, 7]]
    assert own.chooses_itself
    assert incumbent.after_evaluations(3).tolist() == [[5, 6, 6]]
    assert not incumbent.chooses_itself


def test_a_recommendation_after_progress_shows_before_any_evaluation_counts(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, -1, np.nan, PROGRESS), (0, 6, 50.0, OK)]
    segments = [segment(tmp_path, 0, 0, rows, recommended=[5, 9, 9])]
    assert picks(segments, 1, evaluations=2) == [[9, 9]]


def test_segments_with_and_without_recommendations_go_together(tmp_path):
    first = segment(tmp_path, 0, 0, [(0, 5, 60.0, OK)], recommended=[7])
    second = segment(tmp_path, 1, 1, [(1, 6, 60.0, OK)])
    assert picks([second, first], 2, evaluations=1) == [[7], [6]]


def test_overlapping_segments_count_once(tmp_path):
    rows = [(0, 5, 60.0, OK), (1, 6, 60.0, OK)]
    segments = [segment(tmp_path, 0, 1, rows), segment(tmp_path, 1, 1, rows[1:])]
    assert picks(segments, 2, evaluations=1) == [[5], [6]]


def test_missing_seeds_are_counted_in_the_message(tmp_path):
    with pytest.raises(StoreError, match="does not have 2 of 3 runs on nb201-cifar100"):
        picks([segment(tmp_path, 1, 1, [(1, 5, 60.0, OK)])], 3, evaluations=1)


def test_at_simulated_seconds_the_last_finished_row_counts(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 6, 61.0, OK), (1, 7, 50.0, OK), (1, 8, 40.0, OK)]
    segments = [segment(tmp_path, 0, 1, rows, finished_s=[10.0, 20.0, 15.0, 16.0])]
    runs = read(segments, 2, evaluations=2)
    times = np.array([9.9, 10.0, 15.0, 19.9, 20.0, 99.0])
    assert runs.at(runs.row_times_s, times).tolist() == [[-1, 5, 5, 5, 6, 6], [-1, -1, 7, 7, 7, 7]]
    assert runs.simulated_s.tolist() == [20.0, 16.0]


def test_a_recommendation_stands_behind_the_end_of_its_run(tmp_path):
    rows = [(0, 5, 60.0, OK), (1, 6, 60.0, OK), (1, 7, 61.0, OK)]
    segments = [segment(tmp_path, 0, 1, rows, recommended=[9, -1, 6])]
    assert picks(segments, 2, evaluations=2) == [[9, 9], [6, 6]]
    assert read(segments, 2, evaluations=2).final.tolist() == [9, 6]


def test_what_would_finish_too_late_counts_but_is_nobodys_choice(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 6, np.nan, Status.OVERRUN)]
    runs = read([segment(tmp_path, 0, 0, rows, finished_s=[10.0, 20.0])], 1, simulated_seconds=20.0)
    assert runs.final.tolist() == [5]
    assert runs.num_evaluations.tolist() == [2]
    assert runs.num_overrun.tolist() == [1]


def test_repeats_are_counted_by_index_and_by_isomorphism_class(tmp_path):
    task = load_task("nb201-cifar100")
    classes = task.space.canonical(np.arange(task.space.num_architectures))
    twin = int(np.flatnonzero(classes != np.arange(len(classes)))[0])
    first = int(classes[twin])
    rows = [(0, first, 60.0, OK), (0, twin, 60.0, OK), (0, first, 60.0, OK), (0, -1, np.nan, PROGRESS)]
    rows += [(1, first, 60.0, OK), (1, first, np.nan, REJECTED)]
    runs = read([segment(tmp_path, 0, 1, rows)], 2, evaluations=3)
    assert runs.repeats.tolist() == [[1, 2], [1, 1]]
    assert runs.num_rejected.tolist() == [0, 1]


def test_golden_step_function(tmp_path):
    """Right-continuous steps over simulated seconds: what the figure over seconds shows."""
    golden = json.loads((Path(__file__).parents[1] / "golden" / "public__anytime.json").read_text())
    (case,) = [case for case in golden["cases"] if "incumbent_index" in case["expected"]]
    times = np.cumsum(case["inputs"]["costs"])
    np.testing.assert_array_equal(times, case["expected"]["cumcost"])
    rows = [(0, index, 100 * value, OK) for index, value in enumerate(case["inputs"]["val"])]
    runs = read([segment(tmp_path, 0, 0, rows, finished_s=times)], 1, evaluations=len(rows))
    expected = [-1 if index is None else index for index in case["expected"]["incumbent_index"]]
    assert runs.at(runs.row_times_s, np.array(case["inputs"]["query_t"], dtype=float)).tolist() == [expected]


def test_the_canonical_order_ignores_seeds(tmp_path):
    rows = [(seed, arch, value, OK) for seed in range(4) for arch, value in ((5 - seed % 2, 60.0), (7 + seed, 61.0))]
    runs = read([segment(tmp_path, 0, 3, rows)], 4, evaluations=2).in_canonical_order()
    assert runs.row_picks.tolist() == [[4, 8], [4, 10], [5, 7], [5, 9]]
    assert runs.seeds.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize(("column", "value"), [("architecture", 15_625), ("architecture", -2), ("recommended", 10**6)])
def test_rows_of_another_space_are_refused_in_one_line(tmp_path, column, value):
    architecture, recommended = (value, 3) if column == "architecture" else (3, value)
    stored = segment(tmp_path, 0, 0, [(0, architecture, 50.0, OK)], recommended=[recommended])
    with pytest.raises(
        StoreError, match=rf"nb201-cifar100 name architectures outside 0 … 15,624 in the column {column}"
    ):
        read([stored], 1)
