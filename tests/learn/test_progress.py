"""Progress says how long is left, seldom to a file and often to a terminal."""

from __future__ import annotations

import io

from vla_runtime.learn.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def run(stream: io.StringIO, steps: int, seconds_a_step: float) -> None:
    now = [0.0]
    progress = Progress(steps, stream, clock=lambda: now[0])
    for step in range(steps):
        now[0] += seconds_a_step
        progress(1.0 / (step + 1))


def test_a_file_gets_a_line_every_ten_seconds_and_the_last() -> None:
    stream = io.StringIO()
    run(stream, 100, 0.5)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "vla-train: step 20 of 100, loss 0.0500, 2.0 steps/s, 40 s left",
        "vla-train: step 40 of 100, loss 0.0250, 2.0 steps/s, 30 s left",
        "vla-train: step 60 of 100, loss 0.0167, 2.0 steps/s, 20 s left",
        "vla-train: step 80 of 100, loss 0.0125, 2.0 steps/s, 10 s left",
        "vla-train: step 100 of 100, loss 0.0100, 2.0 steps/s",
    ]


def test_a_terminal_gets_one_line_that_is_rewritten() -> None:
    stream = Terminal()
    run(stream, 100, 0.125)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") == 50
    assert stream.getvalue().endswith("step 100 of 100, loss 0.0100, 8.0 steps/s\n")


def test_long_rests_are_in_minutes() -> None:
    stream = io.StringIO()
    run(stream, 1000, 1.0)
    assert "step 10 of 1000, loss 0.1000, 1.0 steps/s, 16 min left" in stream.getvalue()


def test_a_stream_that_nobody_reads_ends_nothing() -> None:
    run(Closed(), 10, 20.0)
