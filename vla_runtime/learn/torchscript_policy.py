"""A TorchScript policy file behind the Policy protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampler, Sampling
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.core.types import F32, U8, Continuation

__all__ = ["INPUTS_KEY", "TorchScriptPolicy"]

INPUTS_KEY = "vla_runtime.inputs"
"""The names of the graph's inputs, in order, as JSON: the ``_extra_files`` entry beside the contract."""


class TorchScriptPolicy:
    """Runs ``model.ts``.

    Args:
        threads: set for the whole process, as torch knows no other way.
        sampling: how it continues the plan in use, and how many chunks it draws.

    Raises:
        PolicyFileError: the file is missing, is no TorchScript archive, or carries no contract.
        ContractMismatch: the graph cannot do what ``sampling`` asks for.
    """

    def __init__(self, path: Path, threads: int = 1, sampling: Sampling | None = None) -> None:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise PolicyFileError(f"cannot read the policy file {path}: {error.strerror or error}") from error
        torch.set_num_threads(threads)
        contract = {METADATA_KEY: "", INPUTS_KEY: ""}
        try:
            self._graph = torch.jit.load(str(path), map_location="cpu", _extra_files=contract).eval()
        except (RuntimeError, ValueError) as error:
            raise PolicyFileError(f"{path} is not a TorchScript file: {str(error).splitlines()[0]}") from error
        if not contract[METADATA_KEY]:
            raise PolicyFileError(f"{path} carries no contract ({METADATA_KEY}); export it with vla-export")
        self.spec = PolicySpec.from_json(contract[METADATA_KEY])
        # Files of older exporters do not name their inputs: they have none of the optional ones.
        older = [*(f"image.{camera.name}" for camera in self.spec.cameras), "state", "instruction_id"]
        self._names: list[str] = json.loads(contract[INPUTS_KEY] or "null") or older
        optional = [name for name in self._names if name in OPTIONAL_INPUTS]
        self._sampler = Sampler(self.spec, optional, sampling or Sampling())
        self.samples, self.continues, self.rtc = self._sampler.samples, self._sampler.continues, self._sampler.rtc
        self.hash = hashlib.sha256(data).hexdigest()[:16]

    def infer(
        self,
        images: Mapping[str, U8],
        state: F32,
        instruction_id: int,
        *,
        continuation: Continuation | None = None,
        seed: int = 0,
    ) -> F32:
        """Camera name to u8[H, W, 3] and f32[S] to f32[chunk_length, A], physical units. ``seed``: of the noise."""
        batch = {name: image[np.newaxis] for name, image in images.items()}
        ids = np.array([instruction_id], dtype=np.int64)
        sampling = self._sampler.inputs(continuation, seed)
        return self._sampler.choose(self.infer_batch(batch, np.asarray(state)[np.newaxis], ids, sampling), continuation)

    def infer_batch(
        self,
        images: Mapping[str, U8],
        state: F32,
        instruction_ids: np.ndarray,
        sampling: Mapping[str, np.ndarray] = {},
    ) -> F32:
        """Camera name to u8[B, H, W, 3], f32[B, S], i64[B] and the optional inputs to f32[B * N, chunk_length, A]."""
        # Copies: frames straight from a message are read-only, which torch cannot express.
        given = {f"image.{camera.name}": np.array(images[camera.name]) for camera in self.spec.cameras}
        given |= {"state": np.asarray(state, dtype=np.float32), **self.spec.instruction.inputs(instruction_ids)}
        given |= sampling
        with torch.inference_mode():
            return self._graph(*(torch.from_numpy(np.ascontiguousarray(given[name])) for name in self._names)).numpy()

    def close(self) -> None:
        """Nothing to release."""
