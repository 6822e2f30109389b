"""One trained network of an archive as a row of numbers.

A row holds six numbers about the network, then one block of ``num_epochs`` numbers per quantity: accuracy, loss and
seconds (summed over epochs) of training, then the same of each evaluation set. NaN if the archive has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError

# Training set of each kind of trial, as archives name it -> its evaluation sets.
EVALUATION_SETS: Mapping[str, tuple[str, ...]] = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
HEADER = ("index", "row", "seed", "params_m", "flops_m", "latency_s")
_MOST_EPOCHS = 1_000
_MOST_SEEDS = 100  # of one data set; genuine archives have up to three
_LARGEST_SEED = 2**31
_HIGHEST_ACCURACY = 100 + 1e-4
_MOST_SECONDS = 1e9


class Trial(NamedTuple):
    """One network: which training schedule and data set, and its numbers (see the module)."""

    schedule: str
    dataset: str
    num_epochs: int
    numbers: Floats


def row_length(dataset: str, num_epochs: int) -> int:
    """Numbers in a row."""
    return len(HEADER) + 3 * num_epochs * (1 + len(EVALUATION_SETS[dataset]))


def trials_of(schedule: str, state: Any, index: int, row: int) -> list[Trial]:
    """Every network that was trained of one architecture under one schedule.

    Args:
        schedule: Name of the schedule: its epochs, e.g. ``200``.
        state: State dictionary of the packages' ``ArchResults``.
        index: The architecture's number in the archive.
        row: Its row in the table.

    Raises:
        TableError: The state differs from those of the packages.
    """
    if _field(state, "arch_index", int) != index:
        raise TableError(f"its results are those of architecture {state['arch_index']}")
    results, seeds_of = _field(state, "all_results", dict), _field(state, "dataset_seed", dict)
    trials = []
    for dataset, seeds in seeds_of.items():
        if dataset not in EVALUATION_SETS:
            raise TableError(f"it holds results on the unknown data set {str(dataset)[:40]}")
        if type(seeds) is not list or any(type(seed) is not int for seed in seeds) or len(set(seeds)) < len(seeds):
            raise TableError(f"the training seeds on {dataset} are no list of different numbers")
        if len(seeds) > _MOST_SEEDS:
            raise TableError(f"it has {len(seeds):,} training seeds on {dataset}, more than {_MOST_SEEDS}")
        for seed in seeds:
            result = results.get((dataset, seed))
            trials.append(_trial(schedule, dataset, seed, (index, row), result))
    return trials


def _trial(schedule: str, dataset: str, seed: int, place: tuple[int, int], result: Any) -> Trial:
    where = f"{dataset}, seed {seed}, {schedule} epochs"
    if type(result) is not dict:
        raise TableError(f"the results of {where} are missing")
    # The packages write the seed as a text with leading zeros.
    if result.get("name", dataset) != dataset or str(result.get("seed", seed)).lstrip("0") != str(seed).lstrip("0"):
        raise TableError(f"the results of {where} are those of another data set or seed")
    epochs = _field(result, "epochs", int)
    if not 1 <= epochs <= _MOST_EPOCHS or not 0 <= seed < _LARGEST_SEED:
        raise TableError(f"the results of {where} have {epochs} epochs, or an impossible seed")
    sets = EVALUATION_SETS[dataset]
    unknown = [name for name in _field(result, "eval_names", list) if name not in sets]
    if unknown:
        raise TableError(f"the results of {where} have an unknown evaluation set, {str(unknown[0])[:40]}")
    fields = ("train_acc1es", "train_losses", "train_times")
    blocks = _curves(result, fields, range(epochs), where)
    for name in sets:
        keys = [f"{name}@{step}" for step in range(epochs)]
        blocks += _curves(result, ("eval_acc1es", "eval_losses", "eval_times"), keys, where)
    header = [*place, seed, _number(result, "params"), _number(result, "flop"), _latency(result)]
    return Trial(schedule, dataset, epochs, np.concatenate([header, *blocks]))


def _curves(result: dict[Any, Any], fields: tuple[str, str, str], keys: Sequence[Any], where: str) -> list[Floats]:
    """Accuracy, loss and seconds so far at each epoch; added up one by one, as the packages do."""
    accuracies, losses, seconds = (_numbers(result, field, keys) for field in fields)
    if not (np.isnan(accuracies) | ((accuracies >= 0) & (accuracies <= _HIGHEST_ACCURACY))).all():
        raise TableError(f"the results of {where} have an accuracy outside 0 … 100 %")
    if not (np.isnan(seconds) | ((seconds >= 0) & (seconds <= _MOST_SECONDS))).all():
        raise TableError(f"the results of {where} have an impossible time")
    return [accuracies, losses, np.cumsum(seconds)]


def _field(state: Any, name: str, kind: type) -> Any:
    value = state.get(name) if type(state) is dict else None
    if type(value) is not kind:
        raise TableError(f"its field {name} is missing or of another kind: the packages write {kind.__name__}")
    return value


def _numbers(result: dict[Any, Any], name: str, keys: Sequence[Any]) -> Floats:
    """Values of a dictionary at these keys, NaN if it has none; a field that is None has none at all."""
    entries = result.get(name)
    if entries is None:
        return np.full(len(keys), np.nan)
    if type(entries) is not dict:
        raise TableError(f"its field {name} is of another kind: the packages write a dictionary")
    values = [entries.get(key, np.nan) for key in keys]
    if not set(map(type, values)) <= {float, int}:
        raise TableError(f"its field {name} holds something that is no number")
    return np.array(values, dtype=np.float64)


def _number(result: dict[Any, Any], name: str) -> float:
    value = result.get(name)
    if value is not None and type(value) not in (float, int):
        raise TableError(f"its field {name} holds something that is no number")
    if value is not None and not 0 <= value < np.inf:
        raise TableError(f"its field {name} is negative or not finite")
    return np.nan if value is None else float(value)


def _latency(result: dict[Any, Any]) -> float:
    """Mean of the measurements in seconds; NaN if there is none (the packages write None or −1)."""
    measured = result.get("latency")
    if measured is None:
        return np.nan
    if type(measured) is not list or not set(map(type, measured)) <= {float, int}:
        raise TableError("its field latency holds something that is no number")
    if not np.isfinite(measured).all():
        raise TableError("its field latency is not finite")
    # From Python 3.12 on, sum() compensates its rounding: a table would depend on the Python that imports it.
    mean = float(np.cumsum(measured, dtype=np.float64)[-1]) / len(measured) if measured else np.nan
    return mean if mean > 0 else np.nan
