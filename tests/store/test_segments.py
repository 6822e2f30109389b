import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.files import rewrite

from nasbench_harness.errors import StoreError
from nasbench_harness.store.segments import DamagedSegmentError, read_columns, read_record, read_segment, write_segment

COLUMNS = {
    "seed": np.repeat(np.arange(3, dtype=np.int32), 4),
    "architecture": np.arange(12, dtype=np.int32),
    "value_val_accuracy": np.linspace(0, 1, 12),
    "cost_s": np.full(12, np.nan),
    "status": np.ones(12, dtype=np.int8),
}


def test_columns_and_record_come_back(tmp_path):
    path = tmp_path / "deep" / "seeds-0-2.parquet"
    write_segment(path, COLUMNS, {"run_id": "x", "nested": {"a": [1, None]}})
    assert read_record(path) == {"run_id": "x", "nested": {"a": [1, None]}}
    columns = read_columns(path, [*COLUMNS, "recommended"])
    assert list(columns) == list(COLUMNS)
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(columns[name], column)
        assert columns[name].dtype == column.dtype


def test_columns_that_are_not_contiguous_are_stored_right(tmp_path):
    path = tmp_path / "seeds-0-2.parquet"
    write_segment(path, {"seed": np.arange(20, dtype=np.int32)[::2], "run": np.broadcast_to(np.int32(7), 10)}, {})
    np.testing.assert_array_equal(read_columns(path, ["seed"])["seed"], np.arange(0, 20, 2))
    assert (read_columns(path, ["run"])["run"] == 7).all()


def test_reading_imports_no_pandas(tmp_path):
    write_segment(tmp_path / "b.parquet", COLUMNS, {})
    code = (
        "import sys; from pathlib import Path; from nasbench_harness.store.segments import read_columns; "
        "columns = read_columns(Path(sys.argv[1])); assert len(columns['seed']) == 12; "
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.parquet")], check=True)


def test_segments_of_several_row_groups_come_back_whole(tmp_path):
    pq.write_table(pa.table(COLUMNS), tmp_path / "b.parquet", row_group_size=5)
    columns = read_columns(tmp_path / "b.parquet")
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(columns[name], column)


@pytest.mark.parametrize("column", [pa.array([1, None], pa.int32()), pa.array(["a", "b"])])
def test_columns_that_no_segment_has_are_refused(tmp_path, column):
    pq.write_table(pa.table({"seed": column}), tmp_path / "seeds-0-2.parquet")
    with pytest.raises(StoreError, match=r"seeds-0-2\.parquet is truncated"):
        read_columns(tmp_path / "seeds-0-2.parquet")


def test_anything_reads_it(tmp_path):
    write_segment(tmp_path / "b.parquet", COLUMNS, {})
    assert pq.read_table(tmp_path / "b.parquet").num_rows == 12


@pytest.mark.parametrize("cut", [0, 1, 10, 0.3, 0.9, 0.999])
def test_truncated_file_is_named(tmp_path, cut):
    path = tmp_path / "seeds-0-2.parquet"
    write_segment(path, COLUMNS, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if isinstance(cut, float) else cut])
    for read in (read_record, lambda cut_off: read_columns(cut_off, ["seed"])):
        with pytest.raises(StoreError, match=r"seeds-0-2\.parquet (is truncated|does not match its digest).*run"):
            read(path)


def test_every_single_bit_that_flips_is_detected_or_harmless(tmp_path):
    """400 flips anywhere in the file, its footer and its digest included."""
    path = tmp_path / "seeds-0-2.parquet"
    write_segment(path, COLUMNS, {"run_id": "x"})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    num_detected = 0
    for place in rng.choice(8 * len(whole), 400, replace=False):
        content = bytearray(whole)
        content[place // 8] ^= 1 << (place % 8)
        rewrite(path, content)
        try:
            record, columns = read_segment(path)
        except DamagedSegmentError:
            num_detected += 1
            continue
        assert record == {"run_id": "x"}
        for name, column in COLUMNS.items():
            np.testing.assert_array_equal(columns[name], column)
    assert num_detected >= 390


def test_a_segment_of_an_earlier_version_has_no_digest_and_counts_as_damaged(tmp_path):
    path = tmp_path / "seeds-0-2.parquet"
    table = pa.table(COLUMNS).replace_schema_metadata({"nasbench_harness": '{"run_id": "x"}'})
    pq.write_table(table, path)
    for read in (read_record, read_segment):
        with pytest.raises(DamagedSegmentError, match="has no digest of its content: move it elsewhere and run again"):
            read(path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path):
    with pytest.raises(StoreError, match=r"cannot read .*: No such file") as caught:
        read_record(tmp_path / "none.parquet")
    assert not isinstance(caught.value, DamagedSegmentError)


def test_parquet_of_somebody_else_is_refused(tmp_path):
    pq.write_table(pa.table({"seed": [1]}), tmp_path / "x.parquet")
    with pytest.raises(StoreError, match="not written by nasbench-harness"):
        read_record(tmp_path / "x.parquet")


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_segment(tmp_path / "b.parquet", COLUMNS, {})
    assert os.listdir(tmp_path) == []
