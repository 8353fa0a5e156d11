"""A policy must give, here and now, the chunk that its file says it gives, and hold the rows that it says it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.protocols import Policy
from vla_runtime.core.rtc import prefix_weights
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, Continuation

__all__ = ["check_golden"]


def check_golden(policy: Policy) -> float:
    """Run the golden sample; returns the largest absolute difference, in the actions' units.

    A policy that holds rows to what is committed is asked to once: it has said so by its attribute ``rtc``.

    Raises:
        PolicyFileError: the file has no golden sample, this machine computes something else, or the rows are not held.
    """
    spec = policy.spec
    if spec.golden is None:
        raise PolicyFileError("the policy file holds no golden sample; make it anew with vla-export")
    expected = np.array(spec.golden.actions)
    instruction_id = spec.instruction.encode(spec.golden.instruction)
    found = policy.infer(golden_images(spec), golden_state(spec), instruction_id)
    if found.shape != expected.shape:
        raise PolicyFileError(f"the policy gives a chunk of shape {found.shape}, its golden sample is {expected.shape}")
    worst = _worst(found, expected, spec, "the policy does not reproduce its golden sample", "the file says")
    if getattr(policy, "rtc", "off") in ("prefix", "both"):
        _check_prefix(policy, expected[::-1].astype(np.float32), instruction_id)
    return worst


def _check_prefix(policy: Policy, committed: F32, instruction_id: int) -> None:
    """Half of the golden chunk, backwards, must come out as it went in."""
    spec = policy.spec
    rows = len(committed)
    told = Continuation(committed, rows // 2, prefix_weights(rows, rows // 2, rows))
    more = {"continuation": told, "seed": 0}  # beyond the protocol: only a policy that continues takes them
    found = policy.infer(golden_images(spec), golden_state(spec), instruction_id, **more)
    held = slice(0, told.delay)
    _worst(found[held], committed[held], spec, "the policy does not hold the rows before its delay", "committed is")


def _worst(found: NDArray[Any], expected: NDArray[Any], spec: PolicySpec, failure: str, other: str) -> float:
    """The largest difference; raises PolicyFileError where that is beyond the golden sample's tolerance."""
    assert spec.golden is not None
    error = np.abs(found - expected)
    worst = float(error.max(initial=0.0))
    if not worst <= spec.golden.tolerance:  # so written, NaN is refused
        row, column = np.unravel_index(int(np.nanargmax(np.where(np.isnan(error), np.inf, error))), error.shape)
        raise PolicyFileError(
            f"{failure}: row {row}, {spec.actions[column].name} is {found[row, column]:.6g}, "
            f"{other} {expected[row, column]:.6g}, tolerance {spec.golden.tolerance:g}"
        )
    return worst
