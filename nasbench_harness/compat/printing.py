"""The text that the official API prints about an architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasbench_harness.compat.results import ArchitectureResults
from nasbench_harness.compat.stored import MissingResultError

if TYPE_CHECKING:
    from nasbench_harness.compat.base import OfficialAPI

_LABELS = {"x-valid": "valid", "x-test": "test", "ori-test": "test"}


def information(
    results: ArchitectureResults, extra_info: str | None = None, *, joint: str = ", ", is_size: bool = False
) -> list[str]:
    """Lines about one architecture under one schedule; a number that the table does not have is printed as None.

    Args:
        results: Its results.
        extra_info: Text of the second line.
        joint: Text between loss and accuracy; the official packages differ here.
        is_size: Whether the test accuracy of cifar10-valid is printed too, as for the size search space.
    """
    names = results.get_dataset_names()
    lines = [results.arch_str, f"datasets : {names}, extra-info : {extra_info}"]
    for name in names:
        costs = results.get_compute_costs(name)
        latency = None if costs["latency"] is None else f"{costs['latency'] * 1000:.2f}"
        lines.append(
            f"{name:14s} FLOP={_number(costs['flops'], '6.2f')} M, Params={_number(costs['params'], '.3f')} MB, "
            f"latency={latency} ms."
        )
        lines.append(f"{name:14s} {', '.join(_parts(results, name, joint, is_size))}")
    return lines


def show(api: OfficialAPI, index: int, *, joint: str, is_size: bool) -> None:
    """Print all about an architecture, or about every one (index below 0); see ``information``."""
    if index < 0:
        print(api)
        evaluated = sorted(api.evaluated_indexes)
        for position, each in enumerate(evaluated):
            print(f"\n{'-' * 10} The ({position:5d}/{len(evaluated):5d}) {each:06d}-th architecture! {'-' * 10}")
            print(f"arch : {api.meta_archs[each]}")
            _show_one(api, each, joint, is_size)
    elif index >= len(api):
        print(f"This index ({index}) is out of range (0~{len(api)}).")
    elif index not in api.evaluated_indexes:
        print(f"The {index}-th architecture has not been evaluated or not saved.")
    else:
        _show_one(api, index, joint, is_size)


def _show_one(api: OfficialAPI, index: int, joint: str, is_size: bool) -> None:
    for schedule in api.avaliable_hps:
        try:
            results = api.query_meta_info_by_index(index, schedule)
        except MissingResultError:
            continue
        print(f"{'>' * 40} {int(schedule):03d} epochs {'>' * 40}" if schedule.isdigit() else schedule)
        print("\n".join(information(results, joint=joint, is_size=is_size)))
    print(f"{'<' * 40}------------{'<' * 40}")


def _parts(results: ArchitectureResults, name: str, joint: str, is_size: bool) -> list[str]:
    trial = next(iter(results.query(name).values()))
    known = trial.get_eval_set()
    wanted = {
        "cifar10-valid": ["x-valid", "ori-test"] if is_size else ["x-valid"],
        "cifar10": ["ori-test"],
    }.get(name, ["x-valid", "x-test"])
    parts = []
    for set_name in ["train", *(wanted_set for wanted_set in wanted if wanted_set in known)]:
        info: dict[str, Any] = results.get_metrics(name, set_name)
        label = _LABELS.get(set_name, set_name)
        label = f"{label} " if name == "cifar10" and set_name != "train" else label
        loss, accuracy = _number(info["loss"], ".3f"), _number(info["accuracy"], ".2f")
        parts.append(f"{label} : [loss = {loss}{joint}top1 = {accuracy}%]")
    return parts


def _number(value: float | None, form: str) -> str:
    return "None" if value is None else format(value, form)
