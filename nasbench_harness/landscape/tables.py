"""The landscape as tables: one object for text, Markdown, CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from nasbench_harness.landscape.analysis import Landscape
from nasbench_harness.landscape.choices import DRAWS, QUANTILES, Quality, Shrinking
from nasbench_harness.landscape.effects import Effects
from nasbench_harness.landscape.walks import NUM_STEPS, NUM_WALKS
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.tables.restricted import MARK

_MOST_OPTIMA = 10
_MOST_SHRINKINGS = 12


def landscape_tables(landscape: Landscape) -> list[ReportTable]:
    """All tables of a landscape; parts that it does not have are left out."""
    tables = [_summary(landscape), _optima(landscape), _walks(landscape), _distances(landscape)]
    if landscape.agreements:
        tables.append(_agreements(landscape))
    if landscape.effects is not None:
        tables.append(_effects(landscape.decisions, landscape.effects))
    tables.append(_choices(landscape))
    if landscape.shrinkings:
        tables.append(_shrinkings(landscape))
    return tables


def _summary(landscape: Landscape) -> ReportTable:
    task, whole, optima = landscape.task, landscape.whole, landscape.optima
    unit = _unit(landscape)
    rows = [
        ("architectures", _count(len(landscape.values))),
        ("with a value", _count(whole.num_architectures)),
        (f"best value ({unit})", _number(whole.best)),
        (f"median ({unit})", _number(_median(whole))),
        (f"mean of a random draw ({unit})", _number(whole.mean)),
        (f"mean of the best of {DRAWS} random draws ({unit})", _number(whole.best_of_draws)),
        ("local optima", _count(len(optima.architectures))),
        (f"basin of the first optimum (% of {_everything(landscape)})", _basin(landscape, int(optima.basins[0]))),
        ("steps of steepest ascent, mean", _number(optima.mean_steps)),
        ("correlation of quality and distance to the optimum", _number(landscape.fitness_distance)),
        ("autocorrelation of a random walk after 1 step", _number(float(landscape.walks.autocorrelation[0]))),
        ("correlation length of a random walk (steps)", _number(landscape.walks.correlation_length)),
    ]
    noise = landscape.noise
    if noise is not None:
        rows += [
            (f"standard deviation of replicates, mean ({unit})", _number(noise.std, 3)),
            (f"the same among the best tenth ({unit})", _number(noise.std_of_best, 3)),
            ("rank correlation of two replicates", _number(noise.rank_correlation, 3)),
            ("the same among the best tenth by the other replicates", _number(noise.rank_correlation_of_best, 3)),
        ]
    metric = task.search.metric.name.replace("_", " ")
    epochs = "" if task.fidelity is None else f" after {task.fidelity} epochs"
    caption = (
        f"Landscape of {task.title} ({task.name}): noiseless {metric}{epochs}. "
        f"Table {task.table.name}: {task.table.provenance.described}, sha256 "
        f"{task.table.digest[:12]}."
    )
    if landscape.notes:
        caption += f" Not here: {'; '.join(landscape.notes)}."
    columns = (_text("property", "property"), ReportColumn("value", "value"))
    return ReportTable("summary", caption, columns, tuple(ReportRow((ReportCell(name), cell)) for name, cell in rows))


def _optima(landscape: Landscape) -> ReportTable:
    optima, values, space = landscape.optima, landscape.values, landscape.task.space
    rows = []
    for row, basin in list(zip(optima.architectures.tolist(), optima.basins.tolist(), strict=True))[:_MOST_OPTIMA]:
        regret = abs(landscape.whole.best - float(values[row]))
        cells = (
            ReportCell(space.to_string(row)),
            _count(row),
            _number(float(values[row])),
            _number(regret),
            _basin(landscape, basin),
        )
        rows.append(ReportRow(cells))
    count = len(optima.architectures)
    shown = f"the best {len(rows)} of them" if count > len(rows) else "all of them"
    caption = (
        f"{count} local optima: architectures without a strictly better neighbor, with exact ties; {shown}. "
        f"Basin: share of {_everything(landscape)} from which steepest ascent ends there."
    )
    columns = (
        _text("architecture", "architecture"),
        ReportColumn("index", "index"),
        ReportColumn("value", f"value ({_unit(landscape)})"),
        ReportColumn("regret", f"regret ({_difference(landscape)})"),
        ReportColumn("basin", "basin (%)"),
    )
    return ReportTable("optima", caption, columns, tuple(rows))


def _walks(landscape: Landscape) -> ReportTable:
    walks = landscape.walks.autocorrelation.tolist()
    rows = (ReportRow((_count(lag), _number(value, 3))) for lag, value in enumerate(walks, start=1))
    caption = (
        f"Autocorrelation of {NUM_WALKS:,} random walks of {NUM_STEPS} architectures. Each is a mutation of the one "
        "before."
    )
    columns = (ReportColumn("steps", "steps apart"), ReportColumn("autocorrelation", "correlation"))
    return ReportTable("walks", caption, columns, tuple(rows))


def _distances(landscape: Landscape) -> ReportTable:
    rows = []
    for distance in np.unique(landscape.distances[landscape.exists]).tolist():
        known = np.sort(landscape.values[landscape.exists & (landscape.distances == distance)])
        best = known[-1] if _is_maximized(landscape) else known[0]
        numbers = (float(known.mean()), float(np.median(known)), float(best))
        rows.append(ReportRow((_count(distance), _count(len(known)), *map(_number, numbers))))
    caption = "Values by the number of decisions in which an architecture differs from the nearest of the best ones."
    unit = _unit(landscape)
    columns = (
        ReportColumn("distance", "decisions"),
        ReportColumn("architectures", "architectures"),
        ReportColumn("mean", f"mean ({unit})"),
        ReportColumn("median", f"median ({unit})"),
        ReportColumn("best", f"best ({unit})"),
    )
    return ReportTable("distances", caption, columns, tuple(rows))


def _agreements(landscape: Landscape) -> ReportTable:
    rows = [
        ReportRow(
            (
                ReportCell(entry.name),
                ReportCell(entry.kind),
                _count(entry.num_architectures),
                _number(entry.rank_correlation, 3),
                _number(entry.rank_correlation_of_best, 3),
                _number(entry.regret_of_best),
            )
        )
        for entry in landscape.agreements
    ]
    caption = (
        "Agreement of rankings: Spearman's correlation with this task over all architectures, and over the best tenth "
        "of this task; regret here of the architecture that is best there. Free metrics are taken as they are."
    )
    columns = (
        _text("other", "other value"),
        _text("kind", "kind"),
        ReportColumn("architectures", "architectures", is_extra=True),
        ReportColumn("rank_correlation", "all"),
        ReportColumn("rank_correlation_of_best", "best tenth"),
        ReportColumn("regret_of_best", f"regret ({_difference(landscape)})"),
    )
    return ReportTable("agreement", caption, columns, tuple(rows))


def _effects(names: Sequence[str], effects: Effects) -> ReportTable:
    rows = []
    for position, name in enumerate(names):
        pairs = [
            NOTHING if other == position else _number(100 * float(effects.pairs[position, other]), 1)
            for other in range(len(names))
        ]
        rows.append(ReportRow((ReportCell(name), _number(100 * float(effects.main[position]), 1), *pairs)))
    caption = (
        "Effect of decisions: share (%) of the variance over all architectures (functional ANOVA of the whole table, "
        f"exact) of each decision alone, and of each pair beyond its two decisions. Decisions alone: "
        f"{100 * effects.main.sum():.1f} %, pairs: {50 * effects.pairs.sum():.1f} %, three and more together: "
        f"{100 * effects.higher:.1f} %."
    )
    columns = (
        _text("decision", "decision"),
        ReportColumn("alone", "alone"),
        *(ReportColumn(f"with_{position}", f"& {name}") for position, name in enumerate(names)),
    )
    return ReportTable("effects", caption, columns, tuple(rows))


def _choices(landscape: Landscape) -> ReportTable:
    rows = []
    for decision, choices, qualities in zip(landscape.decisions, landscape.choices, landscape.qualities, strict=True):
        rows += [
            ReportRow((ReportCell(decision), ReportCell(choice), *_quality(quality)))
            for choice, quality in zip(choices, qualities, strict=True)
        ]
    rows.append(ReportRow((ReportCell("all"), ReportCell("all"), *_quality(landscape.whole)), block="whole space"))
    caption = (
        "Quality of random draws by choice; best tenth: share of them that belongs to the best tenth of the space. The "
        "CSV and JSON files have the whole distribution, in steps of 5 %."
    )
    unit = _unit(landscape)
    columns = (
        _text("decision", "decision"),
        _text("choice", "choice"),
        ReportColumn("architectures", "architectures", is_extra=True),
        ReportColumn("mean", f"mean ({unit})"),
        ReportColumn("median", f"median ({unit})"),
        ReportColumn("best", f"best ({unit})"),
        ReportColumn("best_tenth", "best tenth (%)"),
        ReportColumn("best_of_draws", f"best of {DRAWS} ({unit})"),
    )
    return ReportTable("choices", caption, columns, tuple(rows))


def _quality(quality: Quality | None) -> tuple[ReportCell, ...]:
    if quality is None:
        return (_count(0), *[NOTHING] * 5)
    quantiles = {f"q{percent}": float(value) for percent, value in zip(QUANTILES, quality.quantiles, strict=True)}
    median = _median(quality)
    return (
        _count(quality.num_architectures),
        _number(quality.mean),
        ReportCell(f"{median:.2f}", {"": median, **quantiles}),
        _number(quality.best),
        _number(100 * quality.top_share, 1),
        _number(quality.best_of_draws),
    )


def _shrinkings(landscape: Landscape) -> ReportTable:
    rows = [_shrinking(way) for way in _shown(landscape.shrinkings)]
    caption = (
        "Shrinking: the space without some choices, in every decision that has them; each row is a task, "
        f"{landscape.task.name}{MARK}CHOICES. Loss: distance from the best of all to the best of the rest. Gain: of "
        f"the mean of a random draw, and of the mean of the best of {DRAWS}. Bold: efficient, no other way that was "
        f"looked at is as good or better in loss and in gain of {DRAWS} draws, and better in one of them. The rows "
        "were chosen by looking at this table: they show how good a space can be, not how to find it."
    )
    difference = _difference(landscape)
    columns = (
        _text("without", "without"),
        ReportColumn("architectures", "architectures"),
        ReportColumn("loss", f"loss ({difference})"),
        ReportColumn("gain", f"gain, 1 draw ({difference})"),
        ReportColumn("gain_of_draws", f"gain, {DRAWS} draws ({difference})"),
    )
    return ReportTable("shrinking", caption, columns, tuple(rows))


def _shown(ways: Sequence[Shrinking]) -> list[Shrinking]:
    """Single choices, the efficient ways, then those with the smallest loss; in the order of ``ways``."""
    first = [way for way in ways if len(way.without) == 1 or way.is_efficient]
    others = sorted((way for way in ways if way not in first), key=lambda way: (way.loss, -way.gain_of_draws))
    shown = {way.without for way in [*first, *others[: max(0, _MOST_SHRINKINGS - len(first))]]}
    return [way for way in ways if way.without in shown]


def _shrinking(way: Shrinking) -> ReportRow:
    cells = (
        ReportCell(",".join(way.without), is_bold=way.is_efficient),
        _count(way.quality.num_architectures),
        _number(way.loss),
        _number(way.gain_of_draw, sign="+"),
        _number(way.gain_of_draws, sign="+"),
    )
    return ReportRow(cells)


def all_shrinkings(landscape: Landscape) -> Iterable[dict[str, object]]:
    """Every way that was looked at, with full digits."""
    for way in landscape.shrinkings:
        yield {
            "task": f"{landscape.task.name}{MARK}{','.join(way.without)}",
            "without": list(way.without),
            "architectures": way.quality.num_architectures,
            "loss": way.loss,
            "gain_of_draw": way.gain_of_draw,
            "gain_of_draws": way.gain_of_draws,
            "is_efficient": way.is_efficient,
        }


def _median(quality: Quality) -> float:
    return float(quality.quantiles[QUANTILES.index(50)])


def _basin(landscape: Landscape, count: int) -> ReportCell:
    return _number(100 * count / landscape.whole.num_architectures, 1)


def _everything(landscape: Landscape) -> str:
    return "the space" if landscape.exists.all() else "the architectures with a value"


def _is_maximized(landscape: Landscape) -> bool:
    return landscape.task.search.metric.direction == "maximize"


def _unit(landscape: Landscape) -> str:
    return landscape.task.search.metric.unit


def _difference(landscape: Landscape) -> str:
    return landscape.task.search.metric.difference_unit


def _text(key: str, header: str) -> ReportColumn:
    return ReportColumn(key, header, is_number=False)


def _count(number: int) -> ReportCell:
    return ReportCell(f"{number:,}", {"": int(number)})


def _number(value: float, digits: int = 2, sign: str = "") -> ReportCell:
    if math.isnan(value):
        return NOTHING
    text = f"{value:{sign}.{digits}f}"
    return ReportCell(
        text.replace("-", "", 1) if float(text) == 0 and text.startswith("-") else text, {"": float(value)}
    )
