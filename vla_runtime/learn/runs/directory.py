"""A run directory: what lies where, and that one run at a time uses it for one recipe."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vla_runtime.core.errors import ConfigError
from vla_runtime.core.strict_yaml import read_yaml
from vla_runtime.learn.atomic import replacing

__all__ = ["RunDirectory", "check_run", "differences"]

_LOCK = ".lock"


@dataclass(frozen=True)
class RunDirectory:
    """The files of a run in the directory ``path``."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe with nothing left open."""
        return self.path / "recipe.yaml"

    @property
    def state(self) -> Path:
        """What the training goes on from."""
        return self.path / "state.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the highest score; of equal ones the latest."""
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        """The checkpoint at the end, or where the run was interrupted."""
        return self.path / "last.pt"

    @property
    def progress(self) -> Path:
        """A row for each step."""
        return self.path / "progress.csv"

    @property
    def evaluations(self) -> Path:
        """A row for each evaluation."""
        return self.path / "evaluations.csv"

    @property
    def tensorboard(self) -> Path:
        """The same figures for TensorBoard."""
        return self.path / "tensorboard"

    @contextmanager
    def used(self, recipe: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
        """Hold the directory for a run of ``recipe``, plain data; it is made if it is not there.

        Raises:
            ConfigError: as ``check_run``; another process is using it, or it is of another recipe: the message names
                every difference.
        """
        check_run(self.path, resume=resume)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise ConfigError(f"cannot write to {self.path}: {error.strerror or error}") from error
        try:
            self._lock(lock)
            check_run(self.path, resume=resume)
            if resume:
                self._check_recipe(recipe)
                self._sweep()
            else:
                with replacing(self.recipe) as draft:
                    draft.write_text(_text(recipe))
            yield
        finally:
            os.close(lock)

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another process is training in {self.path}") from error

    def _check_recipe(self, recipe: Mapping[str, Any]) -> None:
        found = differences(read_yaml(self.recipe), yaml.safe_load(_text(recipe)))
        if found:
            lines = "; ".join(f"{where} is {old!r} there, {new!r} given" for where, old, new in found)
            raise ConfigError(f"{self.recipe} is another recipe: {lines}")

    def _sweep(self) -> None:
        """Remove the drafts that a killed process has left."""
        for draft in self.path.glob(".*.tmp"):
            with suppress(OSError):
                draft.unlink()


def check_run(path: Path, *, resume: bool) -> None:
    """Refuse a directory before any work is spent on it.

    Raises:
        ConfigError: it is used already and not to be resumed, or to be resumed and of no run.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file, expected a directory of a run")
    if resume:
        if not (path / "recipe.yaml").is_file():
            raise ConfigError(f"{path} holds no run to go on with: there is no recipe.yaml in it")
    elif path.is_dir() and any(entry.name != _LOCK and entry.suffix != ".tmp" for entry in path.iterdir()):
        raise ConfigError(f"{path} is used already: resume the run in it, or give a new directory")


def _text(recipe: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True)
    return text


def differences(old: Any, new: Any, path: str = "$") -> list[tuple[str, Any, Any]]:
    """Where two values of plain data differ: path, old value, new value; None for what one of them lacks."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [found for key in keys for found in differences(old.get(key), new.get(key), f"{path}.{key}")]
    return [] if old == new else [(path, old, new)]
