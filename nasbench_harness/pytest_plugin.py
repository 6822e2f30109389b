"""The regression gate as a pytest fixture, for tests in anyone's repository.

Only pytest and the standard library are imported until the fixture is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nasbench_harness.evaluation.protocol import ProtocolFields
    from nasbench_harness.regression.gate import TaskCheck
    from nasbench_harness.regression.speed import Speed
    from nasbench_harness.store.record import StrategyRef

_INI = "nasbench_baselines"
_SPEED = "strategy_speed"  # property of a test's report; reports also travel from pytest-xdist's workers


class TraceChangedWarning(UserWarning):
    """A strategy passed by statistics, but its runs are not those of its baseline."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Folder of baselines."""
    parser.addini(_INI, "folder of the baselines that strategy_regression reads, from the rootdir", default="baselines")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the speed ratios that tests measured."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    lines = [str(line) for report in reports for name, line in getattr(report, "user_properties", ()) if name == _SPEED]
    if lines:
        terminalreporter.section("speed of strategies")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def strategy_regression(request: pytest.FixtureRequest, tmp_path: Path) -> StrategyRegression:
    """Fail a test if a strategy has become worse than its baseline, or too slow."""
    folder = request.config.rootpath / str(request.config.getini(_INI))
    here = Path.cwd()  # commands in messages are short where they can be
    return StrategyRegression(request, folder.relative_to(here) if folder.is_relative_to(here) else folder, tmp_path)


