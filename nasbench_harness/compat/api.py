"""``NASBench201API``, ``NATStopology`` and ``NATSsize``, served from a table.

They answer as the packages ``nas-bench-201`` 2.1 and ``nats-bench`` 1.8 do, test included, with six differences:

- A result that the table does not have is a ``MissingResultError``. ``simulate_train_eval`` never answers with the
  accuracy on validation and test together.
- ``hp`` has no default if the table has several schedules: the packages changed theirs from 200 to 12 epochs.
- Sizes are those of training seed 888 if the seeds disagree, as in ``nats-bench`` since 1.6.
- If the table does not store seconds of evaluation, ``simulate_train_eval`` counts those of training, and warns.
- Latency is that of the schedule that is asked for.
- ``get_more_info`` has no key ``comment``, a sentence that ``nats-bench`` adds on CIFAR-10.
"""

from __future__ import annotations

from typing import Any

from nasbench_harness.compat.base import OfficialAPI
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.table import Table


class NASBench201API(OfficialAPI):
    """``nas_201_api.NASBench201API``, served from a table.

    >>> api = NASBench201API("nb201")
    >>> round(api.get_more_info(1, "cifar10-valid", is_random=888)["valid-accuracy"], 3)
    90.716
    """

    _other_space = "nats-sss"

    def simulate_train_eval(
        self, arch: Any, dataset: str, hp: str | int | None = None, account_time: bool = True
    ) -> tuple[float, float | None, float, float]:
        """Validation accuracy, latency and seconds of training and evaluation, and ``used_time`` after it.

        Raises:
            MissingResultError: The table has no such result.
            InvalidInputError: The data set is none of cifar10, cifar100, ImageNet16-120.
        """
        return self._simulate(arch, dataset, None, hp, account_time)


class NATStopology(OfficialAPI):
    """``nats_bench.NATStopology``, served from a table.

    Args:
        table: Name of a table, or a ``Table``.
        fast_mode: Accepted for old scripts; a table is always opened at once.
        verbose: Accepted for old scripts; nothing is logged.
    """

    _joint = " & "
    _other_space = "nats-sss"

    def __init__(self, table: str | Table | None = None, fast_mode: bool = False, verbose: bool = True) -> None:
        super().__init__(table, verbose)
        self.fast_mode = fast_mode

    @property
    def evaluated_indexes(self) -> set[int]:
        """Indices of the architectures that have results."""
        return set(self._evaluated)

    @property
    def search_space_name(self) -> str:
        """``topology`` or ``size``."""
        return "size" if self._is_size else "topology"

    def simulate_train_eval(
        self,
        arch: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int | None = None,
        account_time: bool = True,
    ) -> tuple[float, float | None, float, float]:
        """Validation accuracy, latency and seconds of training and evaluation, and ``used_time`` after it.

        Raises:
            MissingResultError: The table has no such result; the accuracy on validation and test together is never
                used instead.
            InvalidInputError: The data set is none of cifar10, cifar100, ImageNet16-120.
        """
        return self._simulate(arch, dataset, iepoch, hp, account_time)


class NATSsize(NATStopology):
    """``nats_bench.NATSsize``, served from a table."""

    _is_size = True
    _other_space = "nasbench201"


def create(table: str | Table | None, search_space: str, fast_mode: bool = False, verbose: bool = True) -> NATStopology:
    """``nats_bench.create``, served from a table.

    Args:
        table: Name of a table, or a ``Table``.
        search_space: ``tss`` or ``topology``, ``sss`` or ``size``.
        fast_mode: Accepted for old scripts.
        verbose: Accepted for old scripts.

    Raises:
        InvalidInputError: There is no such table or search space, or the table has the other space.
    """
    if search_space in ("tss", "topology"):
        return NATStopology(table, fast_mode, verbose)
    if search_space in ("sss", "size"):
        return NATSsize(table, fast_mode, verbose)
    raise InvalidInputError(f"invalid search space : {search_space}")
