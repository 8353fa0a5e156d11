"""Memory that a training step frees is there for the next one."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import resource
import numpy as np
from vla_runtime.learn.memory import keep_freed_memory

def faults(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(2**25, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults(8)
keep_freed_memory()
faults(1)
print(given_back, faults(8))
"""


def test_kept_memory_is_not_fetched_from_the_kernel_again() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept * 4 < given_back, done.stdout