class StrategyRegression:
    """Value of the fixture ``strategy_regression``.

    Args:
        request: The test's request.
        folder: Folder of the baselines.
        tmp_path: Folder of plots.
    """

    def __init__(self, request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> None:
        self._request, self._folder, self._tmp_path = request, folder, tmp_path

    def check(
        self,
        strategy: str | Callable[..., Any],
        task: str,
        *,
        label: str | None = None,
        margin: float | None = None,
        alpha: float = 0.01,
        looks: Sequence[int] | None = None,
        trace: bool = True,
        first_seed: int = 0,
        allow_inconclusive: bool = False,
        protocol: ProtocolFields | None = None,
        **hyperparameters: Any,
    ) -> TaskCheck:
        """Compare a strategy with its baseline; the test fails if it is inferior or inconclusive.

        Args:
            strategy: A class, a generator function, or a text ``[label=]reference[(key=value, …)]``; a hyperparameter
                that is named like an argument below is written in such a text.
            task: Name of the task.
            label: Name of the baseline; default: as ``baseline save`` names it.
            margin: Difference of mean regret that matters; default .05 pp for accuracies.
            alpha: Chance of a false "inferior" in this check; it does not bound how often a check is inconclusive.
            looks: Numbers of seeds at which to decide; default 100, 300, 1,000, 3,000.
            trace: Whether an equal trace settles the matter without statistics.
            first_seed: First seed of the new runs; fresh ones for a look that an inconclusive check made you declare.
            allow_inconclusive: Do not fail if the seeds decide nothing.
            protocol: Fields of the protocol that the baseline must have been saved under; default: whatever it was.
            **hyperparameters: Of the strategy.

        Warns:
            TraceChangedWarning: The test passes, but the runs are not those of the baseline.
        """
        from nasbench_harness.api import check_baseline

        __tracebackhide__ = True
        with _mistakes_fail():
            (check,) = check_baseline(
                [_entry(strategy, label, hyperparameters)],
                [task],
                self._folder,
                margin=margin,
                alpha=alpha,
                looks=looks,
                trace=trace,
                first_seed=first_seed,
                **(protocol or {}),
            )
        if not check.is_fine and not (allow_inconclusive and check.verdict == "inconclusive"):
            pytest.fail(self._explain(check), pytrace=False)
        if trace and check.by == "statistics":
            message = (
                f"{check.label} on {check.task} passes as {check.verdict}, but its trace has changed; "
                f"to accept the change: {check.accept}"
            )
            warnings.warn(message, TraceChangedWarning, stacklevel=2)
        return check

    def check_speed(
        self,
        strategy: str | Callable[..., Any],
        task: str,
        *,
        max_ratio: float,
        num_runs: int = 500,
        protocol: ProtocolFields | None = None,
        **hyperparameters: Any,
    ) -> Speed:
        """Measure CPU time per evaluation as a multiple of a control loop's; the test fails above ``max_ratio``.

        The control loop does the minimum of every search: per step, twelve uniform draws and one look-up for each of
        500 runs. Both are timed in turns in this process, so that the machine's speed cancels.

        Args:
            strategy: As in ``check``.
            task: Name of the task.
            max_ratio: Bound.
            num_runs: Runs that advance together.
            protocol: Fields of the protocol.
            **hyperparameters: Of the strategy.
        """
        __tracebackhide__ = True
        if not self._request.config.pluginmanager.hasplugin("benchmark"):
            pytest.fail("strategy_regression.check_speed needs pytest-benchmark: pip install pytest-benchmark", False)
        from nasbench_harness.api import load_task
        from nasbench_harness.engine.batches import Rules
        from nasbench_harness.evaluation.protocol import Protocol
        from nasbench_harness.regression.speed import measure_speed
        from nasbench_harness.studies.references import resolve

        with _mistakes_fail():
            spec = resolve(_entry(strategy, None, hyperparameters))
            rules = Rules(Protocol.from_mapping(protocol or {}, "protocol"), 0)
            loaded = load_task(task)
            benchmark = self._request.getfixturevalue("benchmark")
            speed: Speed = benchmark.pedantic(measure_speed, args=(spec, loaded, rules, num_runs))
        benchmark.extra_info.update(ratio_to_control=speed.ratio, microseconds_per_evaluation=1e6 * speed.evaluation_s)
        measured = (
            f"{speed.ratio:.1f} control loops, allowed are {max_ratio:g} "
            f"({1e6 * speed.evaluation_s:.2f} µs CPU per evaluation; control loop {1e6 * speed.control_s:.3f} µs)"
        )
        self._request.node.user_properties.append((_SPEED, f"{spec.label} on {task}: {measured}"))
        if speed.ratio > max_ratio:
            pytest.fail(f"{spec.label} on {task} is too slow: {measured}", pytrace=False)
        return speed

    def _explain(self, check: TaskCheck) -> str:
        from nasbench_harness.report.sections.distributions import write_distributions

        plot = self._tmp_path / "regrets.png"
        write_distributions(plot, check.old, check.new, check.step, check.unit, f"{check.label} on {check.task}")
        found, unit = check.difference, check.unit
        lines = [
            f"{check.label} on {check.task}: "
            + ("worse than its baseline" if check.verdict == "inferior" else "inconclusive"),
            f"  effect: mean regret {found.value:+.3f} {unit} (positive is worse)",
            f"  interval: [{found.low:+.3f}, {found.high:+.3f}] {unit}, one-sided bounds at {found.level:.2g}",
            f"  margin: {check.margin:g} {unit}",
            f"  seeds: {found.num_new:,} now, {found.num_old:,} in the baseline",
            f"  plot: {plot}",
            *(f"  note: {note}" for note in check.notes),
        ]
        if check.verdict == "inferior":
            return "\n".join([*lines, f"  to accept the change: {check.accept}"])
        if check.num_more is None:
            more = "no number of seeds decides; widen the margin, or save a baseline of more seeds"
        else:
            fresh = f"first_seed={check.next_seed}, looks=({check.next_look},)"
            more = f"about {check.next_look:,} fresh seeds would, as these have been looked at: {fresh}"
            if check.p_permutation is not None:
                lines.append(f"  permutation p: {check.p_permutation:.2g} (before Holm) keeps it from inferior")
                more = f"take at least {check.next_look:,} fresh seeds, as these have been looked at: {fresh}"
        return "\n".join([*lines, f"  to decide: {more}", "  to let it pass: allow_inconclusive=True"])


@contextmanager
def _mistakes_fail() -> Iterator[None]:
    """A user's mistake is a failure of one line."""
    from nasbench_harness.errors import HarnessError

    try:
        yield
    except HarnessError as error:
        raise pytest.fail.Exception(f"strategy_regression: {error}", pytrace=False) from None


def _entry(strategy: str | Callable[..., Any], label: str | None, hyperparameters: Mapping[str, Any]) -> StrategyRef:
    from nasbench_harness.store.record import StrategyRef
    from nasbench_harness.studies.references import parse_strategy

    entry = parse_strategy(strategy) if isinstance(strategy, str) else StrategyRef(strategy)
    return StrategyRef(entry.use, label or entry.label, {**entry.parameters, **hyperparameters})
