"""What the commands share: the help format and the last line of ``--json``."""

from __future__ import annotations

import argparse
import json
import math
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
    """One object on one line: the last line of standard output. What JSON cannot hold (NaN, infinity) becomes null."""
    print(json.dumps(_finite(values), ensure_ascii=False, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def teller(stream: TextIO) -> Callable[[str], None]:
    """A function that prints a line for people to ``stream``. That nobody reads it any more must not stop a robot."""

    def say(line: str) -> None:
        with suppress(OSError):
            print(line, file=stream, flush=True)

    return say


def command(prog: str, body: Callable[[], int], as_json: bool = False) -> int:
    """Run a command's body; our errors become one line on stderr and their exit code, Ctrl-C becomes 130.

    ``as_json``: scripts are told too, by an object with ``exit`` and ``cause``.
    """
    from vla_runtime.core.errors import VlaError

    def ended(code: int, cause: str) -> int:
        print(f"{prog}: {cause}", file=sys.stderr)
        if as_json:
            print_json({"exit": next(name for name, known in EXIT_CODES.items() if known == code), "cause": cause})
        return code

    try:
        return body()
    except VlaError as error:
        return ended(error.exit_code, str(error))
    except BrokenPipeError:
        # Whoever read our output has gone (``| head``). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CODES["done"]
    except KeyboardInterrupt:
        return ended(EXIT_CODES["interrupted"], "interrupted")
