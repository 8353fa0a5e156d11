"""What the commands share: the help format and the last line of ``--json``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

__all__ = ["EXIT_CODES", "command", "help_format", "parser", "print_json", "teller"]

_CODES = "exit codes: 0 done, 2 refused or bad input, 3 stopped by a fault, 130 interrupted"
EXIT_CODES = {"done": 0, "refused": 2, "fault": 3, "interrupted": 130}


def help_format(description: str, examples: str) -> dict[str, Any]:
    """The arguments of a parser whose help ends with examples and exit codes."""
    return {
        "description": description,
        "epilog": f"examples:\n{examples}\n\n{_CODES}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """An argument parser for ``prog``."""
    return argparse.ArgumentParser(prog=prog, **help_format(description, examples))


def print_json(values: dict[str, Any]) -> None:
    """One object on one line: the last line of standard output."""
    print(json.dumps(values, ensure_ascii=False), flush=True)


def teller(stream: TextIO) -> Callable[[str], None]:
    """A function that prints a line for people to ``stream``. That nobody reads it any more must not stop a robot."""

    def say(line: str) -> None:
        with suppress(OSError):
            print(line, file=stream, flush=True)

    return say


def command(prog: str, body: Callable[[], int]) -> int:
    """Run a command's body; our errors become one line on stderr and their exit code, Ctrl-C becomes 130."""
    from vla_runtime.core.errors import VlaError

    try:
        return body()
    except VlaError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone (``| head``). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CODES["done"]
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return EXIT_CODES["interrupted"]
