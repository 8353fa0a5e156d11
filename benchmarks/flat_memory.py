"""What a process holds while it writes and reads a store that is larger than the memory it may use for it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensordict import TensorDict

from benchmarks.synthetic import Synthetic
from vla_runtime.learn.store.open import Store, open_store
from vla_runtime.learn.store.split import split, training_buffer
from vla_runtime.learn.store.write import write_store

_MB = 1e6
_MADV_DONTNEED = 4
_BATCH = 64
_LIBC = ctypes.CDLL(None, use_errno=True)


def resident(kind: str) -> float:
    """MB of this process by the kernel's count: ``RssAnon`` is memory that no file is behind, ``RssFile`` mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:")) / _MB


class Watched(Synthetic):
    """Counts anonymous memory as each episode is asked for."""

    highest = 0.0

    def read(self, episode: int) -> TensorDict:
        self.highest = max(self.highest, resident("RssAnon"))
        return super().read(episode)


def forget(store: Store, directory: Path) -> None:
    """Take every page of the store's samples out of this process and out of the kernel's page cache."""
    for leaf in store.samples.values(True, True):
        address = ctypes.c_void_p(leaf.data_ptr())
        if _LIBC.madvise(address, ctypes.c_size_t(leaf.numel() * leaf.element_size()), _MADV_DONTNEED):
            raise OSError(ctypes.get_errno(), "madvise")
    for path in directory.rglob("*.memmap"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def flat_memory(directory: Path, megabytes: int, cache: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Write a store of ``megabytes``, then draw every sample of it once, in random order.

    Whenever more than ``cache`` MB of it are mapped in, all of it is thrown out of the page cache, as a machine does
    that has no more memory for it: reading goes on from the disk.
    """
    source = Watched.of_megabytes(megabytes)
    source.read(0)
    before = resident("RssAnon")
    say(f"writing {megabytes} MB")
    begun = time.perf_counter()
    write_store(source, directory)
    written = time.perf_counter() - begun
    store = open_store(directory)
    buffer = training_buffer(split(store, val_fraction=0), _BATCH)
    forget(store, directory)
    mapped_first = resident("RssFile")
    for _ in range(20):
        buffer.sample()
    first = resident("RssAnon")
    highest, mapped_highest, thrown_out = first, 0.0, 0
    batches = len(buffer) // _BATCH
    say(f"reading {batches} batches")
    begun = time.perf_counter()
    for _ in range(batches):
        buffer.sample()
        highest = max(highest, resident("RssAnon"))
        mapped = resident("RssFile") - mapped_first
        mapped_highest = max(mapped_highest, mapped)
        if mapped > cache:
            forget(store, directory)
            thrown_out += 1
    seconds = time.perf_counter() - begun
    return {
        "store_mb": sum(path.stat().st_size for path in directory.rglob("*.memmap")) / _MB,
        "cache_mb": cache,
        "writing_anonymous_growth_mb": source.highest - before,
        "written_mb_per_s": megabytes / written,
        "reading_batches": batches,
        "reading_anonymous_growth_mb": highest - first,
        "reading_mapped_highest_mb": mapped_highest,
        "times_thrown_out": thrown_out,
        "reading_frames_per_s": batches * _BATCH * len(source.facts.cameras) / seconds,
    }
