"""A control process that logs until it is killed: ``loop.py IPC_DIRECTORY FILE``."""

import sys
import time
from pathlib import Path

from vla_runtime.core.types import PlannerStatus, Tick
from vla_runtime.episode.passes import PassLog
from vla_runtime.episode.process import RecorderProcess

recorder = RecorderProcess(Path(sys.argv[1]))
recorder.open(Path(sys.argv[2]), {"seed": "1"})
log = PassLog(recorder)
print(recorder.pid, flush=True)
index = 0
while True:
    log.tick(
        Tick(
            index, time.monotonic_ns(), "running", "", "", 0, PlannerStatus(True), 0, 0, (0.5,), (0.5,), (), 0, 0
        )
    )  # fmt: skip
    print(index, flush=True)
    index += 1
    time.sleep(0.002)
