"""A run's report says for scripts and for people what the run counted."""

from vla_runtime.app.quantiles import quantiles
from vla_runtime.app.report import RunReport
from vla_runtime.control.cause import Cause
from vla_runtime.control.histogram import Histogram
from vla_runtime.core.types import Intervention


def test_interventions_are_told_by_rule_and_joint() -> None:
    report = RunReport(Cause("done", ""))
    report.metrics.interventions.update(
        {Intervention("velocity", "base"): 3, Intervention("velocity", "elbow"): 1, Intervention("finite", "base"): 2}
    )
    assert report.as_json()["interventions"] == {"velocity": {"base": 3, "elbow": 1}, "finite": {"base": 2}}
    assert "velocity base 3, finite base 2, velocity elbow 1" in report.as_text()


def test_every_duration_is_told_with_its_quantiles_and_its_largest() -> None:
    report = RunReport(Cause("done", ""))
    for place, (_, histogram) in enumerate(report.metrics.durations.named(), 1):
        for value in range(1, 1001):
            histogram.add(value * place * 1_000_000)
    told = report.as_json()
    for place, (name, _) in enumerate(report.metrics.durations.named(), 1):
        (key,) = {f"{name}_us", f"{name}_ms"} & told.keys()
        unit = 1000.0 if key.endswith("_us") else 1.0
        found = {quantile: value / unit / place for quantile, value in told[key].items()}
        assert found["max"] == 1000
        for quantile, expected in (("p50", 500), ("p99", 990), ("p999", 999)):
            assert abs(found[quantile] / expected - 1) < 0.01, (key, quantile)
    assert told["state_age_ms"]["max"] == 6000
    for title in ("lateness", "tick", "capture→chunk", "chunk→use", "command age", "state age", "plan age"):
        (line,) = [line for line in report.as_text().splitlines() if line.split("  ")[0] == title]
        assert all(name in line for name in ("p50 ", "p99 ", "p99.9 ", "max ")), line


def test_what_was_never_measured_is_null_and_zero_is_not() -> None:
    assert set(quantiles(Histogram(), 1e3).values()) == {None}
    zero = Histogram()
    zero.add(0)
    assert quantiles(zero, 1e3) == {"p50": 0, "p99": 0, "p999": 0, "max": 0}
