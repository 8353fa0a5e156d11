"""A policy must give, here and now, the chunk that its file says it gives."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.protocols import Policy

__all__ = ["check_golden"]


def check_golden(policy: Policy) -> float:
    """Run the golden sample; returns the largest absolute difference, in the actions' units.

    Raises:
        PolicyFileError: the file has no golden sample, or this machine computes something else.
    """
    spec = policy.spec
    if spec.golden is None:
        raise PolicyFileError("the policy file holds no golden sample; make it anew with vla-export")
    expected = np.array(spec.golden.actions)
    instruction_id = spec.instruction.encode(spec.golden.instruction)
    found = policy.infer(golden_images(spec), golden_state(spec), instruction_id)
    if found.shape != expected.shape:
        raise PolicyFileError(f"the policy gives a chunk of shape {found.shape}, its golden sample is {expected.shape}")
    error = np.abs(found - expected)
    worst = float(error.max())
    if not worst <= spec.golden.tolerance:  # so written, NaN is refused
        row, column = np.unravel_index(int(np.nanargmax(np.where(np.isnan(error), np.inf, error))), error.shape)
        raise PolicyFileError(
            f"the policy does not reproduce its golden sample: row {row}, {spec.actions[column].name} is "
            f"{found[row, column]:.6g}, the file says {expected[row, column]:.6g}, tolerance {spec.golden.tolerance:g}"
        )
    return worst
