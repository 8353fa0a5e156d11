"""Enters real-time scheduling with threads and children around it, and prints what became of each as JSON.

``python entering.py CPU...``: the cores to run on, none for any.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import zmq

from vla_runtime.app.realtime import Asked, enter_realtime, leave_realtime
from vla_runtime.app.realtime.schedule import io_threads
from vla_runtime.wire.sockets import bulk_context

CHILD = "import os; print(os.sched_getscheduler(0))"


def policy(thread: int) -> list[int]:
    """Policy without its flag, and priority."""
    return [os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(thread).sched_priority]


def locked_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmLck:")[2].split()[0])


end = threading.Event()
tids: dict[str, int] = {}


def wait(name: str) -> None:
    tids[name] = threading.get_native_id()
    end.wait()


def start(name: str) -> None:
    threading.Thread(target=wait, args=(name,), daemon=True).start()
    while name not in tids:
        end.wait(0.01)


def others() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


start("before")
with zmq.Context() as urgent, bulk_context() as bulk:
    sockets = [urgent.socket(zmq.PUSH)]
    known = others()
    while not io_threads():  # a thread of ZMQ's names itself, once it runs
        end.wait(0.01)
    sockets.append(bulk.socket(zmq.PUSH))
    of_bulk = others() - known
    granted = enter_realtime(Asked(20, True, tuple(map(int, sys.argv[1:])), hurry=True, spin_us=100))
    start("after")
    found = {
        "granted": granted.as_json(),
        "advice": granted.advice,
        "self": policy(0),
        "io": [policy(thread) for thread in io_threads()],
        "bulk": [policy(thread) for thread in of_bulk],
        "threads": {name: policy(tid) for name, tid in tids.items()},
        "child": int(subprocess.run([sys.executable, "-c", CHILD], capture_output=True, check=True).stdout),
        "cpus": {name: sorted(os.sched_getaffinity(tid)) for name, tid in {"self": 0, **tids}.items()},
        "locked": locked_kib(),
    }
    leave_realtime()
    found["left"] = {
        "threads": {name: policy(tid) for name, tid in tids.items()},
        "self": policy(0),
        "io": [policy(thread) for thread in io_threads()],
        "locked": locked_kib(),
    }
    for socket in sockets:
        socket.close(0)
print(json.dumps(found))
