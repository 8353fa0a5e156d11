"""A cell: one executor under one delay, many episodes; and its file, named by all that its figures depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.chunks.executors import ROBOT, TASK, Executor, robot_config
from benchmarks.chunks.version import code_version, libraries
from benchmarks.chunks.work import Job
from benchmarks.chunks.world import STEP_NS
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.simulate.latency import Pattern
from vla_runtime.core.errors import Refusal

__all__ = ["Cell", "Store", "jobs_of"]


@dataclass(frozen=True)
class Cell:
    """``delay``: the mean in policy steps. ``episodes`` have the seeds from ``seed`` on."""

    kind: str
    executor: str
    pattern: Pattern
    delay: int
    episodes: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.executor}-{self.pattern}-{self.delay}"


def jobs_of(cell: Cell) -> list[Job]:
    """Every episode."""
    latency_ns = cell.delay * STEP_NS
    return [
        Job(cell.kind, cell.executor, cell.pattern, latency_ns, cell.seed + index, index)
        for index in range(cell.episodes)
    ]


class Store:
    """The cells in ``directory``. A file is whole or not there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.code = code_version()
        self._common = {"code": self.code, "libraries": libraries()}
        self._configs: dict[str, Mapping[str, Any]] = {}

    def depends_on(self, cell: Cell, executor: Executor) -> dict[str, Any]:
        """All that the figures of ``cell`` follow from."""
        own: Mapping[str, Any] = {"changes": _plain(executor.changes), "restart": executor.restart}
        if cell.kind == "track":
            if executor.name not in self._configs:
                self._configs[executor.name] = _config_of(executor)
            own = {**own, **self._configs[executor.name]}
        return {"cell": asdict(cell), **self._common, **own}

    def path(self, cell: Cell, executor: Executor) -> Path:
        text = json.dumps(self.depends_on(cell, executor), sort_keys=True)
        return self._directory / f"{cell.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"

    def has(self, cell: Cell, executor: Executor) -> bool:
        return self.path(cell, executor).is_file()

    def write(self, cell: Cell, executor: Executor, found: Mapping[str, Any]) -> None:
        path = self.path(cell, executor)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.draft")
        try:
            data = {"depends_on": self.depends_on(cell, executor), "found": found}
            draft.write_text(json.dumps(data, indent=1) + "\n")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def current(self, executors: Sequence[Executor]) -> dict[Cell, dict[str, Any]]:
        """The figures that those of ``executors`` that can be run today would get again."""
        table = {one.name: one for one in executors}
        return _largest((cell, data) for path, cell, data in self._read() if self._again(path, cell, table))

    def _again(self, path: Path, cell: Cell, table: Mapping[str, Executor]) -> bool:
        try:
            return cell.executor in table and path.name == self.path(cell, table[cell.executor]).name
        except Refusal:  # its policy file is gone, or the config's key
            return False

    def of_code(self, code: str) -> dict[Cell, dict[str, Any]]:
        """The figures of that code version, the newest of each cell."""
        return _largest((cell, data) for _, cell, data in self._read() if data["depends_on"]["code"] == code)

    def versions(self) -> Counter[str]:
        """How many cells there are of each code version."""
        return Counter(data["depends_on"]["code"] for _, _, data in self._read())

    def _read(self) -> Iterator[tuple[Path, Cell, dict[str, Any]]]:
        """Every file, oldest first."""
        for path in sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            data = json.loads(path.read_text())
            yield path, Cell(**data["depends_on"]["cell"]), data


def _largest(cells: Iterable[tuple[Cell, dict[str, Any]]]) -> dict[Cell, dict[str, Any]]:
    """The figures: of several cells of one executor under one delay, those with the most episodes, then the last."""
    best: dict[str, tuple[Cell, dict[str, Any]]] = {}
    for cell, data in cells:
        if cell.name not in best or cell.episodes >= best[cell.name][0].episodes:
            best[cell.name] = cell, data["found"]
    return dict(best.values())


def _config_of(executor: Executor) -> dict[str, Any]:
    config = robot_config(executor)
    data = Path(config.policy.file).read_bytes()
    return {
        "robot": ROBOT,
        "task": TASK,
        "policy": executor.policy,
        "policy_hash": hashlib.sha256(data).hexdigest()[:16],
        "config": _without_place(config),
    }


def _without_place(config: RobotConfig) -> Any:
    """The config as plain data; where it lies does not matter."""
    policy = msgspec.structs.replace(config.policy, file=Path(config.policy.file).name)
    return msgspec.to_builtins(msgspec.structs.replace(config, policy=policy))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
