"""A policy file run by ONNX Runtime on the CPU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at import: a robot reports to nobody

import onnxruntime

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampler, Sampling
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.core.types import F32, U8, Continuation

__all__ = ["OnnxPolicy"]


_ANY = "any"


class OnnxPolicy:
    """Opens ``path``.

    Args:
        threads: inference threads. They do not spin while idle: spinning would take the control loop's core.
        sampling: how it continues the plan in use, and how many chunks it draws.

    Raises:
        PolicyFileError: no ONNX file, no contract inside, or inputs that are not the contract's.
        ContractMismatch: the graph cannot do what ``sampling`` asks for.
    """

    def __init__(self, path: Path, threads: int = 1, sampling: Sampling = Sampling()) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PolicyFileError(f"cannot read the policy file {path}: {error.strerror or error}") from error
        self.hash = hashlib.sha256(data).hexdigest()[:16]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises types of its own for each way a file can be broken
            raise PolicyFileError(f"{path} is no ONNX model that can be run: {str(error).strip()}") from error
        contract = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if contract is None:
            raise PolicyFileError(f"{path} holds no policy contract ({METADATA_KEY}); make the file with vla-export")
        self.spec = PolicySpec.from_json(contract)
        takes = {entry.name for entry in self._session.get_inputs()} & set(OPTIONAL_INPUTS)
        self._check_tensors(path, takes)
        self._sampler = Sampler(self.spec, takes, sampling)
        self.samples, self.continues, self.rtc = self._sampler.samples, self._sampler.continues, self._sampler.rtc

    def infer(
        self,
        images: Mapping[str, U8],
        state: F32,
        instruction_id: int,
        *,
        continuation: Continuation | None = None,
        seed: int = 0,
    ) -> F32:
        """One observation in, one chunk f32[H, A] out. ``seed``: of the noise."""
        inputs = {f"image.{camera.name}": images[camera.name][None] for camera in self.spec.cameras}
        if self.spec.state:
            inputs["state"] = state[None]
        inputs |= self.spec.instruction.inputs([instruction_id])
        inputs |= self._sampler.inputs(continuation, seed)
        try:
            chunks: F32 = self._session.run(["action_chunk"], inputs)[0]
        except Exception as error:  # as above
            raise PolicyFileError(f"the policy cannot be run: {str(error).strip()}") from error
        return self._sampler.choose(chunks, continuation)

    def close(self) -> None:
        del self._session

    def _check_tensors(self, path: Path, takes: Collection[str]) -> None:
        found = _tensors(self._session.get_inputs())
        expected: dict[str, tuple[object, ...]] = {
            f"image.{camera.name}": ("tensor(uint8)", camera.height, camera.width, 3) for camera in self.spec.cameras
        }
        if self.spec.state:
            expected["state"] = ("tensor(float)", len(self.spec.state))
        expected |= {name: ("tensor(int64)", *shape) for name, shape in self.spec.instruction.shapes().items()}
        rows, columns = self.spec.chunk_length, len(self.spec.actions)
        optional: dict[str, tuple[object, ...]] = {
            "noise": ("tensor(float)", _ANY, rows, columns),
            "prev_chunk": ("tensor(float)", rows, columns),
            "delay": ("tensor(int64)",),
            "prefix_weights": ("tensor(float)", rows),
        }
        expected |= {name: optional[name] for name in takes}
        if found != expected:
            raise PolicyFileError(f"{path} takes the inputs {found}, its contract says {expected}")
        outputs = _tensors(self._session.get_outputs())
        chunk = {"action_chunk": ("tensor(float)", rows, columns)}
        if outputs != chunk:
            raise PolicyFileError(f"{path} gives the outputs {outputs}, its contract says {chunk}")


def _tensors(entries: Sequence[onnxruntime.NodeArg]) -> dict[str, tuple[object, ...]]:
    """Name to type and shape without the batch, which is dynamic or 1; what else is dynamic is ``_ANY``."""
    return {
        entry.name: (entry.type, *(size if isinstance(size, int) else _ANY for size in _without_batch(entry.shape)))
        for entry in entries
    }


def _without_batch(shape: list[int | str | None]) -> list[int | str | None]:
    return shape if shape and isinstance(shape[0], int) and shape[0] != 1 else shape[1:]
