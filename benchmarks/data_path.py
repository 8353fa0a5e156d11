"""From a store on disk to training batches: ours beside the library's plain way, and how much memory it takes.

One set of demonstrations lies on disk in two ways: as a store, and as the same tensordict with the instruction as text
(NonTensor) in every sample, which torchrl's LazyMemmapStorage holds too. Arms take turns in blocks, in changing order:

- ours: ``training_buffer`` over the store, which hands each batch over from a thread of its own
- direct: the same without that thread, as the library's arms are
- plain: TensorDictReplayBuffer over TensorStorage over the store's own files, opened with TensorDict.load_memmap
- text: the same over the files with text
- lazy_text: the same over the LazyMemmapStorage

A batch is ready when it can be given to a policy: state and chunk normalised, images u8 by camera, instruction, pads.
A sample is a step with its chunk; a frame is one camera image, so a sample with two cameras has two. Figures are
medians over blocks, with the page cache warm. Then a store that is larger than the cache it is given: flat_memory.py.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch
from tensordict import NonTensorStack, TensorDict
from torchrl.data import LazyMemmapStorage, TensorDictReplayBuffer, TensorStorage
from torchrl.envs.transforms import Compose

from benchmarks.flat_memory import flat_memory
from benchmarks.result import leave, options
from benchmarks.synthetic import Synthetic
from vla_runtime.learn.keys import INSTRUCTION, INSTRUCTION_ID
from vla_runtime.learn.scaling import Scaling, scaling_of
from vla_runtime.learn.store.layout import SAMPLES
from vla_runtime.learn.store.open import open_store
from vla_runtime.learn.store.split import split, training_buffer
from vla_runtime.learn.store.write import write_store

BATCH_SIZES, THREADS = (64, 256), (1, 2)
BATCHES = {
    "ours": 40,
    "direct": 40,
    "plain": 10,
    "text": 6,
    "lazy_text": 3,
}  # in a block, so that blocks take about equally long


def plain_buffer(storage: TensorStorage, scaling: Scaling, batch: int) -> TensorDictReplayBuffer:
    transform = Compose(scaling.observation_norm(), scaling.data_chunk())
    return TensorDictReplayBuffer(storage=storage, batch_size=batch, transform=transform)


def with_text(source: Synthetic, stored: TensorDict, directory: Path) -> TensorStorage:
    """``stored`` with the instruction of every sample as text in place of its id, mapped to ``directory``."""
    texts = [source.text(episode) for episode, length in enumerate(source.lengths) for _ in range(length)]
    data = stored.exclude(INSTRUCTION_ID)
    data[INSTRUCTION] = NonTensorStack(*texts)
    data.memmap(directory, copy_existing=True)
    return TensorStorage(TensorDict.load_memmap(directory))


def extended_with_text(source: Synthetic, stored: TensorDict, directory: Path) -> LazyMemmapStorage:
    """The same, filled by ``extend``, episode by episode.

    Only to be timed: in torchrl 0.14.1 every sample of it then has the text of the first one.
    """
    storage = LazyMemmapStorage(len(stored), scratch_dir=directory)
    buffer = TensorDictReplayBuffer(storage=storage)
    first = 0
    for episode, length in enumerate(source.lengths):
        data = stored[first : first + length].exclude(INSTRUCTION_ID)
        data[INSTRUCTION] = NonTensorStack(*[source.text(episode)] * length)
        buffer.extend(data)
        first += length
    return storage


def throughput(directory: Path, samples: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Of each arm, for both batch sizes and numbers of torch's threads, and the ratios of ours to the others."""
    source = Synthetic(max(1, round(samples / 100)))
    say(f"writing {sum(source.lengths)} samples three times")
    write_store(source, directory / "store")
    data = split(open_store(directory / "store"), val_fraction=0)
    scaling = scaling_of(data.state, data.action)
    stored = TensorDict.load_memmap(directory / "store" / SAMPLES)
    texts = {
        "text": with_text(source, stored, directory / "text"),
        "lazy_text": extended_with_text(source, stored, directory / "lazy"),
    }
    found: dict[str, Any] = {"samples": sum(source.lengths), "rounds": rounds, "settings": []}
    for batch, threads in product(BATCH_SIZES, THREADS):
        say(f"measuring with batches of {batch}, {threads} threads")
        torch.set_num_threads(threads)
        buffers = {
            "ours": training_buffer(data, batch),
            "direct": training_buffer(data, batch, prefetch=False),
            "plain": plain_buffer(TensorStorage(stored), scaling, batch),
            **{arm: plain_buffer(storage, scaling, batch) for arm, storage in texts.items()},
        }
        rates = _rates(buffers, batch, rounds)
        found["settings"].append({
            "batch_size": batch,
            "threads": threads,
            "samples_per_s": rates,
            "frames_per_s": {arm: rate * len(source.facts.cameras) for arm, rate in rates.items()},
            "ours_to": {arm: rates["ours"] / rate for arm, rate in rates.items()},
            "direct_to": {arm: rates["direct"] / rate for arm, rate in rates.items()},
        })  # fmt: skip
    return found


def _rates(buffers: dict[str, TensorDictReplayBuffer], batch: int, rounds: int) -> dict[str, float]:
    spent: dict[str, list[float]] = {arm: [] for arm in buffers}
    for turn in range(rounds + 1):
        for arm in sorted(buffers, reverse=turn % 2 == 1):
            begun = time.perf_counter()
            for _ in range(BATCHES[arm]):
                buffers[arm].sample()
            if turn:  # the first warms up
                spent[arm].append((time.perf_counter() - begun) / BATCHES[arm])
    return {arm: batch / statistics.median(times) for arm, times in spent.items()}


def main() -> None:
    parser = options(__doc__, samples=12000, rounds=10, large=1500, cache=300)
    arguments = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="data_path") as name:
        directory = Path(name)
        memory = flat_memory(directory / "large", arguments.large, arguments.cache, say)
        figures = throughput(directory, arguments.samples, arguments.rounds, say)
    leave("data_path", figures | memory, arguments.json)


if __name__ == "__main__":
    main()
