"""What a collection came to: one JSON object for scripts, a few lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vla_runtime.app.collect.work import Collected

__all__ = ["CollectReport"]


@dataclass(frozen=True)
class CollectReport:
    """The episodes in the order of their seeds. ``wall_s``: what it all took."""

    robot: str
    task: str
    out: str
    seed: int
    chunk_length: int
    replan_interval: int | None
    disturb: float
    workers: int
    wall_s: float
    episodes: Sequence[Collected]

    def as_json(self) -> dict[str, Any]:
        """The documented keys (docs/json.md)."""
        kept = [episode for episode in self.episodes if episode.kept]
        seconds = sum(episode.seconds for episode in self.episodes)
        return {
            "robot": self.robot,
            "task": self.task,
            "out": self.out,
            "seed": self.seed,
            "chunk_length": self.chunk_length,
            "replan_interval": self.replan_interval,
            "disturb": self.disturb,
            "episodes": len(self.episodes),
            "successes": sum(episode.success for episode in self.episodes),
            "kept": len(kept),
            "instructions": dict(Counter(episode.instruction for episode in kept)),
            "failures": [
                {"seed": episode.seed, "instruction": episode.instruction, "cause": episode.cause}
                for episode in self.episodes
                if not episode.success
            ],
            "chunks": sum(episode.chunks for episode in kept),
            "seconds": sum(episode.seconds for episode in kept),
            "bytes": sum(episode.bytes for episode in kept),
            "workers": self.workers,
            "wall_s": self.wall_s,
            "rate": seconds / self.wall_s,
        }

    def as_text(self) -> str:
        """The same for people."""
        report = self.as_json()
        lines = [
            f"{self.out}: {report['kept']} episodes of {self.task} on {self.robot}, {report['seconds']:.0f} s, "
            f"{report['chunks']} chunks, {report['bytes'] / 1e6:.1f} MB",
            f"{report['successes']} of {report['episodes']} succeeded; {self.wall_s:.1f} s, "
            f"{report['rate']:.0f} times real time",
        ]
        lines += [f"  {count:>5}  {text}" for text, count in sorted(report["instructions"].items())]
        lines += [
            f"  failed: seed {failure['seed']}, {failure['instruction']!r}: {failure['cause']}"
            for failure in report["failures"][:3]
        ]
        return "\n".join(lines)
