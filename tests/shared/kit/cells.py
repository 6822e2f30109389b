"""Invented parts of a table of trained cells, in the format of ``tables build``, for all classes; without torch."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer.assembling import Rules, all_classes
from nasbench_harness.trainer.recipe import recipe_of

RULES = Rules(
    recipe=recipe_of("animals8-10"),
    data="animals8",
    seeds=(0, 1, 2),
    test_epochs=(5, 8, 10),
    num_train=3_001,
    num_valid=3_701,
    num_test=3_014,
    num_classes=10,
    image_channels=1,
    side=8,
    digests={"recipe": recipe_of("animals8-10").digest, "data": "d" * 64, "split": "e" * 64, "origin": "f" * 64},
)
PROVENANCE = {
    "origin": RULES.digests["origin"],
    "torch": "2.13.0",
    "nasbench-harness": "0.1.0",
    "animal-shape-mnist": "0.39",
    "processor": "A processor; B",
    "date": "2026-11-28",
    "command": "nasbench-harness tables build tiny201",
}
LISTS = {"valid_correct": pa.uint16(), "test_correct": pa.uint16(), "train_loss": pa.float32(), "is_finite": pa.bool_()}


def invented_rows(seed=0):
    """Columns of all classes, most operations first: larger cells are better; early epochs say little."""
    rng, classes = np.random.default_rng(seed), all_classes()
    space = NASBench201Space()
    size = space.num_live_convolutions()[classes] @ [1, 3] + 2 * space.is_connected()[classes]
    classes, size = (part[np.argsort(-size, kind="stable")] for part in (classes, size))
    truth = (size / size.max())[:, None, None] + rng.normal(0, 0.15, (len(classes), 1, 1))
    told = np.array([0, 0, 0, 0, 0.3, 0.6, 0.8, 0.9, 1, 1])[None, :, None]
    growth = np.linspace(0.3, 0.65, 10)[None, :, None]
    share = growth + 0.3 * told * truth + rng.normal(0, 0.03, (len(classes), 10, 3))
    tested = share[:, [4, 7, 9]] + rng.normal(0, 0.01, (len(classes), 3, 3))
    return {
        "architecture": classes,
        "valid_correct": np.rint(RULES.num_valid * share.clip(0, 1)).astype(int),
        "test_correct": np.rint(RULES.num_test * tested.clip(0, 1)).astype(int),
        "train_loss": 2.3 * (1 - share),
        "is_finite": np.ones(share.shape, dtype=bool),
    }


def write_part(path, rows, **provenance):
    """Write some rows as a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"architecture": pa.array(rows["architecture"], pa.uint16())}
    for name, kind in LISTS.items():
        flat = rows[name].reshape(len(rows[name]), -1)
        arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel(), kind), flat.shape[1])
    table = pa.table(arrays).replace_schema_metadata({"provenance": json.dumps({**PROVENANCE, **provenance})})
    pq.write_table(table, path, compression="zstd")


def write_parts(folder, rows=None, per_part=200):
    """Write rows as parts; returns the rows."""
    rows = invented_rows() if rows is None else rows
    for number, start in enumerate(range(0, len(rows["architecture"]), per_part)):
        part = {name: values[start : start + per_part] for name, values in rows.items()}
        write_part(folder / f"part-{number:03d}.parquet", part, date=f"2026-11-{number % 28 + 1:02d}")
    return rows
