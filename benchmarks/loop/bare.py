"""The C loop: compiled on the spot, run in a process of its own for every block."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.loop.block import Block
from vla_runtime.app.realtime import Granted

__all__ = ["BareLoop"]

_SOURCE = Path(__file__).with_name("bare.c")


class BareLoop:
    """Compiles ``bare.c`` into ``directory``. It gets the priority and the core that ours was ``granted``."""

    def __init__(self, directory: Path, granted: Granted) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise SystemExit("there is no C compiler: 'cc' is needed for the loop that ours is compared with")
        self._program = directory / "bare"
        self._priority = granted.priority
        self._cpu = granted.cpus[0] if len(granted.cpus) == 1 else -1
        subprocess.run([compiler, "-O2", "-o", str(self._program), str(_SOURCE)], check=True)

    def block(self, period_ns: int, deadlines: int, warm_up: int) -> Block:
        """Run for ``warm_up + deadlines`` periods and keep the last of them."""
        numbers = (period_ns, warm_up + deadlines, self._priority, self._cpu)
        done = subprocess.run([str(self._program), *map(str, numbers)], stdout=subprocess.PIPE, check=True)
        late = np.frombuffer(done.stdout, dtype=np.int64)[warm_up:]
        skipped = warm_up + deadlines - len(done.stdout) // 8
        return Block(late, len(late) + skipped, np.zeros(0, dtype=np.int64))
