"""Refuses numbers that no episodes can be made of, named by their options."""

from __future__ import annotations

from vla_runtime.core.errors import ConfigError

__all__ = ["check_counts", "check_seconds", "check_seed"]

_SEEDS = 2**32
_LONGEST_S = 86_400.0


def check_counts(**counts: int | None) -> None:
    """Each is at least 1, or None. Raises ConfigError."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"{count} given, expected at least 1", f"--{name.replace('_', '-')}")


def check_seconds(max_seconds: float) -> None:
    """Above 0 and at most a day. Raises ConfigError."""
    if not 0 < max_seconds <= _LONGEST_S:
        raise ConfigError(f"{max_seconds:g} given, expected more than 0, at most {_LONGEST_S:g}", "--max-seconds")


def check_seed(seed: int, episodes: int) -> None:
    """The seeds of all episodes are those a device takes. Raises ConfigError."""
    if not (seed >= 0 and seed + episodes <= _SEEDS):
        raise ConfigError(f"{seed} given for {episodes} episodes, expected 0 to {_SEEDS - episodes}", "--seed")
