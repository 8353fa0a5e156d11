"""Demonstrations: a device's own expert drives the loop in virtual time, and every episode becomes a log."""

from vla_runtime.app.collect.report import CollectReport
from vla_runtime.app.collect.run import CollectOptions, collect, episode_name

__all__ = ["CollectOptions", "CollectReport", "collect", "episode_name"]
