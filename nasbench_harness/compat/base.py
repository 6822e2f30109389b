"""The methods that the classes of the official packages share, served from a table."""

from __future__ import annotations

import operator
import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.compat.answers import SimulatedClock, more_info, training_set_of
from nasbench_harness.compat.networks import cell_lists, cell_matrix, network_settings
from nasbench_harness.compat.printing import information, show
from nasbench_harness.compat.results import ArchitectureResults
from nasbench_harness.compat.stored import MissingResultError, trainings_of
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.nasbench201 import OPERATIONS
from nasbench_harness.tables.registry import load_table, table_names
from nasbench_harness.tables.table import Table


class OfficialAPI:
    """The methods that the classes below share.

    Args:
        table: Name of a table, or a ``Table``.
        verbose: Accepted for old scripts; nothing is logged.

    Raises:
        InvalidInputError: There is no such table, its data sets do not have one space, or it is that of another class.
    """

    _joint: ClassVar[str] = ", "
    _is_size: ClassVar[bool] = False
    _other_space: ClassVar[str] = ""  # the official one that a class of the packages does not serve

    def __init__(self, table: str | Table | None = None, verbose: bool = True) -> None:
        self.table = _table_of("nb201" if table is None else table)
        self.verbose = verbose
        spaces = {id(dataset.space): dataset.space for dataset in self.table.datasets.values()}
        if len(spaces) > 1:
            raise InvalidInputError(
                f"table {self.table.name} has data sets with different search spaces, which no official object has; "
                "record(…, task=…) serves one of them"
            )
        (self._space,) = spaces.values()
        if self._space.name.partition(" ")[0] == self._other_space:
            kind = type(self).__name__
            raise InvalidInputError(
                f"table {self.table.name} has the space {self._space.name}, which {kind} does not serve: use "
                f"{'NATStopology (tss)' if self._is_size else 'NATSsize (sss)'}"
            )
        self._trainings = trainings_of(self.table)
        self._clock = SimulatedClock(self.table.name)

    @cached_property
    def meta_archs(self) -> list[str]:
        """Strings of all architectures, by index."""
        return self._space.to_strings(range(self._space.num_architectures))

    @cached_property
    def archstr2index(self) -> dict[str, int]:
        """Index of every architecture, by its string."""
        return {text: index for index, text in enumerate(self.meta_archs)}

    @cached_property
    def _evaluated(self) -> list[int]:
        trainings = [training for group in self._trainings.values() for training in group.values()]
        found: list[int] = np.flatnonzero(np.any([training.evaluated() for training in trainings], axis=0)).tolist()
        return found

    @property
    def evaluated_indexes(self) -> Any:
        """Indices of the architectures that have results."""
        return list(self._evaluated)

    @property
    def avaliable_hps(self) -> list[str]:
        """Schedules of the table, by their epochs; the official name is misspelled."""
        return list(self._trainings)

    @property
    def used_time(self) -> float:
        """Seconds that ``simulate_train_eval`` counted."""
        return self._clock.used_time

    def reset_time(self) -> None:
        """Set ``used_time`` to 0."""
        self._clock.used_time = 0

    def __len__(self) -> int:
        return self._space.num_architectures

    def __getitem__(self, index: int) -> str:
        return self.meta_archs[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.meta_archs)

    def __repr__(self) -> str:
        counts = f"{len(self._evaluated)}/{len(self)} architectures"
        return f"{type(self).__name__}({counts}, table={self.table.name})"

    def arch(self, index: int) -> str:
        """String of an architecture.

        Raises:
            InvalidInputError: There is no such index.
        """
        if not 0 <= index < len(self):
            raise InvalidInputError(f"invalid index : {index} vs. {len(self)}.")
        return self.meta_archs[index]

    def random(self) -> int:
        """A random index, drawn by Python's ``random`` as the official API does."""
        return random.randint(0, len(self) - 1)

    def query_index_by_arch(self, arch: Any) -> int:
        """Index of a string, of an object with ``tostr``, or of an index itself; −1 if there is none.

        Raises:
            InvalidInputError: An index is outside the search space.
        """
        if isinstance(arch, str):
            return self.archstr2index.get(arch, -1)
        if hasattr(arch, "tostr"):
            return self.archstr2index.get(arch.tostr(), -1)
        try:
            index = operator.index(arch)
        except TypeError:
            return -1
        if not 0 <= index < len(self):
            raise InvalidInputError(f"Invalid architecture index {index} vs [0, {len(self)}].")
        return index

    def query_meta_info_by_index(self, arch_index: int, hp: str | int | None = None) -> ArchitectureResults:
        """All results of an architecture under a schedule.

        Raises:
            MissingResultError: The table has no such schedule, or nothing of this architecture.
        """
        schedule = self._schedule(hp)
        if not 0 <= arch_index < len(self):
            raise MissingResultError(f"there is no architecture {arch_index}: indices are 0 … {len(self) - 1}")
        text = self.meta_archs[arch_index]
        results = ArchitectureResults(
            arch_index, text, self._trainings[schedule], lambda dataset: network_settings(self._space, text, dataset)
        )
        if not results.all_results:
            raise MissingResultError(
                f"table {self.table.name} has no result of architecture {arch_index}, schedule {schedule}"
            )
        return results

    def query_by_index(self, arch_index: int, dataname: str | None = None, hp: str | int | None = None) -> Any:
        """All results of an architecture under a schedule, or its trials on one training set by their seeds.

        Raises:
            MissingResultError: The table has no such result.
        """
        results = self.query_meta_info_by_index(arch_index, hp)
        return results if dataname is None else results.query(dataname)

    def query_by_arch(self, arch: Any, hp: str | int | None = None) -> str | None:
        """``query_info_str_by_arch``, under the name of older versions."""
        return self.query_info_str_by_arch(arch, hp)

    def query_info_str_by_arch(self, arch: Any, hp: str | int | None = None) -> str | None:
        """Text about an architecture; None if the table has no result of it.

        Raises:
            MissingResultError: The table has no such schedule.
        """
        schedule = self._schedule(hp)
        index = self.query_index_by_arch(arch)
        try:
            results = self.query_meta_info_by_index(index, schedule)
        except MissingResultError:
            return None
        return "\n".join(information(results, f"arch-index={index}", joint=self._joint, is_size=self._is_size))

    def get_more_info(
        self,
        index: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int | None = None,
        is_random: bool | int = True,
    ) -> dict[str, Any]:
        """Losses, accuracies and seconds of an architecture; keys of sets that have no result are left out.

        Args:
            index: Index, string, or object with ``tostr``.
            dataset: Training set.
            iepoch: Epoch, counted from 0; None: the last.
            hp: Schedule, by its epochs.
            is_random: True: one trial, drawn by Python's ``random``; False: means; a number: this training seed.

        Raises:
            MissingResultError: The table has no result of training, or on cifar10-valid none of validation.
        """
        results = self.query_meta_info_by_index(self.query_index_by_arch(index), hp)
        trial: bool | int = is_random
        if is_random is True:
            trial = random.choice(results.get_dataset_seeds(dataset))
        return more_info(results, dataset, iepoch, trial)

    def _simulate(
        self, arch: Any, dataset: str, iepoch: int | None, hp: str | int | None, account_time: bool
    ) -> tuple[float, float | None, float, float]:
        index, trained = self.query_index_by_arch(arch), training_set_of(dataset)
        info = self.get_more_info(index, trained, iepoch, hp, is_random=True)
        request = f"{dataset}, schedule {self._schedule(hp)}, after epoch {iepoch} (counted from 0)"
        accuracy, seconds = self._clock.charge(info, trained, request, account_time)
        results = self.query_meta_info_by_index(index, hp)
        latency = results.get_compute_costs(dataset if dataset in results.dataset_seed else trained)["latency"]
        return accuracy, latency, seconds, self.used_time

    def get_cost_info(self, index: int, dataset: str, hp: str | int | None = None) -> dict[str, float | None]:
        """FLOPs and parameters in millions, latency in seconds, seconds of training and evaluation.

        Raises:
            MissingResultError: The table has no such result.
        """
        return self.query_meta_info_by_index(index, hp).get_compute_costs(dataset)

    def get_latency(self, index: int, dataset: str, hp: str | int | None = None) -> float | None:
        """Mean latency in seconds; None if the table has none.

        Raises:
            MissingResultError: The table has no such result.
        """
        return self.get_cost_info(index, dataset, hp)["latency"]

    def get_net_config(self, index: int, dataset: str) -> dict[str, Any]:
        """Settings of the network, as the official model builders read them.

        Raises:
            MissingResultError: The table has no such result, or the number of classes is not known.
        """
        results = self.query_meta_info_by_index(index, next(iter(self._trainings)))
        config: dict[str, Any] = next(iter(results.query(dataset).values())).get_config()
        if not config:
            raise MissingResultError(f"the networks of {dataset}, table {self.table.name}, have no official settings")
        return config

    def show(self, index: int = -1) -> None:
        """Print all about an architecture, or about every one (index below 0)."""
        show(self, index, joint=self._joint, is_size=self._is_size)

    @staticmethod
    def str2lists(arch_str: str) -> list[tuple[tuple[str, int], ...]]:
        """Operations and inputs of each node of a NAS-Bench-201 cell."""
        return cell_lists(arch_str)

    @staticmethod
    def str2matrix(arch_str: str, search_space: Sequence[str] = OPERATIONS) -> Floats:
        """Number of the operation between each pair of nodes of a NAS-Bench-201 cell, shape (4, 4)."""
        return cell_matrix(arch_str, search_space)

    def _schedule(self, hp: str | int | None) -> str:
        known = list(self._trainings)
        if hp is None and len(known) > 1:
            raise MissingResultError(
                f"table {self.table.name} has several schedules: name one, hp= {' or '.join(map(repr, known))}"
            )
        schedule = known[0] if hp is None else str(hp)
        if schedule not in self._trainings:
            raise MissingResultError(f"table {self.table.name} has no schedule {schedule!r}: hp is one of {known}")
        return schedule


def _table_of(table: str | Table) -> Table:
    if isinstance(table, Table):
        return table
    if not isinstance(table, str) or table not in table_names():
        raise InvalidInputError(
            f"{str(table)[:200]!r} is no table: name one of {', '.join(table_names())}; an official archive becomes a "
            "table with `nasbench-harness tables import FILE`"
        )
    return load_table(table)
