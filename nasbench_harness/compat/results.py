"""The values that queries return: results of one architecture, and of one trained network."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from nasbench_harness.compat.stored import MissingResultError, Training

Number = float | None


class TrialResults:
    """One trained network: an architecture, a training set, a schedule and a training seed.

    Attributes:
        name: Training set.
        seed: Training seed.
        epochs: Epochs of the schedule.
        params: Parameters in millions.
        flop: Multiply-accumulates in millions.
    """

    def __init__(self, training: Training, row: int, replicate: int, architecture: Mapping[str, Any]) -> None:
        self._training, self._row, self._replicate = training, row, replicate
        self._architecture = architecture
        self.name = training.name
        self.seed = training.seeds[replicate]
        self.params = self._value("params_m")
        self.flop = self._value("flops_m")

    @property
    def epochs(self) -> int:
        """Epochs of the schedule."""
        return self._training.num_epochs

    def get_total_epoch(self) -> int:
        """Epochs of the schedule."""
        return self.epochs

    def get_eval_set(self) -> list[str]:
        """Evaluation sets that the table has."""
        return list(self._training.sets)

    def get_latency(self) -> float:
        """Latency in seconds, −1 if the table has none."""
        latency = self._value("latency_ms")
        return -1.0 if latency is None else latency / 1e3

    def get_train(self, iepoch: int | None = None) -> dict[str, Any]:
        """Loss, accuracy and seconds of training after an epoch (None: the last).

        A number that the table stores for no epoch is None.

        Raises:
            MissingResultError: There is no such epoch, or the table has nothing of it.
        """
        info = self._info("train", iepoch)
        is_empty = info["loss"] is info["accuracy"] is info["all_time"] is None
        if is_empty and (self._training.has("train") or self._training.position(iepoch) is None):
            raise self._missing("train", iepoch)
        return info

    def get_eval(self, name: str, iepoch: int | None = None) -> dict[str, Any]:
        """Loss, accuracy and seconds on an evaluation set after an epoch (None: the last).

        Raises:
            MissingResultError: There is no such epoch, or the table has nothing of this set and epoch.
        """
        name = "x-valid" if name == "valid" else name
        info = None
        if name in self._training.sets:
            info = self._info(self._training.sets[name], iepoch)
        if info is None or info["accuracy"] is None:
            raise self._missing(name, iepoch)
        return info

    def get_times(self) -> dict[str, Number]:
        """Seconds of training and evaluation, for all epochs and as the mean of one."""
        times: dict[str, Number] = {}
        for name, word in {"train": "train", **self._training.sets}.items():
            total = self._value(f"{word}_cost_s")
            times[f"T-{name}@epoch"] = None if total is None else total / self.epochs
            times[f"T-{name}@total"] = total
        return times

    def get_config(self, str2structure: Callable[[str], Any] | None = None) -> dict[str, Any]:
        """Settings of the network, as the official model builders read them."""
        config = dict(self._architecture)
        if str2structure is not None:
            config["genotype"] = str2structure(config.get("genotype") or config.pop("arch_str"))
        return config

    def _value(self, metric: str, position: int | None = None) -> Number:
        return self._training.value(metric, self._row, self._replicate, position)

    def _info(self, word: str, iepoch: int | None) -> dict[str, Any]:
        position = self._training.position(iepoch)
        if position is None:
            loss = accuracy = all_time = cur_time = None
        else:
            loss = self._value(f"{word}_loss", position)
            accuracy = self._value(f"{word}_accuracy", position)
            all_time = self._value(f"{word}_cost_s", position)
            cur_time = self._seconds_of(word, position, all_time)
        last = self._training.dataset.fidelities[-1] - 1 if self._training.dataset.fidelities else 0
        return {
            "iepoch": last if iepoch is None else iepoch,
            "loss": loss,
            "accuracy": accuracy,
            "cur_time": cur_time,
            "all_time": all_time,
        }

    def _seconds_of(self, word: str, position: int, all_time: Number) -> Number:
        """Seconds of one epoch; None if the table does not store the epoch before it."""
        epochs = self._training.dataset.fidelities
        if all_time is None or not epochs or epochs[position] == 1:
            return all_time
        if position == 0 or epochs[position - 1] != epochs[position] - 1:
            return None
        before = self._value(f"{word}_cost_s", position - 1)
        return None if before is None else all_time - before

    def _missing(self, name: str, iepoch: int | None) -> MissingResultError:
        training = self._training
        when = "the last epoch" if iepoch is None else f"epoch {iepoch} (counted from 0)"
        return MissingResultError(
            f"the table has no result of {training.name}, schedule {training.schedule}, on {name} after {when}; "
            f"it has results on {', '.join(training.sets) or 'no evaluation set'}"
        )


class ArchitectureResults:
    """Everything about one architecture under one schedule.

    Attributes:
        arch_index: Index of the architecture.
        arch_str: Its string.
        dataset_seed: Training seeds by training set.
    """

    def __init__(
        self,
        arch_index: int,
        arch_str: str,
        trainings: Mapping[str, Training],
        config: Callable[[str], Mapping[str, Any]],
    ) -> None:
        self.arch_index, self.arch_str = arch_index, arch_str
        self.all_results: dict[tuple[str, int], TrialResults] = {}
        self.dataset_seed: dict[str, list[int]] = {}
        for name, training in trainings.items():
            for replicate in training.replicates(arch_index):
                trial = TrialResults(training, arch_index, replicate, config(name))
                self.dataset_seed.setdefault(name, []).append(trial.seed)
                self.all_results[name, trial.seed] = trial

    def get_dataset_names(self) -> list[str]:
        """Training sets."""
        return list(self.dataset_seed)

    def get_dataset_seeds(self, dataset: str) -> list[int]:
        """Training seeds on one training set, ascending."""
        return [trial.seed for trial in self._trials(dataset)]

    def query(self, dataset: str, seed: int | None = None) -> Any:
        """The trial of a training seed, or all trials by their seeds."""
        trials = {trial.seed: trial for trial in self._trials(dataset)}
        if seed is None:
            return trials
        if seed not in trials:
            raise MissingResultError(f"no training seed {seed} on {dataset}: there are {list(trials)}")
        return trials[seed]

    def get_total_epoch(self, dataset: str | None = None) -> int:
        """Epochs of the schedule."""
        trials = list(self.all_results.values()) if dataset is None else self._trials(dataset)
        if not trials:
            raise MissingResultError(f"the table has no result of architecture {self.arch_index}")
        return trials[-1].get_total_epoch()

    def get_latency(self, dataset: str) -> float:
        """Mean latency in seconds.

        Raises:
            MissingResultError: A trial has none.
        """
        latencies = [trial.get_latency() for trial in self._trials(dataset)]
        if min(latencies) <= 0:
            raise MissingResultError(f"architecture {self.arch_index} has no latency on {dataset}")
        return _mean(latencies)

    def get_compute_costs(self, dataset: str) -> dict[str, Number]:
        """FLOPs and parameters in millions, latency in seconds, seconds of training and evaluation; means of trials."""
        trials = self._trials(dataset)
        latencies = [latency for trial in trials if (latency := trial.get_latency()) > 0]
        costs: dict[str, Number] = {
            "flops": _mean_or_none([trial.flop for trial in trials]),
            "params": _mean_or_none([trial.params for trial in trials]),
            "latency": _mean(latencies) if latencies else None,
        }
        times = [trial.get_times() for trial in trials]
        return costs | {key: _mean_or_none([entry[key] for entry in times]) for key in times[0]}

    def get_metrics(
        self, dataset: str, setname: str, iepoch: int | None = None, is_random: bool | int = False
    ) -> dict[str, Any]:
        """Loss, accuracy and seconds on one evaluation set (or ``train``).

        Args:
            dataset: Training set.
            setname: Evaluation set, or ``train``.
            iepoch: Epoch, counted from 0; None: the last.
            is_random: False: the mean of all trials; True: one of them, drawn by Python's ``random``, as the official
                API does; a number: the trial of this training seed.

        Raises:
            MissingResultError: The table has no such result; there is no fallback to another set or epoch.
        """
        trials = self._trials(dataset)
        infos = [trial.get_train(iepoch) if setname == "train" else trial.get_eval(setname, iepoch) for trial in trials]
        if is_random is False:
            means: dict[str, Any] = {key: _mean_or_none([info[key] for info in infos]) for key in infos[0]}
            return means | {"iepoch": infos[0]["iepoch"]}
        if is_random is True:
            return infos[random.randint(0, len(infos) - 1)]
        seeds = [trial.seed for trial in trials]
        if is_random not in seeds:
            raise MissingResultError(f"no training seed {is_random} on {dataset}: there are {seeds}")
        return infos[seeds.index(is_random)]

    def _trials(self, dataset: str) -> list[TrialResults]:
        if dataset not in self.dataset_seed:
            raise MissingResultError(
                f"architecture {self.arch_index} has no result on {dataset}: it has "
                f"{', '.join(self.dataset_seed) or 'none'}"
            )
        return [self.all_results[dataset, seed] for seed in self.dataset_seed[dataset]]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)  # as the official packages, digit by digit


def _mean_or_none(values: list[Any]) -> Any:
    return None if None in values else _mean(values)
