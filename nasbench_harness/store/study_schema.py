"""The form of a study file, for pydantic; imported when a file is read, because pydantic takes a moment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nasbench_harness.store.record import MAX_SEEDS, WIDTH_PATTERN, CurveWord, Estimand
from nasbench_harness.store.styles import NUM_STYLES


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StrategyTable(_Table):
    """One strategy."""

    use: str
    label: str | None = None
    parameters: dict[str, Any] = {}


class ReportTable(_Table):
    """Layout of the report."""

    order: list[str] = []
    highlight: list[str] = []
    estimand: Estimand | None = None
    cells: Literal["std", "interval"] | None = None
    resamples: int = Field(default=2_000, ge=100, le=1_000_000)
    decimals: int = Field(default=2, ge=0, le=6)
    margin: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    control: str | None = None
    targets: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = [1.0, 0.5, 0.2, 0.1, 0.0]
    budgets: list[Annotated[float, Field(gt=0, le=1)]] = [0.25, 0.5, 1.0]
    curves: list[CurveWord] = []
    figures: list[Literal["ecdf", "heatmap", "forest", "critical-difference"]] = []
    columns: list[str] = []
    width: str = Field(default="neurips", pattern=WIDTH_PATTERN)
    groups: dict[str, list[str]] = {}
    architectures: dict[str, str] = {}
    cost: bool = False
    caption: str = ""
    notes: Literal["apart", "below"] = "apart"


class QuotedTable(_Table):
    """A row from a paper."""

    method: str
    task: str
    metric: str
    mean: float
    source: str
    std: float | None = None
    n: int | None = None


class TraceTable(_Table):
    """Trace that a study shows."""

    label: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    tasks: list[str]


class ImagesTable(_Table):
    """Training data of the strategies that train."""

    name: str
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    strategies: list[str]


class TunedTable(_Table):
    """Equal tuning, as the record counts it."""

    trials: int = 0
    budget: int = 0
    evaluations: int = 0
    fewer: dict[str, int] = {}


class Study(_Table):
    """The whole file."""

    seeds: int | None = Field(default=None, ge=1, le=MAX_SEEDS)
    study_seed: int = Field(default=0, ge=0, lt=2**63)
    tasks: list[str] | None = None
    protocol: dict[str, Any] = {}
    strategies: list[StrategyTable] | None = None
    report: ReportTable = ReportTable()
    quoted: list[QuotedTable] = []
    traces: list[TraceTable] = []
    images: ImagesTable | None = None
    tuning: Literal["equal"] | None = None
    tuning_records: str | None = None
    tuned: TunedTable = TunedTable()
    styles: dict[str, Annotated[int, Field(ge=0, lt=NUM_STYLES)]] = {}


TABLES: dict[str, type[BaseModel]] = {
    "strategies": StrategyTable,
    "report": ReportTable,
    "quoted": QuotedTable,
    "traces": TraceTable,
    "images": ImagesTable,
    "tuned": TunedTable,
}
