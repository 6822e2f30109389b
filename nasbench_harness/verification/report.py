"""The outputs of a verification: one table, one figure, one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.evaluation.task import Task
from nasbench_harness.report.cells import count, mean_std, plain
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.render.latex import to_latex
from nasbench_harness.report.render.pictures import FIGURE_STYLE, TEXT_WIDTH, load_matplotlib, to_pdf, to_png
from nasbench_harness.report.render.text import markdown_file, to_csv, to_json, to_markdown
from nasbench_harness.verification.design import ALPHA
from nasbench_harness.verification.verdict import Outcome, Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def verification_table(outcome: Outcome, task: Task, timings: bool = False) -> ReportTable:
    """One row per architecture: trained accuracy beside the table's; seconds only on request."""
    metric = task.scores["val"].metric
    columns = [
        ReportColumn("block", "block", is_number=False),
        ReportColumn("role", "role", is_number=False),
        ReportColumn("architecture", "architecture", is_number=False),
        ReportColumn("trained", "trained (%)"),
        ReportColumn("worst", "min (%)", is_extra=True),
        ReportColumn("best", "max (%)", is_extra=True),
        ReportColumn("diverged", "diverged", is_extra=not any(item.num_diverged for item in outcome.trained)),
        ReportColumn("table", f"table ({metric.unit})"),
        ReportColumn("test", "test (%)", is_extra=all(math.isnan(item.test) for item in outcome.trained)),
        ReportColumn(
            "table_test", "table, test (%)", is_extra=all(math.isnan(item.table_test) for item in outcome.trained)
        ),
        ReportColumn("num_params", "parameters"),
        ReportColumn("table_params_m", "table, parameters (M)"),
    ]
    columns += [ReportColumn("seconds", "seconds")] if timings else []
    rows = []
    for item in outcome.trained:
        std = float(item.accuracies.std(ddof=1)) if len(item.accuracies) > 1 else math.nan
        cells = [
            ReportCell(f"{item.block + 1}"),
            ReportCell("candidate" if item.is_candidate else "control"),
            ReportCell(_name(task, item.architecture)),
            mean_std(item.score, std, 2),
            plain(float(item.accuracies.min()), 2),
            plain(float(item.accuracies.max()), 2),
            count(item.num_diverged),
            NOTHING if math.isnan(item.table_value) else mean_std(item.table_value, item.table_std, 2),
            _known(item.test),
            _known(item.table_test),
            count(item.num_params),
            plain(item.table_params_m, 3),
        ]
        cells += [plain(item.seconds, 1)] if timings else []
        rows.append(ReportRow(tuple(cells), f"block {item.block + 1}", is_highlighted=item.is_candidate))
    return ReportTable("verification", caption(outcome, task), tuple(columns), tuple(rows))


