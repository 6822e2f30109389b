"""Columns of a table of scores: the plan of each, and their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.score_files import KEYS
from nasbench_harness.trainer.proxies import batched, closed_form, size
from nasbench_harness.trainer.proxies.catalogue import PROXIES, Fast, Method, initialization_of
from nasbench_harness.trainer.proxies.functions import call, load_score
from nasbench_harness.trainer.proxies.inputs import DATA, Batch, make_batch
from nasbench_harness.trainer.proxies.macro import FULL_SIZE, Macro
from nasbench_harness.trainer.proxies.network import build_network
from nasbench_harness.trainer.proxies.zen import zen_parts

_MOST = 64  # networks at once


_NUM_CACHED = 2**19  # numbers of their first feature maps; more leave the cache of a core


ZEN_COLUMNS = ("zen", "zen_features", "zen_norm")
# The input of zen and AZ-NAS is N(0, 1) of the batch's shape.
_DRAWN_INPUT = (*ZEN_COLUMNS, "az_expressivity", "az_progressivity", "az_trainability")
_MOST_IMAGES = {"params": 0, "flops": 0, "l2_norm": 0, "synflow": 0, "logsynflow": 0, "meco": 1, "swap": 16}


@dataclass(frozen=True)
class ColumnPlan:
    """How one column is computed.

    Attributes:
        name: Name of the score, or ``module:function``.
        method: See ``catalogue.Method``.
        macro: Skeleton and batch.
        data: Images.
    """

    name: str
    method: Method
    macro: Macro
    data: str

    @property
    def column(self) -> str:
        """Name in the file."""
        return self.name.rpartition(":")[2]

    @property
    def reads_images(self) -> bool:
        """Whether the score depends on the images of a batch."""
        return self.batch_size > 0 and self.name not in _DRAWN_INPUT

    @property
    def batch_size(self) -> int:
        """Number of images that the score depends on, real or drawn."""
        size = self.macro.batch_size if self.method in ("batched", "one at a time") else 0
        return min(size, _MOST_IMAGES.get(self.name, size))

    @property
    def is_shipped(self) -> bool:
        """Whether the score has the setting of the shipped table, which was chosen by accuracies."""
        fast = PROXIES[self.name].fast if self.name in PROXIES else None
        return fast == Fast(self.method, self.macro, self.data) and self.name not in ("params", "flops")

    @property
    def initialization(self) -> str:
        """Weights, in words."""
        return initialization_of(PROXIES[self.name], self.method) if self.name in PROXIES else "PyTorch default"


def plan_columns(
    names: Sequence[str],
    data: str | None = None,
    reference: bool = False,
    overrides: dict[str, int] | None = None,
) -> list[ColumnPlan]:
    """Settings of columns: those of the shipped table, or of the full-size references.

    Args:
        names: Scores, or functions ``module:function``; these and scores without a fast form run one at a time.
        data: Images; None: the table's choice for fast scores, ``animals`` for the others.
        reference: Full size, one architecture at a time, for all.
        overrides: Fields of ``Macro`` that differ.

    Raises:
        UnknownNameError: There are no such data, or no such score.
        InvalidInputError: There is no name, one twice, or a function has the name of a score or of a column of keys.
    """
    if data is not None and data not in DATA:
        raise UnknownNameError("data", data, DATA)
    if not names or len(set(names)) < len(names):
        raise InvalidInputError("name at least one column, and none twice")
    plans = []
    for name in names:
        load_score(name)  # a name that leads nowhere is refused before anything is computed
        fast = PROXIES[name].fast if name in PROXIES else None
        if fast is None or reference:
            fast = Fast("one at a time", FULL_SIZE, "animals")
        macro = dataclasses.replace(fast.macro, **(overrides or {}))
        plans.append(ColumnPlan(name, fast.method, macro, data or fast.data))
    columns = [plan.column for plan in plans]
    if len(set(columns)) < len(columns):
        raise InvalidInputError(f"two columns would have the same name among {', '.join(columns)}: rename a function")
    for plan in plans:
        if plan.column != plan.name and plan.column in (*PROXIES, *KEYS):
            raise InvalidInputError(
                f"{plan.name}: a table of scores has another column {plan.column}: rename the function"
            )
    return plans


def check_data_dir(plans: Sequence[ColumnPlan], data_dir: Path | None) -> None:
    """Refuse a folder of data that no column reads.

    Raises:
        InvalidInputError: None of the columns depends on images.
    """
    if data_dir is not None and not any(plan.reads_images for plan in plans):
        names = ", ".join(plan.column for plan in plans)
        raise InvalidInputError(f"none of the columns {names} reads images: leave --data-dir out")


def compute(
    plans: Sequence[ColumnPlan],
    architectures: Ints,
    initialization: int = 0,
    batch: int = 0,
    data_dir: Path | None = None,
    chunk: int | None = None,
) -> Floats:
    """Scores of architectures, shape (n, len(plans)), float64; NaN if a score is missing.

    Args:
        plans: Columns with one setting: a single one, or parts of zen.
        architectures: Indices, shape (n,).
        initialization: Number of the initialization; the seed of all weights.
        batch: Number of the batch.
        data_dir: Folder or file of data that no package brings.
        chunk: Networks at once; the scores do not depend on it. None: as many as fit in the cache.
    """
    space, plan = NASBench201Space(), plans[0]
    chunk = chunk or _fitting(plan)
    choices = space.choices(architectures)
    if plan.method == "counted":
        values = _counted(plan, choices, initialization)[:, None]
    elif plan.method == "closed form":
        flow = {"synflow": closed_form.synflow_scores, "logsynflow": closed_form.logsynflow_scores}[plan.name]
        values = np.concatenate([flow(part, plan.macro) for part in _chunks(choices, chunk)])[:, None]
    else:
        images = make_batch(plan.data, plan.macro, initialization, batch, data_dir)
        try:
            if plan.method == "batched":
                parts = [_batched(plans, part, images, initialization) for part in _chunks(choices, chunk)]
                values = np.concatenate(parts)
            else:
                texts = [space.to_string(int(one)) for one in architectures]
                values = np.array([_alone(plans, text, images, initialization, batch) for text in texts], dtype=float)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            text = f"networks of {plan.macro.label} do not fit into the memory: choose a smaller macro or batch"
            raise InvalidInputError(text) from error
    return np.where(np.isfinite(values), values, np.nan)


def _fitting(plan: ColumnPlan) -> int:
    """Number of networks at once."""
    macro = plan.macro
    size = macro.batch_size * macro.channels * macro.side**2
    return _MOST if plan.method == "closed form" else max(1, min(_MOST, _NUM_CACHED // size))


def _chunks(choices: Ints, size: int) -> list[Ints]:
    return [choices[start : start + size] for start in range(0, len(choices), size)]


def _counted(plan: ColumnPlan, choices: Ints, initialization: int) -> Floats:
    if plan.name == "l2_norm":
        return size.l2_norms(choices, plan.macro, initialization)
    return {"params": size.count_params, "flops": size.count_flops}[plan.name](choices, plan.macro)


def _batched(plans: Sequence[ColumnPlan], choices: Ints, images: Batch, seed: int) -> Floats:
    macro = plans[0].macro
    if plans[0].name in ZEN_COLUMNS:
        features, norm = batched.zen_scores(choices, macro, images, seed)
        parts = {"zen": features + norm, "zen_features": features, "zen_norm": norm}
        return np.stack([parts[plan.name] for plan in plans], axis=1)
    function = {
        "nwot": batched.nwot_scores,
        "swap": batched.swap_scores,
        "meco": batched.meco_scores,
        "jacob_cov": batched.jacob_cov_scores,
    }[plans[0].name]
    return function(choices, macro, images, seed)[:, None]


def _alone(plans: Sequence[ColumnPlan], text: str, images: Batch, seed: int, batch: int) -> list[float]:
    network = build_network(text, plans[0].macro, seed)
    if plans[0].name in ZEN_COLUMNS:
        features, norm = zen_parts(network, images)
        parts = {"zen": features + norm, "zen_features": features, "zen_norm": norm}
        return [parts[plan.name] for plan in plans]
    key = f"initialization {seed}, batch {batch}, {text}"
    return [call(plan.name, load_score(plan.name), network, images, key) for plan in plans]


class one_thread:  # noqa: N801 - used as a function
    """Numbers must not depend on the cores of a machine."""

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)
