"""What reduced precision saves: one policy as fp32, fp16, int8 and int8-dynamic, its size and the time of a call.

The files are made as vla-export makes them, and one more that computes in half precision, as ONNX Runtime's own
converter makes it. All run in this process on ONNX Runtime with one thread, batch 1, and take turns call by call, in
random order. Figures: kB, medians of a call, and both relative to fp32. Two policies: the shipped one for reach, two
cameras of 96x96, and the same architecture for 224x224 with random weights; neither time nor size depends on them.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

import msgspec
import onnx
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16

from benchmarks.result import leave, options
from exporters.onnx_file import open_onnx, read_contract, write_onnx
from exporters.precision.errors import Batch, made_up_batches
from exporters.precision.golden import attach_contract, feed_of
from exporters.precision.half import halve
from exporters.precision.int8 import quantise
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.policy import build_policy

SHIPPED = Path(__file__).resolve().parents[1] / "robot_configs" / "policies" / "reach.onnx"
LARGE = 224
WARM_UP = 50


def variants(source: Path, folder: Path) -> dict[str, Path]:
    """Precision to file, of the fp32 file ``source``."""
    spec = read_contract(source)
    full = onnx.load(str(source))
    takes = {entry.name for entry in full.graph.input}
    feeds = [feed_of(spec, batch, takes) for batch in made_up_batches(spec, continues=True)]
    half = onnx.load(str(source))
    halve(half)
    models = {
        "fp16": half,
        "int8": quantise(source, feeds).model,
        "int8-dynamic": quantise(source).model,
    }
    files = {"fp32": source}
    for name, model in models.items():
        files[name] = folder / f"{name}.onnx"
        files[name].write_bytes(attach_contract(model, spec))
    files["computing in half"] = folder / "half.onnx"
    onnx.save(convert_float_to_float16(full, keep_io_types=True), str(files["computing in half"]))
    return files


def timed(files: Mapping[str, Path], batch: Batch, calls: int) -> dict[str, float]:
    """Median microseconds of a call."""
    spec = read_contract(files["fp32"])
    runners = {name: open_onnx(path) for name, path in files.items()}
    spent: dict[str, list[int]] = {name: [] for name in runners}
    random = Random(0)
    for call in range(WARM_UP + calls):
        # A fixed order falls into step with the scheduler's time slices on a crowded machine.
        for name in random.sample(list(runners), len(runners)):
            begun = time.perf_counter_ns()
            runners[name](batch.images, batch.state, batch.ids(spec), batch.sampling)
            if call >= WARM_UP:
                spent[name].append(time.perf_counter_ns() - begun)
    return {name: statistics.median(values) / 1e3 for name, values in spent.items()}


def measured(source: Path, calls: int) -> dict[str, dict[str, float]]:
    """Precision to its figures."""
    with tempfile.TemporaryDirectory() as folder:
        files = variants(source, Path(folder))
        micros = timed(files, made_up_batches(read_contract(source), continues=True)[0], calls)
        kilobytes = {name: path.stat().st_size / 1e3 for name, path in files.items()}
    return {
        name: {
            "kb": kilobytes[name],
            "us": micros[name],
            "size_ratio": kilobytes[name] / kilobytes["fp32"],
            "speed_up": micros["fp32"] / micros[name],
        }
        for name in files
    }


def larger(spec: PolicySpec, side: int, folder: Path) -> Path:
    """A visuomotor policy of random weights for cameras of ``side`` x ``side``, as a file."""
    cameras = tuple(msgspec.structs.replace(camera, height=side, width=side) for camera in spec.cameras)
    spec = msgspec.structs.replace(spec, cameras=cameras, golden=None)
    path = folder / f"{side}.onnx"
    write_onnx(
        Checkpoint(spec, build_policy(spec, "visuomotor", seed=0).eval(), {}, architecture="visuomotor"), spec, path
    )
    return path


def main() -> None:
    parser = options(__doc__, calls=500)
    parser.add_argument("--policy", type=Path, default=SHIPPED, help="an fp32 file of vla-export (default: reach.onnx)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    figures: dict[str, object] = {"calls": arguments.calls, "policy": measured(arguments.policy, arguments.calls)}
    with tempfile.TemporaryDirectory() as folder:
        path = larger(read_contract(SHIPPED), LARGE, Path(folder))
        figures[f"{LARGE}x{LARGE}"] = measured(path, arguments.calls)
    leave("precision", figures, arguments.json)


if __name__ == "__main__":
    main()