def caption(outcome: Outcome, task: Task) -> str:
    """The sentence that may be claimed, the rule, and further notes for the reader."""
    design = outcome.design
    parts = [f"Verification of {task.name}. {outcome.sentence[0].upper()}{outcome.sentence[1:]}."]
    test = "permutation of labels within blocks" if design.kind == "matched" else "Mann–Whitney test"
    if outcome.test is not None:
        scores = (
            f"means over {design.training_seeds} training seeds" if design.training_seeds > 1 else "single trainings"
        )
        parts.append(
            f"{'Exact' if outcome.test.is_exact else 'Sampled'} {test} on {scores}; the unit is the architecture."
        )
        interval = ""
        if not math.isnan(outcome.gap_low):
            of = "blocks" if design.kind == "matched" else "candidates"
            interval = f" [{outcome.gap_low:+.2f}, {outcome.gap_high:+.2f}] (95 % t interval over {of}, not the test)"
        parts.append(
            f"Candidate − control: {outcome.gap:+.2f} pp{interval}; "
            f"P(candidate beats control) = {outcome.superiority:.2f}."
        )
    if outcome.num_judged > 1:
        parts.append(
            f"{outcome.num_judged - 1} other design{'s' * (outcome.num_judged > 2)} of this study and task had been "
            f"judged before, and each could have been confirmed by chance: alpha divided by their number is {ALPHA} / "
            f"{outcome.num_judged} = {outcome.shared_alpha:.4f}; at this level the verdict is {outcome.shared_verdict}"
            ", which does not bound the chance over all designs."
        )
    if not math.isnan(outcome.tau):
        small = ", indicative" if len(outcome.trained) < 10 else ""
        size = "" if math.isnan(outcome.tau_size) else f"; of trained values and size alone {outcome.tau_size:.2f}"
        interval = ""
        if not math.isnan(outcome.tau_low):
            interval = f" [{outcome.tau_low:.2f}, {outcome.tau_high:.2f}] (95 % bootstrap interval)"
        parts.append(f"Kendall's tau-b of trained and table values {outcome.tau:.2f}{interval}{small}{size}.")
    if outcome.trained:
        spread = "over training seeds, of the table over its replicates"
        parts.append(
            f"±: standard deviation {spread}." if design.training_seeds > 1 else "±: of the table over its replicates."
        )
        parts.append("Parameters: of the network that was trained, without operations that have no effect.")
    if any(not math.isnan(item.test) for item in outcome.trained):
        parts.append("Test: the sealed test part, measured after training; it enters no test of this report.")
    num_unknown = sum(math.isnan(item.table_value) for item in outcome.trained)
    if num_unknown:
        parts.append(f"The table has no value of {num_unknown} of {len(outcome.trained)} architectures.")
    if outcome.agreement is not None:
        found = outcome.agreement
        known = [abs(z) for z in found.z if not math.isnan(z)]
        worst = f"; largest |z| {max(known):.1f}" if known else ""
        num_controls = sum(not item.is_candidate and not math.isnan(item.table_value) for item in outcome.trained)
        cells = f"{num_controls} controls, which were drawn by chance"
        if outcome.sampled:
            cells = f"{len(outcome.sampled)} random connected cells that no search chose"
        margin = f"{found.margin:g}".removeprefix("0")
        parts.append(
            f"Against the table, of the same recipe, on {cells}: {found.verdict} (trained − table "
            f"{found.difference:+.2f} pp [{found.low:+.2f}, {found.high:+.2f}], margin ± {margin} pp{worst})."
        )
    elif design.sample:
        parts.append("The cells for the agreement with the table are not all trained: nothing is said about it.")
    elif outcome.unlike:
        parts.append(
            f"The recipe is the table's own, but {outcome.unlike}: no difference from the table tells anything, and "
            "none is judged."
        )
    elif outcome.is_own_recipe:
        parts.append("Fewer than two trained controls have a value in the table: no agreement with it is judged.")
    else:
        parts.append("The table's own accuracies are not reproduced by this recipe: nothing is said about them.")
    if not math.isnan(outcome.shrinkage):
        interval = ""
        if not math.isnan(outcome.shrinkage_low):
            interval = f" [{outcome.shrinkage_low:+.2f}, {outcome.shrinkage_high:+.2f}] (95 % t interval)"
        parts.append(
            f"Table − trained of the candidates: {outcome.shrinkage:+.2f} pp{interval}; a search chooses rows that "
            "were lucky, so the candidates enter no agreement."
        )
    diverged = sum(item.num_diverged for item in outcome.trained)
    if diverged:
        parts.append(f"{diverged} trainings diverged and count with the accuracy of chance.")
    halved = sum(item.num_halved for item in outcome.trained)
    if halved:
        parts.append(
            f"Memory was too small for the stacks of {halved} trainings: in smaller ones they round differently."
        )
    missing = len(design.candidates) - outcome.num_blocks
    if missing:
        parts.append(f"{missing} of {len(design.candidates)} blocks are not complete and are left out.")
    return " ".join([*parts, *(f"Note: {note}." for note in design.notes)])


def verification_figure(outcome: Outcome, task: Task) -> Figure:
    """Trained accuracy in each block, and against the table's value; bars from the worst to the best training."""
    mpl = load_matplotlib()
    from matplotlib.figure import Figure

    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 2.6), layout="constrained")
        by_block, by_value = figure.subplots(ncols=2, sharey=True)
        controls = [item for item in outcome.trained if not item.is_candidate]
        candidates = [item for item in outcome.trained if item.is_candidate]
        for items, label, color, marker in (
            (controls, "control", "#0072B2", "o"),
            (candidates, "candidate", "#D55E00", "D"),
        ):
            style = {"fmt": marker, "color": color, "label": label, "markersize": 4, "linewidth": 0.8, "capsize": 2}
            _points(by_block, items, [_place_in_block(outcome, item) for item in items], style)
            _points(by_value, items, [item.table_value for item in items], style)
        by_block.set_xticks(outcome.blocks, [f"{block + 1}" for block in outcome.blocks])
        by_block.set_xlabel("block")
        by_block.set_ylabel(f"{outcome.data}, trained (%)")
        by_value.set_xlabel(f"{task.title}, table ({task.scores['val'].metric.unit})")
        if outcome.trained:
            by_block.legend(frameon=False)
    return figure


