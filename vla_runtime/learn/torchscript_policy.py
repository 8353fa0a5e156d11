"""A TorchScript policy file behind the Policy protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.core.types import F32, U8

__all__ = ["TorchScriptPolicy"]


class TorchScriptPolicy:
    """Runs ``model.ts``. ``threads`` is set for the whole process, as torch knows no other way.

    Raises:
        PolicyFileError: the file is missing, is no TorchScript archive, or carries no contract.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise PolicyFileError(f"cannot read the policy file {path}: {error.strerror or error}") from error
        torch.set_num_threads(threads)
        contract = {METADATA_KEY: ""}
        try:
            self._graph = torch.jit.load(str(path), map_location="cpu", _extra_files=contract).eval()
        except (RuntimeError, ValueError) as error:
            raise PolicyFileError(f"{path} is not a TorchScript file: {str(error).splitlines()[0]}") from error
        if not contract[METADATA_KEY]:
            raise PolicyFileError(f"{path} carries no contract ({METADATA_KEY}); export it with vla-export")
        self.spec = PolicySpec.from_json(contract[METADATA_KEY])
        self.hash = hashlib.sha256(data).hexdigest()[:16]

    def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
        """Camera name to u8[H, W, 3] and f32[S] to f32[chunk_length, A], physical units."""
        batch = {name: image[np.newaxis] for name, image in images.items()}
        return self.infer_batch(batch, np.asarray(state)[np.newaxis], np.array([instruction_id], dtype=np.int64))[0]

    def infer_batch(self, images: Mapping[str, U8], state: F32, instruction_ids: np.ndarray) -> F32:
        """Camera name to u8[B, H, W, 3], f32[B, S] and i64[B] to f32[B, chunk_length, A]."""
        # Copies: frames straight from a message are read-only, which torch cannot express.
        inputs = [torch.from_numpy(np.array(images[camera.name])) for camera in self.spec.cameras]
        inputs.append(torch.from_numpy(np.ascontiguousarray(state, dtype=np.float32)))
        inputs.append(torch.from_numpy(np.ascontiguousarray(instruction_ids)))
        with torch.inference_mode():
            return self._graph(*inputs).numpy()

    def close(self) -> None:
        """Nothing to release."""
