"""The socket at which a Prometheus server finds the run's metrics: opened before anything starts, served elsewhere."""

from __future__ import annotations

import errno
import socket

from vla_runtime.app.config import MetricsConfig
from vla_runtime.core.errors import ConfigError, Refusal

__all__ = ["check_metrics", "listen"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WAITING = 16


def check_metrics(config: MetricsConfig) -> None:
    """See that nobody beyond this machine can read the metrics unless the config wants it.

    Raises:
        ConfigError: another address without ``insecure: true``.
    """
    if config.address not in _LOOPBACK and not config.insecure:
        raise ConfigError(
            f"{config.address!r} reaches beyond this machine, where anyone could read the run's metrics; "
            f"use one of {', '.join(_LOOPBACK)}, or accept that with 'insecure: true'",
            "$.metrics.address",
        )


def listen(config: MetricsConfig) -> socket.socket | None:
    """A listening socket, None if the config wants none.

    Raises:
        ConfigError: the address is none of this machine.
        Refusal: somebody listens there already.
    """
    if not config.port:
        return None
    family = socket.AF_INET6 if ":" in config.address else socket.AF_INET
    where = f"{config.address} port {config.port}"
    try:
        return socket.create_server((config.address, config.port), family=family, backlog=_WAITING)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refusal(
                f"{where} is in use: is another vla-run serving its metrics there? "
                "Give $.metrics.port another port, or 0 for no metrics"
            ) from error
        path = "$.metrics.port" if error.errno == errno.EACCES else "$.metrics.address"
        raise ConfigError(f"cannot serve metrics at {where}: {error.strerror or error}", path) from error
