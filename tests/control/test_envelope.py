"""The checker of what was sent sees each kind of violation, and nothing where there is none."""

import numpy as np
import pytest

from .envelope import excess, worst

T, LOW, HIGH = 0.01, [-1.0, -1.0], [1.0, 1.0]
BOUNDS = [1.0, 1.0], [10.0, 10.0], [500.0, 500.0]


def motion(*jerks: tuple[float, int]) -> np.ndarray:
    """The second joint's curve for jerks held for some ticks, f64[N, 2]; the first joint stands still."""
    p = v = a = 0.0
    found = []
    for jerk, count in jerks:
        for _ in range(count):
            p, v, a = p + v * T + a * T**2 / 2 + jerk * T**3 / 6, v + a * T + jerk * T**2 / 2, a + jerk * T
            found.append([0.0, p])
    return np.array(found)


def broken(commands) -> str:
    return worst(excess(commands, [0.0, 0.0], T, LOW, HIGH, *BOUNDS))


def test_a_curve_on_its_limits_breaks_none() -> None:
    assert broken(motion((500, 2), (0, 5), (-500, 2), (0, 20))) == ""


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        (motion((500, 2), (0, 9), (-500, 2), (0, 5)), "velocity"),
        (motion((500, 3), (0, 1), (-500, 3), (0, 5)), "acceleration"),
        (motion((700, 2), (-700, 2), (0, 5)), "jerk"),
        (motion((100, 10), (-100, 10), (0, 120)), "position"),
    ],
)
def test_a_curve_beyond_one_limit_is_named(commands: np.ndarray, named: str) -> None:
    assert named in broken(commands)


def test_a_first_command_away_from_the_pose_is_seen() -> None:
    assert "velocity" in broken([[0.0, 0.02]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_seen(bad: float) -> None:
    assert "finite" in broken([[0.0, 0.0], [bad, 0.0]])
