"""Many independent pieces of work, in processes of their own or, for one worker, here.

The work is a module with ``open_work``: a context manager from a setup, as bytes, to a function from job to result, as
bytes. Which worker does which job, and when, is chance; a result must depend on setup and job alone.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

import msgspec

from vla_runtime.core.errors import Fault, Refusal

__all__ = ["Failure", "default_workers", "do_all", "sigterm_interrupts"]


_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}
"""There is a worker for each core: its algebra and Mesa's renderer share that core with it."""


class Failure(msgspec.Struct, frozen=True):
    """What a worker says in place of a result."""

    text: str
    exit_code: int


def default_workers() -> int:
    """As many as there are cores for this process."""
    return len(os.sched_getaffinity(0))


def do_all(module: str, setup: bytes, jobs: Sequence[bytes], workers: int, done: Callable[[int, bytes], None]) -> None:
    """Do every job; ``done`` is told each job's index and result, in the order in which they come.

    Whatever ends this, no worker outlives it.

    Args:
        setup, jobs: without line breaks.

    Raises:
        VlaError: what the work raised.
        Fault: a worker died.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        with import_module(module).open_work(setup) as work:
            for index, job in enumerate(jobs):
                done(index, work(job))
        return
    started: list[_Worker] = []
    try:
        started.extend(_Worker(module, setup) for _ in range(workers))
        _distribute(started, jobs, done)
    finally:
        for worker in started:
            worker.kill()


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Inside this block SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that what was begun is cleared away."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Worker:
    """One process, which does one job at a time."""

    def __init__(self, module: str, setup: bytes) -> None:
        self.index = -1
        # A session of its own: Ctrl-C in a terminal is the parent's to handle. It ends when its standard input does.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vla_runtime.app.simulate.worker", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | _ONE_THREAD,
        )
        self._write(setup)

    def give(self, index: int, job: bytes) -> None:
        self.index = index
        self._write(job)

    def result(self) -> bytes:
        """The result of the job at hand. Waits; raises what the work raised."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line[:1] == b"=":
            return line[1:-1]
        if line[:1] == b"!":
            failure = msgspec.json.decode(line[1:], type=Failure)
            raise (Refusal if failure.exit_code == Refusal.exit_code else Fault)(failure.text)
        raise Fault(f"a worker process ended with exit code {self.process.wait()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:  # what it did not read any more
                continue

    def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # it died, and ``result`` says so
            return


def _distribute(workers: Sequence[_Worker], jobs: Sequence[bytes], done: Callable[[int, bytes], None]) -> None:
    waiting = iter(enumerate(jobs))
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            worker.give(*next(waiting))
            assert worker.process.stdout is not None
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        while selector.get_map():
            for key, _ in selector.select():
                worker = key.data
                result = worker.result()
                done(worker.index, result)
                following = next(waiting, None)
                if following is None:
                    selector.unregister(key.fileobj)
                else:
                    worker.give(*following)
