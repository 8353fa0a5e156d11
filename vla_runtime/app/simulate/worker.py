"""A worker process: ``python -m vla_runtime.app.simulate.worker MODULE``, setup and jobs by line on standard input.

Each job is answered by a line: ``=`` and the result, or ``!`` and a ``Failure``. It ends with its input.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import msgspec

from vla_runtime.app.simulate.pool import Failure
from vla_runtime.core.errors import VlaError

__all__ = ["main"]


def main(module: str) -> int:
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines = iter(sys.stdin.buffer.readline, b"")
    try:
        with import_module(module).open_work(next(lines, b"").rstrip(b"\n")) as work:
            for job in lines:
                answers.write(b"=" + work(job.rstrip(b"\n")) + b"\n")
                answers.flush()
    except VlaError as error:
        answers.write(b"!" + msgspec.json.encode(Failure(str(error), error.exit_code)) + b"\n")
        answers.flush()
    except BrokenPipeError:  # nobody waits for the answer any more
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
