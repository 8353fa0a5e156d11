"""What real-time chunking inside the graph costs: a flow policy that continues a chunk beside the one that cannot.

One policy is exported twice, with and without the inputs prev_chunk, delay and prefix_weights. Both files run in this
process on ONNX Runtime with one thread, batch 1 and one draw, and take turns call by call, in changing order. The first
is given a delay and weights, so that everything is at work. Figures: medians of a call, and their ratio.
Without --checkpoint: the shipped policy's contract, random weights; the cost does not depend on them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.result import leave, options
from exporters.gate import batch_inputs, sampling_inputs
from exporters.onnx_file import open_onnx, read_contract, write_onnx
from vla_runtime.learn.checkpoint import Checkpoint, load_checkpoint
from vla_runtime.learn.policy import build_policy

SHIPPED = Path(__file__).resolve().parents[1] / "robot_configs" / "policies" / "track_flow.onnx"
WARM_UP = 200


def checkpoint_of(path: Path | None) -> Checkpoint:
    if path is not None:
        return load_checkpoint(path)
    spec = read_contract(SHIPPED)
    return Checkpoint(spec, build_policy(spec, "flow", seed=0).eval(), {}, architecture="flow")


def measured(checkpoint: Checkpoint, calls: int) -> dict[str, object]:
    """The figures, microseconds of one call."""
    spec = checkpoint.spec
    runners = {}
    with tempfile.TemporaryDirectory() as directory:
        for name, continues in (("continuing", True), ("naive", False)):
            path = Path(directory) / f"{name}.onnx"
            write_onnx(checkpoint, spec, path, continues)
            runners[name] = open_onnx(path)
    images, state, texts = batch_inputs(spec, 1, 0)
    ids = np.array([spec.instruction.encode(text) for text in texts])
    everything = sampling_inputs(spec, 1, 1) | {"delay": np.array([spec.chunk_length // 2])}
    everything["noise"] = everything["noise"][:, :1]
    nothing = {name: value if name == "noise" else 0 * value for name, value in everything.items()}
    free, held = (runners[name](images, state, ids, nothing) for name in ("naive", "continuing"))
    spent: dict[str, list[int]] = {name: [] for name in runners}
    for call in range(WARM_UP + calls):
        for name in sorted(runners, reverse=call % 2 == 1):
            begun = time.perf_counter_ns()
            runners[name](images, state, ids, everything)
            if call >= WARM_UP:
                spent[name].append(time.perf_counter_ns() - begun)
    micros = {name: statistics.median(values) / 1e3 for name, values in spent.items()}
    return {
        "calls": calls,
        "naive_us": micros["naive"],
        "continuing_us": micros["continuing"],
        "ratio": micros["continuing"] / micros["naive"],
        "same_bits_with_nothing_held": bool(np.array_equal(free, held)),
    }


def main() -> None:
    parser = options(__doc__, calls=3000)
    parser.add_argument("--checkpoint", type=Path, help="model.pt of a flow policy")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    leave("rtc_cost", measured(checkpoint_of(arguments.checkpoint), arguments.calls), arguments.json)


if __name__ == "__main__":
    main()
