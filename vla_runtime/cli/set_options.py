"""The options of commands that read another project's data set: what it does not say of itself."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vla_runtime.core.errors import ConfigError

if TYPE_CHECKING:
    from vla_runtime.learn.sets.options import SetOptions

__all__ = ["add_set_options", "set_options_of"]

_NAMES = ("chunk_length", "units", "size", "cameras", "rate_hz", "action", "state", "instruction")


def add_set_options(options: argparse.ArgumentParser) -> None:
    """A group of them."""
    group = options.add_argument_group("a data set of LeRobot or Open X-Embodiment")
    group.add_argument("--chunk-length", type=int, metavar="H", help="rows of a chunk (default 16)")
    group.add_argument("--rate-hz", type=float, metavar="HZ", help="steps a second, if the data set does not say")
    group.add_argument("--units", choices=("rad", "m", "none"), help="of all actions and state inputs (default none)")
    group.add_argument("--size", metavar="HxW", help="of the images, shrunk or stretched (default: as they are)")
    group.add_argument("--cameras", nargs="+", metavar="C", help="those that are read (default: all)")
    group.add_argument("--action", nargs="+", metavar="F", help="features that are the action (default: action)")
    group.add_argument("--state", nargs="+", metavar="F", help="those that are the state (default: the usual one)")
    group.add_argument("--instruction", metavar="TEXT", help="the instruction, if the data set holds none")


def set_options_of(args: argparse.Namespace) -> SetOptions | None:
    """Those that were given; None if none was.

    Raises:
        ConfigError: a value is out of its range.
    """
    given = {name: getattr(args, name) for name in _NAMES if getattr(args, name) is not None}
    if not given:
        return None
    from vla_runtime.learn.sets.options import SetOptions

    if args.size is not None:
        given["size"] = _size(args.size)
    return SetOptions(**given)


def _size(text: str) -> tuple[int, int]:
    height, by, width = text.partition("x")
    if not (by and height.isdecimal() and width.isdecimal()):
        raise ConfigError(f"{text!r} given, expected height and width in pixels, as 96x96", "--size")
    return int(height), int(width)