def _points(panel: Axes, items: Sequence[Trained], places: Sequence[float], style: Mapping[str, Any]) -> None:
    """Scores at their places; architectures without a place are left out."""
    shown = [(item, place) for item, place in zip(items, places, strict=True) if not math.isnan(place)]
    if not shown:
        return
    scores = np.array([item.score for item, _ in shown])
    ends = np.array([[item.accuracies.min(), item.accuracies.max()] for item, _ in shown])
    panel.errorbar([place for _, place in shown], scores, yerr=np.abs(ends - scores[:, None]).T, **style)


def _place_in_block(outcome: Outcome, item: Trained) -> float:
    """The candidate stands at the left end of its block, the controls beside it."""
    members = [one.architecture for one in outcome.trained if one.block == item.block]
    return item.block - 0.3 + 0.6 * members.index(item.architecture) / max(1, len(members) - 1)


def verification_files(outcome: Outcome, task: Task, command: str, timings: bool) -> Iterator[tuple[str, str | bytes]]:
    """Name and content of every file; the same bytes from the same journal, unless timings are asked for."""
    table = verification_table(outcome, task, timings)
    figure_note = (
        "`verification.pdf`: trained accuracy in each block, and against the table's values; bars from the worst to "
        "the best training."
    )
    yield "verification.md", markdown_file(command, f"{to_markdown(table)}\n{figure_note}\n")
    yield "verification.tex", f"% generated by: {command}\n{to_latex(table)}"
    yield "verification.csv", f"# generated by: {command}\n{to_csv(table)}"
    yield "verification.json", json.dumps(_as_json(outcome, task, command, table), indent=1, allow_nan=False) + "\n"
    figure = verification_figure(outcome, task)
    yield "verification.pdf", to_pdf(figure, command)
    yield "verification.png", to_png(figure, command)


def _as_json(outcome: Outcome, task: Task, command: str, table: ReportTable) -> dict[str, Any]:
    agreement = None if outcome.agreement is None else dict(vars(outcome.agreement))
    if agreement is not None:
        agreement["z"] = [None if math.isnan(z) else z for z in agreement["z"]]
    names = ["gap", "gap_low", "gap_high", "superiority", "tau", "tau_low", "tau_high", "tau_size"]
    is_compared = outcome.agreement is not None or outcome.design.sample
    names += ["shrinkage", "shrinkage_low", "shrinkage_high"] if is_compared else []
    numbers = {name: None if math.isnan(getattr(outcome, name)) else getattr(outcome, name) for name in names}
    return {
        "command": command,
        "verdict": outcome.verdict,
        "sentence": outcome.sentence,
        "recipe": outcome.recipe,
        "data": outcome.data,
        "part_of_data": outcome.part,
        "kind": outcome.design.kind,
        "training_seeds": outcome.design.training_seeds,
        "complete_blocks": outcome.num_blocks,
        "designs_judged": outcome.num_judged,
        "alpha_divided": outcome.shared_alpha,
        "verdict_at_alpha_divided": outcome.shared_verdict,
        "p_better": None if outcome.test is None else outcome.test.p_better,
        "p_worse": None if outcome.test is None else outcome.test.p_worse,
        **numbers,
        "agreement": agreement,
        "trainings": [
            {
                "architecture": _name(task, item.architecture),
                "block": item.block + 1,
                "is_candidate": item.is_candidate,
                "accuracies": item.accuracies.tolist(),
                "test_accuracy": None if math.isnan(item.test) else item.test,
                "num_params": item.num_params,
            }
            for item in outcome.trained
        ],
        **({"sample": [_sampled(task, item) for item in outcome.sampled]} if outcome.design.sample else {}),
        "notes": list(outcome.design.notes),
        "table": to_json(table),
    }


def _sampled(task: Task, item: Trained) -> dict[str, Any]:
    name = _name(task, item.architecture)
    return {"architecture": name, "accuracies": item.accuracies.tolist(), "table_value": item.table_value}


def _known(value: float) -> ReportCell:
    return NOTHING if math.isnan(value) else plain(value, 2)


def _name(task: Task, architecture: int) -> str:
    return str(task.space.to_key(architecture)) if hasattr(task.space, "to_key") else task.space.to_string(architecture)
