"""A policy that computes something else than its file says is refused before anything moves."""

import msgspec
import numpy as np
import pytest

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.plugins.planners.golden import check_golden

from .policies import ACTIONS, SPEC, Policy


def changed(row: int, column: int, by: float) -> np.ndarray:
    actions = ACTIONS.copy()
    actions[row, column] += by
    return actions


def test_a_policy_that_reproduces_its_sample_passes_and_the_error_is_told() -> None:
    assert check_golden(Policy()) == 0.0
    assert check_golden(Policy(changed(1, 0, -5e-4))) == pytest.approx(5e-4, rel=1e-2)


def test_the_sample_is_asked_for_with_its_own_inputs() -> None:
    policy = Policy()
    check_golden(policy)
    ((images, state, instruction_id),) = policy.asked
    expected = golden_images(SPEC)
    assert sorted(images) == sorted(expected)
    assert all(np.array_equal(images[name], expected[name]) for name in images)
    assert np.array_equal(state, golden_state(SPEC))
    assert instruction_id == 1


@pytest.mark.parametrize(("row", "column", "joint"), [(0, 0, "lift"), (2, 1, "turn")])
@pytest.mark.parametrize("by", [2e-3, -2e-3, 1e6, np.nan, np.inf, -np.inf])
def test_another_answer_is_refused_with_its_place_and_both_values(row: int, column: int, joint: str, by: float) -> None:
    actions = changed(row, column, by)
    with pytest.raises(PolicyFileError) as refused:
        check_golden(Policy(actions))
    message = str(refused.value)
    assert f"row {row}, {joint}" in message
    assert f"{actions[row, column]:.6g}" in message
    assert f"{ACTIONS[row, column]:.6g}" in message
    assert "0.001" in message


@pytest.mark.parametrize("actions", [ACTIONS[:2], ACTIONS[:, :1], ACTIONS[None], np.vstack([ACTIONS, ACTIONS])])
def test_a_chunk_of_another_shape_is_refused_with_both_shapes(actions: np.ndarray) -> None:
    with pytest.raises(PolicyFileError) as refused:
        check_golden(Policy(actions))
    assert str(actions.shape) in str(refused.value)
    assert "(3, 2)" in str(refused.value)


def test_rows_that_are_all_alike_do_not_excuse_a_single_one() -> None:
    golden = msgspec.structs.replace(SPEC.golden, actions=((1.0, 2.0),) * 3)
    policy = Policy(np.array([[1.0, 2.0]], dtype=np.float32), msgspec.structs.replace(SPEC, golden=golden))
    with pytest.raises(PolicyFileError):
        check_golden(policy)


def test_a_file_without_a_sample_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="no golden sample"):
        check_golden(Policy(spec=msgspec.structs.replace(SPEC, golden=None)))
