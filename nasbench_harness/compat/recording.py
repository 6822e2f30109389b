"""An old script's search as a run under a protocol: every query is charged, and the proposals are recorded.

``record`` opens a session for one run. Its object answers the official API's search methods by the rules of the
protocol: noise, repeats, budget and clock. It refuses test accuracy and every data set that the protocol does not
search. When the budget is spent, the next query ends the ``with`` block. The proposals are appended to a CSV file that
``add-trace`` compares with the strategies of a study.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Never, Unpack

import numpy as np

from nasbench_harness.compat.base import OfficialAPI
from nasbench_harness.compat.recordings import Run, add_rows, other_rows
from nasbench_harness.compat.stored import MissingResultError
from nasbench_harness.engine.strategy import Evaluation
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol, ProtocolFields
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task, load_task
from nasbench_harness.studies.references import check_label
from nasbench_harness.studies.replay import rules_of
from nasbench_harness.tables.table import Table

# Methods of the official objects that answer with test accuracy or without a charge.
_REFUSED = (
    "query_by_arch",
    "query_by_index",
    "query_info_str_by_arch",
    "query_meta_info_by_index",
    "show",
)


class BudgetSpentError(BaseException):
    """The budget of a recorded run is spent; it ends the ``with`` block, and no ``except Exception`` catches it."""


@contextmanager
def record(
    label: str,
    *,
    task: str,
    seed: int,
    out: str | Path = "recordings",
    study_seed: int = 0,
    **protocol: Unpack[ProtocolFields],
) -> Iterator[Recording]:
    """Record one run of a script under a protocol.

    The run must spend its whole budget, as the runs of a study do. A run of the same seed is recorded anew. It returns
    the architecture that the script reported last with ``api.report``, or else its incumbent. Protocol and study seed
    are kept with the run, and a study with others refuses it.

    Args:
        label: Name of the method; its proposals are kept in ``<out>/<label>.csv``.
        task: Name of a task, e.g. ``nb201-cifar10``.
        seed: Seed of the run; it draws the table's noise. Number the runs of a method from 0.
        out: Folder of recordings.
        study_seed: Seed of the study that the run is compared in.
        **protocol: Fields of Protocol, e.g. ``evaluations=300``.

    Raises:
        InvalidInputError: The label, the task or the protocol cannot be used, the label has runs under other rules, or
            the script ended before its budget was spent; nothing is recorded.

    Example:
        >>> import random
        >>> with record("mine", task="nb201-cifar10", seed=0, evaluations=20) as api:
        ...     while True:
        ...         accuracy, *_ = api.simulate_train_eval(random.randrange(len(api)), "cifar10", hp="200")
        >>> Path("recordings/mine.csv").read_text().splitlines()[0]
        'task,seed,step,index,fidelity,recommended,recorded_under'
    """
    check_label(label)
    for number in (seed, study_seed):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            raise InvalidInputError(f"a seed is a whole number of at least 0, not {number!r}")
    seed, study_seed = int(seed), int(study_seed)
    rules = Protocol(**protocol)
    if rules.workers > 1:
        raise InvalidInputError("a script has one evaluation under way: record it with workers=1")
    if rules.instances != "same":
        raise InvalidInputError("a script names operations, which instances=relabel hides: record it without labels")
    session = Recording(load_task(task), rules, study_seed, seed)
    path, run = (
        Path(out) / f"{label}.csv",
        Run(session._task.name, seed, rules_of(rules, study_seed, session._task)),
    )
    other_rows(path, run)  # a refusal after the search would lose it
    with suppress(BudgetSpentError):
        yield session
    if session.has_budget:
        raise InvalidInputError(
            f"the script ended after {len(session.proposals):,} evaluations and has budget left (seed {seed}): let it "
            "search until the budget is spent, or record it with a smaller budget; nothing was recorded"
        )
    add_rows(path, run, session.proposals, session.reports)


class Recording:
    """One run of a script: the official API's search methods, charged to a ledger.

    Args:
        task: The task.
        protocol: The rules.
        study_seed: Seed of the study.
        seed: Seed of the run.

    Attributes:
        proposals: (architecture, fidelity in epochs or None) of each evaluation, in order.
        reports: Architecture that the run would return after each evaluation, −1 for its incumbent.
    """

    def __init__(self, task: Task, protocol: Protocol, study_seed: int, seed: int) -> None:
        self._view = task.under(protocol)
        self._task, self._seed = task, seed
        self._plain = OfficialAPI(_of_one_space(task))
        self._ledger = Ledger(task, protocol, study_seed, np.array([seed]))
        self._reset_s = 0.0
        self._everyone = np.ones(1, dtype=bool)
        self.proposals: list[tuple[int, int | None]] = []
        self.reports: list[int] = []
        self._reported = -1

    @property
    def has_budget(self) -> bool:
        """Whether the run may start another evaluation."""
        return bool(self._ledger.has_budget()[0])

    def evaluate(self, architecture: Any, epochs: int | None = None) -> Evaluation:
        """Charge and answer one evaluation.

        Args:
            architecture: Index, official string, or object with ``tostr``.
            epochs: Fidelity, if the protocol lets a run choose it; None: the highest.

        Raises:
            BudgetSpentError: The budget is spent; the ``with`` block ends here.
            InvalidInputError: There is no such architecture or fidelity.
        """
        if not self.has_budget:
            raise BudgetSpentError(f"the budget of the run with seed {self._seed} is spent")
        index, place = self._index(architecture), self._place(epochs)
        entries = self._ledger.evaluate(np.array([index]), self._everyone, np.array([place]))
        fidelities = self._view.fidelities
        self.proposals.append((index, fidelities[place] if fidelities else None))
        self.reports.append(self._reported)
        return Evaluation(
            index,
            float(entries.losses[0, 0]),
            tuple(entries.losses[0].tolist()),
            Status(int(entries.status[0])),
            float(entries.cost_s[0]),
            float(entries.finished_s[0]),
            place,
            len(self.proposals) - 1,
        )

    def report(self, architecture: Any) -> None:
        """Name the architecture that the run returns from now on; a later report takes its place.

        A report before the first evaluation counts from that evaluation on. Reports are free, also after the budget.

        Args:
            architecture: Index, official string, or object with ``tostr``.

        Raises:
            InvalidInputError: There is no such architecture.
        """
        self._reported = self._index(architecture)
        if self.reports:
            self.reports[-1] = self._reported

    def simulate_train_eval(
        self,
        arch: Any,
        dataset: str,
        iepoch: int | str | None = None,
        hp: str | int | None = None,
        account_time: bool = True,
    ) -> tuple[float, float | None, float, float]:
        """Validation accuracy, latency and seconds of one charged evaluation, and ``used_time`` after it.

        A text in the third place is the schedule, as in ``nas_201_api``, and ``account_time`` then is in the fourth.

        Raises:
            BudgetSpentError: The budget is spent.
            InvalidInputError: The protocol searches something else, the run evaluates after other epochs, or time must
                not be accounted.
        """
        if isinstance(iepoch, str):
            iepoch, hp, account_time = None, iepoch, account_time if hp is None else bool(hp)
        if not account_time:
            raise InvalidInputError("account_time=False: the protocol charges every evaluation")
        accuracy, evaluation = self._query(arch, dataset, iepoch, hp)
        return accuracy, self._latency(evaluation.architecture), evaluation.cost_s, self.used_time

    def get_more_info(
        self,
        index: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int | None = None,
        is_random: bool | int = True,
    ) -> dict[str, Any]:
        """Validation accuracy and seconds of one charged evaluation; the protocol's noise decides the replicate.

        Seconds of evaluation are 0, as the clock of a protocol counts training.

        Raises:
            BudgetSpentError: The budget is spent.
            InvalidInputError: The protocol searches something else, the run evaluates after other epochs, or
                ``is_random`` asks for another replicate.
        """
        if is_random is not True and not (is_random is False and self._view.protocol.noise == "mean"):
            raise InvalidInputError(
                f"is_random={is_random!r}: the protocol (noise {self._view.protocol.noise}) decides which training "
                "answers; means and single seeds may be read after the search, from the plain object"
            )
        accuracy, evaluation = self._query(index, dataset, iepoch, hp)
        return {"valid-accuracy": accuracy, "train-all-time": evaluation.cost_s, "valid-per-time": 0.0}

    def get_cost_info(self, index: Any, dataset: str, hp: str | int | None = None) -> dict[str, float | None]:
        """FLOPs and parameters in millions and latency in seconds, those that the table has free of charge.

        Raises:
            InvalidInputError: The protocol searches something else, there is no such architecture, or the table has no
                result of it.
        """
        schedule, name = self._check_searched(dataset, hp)
        costs = self._plain.get_cost_info(self._index(index), name, schedule)
        columns = self._task.table.datasets[self._task.dataset].columns
        return {
            key: costs[key] if metric in columns and columns[metric].metric.free else None
            for key, metric in {"flops": "flops_m", "params": "params_m", "latency": "latency_ms"}.items()
        }

    def get_latency(self, index: Any, dataset: str, hp: str | int | None = None) -> float | None:
        """Mean latency in seconds; None if the table has none (see ``get_cost_info``)."""
        return self.get_cost_info(index, dataset, hp)["latency"]

    @property
    def used_time(self) -> float:
        """Simulated seconds of the run since ``reset_time``."""
        return float(self._ledger.clock_s[0]) - self._reset_s

    def reset_time(self) -> None:
        """Set ``used_time`` to 0; the budget of the run goes on."""
        self._reset_s = float(self._ledger.clock_s[0])

    def __len__(self) -> int:
        return len(self._plain)

    def __getitem__(self, index: int) -> str:
        return self._plain[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            return lambda *_, **__: self._refuse(name)
        if name.startswith("_"):
            raise AttributeError(name)
        if name in ("arch", "random", "query_index_by_arch", "meta_archs", "archstr2index", "get_net_config"):
            return getattr(self._plain, name)
        if name in ("str2lists", "str2matrix", "evaluated_indexes", "avaliable_hps"):
            return getattr(self._plain, name)
        raise AttributeError(f"a recorded run has no {name!r}")

    def _refuse(self, name: str) -> Never:
        raise InvalidInputError(
            f"{name} answers with test accuracy or without a charge: a recorded run has simulate_train_eval, "
            "get_more_info and evaluate; read other results after the search, from the plain object"
        )

    def _query(self, arch: Any, dataset: str, iepoch: int | None, hp: str | int | None) -> tuple[float, Evaluation]:
        self._check_searched(dataset, hp)
        objective = self._view.objectives[0].metric
        if objective.direction != "maximize":
            raise InvalidInputError(
                f"the run minimizes {objective.name}, and a script takes the answer for an accuracy: use "
                "evaluate(architecture), whose loss is always minimized"
            )
        own, last = self._view.fidelities[-1:], self._task.table.datasets[self._task.dataset].fidelities[-1:]
        if iepoch is None and own != last:
            raise InvalidInputError(
                f"the run evaluates after {own[0]} epochs at most, and a query without iepoch means the last of "
                f"{last[0]}: name the epoch, counted from 0 (iepoch={own[0] - 1})"
            )
        evaluation = self.evaluate(arch, None if iepoch is None else iepoch + 1)
        if evaluation.status == Status.OVERRUN:
            raise BudgetSpentError("the evaluation would finish after the budget")
        if evaluation.status not in (Status.OK, Status.DUPLICATE):
            raise MissingResultError(f"{self._task.name}: evaluation {evaluation.ticket} has no value")
        loss = np.array([evaluation.loss])
        return float(self._view.objectives[0].natural(loss)[0]), evaluation

    def _check_searched(self, dataset: str, hp: str | int | None) -> tuple[str, str]:
        """Schedule and official name of the data set that the protocol searches; others are refused."""
        own = self._task.table.datasets[self._task.dataset]
        found = [
            (schedule, name)
            for schedule, trainings in self._plain._trainings.items()
            for name, training in trainings.items()
            if training.dataset is own and not training.prefix
        ]
        (schedule, name) = found[0]
        names = {name, "cifar10"} if name == "cifar10-valid" else {name}
        if dataset not in names:
            raise InvalidInputError(f"the run searches {name} (task {self._task.name}), not {dataset}")
        if hp is not None and str(hp) != schedule:
            raise InvalidInputError(f"the run searches trainings of schedule {schedule!r}, not {str(hp)!r}")
        return schedule, name

    def _index(self, architecture: Any) -> int:
        index: int = self._plain.query_index_by_arch(architecture)
        if index < 0:
            raise InvalidInputError(f"{str(architecture)[:200]!r} is no architecture of task {self._task.name}")
        return index

    def _latency(self, index: int) -> float | None:
        own = self._task.table.datasets[self._task.dataset].columns.get("latency_ms")
        value = math.nan if own is None else float(np.nanmean(own.values[index]))
        return None if math.isnan(value) else value / 1e3

    def _place(self, epochs: int | None) -> int:
        fidelities = self._view.fidelities
        if epochs is None:
            return max(len(fidelities), 1) - 1
        if epochs not in fidelities:
            known = ", ".join(map(str, fidelities)) or "unknown"
            raise InvalidInputError(f"the run cannot evaluate after {epochs} epochs: its fidelities are {known}")
        return fidelities.index(epochs)


def _of_one_space(task: Task) -> Table:
    """The task's table with those data sets that have the space of the task's."""
    own = task.table.datasets[task.dataset].space
    return replace(task.table, datasets={key: data for key, data in task.table.datasets.items() if data.space is own})
