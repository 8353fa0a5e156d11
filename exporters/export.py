"""An export: write beside the target, pass the gate, replay the golden sample, and only then take the name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from exporters import onnx_file, torchscript_file
from exporters.gate import TOLERANCE, Runner, check, check_golden
from exporters.golden import complete_contract
from exporters.latency import runner_latency_ms
from vla_runtime.core.errors import PolicyFileError, VlaError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.atomic import replacing
from vla_runtime.learn.checkpoint import Checkpoint

__all__ = ["FORMATS", "Exported", "Format", "export"]


class Format(NamedTuple):
    """How one kind of policy file is written, opened and read back, and its suffix."""

    suffix: str
    write: Callable[[Checkpoint, PolicySpec, Path, bool], None]
    open: Callable[[Path], Runner]
    contract: Callable[[Path], PolicySpec]


FORMATS = {
    "onnx": Format(".onnx", onnx_file.write_onnx, onnx_file.open_onnx, onnx_file.read_contract),
    "torchscript": Format(
        ".ts", torchscript_file.write_torchscript, torchscript_file.open_torchscript, torchscript_file.read_contract
    ),
}


@dataclass(frozen=True)
class Exported:
    """A policy file that passed the gate. Errors in physical units, latency the median at batch size one."""

    path: Path
    max_abs_error: float
    golden_error: float
    latency_ms: float
    size_bytes: int


def export(
    checkpoint: Checkpoint, targets: Mapping[str, Path], *, tolerance: float = TOLERANCE, continues: bool = True
) -> dict[str, Exported]:
    """Write every target, kind ("onnx" or "torchscript") to path: all of them or none.

    Without ``continues`` a sampling policy's graph takes noise, but no chunk to continue.

    Raises:
        PolicyFileError: a target cannot be written, or a file did not pass; nothing is left behind then, and older
            files of those names stay as they were.
    """
    spec = complete_contract(checkpoint)
    done = {}
    with ExitStack() as drafts:
        for kind, path in targets.items():
            draft = drafts.enter_context(replacing(path))
            form = FORMATS[kind]
            _write(form, checkpoint, spec, draft, continues)
            runner = form.open(draft)
            error = check(checkpoint, runner, tolerance, continues=continues)
            golden_error = check_golden(form.contract(draft), runner)
            latency = runner_latency_ms(checkpoint, runner)
            done[kind] = Exported(path, error, golden_error, latency, draft.stat().st_size)
    return done


def _write(form: Format, checkpoint: Checkpoint, spec: PolicySpec, draft: Path, continues: bool) -> None:
    """Whatever a policy of somebody else's makes the tracer raise is a refusal."""
    try:
        form.write(checkpoint, spec, draft, continues)
    except (VlaError, OSError):
        raise
    except Exception as error:
        why = (str(error).strip().splitlines() or [""])[0]
        raise PolicyFileError(
            f"no {form.suffix} file can be made of the policy: {type(error).__name__}: {why}; no file was written"
        ) from error
