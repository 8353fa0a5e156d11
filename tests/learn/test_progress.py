"""Progress says how long is left: a line now and then to a file, a bar on a terminal."""

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
        progress({"loss": 1.0 / (step + 1), "lr": 0.1})


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


def test_a_terminal_gets_one_bar_that_is_rewritten_and_then_left() -> None:
    stream = Terminal()
    run(stream, 100, 0.125)
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.count("\r") >= 1
    assert "vla-train: 100%" in written.splitlines()[-1]
    assert "100/100" in written
    assert "loss 0.0100" in written


def test_a_resumed_training_counts_on_and_estimates_by_its_own_pace() -> None:
    stream, now = io.StringIO(), [0.0]
    progress = Progress(100, stream, done=50, clock=lambda: now[0])
    now[0] += 20.0
    progress({"loss": 1.0})
    assert stream.getvalue() == "vla-train: step 51 of 100, loss 1.0000, 0.1 steps/s, 16 min left\n"


def test_without_a_stream_nothing_is_written() -> None:
    Progress(10, None)({"loss": 1.0})


def test_long_rests_are_in_minutes() -> None:
    stream = io.StringIO()
    run(stream, 1000, 1.0)
    assert "step 10 of 1000, loss 0.1000, 1.0 steps/s, 16 min left" in stream.getvalue()


def test_a_stream_that_nobody_reads_ends_nothing() -> None:
    run(Closed(), 10, 20.0)
