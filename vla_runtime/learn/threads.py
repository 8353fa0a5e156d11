"""How many threads torch computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

__all__ = ["computing_with", "physical_cores"]

_CPUS = Path("/sys/devices/system/cpu")


def physical_cores() -> int:
    """The cores that this process may use, hyper-threads of one core counted once."""
    usable = os.sched_getaffinity(0)
    cores = set()
    for cpu in usable:
        siblings = str(cpu)
        with suppress(OSError):
            siblings = (_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
        cores.add(siblings)
    return len(cores)


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """torch's number of threads inside the block. Sums, and so weights, depend on it to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
