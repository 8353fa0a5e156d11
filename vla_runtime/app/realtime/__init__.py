"""Real-time scheduling for the one thread of a process that must not be late.

``enter_realtime`` asks for what a config wants and says what it got: without rights a run goes on, a little later.
"""

from vla_runtime.app.realtime.collect import Collector
from vla_runtime.app.realtime.cores import check_cores, online_cores, set_cores, where_to_run
from vla_runtime.app.realtime.enter import (
    Asked,
    Granted,
    asked_by_control,
    asked_by_host,
    enter_realtime,
    leave_realtime,
)

__all__ = [
    "Asked",
    "Collector",
    "Granted",
    "asked_by_control",
    "asked_by_host",
    "check_cores",
    "enter_realtime",
    "leave_realtime",
    "online_cores",
    "set_cores",
    "where_to_run",
]
