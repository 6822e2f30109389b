"""Origins of a study: versions, tables, code of the strategies, and runs of other studies in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasbench_harness.studies.run_sets import RunSet
from nasbench_harness.tables.proxies import has_shipped_scores, shipped_digest
from nasbench_harness.tables.registry import embedded_task_names

if TYPE_CHECKING:
    from nasbench_harness.report.provenance import StrategySource
    from nasbench_harness.studies.study import Study


def strategy_sources(study: Study) -> tuple[StrategySource, ...]:
    """Reference, hyperparameters and hash of the code of each strategy and trace."""
    from nasbench_harness.report.provenance import StrategySource

    first: dict[str, RunSet] = {}
    for runs in study.run_sets():
        first.setdefault(runs.label, runs)
    return tuple(
        StrategySource(runs.label, runs.entrant.reference, runs.entrant.parameters, runs.code())
        for runs in first.values()
    )


def origins_of(study: Study) -> dict[str, Any]:
    """Everything that the numbers of a study come from, as a JSON-able object.

    Runs of other studies are those of strategies and tasks that the folder does not compare now.
    """
    from dataclasses import asdict

    from nasbench_harness.report.provenance import sources_of_tables, versions

    own = {runs.path for runs in study.run_sets()}
    stored = {path.parent for path in (study.path / "runs").rglob("*.parquet")}
    shipped = {name.partition("-")[0] for name in embedded_task_names()}
    tables = sources_of_tables(task.table for task in study.tasks)
    has_scores = any(has_shipped_scores(task.space) for task in study.tasks)
    return {
        "command": study.command,
        "versions": versions(),
        "tables": [{**table, "is_shipped": table["table"] in shipped} for table in tables],
        # Of the training-free scores that strategies may look up.
        "scores_sha256": shipped_digest() if has_scores else None,
        "strategies": [{**asdict(source), "parameters": dict(source.parameters)} for source in strategy_sources(study)],
        "other_runs": sorted(str(study.folder.show(path)) for path in stored - own),
    }
