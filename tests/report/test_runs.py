import numpy as np
import pytest

from nasbench_harness.errors import StoreError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.report.runs import read_runs
from nasbench_harness.store.blocks import write_block
from nasbench_harness.store.folder import Block

OK, DUPLICATE, REJECTED, PROGRESS = Status.OK, Status.DUPLICATE, Status.REJECTED, Status.PROGRESS


def block(tmp_path, first, last, rows, recommended=None):
    """rows: (seed, architecture, accuracy, status) in order."""
    seeds, architectures, values, status = (np.array(column) for column in zip(*rows, strict=True))
    columns = {
        "seed": seeds.astype(np.int32),
        "architecture": architectures.astype(np.int32),
        "value_val_accuracy": values.astype(float),
        "status": status.astype(np.int8),
    }
    if recommended is not None:
        columns["recommended"] = np.array(recommended, dtype=np.int32)
    path = tmp_path / f"seeds-{first}-{last}.parquet"
    write_block(path, columns, {})
    return Block(path, first, last)


def picks(blocks, num_seeds, **protocol):
    return read_runs(blocks, load_task("nb201-cifar100"), Protocol(**protocol), num_seeds)


def test_the_incumbent_is_the_first_of_equal_observed_values(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 6, 60.0, OK), (0, 7, 61.0, OK), (0, 8, 60.5, OK)]
    assert picks([block(tmp_path, 0, 0, rows)], 1, evaluations=4).picks.tolist() == [[5, 5, 7, 7]]


def test_uncounted_rows_belong_to_the_evaluation_before_them(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 5, 60.0, DUPLICATE), (0, 6, 61.0, OK), (0, 9, np.nan, REJECTED), (0, 7, 60.0, OK)]
    runs = picks([block(tmp_path, 0, 0, rows)], 1, evaluations=3)
    assert runs.picks.tolist() == [[5, 6, 6]]
    assert runs.num_evaluations.tolist() == [3]


def test_a_run_that_ended_early_keeps_its_last_choice(tmp_path):
    rows = [(0, 5, 60.0, OK), (1, 6, 60.0, OK), (1, 7, 61.0, OK), (1, 8, 62.0, OK)]
    runs = picks([block(tmp_path, 0, 1, rows)], 2, evaluations=3)
    assert runs.picks.tolist() == [[5, 5, 5], [6, 7, 8]]
    assert runs.num_evaluations.tolist() == [1, 3]


def test_recommendations_count_unless_the_protocol_says_incumbent(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, 6, 61.0, OK), (0, 7, 59.0, OK)]
    blocks = [block(tmp_path, 0, 0, rows, recommended=[-1, 5, 7])]
    own, incumbent = picks(blocks, 1, evaluations=3), picks(blocks, 1, evaluations=3, selection="incumbent")
    assert own.picks.tolist() == [[5, 5, 7]]
    assert own.chooses_itself
    assert incumbent.picks.tolist() == [[5, 6, 6]]
    assert not incumbent.chooses_itself


def test_a_recommendation_after_progress_shows_before_any_evaluation_counts(tmp_path):
    rows = [(0, 5, 60.0, OK), (0, -1, np.nan, PROGRESS), (0, 6, 50.0, OK)]
    runs = picks([block(tmp_path, 0, 0, rows, recommended=[5, 9, 9])], 1, evaluations=2)
    assert runs.picks.tolist() == [[9, 9]]


def test_blocks_with_and_without_recommendations_go_together(tmp_path):
    first = block(tmp_path, 0, 0, [(0, 5, 60.0, OK)], recommended=[7])
    second = block(tmp_path, 1, 1, [(1, 6, 60.0, OK)])
    assert picks([second, first], 2, evaluations=1).picks.tolist() == [[7], [6]]


def test_overlapping_blocks_count_once(tmp_path):
    rows = [(0, 5, 60.0, OK), (1, 6, 60.0, OK)]
    blocks = [block(tmp_path, 0, 1, rows), block(tmp_path, 1, 1, rows[1:])]
    assert picks(blocks, 2, evaluations=1).picks.tolist() == [[5], [6]]


def test_missing_seeds_are_counted_in_the_message(tmp_path):
    with pytest.raises(StoreError, match="lacks 2 of 3 runs on nb201-cifar100"):
        picks([block(tmp_path, 1, 1, [(1, 5, 60.0, OK)])], 3, evaluations=1)
