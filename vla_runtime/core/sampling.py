"""How a policy that could answer in several ways is run: what its optional inputs are given, which draw is kept.

A graph may take any of ``noise`` f32[B, N, H, A], ``prev_chunk`` f32[B, H, A], ``delay`` i64[B] and ``prefix_weights``
f32[B, H]; N draws make an output of f32[B N, H, A].
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt

from vla_runtime.core.choice import Sampling
from vla_runtime.core.errors import ContractMismatch, PolicyFileError
from vla_runtime.core.rtc import nearest
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, Continuation, PlanRequest

__all__ = ["OPTIONAL_INPUTS", "Kept", "Sampler", "Sampling", "request_seed"]

Kept = Literal["off", "prefix", "guidance", "both"]

OPTIONAL_INPUTS = ("noise", "prev_chunk", "delay", "prefix_weights")
"""In the order in which a graph takes them, after ``instruction_id``."""

_NEEDS: dict[Kept, tuple[str, ...]] = {
    "prefix": ("prev_chunk", "delay"),
    "guidance": ("prev_chunk", "prefix_weights"),
    "off": (),
    "both": ("prev_chunk", "delay", "prefix_weights"),
}
"""The inputs that each way of keeping to what is committed takes, the best first."""


class Sampler:
    """What a graph with the optional inputs ``takes`` is given, and which of its answers is kept.

    ``rtc``: how what is committed is kept; ``samples`` and ``continues``: whether noise, and the plan in use, change
    the answer.

    Raises:
        PolicyFileError: the graph takes a delay or weights, but nothing that they could be of.
        ContractMismatch: it cannot do what ``sampling`` asks for.
    """

    def __init__(self, spec: PolicySpec, takes: Collection[str], sampling: Sampling) -> None:
        self._takes = [name for name in OPTIONAL_INPUTS if name in takes]
        if self._takes and "prev_chunk" not in takes and {"delay", "prefix_weights"} & set(takes):
            raise PolicyFileError(f"the policy takes {', '.join(self._takes)} without prev_chunk, which they belong to")
        able: list[Kept] = [kept for kept, needs in _NEEDS.items() if set(needs) <= set(takes)]
        wanted = sampling.rtc
        if wanted != "auto" and wanted not in able:
            raise ContractMismatch(
                [
                    f"policy.rtc: the robot asks for {wanted}, for which a policy takes {', '.join(_NEEDS[wanted])}; "
                    f"this one takes {', '.join(self._takes) or 'none of them'}; valid: auto, {', '.join(able)}"
                ]
            )
        if not sampling.draws >= 1:
            raise ValueError(f"draws is {sampling.draws}, expected at least 1")
        self.samples, self.continues = "noise" in takes, "prev_chunk" in takes or sampling.draws > 1
        if sampling.draws > 1 and not self.samples:
            raise ContractMismatch(
                [
                    f"policy.draws: the robot asks for {sampling.draws}, for which a policy takes noise; this one "
                    "answers the same each time; valid: 1"
                ]
            )
        self.rtc: Kept = able[0] if wanted == "auto" else wanted
        self._draws = sampling.draws
        self._shape = spec.chunk_length, len(spec.actions)
        self._scale = np.array(spec.normalisation.action_std, dtype=np.float32)

    def inputs(self, continuation: Continuation | None, seed: int) -> dict[str, npt.NDArray[Any]]:
        """The optional inputs of a batch of 1.

        All chunks are drawn without a plan to continue too: its delay is what the next request is made for.
        """
        prev_chunk: F32 = np.zeros(self._shape, dtype=np.float32)
        weights: F32 = np.zeros(self._shape[0], dtype=np.float32)
        delay = 0
        if continuation is not None:
            prev_chunk = continuation.prev_chunk
            delay = continuation.delay if self.rtc in ("prefix", "both") else 0
            weights = continuation.weights if self.rtc in ("guidance", "both") else weights
        given: dict[str, npt.NDArray[Any]] = {}
        for name in self._takes:
            if name == "noise":
                size = (1, self._draws, *self._shape)
                # RandomState's stream is frozen for ever: a log re-infers with any later NumPy.
                given[name] = np.random.RandomState(seed).standard_normal(size).astype(np.float32)
            elif name == "prev_chunk":
                given[name] = prev_chunk[None]
            elif name == "delay":
                given[name] = np.array([delay], dtype=np.int64)
            else:
                given[name] = weights[None]
        return given

    def choose(self, chunks: F32, continuation: Continuation | None) -> F32:
        """Of ``chunks`` f32[N, H, A] the one nearest to what is committed, f32[H, A]; without a plan the first.

        Raises:
            PolicyFileError: the graph did not give as many as it was given noise for.
        """
        if len(chunks) != self._draws:
            raise PolicyFileError(f"the policy gives {len(chunks)} chunks for noise for {self._draws}")
        at = 0 if continuation is None or len(chunks) == 1 else nearest(chunks, continuation, self._scale)
        chosen: F32 = chunks[at]
        return chosen


def request_seed(request: PlanRequest) -> int:
    """The seed of the noise for ``request``: of its number and the state in it, so that a log gives it again."""
    state = request.state
    parts = [state.position, state.extras] if state.velocity is None else [state.position, state.velocity, state.extras]
    return crc32(np.concatenate(parts).astype("<f8").tobytes(), crc32(request.seq.to_bytes(8, "little")))
