"""torchrl's distributed collector on Ray: each environment and a copy of the policy in an actor of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torchrl.collectors import BaseCollector, Collector
from torchrl.envs import EnvBase

from vla_runtime.core.errors import MissingExtra
from vla_runtime.learn.grpo.explorer import Explorer

__all__ = ["ray_collector"]

_ACTOR_BYTES = 1 << 30


def ray_collector(
    makers: Sequence[Callable[[], EnvBase]], policy: Explorer, settings: Mapping[str, Any]
) -> BaseCollector:
    """A collector of which every batch holds one round of each environment, in their order.

    It joins the cluster at RAY_ADDRESS, or starts one on this machine that listens on loopback alone and reports to
    nobody.

    Raises:
        MissingExtra: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: F401
        from torchrl.collectors.distributed import RayCollector
    except ImportError as error:
        raise MissingExtra("--collectors ray", "ray") from error
    local = {"num_cpus": len(makers), "_node_ip_address": "127.0.0.1"} if "RAY_ADDRESS" not in os.environ else {}
    return RayCollector(
        list(makers),
        policy,
        collector_class=Collector,
        sync=True,
        ray_init_config={"include_dashboard": False, "log_to_driver": False, "logging_level": "error", **local},
        remote_configs={"num_cpus": 1, "num_gpus": 0, "memory": _ACTOR_BYTES},
        **settings,
    )
