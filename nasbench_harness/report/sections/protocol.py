"""The protocol of a study in words."""

from __future__ import annotations

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.captions import runs_text
from nasbench_harness.store.record import TuningRule


def protocol_sentences(analysis: Analysis) -> list[str]:
    """Budget, noise, duplicates, choice and scoring, one sentence each."""
    protocol = analysis.protocol
    sentences = [f"Each strategy runs {runs_text(analysis, 'time')} on each task (study seed {analysis.study_seed})."]
    if protocol.evaluations is not None:
        sentences.append(f"A run may start {protocol.evaluations:,} evaluations.")
    if protocol.simulated_seconds is not None:
        late = {
            "discard": "An evaluation that would finish later is not used.",
            "count": "The evaluation that is running then still counts.",
        }[protocol.overrun]
        sentences.append(f"A run may spend {protocol.simulated_seconds:,.15g} simulated seconds. {late}")
    if protocol.epochs is not None:
        sentences.append(f"A run may train for {protocol.epochs:,} epochs.")
    noise = {
        "per_query": "Each evaluation draws one of the trainings that the table holds for the architecture.",
        "per_run": "Each run draws one training of every architecture and keeps it.",
        "mean": "An evaluation is the mean over the trainings of the table.",
    }
    sentences.append(noise.get(protocol.noise, f"An evaluation always reads training {protocol.replicate}."))
    kind = "isomorphism class" if protocol.duplicates_by == "class" else "architecture"
    sentences.append(
        {
            "charge": "A repeated architecture is a new evaluation and is charged.",
            "free": f"A repeated {kind} returns its first value and costs nothing.",
            "forbid": f"A repeated {kind} is rejected.",
        }[protocol.duplicates]
    )
    if any(entry.val.view.is_of_sets for entry in analysis.tasks):
        sentences.append(
            f"The objectives are {', '.join(protocol.objectives)}. A run returns the set of its evaluations that no "
            "other one dominates by the observed values."
        )
        sentences.append("The set is scored by the hypervolume of its means over the table's trainings, without noise.")
    else:
        if protocol.objectives:
            sentences.append(f"The objective is {protocol.objectives[0]}.")
        sentences.append(
            "A run returns the architecture that the strategy recommends, or else the best one by the observed values."
            if protocol.selection == "own"
            else "A run returns the best architecture by the observed values."
        )
        sentences.append("It is scored by the mean over the table's trainings, without noise.")
    if protocol.constraints:
        sentences.append(f"Feasible architectures are better than all others: {', '.join(protocol.constraints)}.")
    if any(entry.score("test") for entry in analysis.tasks):
        sentences.append("Test values belong to the same choice. No strategy and no choice sees them.")
    if protocol.fidelity_by_task:
        each = ", ".join(f"{task}: {epochs}" for task, epochs in protocol.fidelity_by_task.items())
        sentences.append(f"Each task has its own fidelity in epochs ({each}).")
    how = "continues a training" if protocol.continuation == "checkpoint" else "starts a training anew"
    if any(isinstance(fidelity, str) for fidelity in protocol.fidelity_by_task.values()):
        sentences.append(f"If there are several, the strategies choose; a higher one {how}.")
    if isinstance(protocol.fidelity, str):
        sentences.append(f"Strategies choose the fidelity ({protocol.fidelity}). A higher one {how}.")
    elif isinstance(protocol.fidelity, int):
        sentences.append(f"Evaluations are read at fidelity {protocol.fidelity}.")
    if protocol.objectives:
        names = ", ".join(map(str, protocol.objectives))
        sentences.append(f"Objectives: {names}. With two or more of them a run returns a set of architectures.")
    if protocol.constraints:
        sentences.append(f"Constraints: {', '.join(map(str, protocol.constraints))}.")
    if protocol.source_evaluations is not None:
        how = {
            "charged": "They count among the evaluations of the run.",
            "reported": "They are not part of the budget; the table of spending shows them.",
            "free": "They are declared to be free, and are not part of the budget.",
        }[protocol.source_cost]
        sentences.append(
            f"A strategy may read search values of {', '.join(protocol.sources)}, up to "
            f"{protocol.source_evaluations:,} evaluations of a run. {how} A task is never its own source."
        )
    if protocol.instances == "relabel":
        sentences.append("Each run sees the choices of every decision under labels of its own, drawn by its seed.")
    if analysis.tuning is not None:
        sentences.append(
            f"The hyperparameters of each strategy were tuned on other tasks with {analysis.tuning.trials:,} trials "
            f"and up to {analysis.tuning.budget:,} evaluations{fewer_settings(analysis.tuning)}."
        )
    if protocol.workers > 1:
        sentences.append(f"{protocol.workers} simulated workers evaluate at the same time ({protocol.mode}).")
    return sentences


def fewer_settings(rule: TuningRule) -> str:
    """The strategies with fewer trials than the rule allows, to be added to a sentence; empty if there are none."""
    exceptions = ", ".join(f"{label} ({trials:,})" for label, trials in rule.fewer.items())
    return f"; fewer settings exist for {exceptions}" if exceptions else ""
