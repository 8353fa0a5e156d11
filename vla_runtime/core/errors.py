"""Every error a user can meet, in one tree.

    VlaError
    ├── Refusal               nothing moved, nothing will; exit code 2
    │   ├── ConfigError       a robot YAML or an option is wrong
    │   ├── PolicyFileError   a policy file cannot be opened or fails its own golden sample
    │   ├── ContractMismatch  policy and robot disagree
    │   ├── LogError          an episode file cannot be used
    │   └── MissingExtra      an optional package is not installed
    ├── Fault                 a run that was going on had to end; exit code 3
    │   └── DeviceLost        robot, camera or host went silent
    └── MalformedMessage      bytes from a peer that are not a message: counted and dropped

Messages name what was given, what was expected and, where there is a choice, the valid choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = [
    "ConfigError",
    "ContractMismatch",
    "DeviceLost",
    "Fault",
    "LogError",
    "MalformedMessage",
    "MissingExtra",
    "PolicyFileError",
    "Refusal",
    "VlaError",
    "choices",
]


class VlaError(Exception):
    """Base of every error this project raises on purpose."""

    exit_code = 1


class Refusal(VlaError):
    """The request cannot be carried out and nothing has moved."""

    exit_code = 2


class ConfigError(Refusal):
    """A configuration value is wrong.

    Args:
        message: what was given and what was expected.
        path: where, as ``$.control.rate_hz``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        self.path = path
        super().__init__(f"{path}: {message}" if path else message)


class PolicyFileError(Refusal):
    """A policy file cannot be opened, lacks its contract, or fails its golden sample."""


class ContractMismatch(Refusal):
    """The policy was made for another robot.

    Args:
        differences: one line for each point of disagreement, each naming both sides.
    """

    def __init__(self, differences: Sequence[str]) -> None:
        self.differences = tuple(differences)
        super().__init__("policy and robot do not match:\n" + "\n".join(f"  - {line}" for line in differences))


class LogError(Refusal):
    """An episode file is missing, is no episode, or cannot answer the question asked of it."""


class MissingExtra(Refusal):
    """An optional package is not installed; the message says which ``pip install`` brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a package that is not installed: pip install 'vla-runtime[{extra}]'")


class Fault(VlaError):
    """A run ended because going on was not safe."""

    exit_code = 3


class DeviceLost(Fault):
    """A robot, camera or host process went silent or refused to go on."""


class MalformedMessage(VlaError):
    """Bytes from a socket that are not a valid message. Receivers count and drop them."""


def choices(given: str, valid: Iterable[str]) -> str:
    """The tail of an error message: the valid choices and, if one is close, a suggestion.

    >>> choices("rate", ["rate_hz", "hold_timeout_ms"])
    "valid: hold_timeout_ms, rate_hz; did you mean 'rate_hz'?"
    """
    names = sorted(valid)
    close = get_close_matches(given, names, n=1)
    return f"valid: {', '.join(names) or 'none'}" + (f"; did you mean {close[0]!r}?" if close else "")
