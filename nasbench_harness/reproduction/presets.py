"""Presets: the rules of a published comparison, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nasbench_harness.evaluation.protocol import Protocol

Measure = Literal["value", "evaluations"]


@dataclass(frozen=True)
class Search:
    """A task that strategies search.

    Attributes:
        dataset: Data set, e.g. ``cifar10``.
        epochs: Epochs of the trainings that a search sees.
        protocol: Budget and rules.
    """

    dataset: str
    epochs: int
    protocol: Protocol


@dataclass(frozen=True)
class Published:
    """A number of a paper.

    Attributes:
        search: Position of its search in the preset.
        strategy: Label of its strategy.
        dataset: Data set on which the choices of the runs are scored.
        split: ``val`` or ``test``.
        mean: Mean over the runs of the paper.
        std: Standard deviation of these runs; None if the paper gives none.
        tolerance: Largest accepted difference of the means at 500 runs each; None: the number is shown beside, and
            nothing is decided.
    """

    search: int
    strategy: str
    dataset: str
    split: str
    mean: float
    std: float | None
    tolerance: float | None


@dataclass(frozen=True)
class QuotedRow:
    """Numbers of a method that a preset does not run: they are shown beside, and nothing is decided.

    Attributes:
        method: Name of the method.
        dataset: Data set on which its choice is scored.
        val: Mean and standard deviation of the validation accuracy in %; the latter is None if the paper gives none.
        test: The same of the test accuracy; None if it is not quoted.
        num_runs: Number of runs behind them.
    """

    method: str
    dataset: str
    val: tuple[float, float | None]
    test: tuple[float, float | None] | None
    num_runs: int


@dataclass(frozen=True)
class Preset:
    """A published comparison.

    Attributes:
        name: Name on the command line.
        source: The paper, and the table in it.
        note: A limit of the comparison, for the reader.
        strategies: Strategy reference by label, with the hyperparameters of the paper. One that needs several
            fidelities is run if the searched data sets have them.
        searches: Searched tasks.
        published: Numbers of the paper.
        num_runs: Number of runs of the paper.
        epochs: Epochs of the trainings that score the choices.
        measure: ``value``: accuracy of the choices. ``evaluations``: evaluations up to the first of the optimum.
        quoted: Numbers of methods that are not run.
    """

    name: str
    source: str
    note: str
    strategies: Mapping[str, str]
    searches: tuple[Search, ...]
    published: tuple[Published, ...]
    num_runs: int = 500
    epochs: int = 200
    measure: Measure = "value"
    quoted: tuple[QuotedRow, ...] = ()


def _rows(
    search: int, dataset: str, split: str, tolerance: float | None, **values: tuple[float, float]
) -> list[Published]:
    """One number for each strategy; ``_`` in a keyword stands for the hyphen of its label."""
    return [
        Published(search, label.replace("_", "-"), dataset, split, mean, std, tolerance)
        for label, (mean, std) in values.items()
    ]


def _seconds(seconds: float, overrun: str) -> Protocol:
    return Protocol(simulated_seconds=seconds, overrun=overrun)


_CLOCK = (
    "A table of an official archive charges the seconds of training alone. The paper also charges one pass over the "
    "validation images, so a run here has slightly more evaluations on such a table."
)
_EVOLUTION = "regularized-evolution(population_size=10,sample_size=3)"


def _shared(
    method: str, val: tuple[float, float | None] | float, test: tuple[float, float | None] | float
) -> QuotedRow:
    """Three runs of a weight-sharing method on CIFAR-10."""
    pairs = [value if isinstance(value, tuple) else (value, None) for value in (val, test)]
    return QuotedRow(method, "cifar10", pairs[0], pairs[1], 3)


TABLE5 = Preset(
    name="nb201-table5",
    source="Dong and Yang, NAS-Bench-201, ICLR 2020, Table 5",
    note="Strategies search CIFAR-10 by the validation accuracy of 12-epoch trainings, and the choices are scored by "
    f"200-epoch trainings on each data set. {_CLOCK}",
    strategies={
        "random-search": "random-search",
        "regularized-evolution": _EVOLUTION,
        "reinforce": "reinforce(learning_rate=0.05,baseline_decay=0.9)",
    },
    searches=(Search("cifar10", 12, _seconds(12_000, "discard")),),
    published=(
        *_rows(
            0,
            "cifar10",
            "val",
            0.08,
            random_search=(90.93, 0.36),
            regularized_evolution=(91.19, 0.31),
            reinforce=(91.09, 0.37),
        ),
        *_rows(
            0,
            "cifar10",
            "test",
            0.08,
            random_search=(93.70, 0.36),
            regularized_evolution=(93.92, 0.30),
            reinforce=(93.85, 0.37),
        ),
        *_rows(
            0,
            "cifar100",
            "val",
            0.25,
            random_search=(70.93, 1.09),
            regularized_evolution=(71.81, 1.12),
            reinforce=(71.61, 1.12),
        ),
        *_rows(
            0,
            "imagenet16-120",
            "val",
            0.25,
            random_search=(44.45, 1.10),
            regularized_evolution=(45.15, 0.89),
            reinforce=(45.05, 1.02),
        ),
    ),
    quoted=(
        _shared("RSPS (2020)", (80.42, 3.58), (84.07, 3.61)),
        _shared("DARTS, first order (2020)", 39.77, 54.30),
        _shared("DARTS, second order (2020)", 39.77, 54.30),
        _shared("GDAS (2020)", (89.89, 0.08), (93.61, 0.09)),
        _shared("SETN (2020)", (84.04, 0.28), 87.64),
        _shared("ENAS (2020)", (37.51, 3.19), (53.89, 0.58)),
    ),
)

TABLE4 = Preset(
    name="nats-table4",
    source="Dong, Liu, Musial and Gabrys, NATS-Bench, TPAMI 2021, Table 4",
    note="These numbers were recalled and not checked against the text of the paper, so nothing is decided. BOHB is "
    "run if the table holds several epochs of the 12-epoch trainings; each training starts anew. It has no bandwidth "
    f"factor (the paper: 3), and draws an architecture only once. {_CLOCK}",
    strategies={
        "random-search": "random-search",
        "regularized-evolution": _EVOLUTION,
        "reinforce": "reinforce(learning_rate=0.01,baseline_decay=0.9)",
        "bohb": "bohb(min_epochs=1,random_fraction=0.0,num_candidates=4)",
    },
    searches=(
        Search("cifar10", 12, _seconds(20_000, "count")),
        Search("cifar100", 12, _seconds(40_000, "count")),
        Search("imagenet16-120", 12, _seconds(120_000, "count")),
    ),
    published=(
        *_rows(
            0,
            "cifar10",
            "val",
            None,
            random_search=(91.07, 0.26),
            regularized_evolution=(91.25, 0.31),
            reinforce=(91.12, 0.25),
            bohb=(91.17, 0.27),
        ),
        *_rows(
            1,
            "cifar100",
            "val",
            None,
            random_search=(71.46, 0.97),
            regularized_evolution=(72.28, 0.95),
            reinforce=(71.80, 0.94),
            bohb=(72.04, 0.93),
        ),
        *_rows(
            2,
            "imagenet16-120",
            "val",
            None,
            random_search=(45.03, 0.91),
            regularized_evolution=(45.71, 0.77),
            reinforce=(45.37, 0.74),
            bohb=(45.55, 0.79),
        ),
    ),
    quoted=(
        _shared("RSPS (2021)", 87.60, 91.05),
        _shared("DARTS, first order (2021)", 49.27, 59.84),
        _shared("DARTS, second order (2021)", 58.78, 65.38),
        _shared("GDAS (2021)", 89.68, 93.23),
        _shared("SETN (2021)", 90.00, 92.72),
        _shared("ENAS (2021)", 90.20, 93.76),
    ),
)

STEEPEST = Preset(
    name="local-search-steepest",
    source="White, Nolen and Savani, Exploring the Loss Landscape in NAS, UAI 2021",
    note="Evaluations up to and including the first one of the best cell of CIFAR-100, without noise; repeats are "
    "free. The paper gives no standard deviation.",
    strategies={"local-search": 'local-search(acceptance="steepest",num_initial=1)'},
    searches=(Search("cifar100", 200, Protocol(evaluations=5_000, noise="mean", duplicates="free")),),
    published=(Published(0, "local-search", "cifar100", "val", 127.0, None, 12.0),),
    measure="evaluations",
)

NASWOT = Preset(
    name="naswot",
    source="Mellor, Turner, Storkey and Crowley, Neural Architecture Search without Training, ICML 2021",
    note="Each run draws N different cells and returns the one with the best score. The score is the column nwot of "
    "the table, with a smaller network and other images than the paper's, and one column serves the three data sets.",
    strategies={f"naswot-{size}": f'best-by-score(score="nwot",num_scored={size})' for size in (10, 100, 1000)},
    searches=tuple(
        Search(dataset, 200, Protocol(evaluations=1, noise="mean"))
        for dataset in ("cifar10", "cifar100", "imagenet16-120")
    ),
    published=(
        *_rows(0, "cifar10", "val", None, naswot_10=(89.14, 1.14), naswot_100=(89.55, 0.89), naswot_1000=(89.69, 0.73)),
        *_rows(
            1, "cifar100", "val", None, naswot_10=(68.50, 2.03), naswot_100=(69.35, 1.70), naswot_1000=(69.86, 1.21)
        ),
        *_rows(
            2,
            "imagenet16-120",
            "val",
            None,
            naswot_10=(41.09, 3.97),
            naswot_100=(42.81, 3.05),
            naswot_1000=(43.95, 2.05),
        ),
    ),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (TABLE5, TABLE4, STEEPEST, NASWOT)}
