"""Compare neural architecture search strategies fairly, on real tables, over hundreds of seeds.

The names below are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_harness.api import (
        Study,
        StudyOptions,
        check_baseline,
        compare,
        load_task,
        open_study,
        run,
        save_baseline,
        verify,
    )
    from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
    from nasbench_harness.compat.recording import BudgetSpentError, Recording, record
    from nasbench_harness.engine.generational import Generational
    from nasbench_harness.engine.hyperparameters import Bound, OneOf, Range
    from nasbench_harness.engine.strategy import (
        Evaluation,
        Needs,
        Progress,
        ProgressGenerator,
        Proposal,
        Proposals,
        Results,
        SearchGenerator,
        Strategy,
        declare,
    )
    from nasbench_harness.engine.streams import RunStream, RunStreams
    from nasbench_harness.errors import (
        HarnessError,
        InvalidInputError,
        RunsFailedError,
        StoreError,
        StrategyError,
        TableError,
        UnknownNameError,
    )
    from nasbench_harness.evaluation.hashing import Words
    from nasbench_harness.evaluation.problem import Budget, Constraint, Objective, Problem
    from nasbench_harness.evaluation.protocol import Protocol, ProtocolFields
    from nasbench_harness.evaluation.run_files import RunFiles
    from nasbench_harness.evaluation.scores import Scores
    from nasbench_harness.evaluation.sources import Source, Sources
    from nasbench_harness.evaluation.status import Status
    from nasbench_harness.evaluation.task import Task
    from nasbench_harness.evaluation.training_data import TrainingData
    from nasbench_harness.evaluation.view import TaskView
    from nasbench_harness.importers.api import table_from_api
    from nasbench_harness.regression.gate import TaskCheck
    from nasbench_harness.spaces import Graphs, SearchSpace
    from nasbench_harness.store.record import Estimand, Quoted, ReportOptions, StrategyRef
    from nasbench_harness.studies.choosing import StrategyLike
    from nasbench_harness.tables.table import Direction, Metric, Origin, Provenance, Role, Table
    from nasbench_harness.verification.design import ControlKind
    from nasbench_harness.verification.journal import TrainingRecord
    from nasbench_harness.verification.running import Trainer
    from nasbench_harness.verification.verify import Verification, VerifyOptions

_HOMES = {
    "nasbench_harness.api": (
        "Study",
        "StudyOptions",
        "check_baseline",
        "compare",
        "load_task",
        "open_study",
        "run",
        "save_baseline",
        "verify",
    ),
    "nasbench_harness.arrays": (
        "AnyArray",
        "Bools",
        "Floats",
        "Ints",
    ),
    "nasbench_harness.compat.recording": ("BudgetSpentError", "Recording", "record"),
    "nasbench_harness.engine.generational": ("Generational",),
    "nasbench_harness.engine.hyperparameters": ("Bound", "OneOf", "Range"),
    "nasbench_harness.engine.strategy": (
        "Evaluation",
        "Needs",
        "Progress",
        "ProgressGenerator",
        "Proposal",
        "Proposals",
        "Results",
        "SearchGenerator",
        "Strategy",
        "declare",
    ),
    "nasbench_harness.engine.streams": (
        "RunStream",
        "RunStreams",
    ),
    "nasbench_harness.errors": (
        "HarnessError",
        "InvalidInputError",
        "RunsFailedError",
        "StoreError",
        "StrategyError",
        "TableError",
        "UnknownNameError",
    ),
    "nasbench_harness.evaluation.hashing": ("Words",),
    "nasbench_harness.evaluation.problem": (
        "Budget",
        "Constraint",
        "Objective",
        "Problem",
    ),
    "nasbench_harness.evaluation.protocol": (
        "Protocol",
        "ProtocolFields",
    ),
    "nasbench_harness.evaluation.run_files": ("RunFiles",),
    "nasbench_harness.evaluation.sources": ("Source", "Sources"),
    "nasbench_harness.evaluation.scores": ("Scores",),
    "nasbench_harness.evaluation.status": ("Status",),
    "nasbench_harness.evaluation.task": ("Task",),
    "nasbench_harness.evaluation.training_data": ("TrainingData",),
    "nasbench_harness.evaluation.view": ("TaskView",),
    "nasbench_harness.studies.choosing": ("StrategyLike",),
    "nasbench_harness.regression.gate": ("TaskCheck",),
    "nasbench_harness.spaces": ("Graphs", "SearchSpace"),
    "nasbench_harness.store.record": (
        "StrategyRef",
        "Estimand",
        "Quoted",
        "ReportOptions",
    ),
    "nasbench_harness.importers.api": ("table_from_api",),
    "nasbench_harness.tables.table": (
        "Direction",
        "Metric",
        "Origin",
        "Provenance",
        "Role",
        "Table",
    ),
    "nasbench_harness.verification.design": ("ControlKind",),
    "nasbench_harness.verification.journal": ("TrainingRecord",),
    "nasbench_harness.verification.running": ("Trainer",),
    "nasbench_harness.verification.verify": ("Verification", "VerifyOptions"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AnyArray",
    "Bools",
    "Bound",
    "Budget",
    "BudgetSpentError",
    "Constraint",
    "ControlKind",
    "Direction",
    "Estimand",
    "Evaluation",
    "Floats",
    "Generational",
    "Graphs",
    "HarnessError",
    "Ints",
    "InvalidInputError",
    "Metric",
    "Needs",
    "Objective",
    "OneOf",
    "Origin",
    "Problem",
    "Progress",
    "ProgressGenerator",
    "Proposal",
    "Proposals",
    "Protocol",
    "ProtocolFields",
    "Provenance",
    "Quoted",
    "Range",
    "Recording",
    "ReportOptions",
    "Results",
    "Role",
    "RunFiles",
    "RunStream",
    "RunStreams",
    "RunsFailedError",
    "Scores",
    "SearchGenerator",
    "SearchSpace",
    "Source",
    "Sources",
    "Status",
    "StoreError",
    "Strategy",
    "StrategyError",
    "StrategyLike",
    "StrategyRef",
    "Study",
    "StudyOptions",
    "Table",
    "TableError",
    "Task",
    "TaskCheck",
    "TaskView",
    "Trainer",
    "TrainingData",
    "TrainingRecord",
    "UnknownNameError",
    "Verification",
    "VerifyOptions",
    "Words",
    "check_baseline",
    "compare",
    "declare",
    "load_task",
    "open_study",
    "record",
    "run",
    "save_baseline",
    "table_from_api",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nasbench-harness")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
