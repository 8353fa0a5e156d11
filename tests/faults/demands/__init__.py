"""What a run must do about a fault. Each demand drives a live run through the fault and judges it afterwards."""

from .dead_man import DeadMan
from .ends import Ends
from .holds import Holds
from .refuses import Refuses
from .runs_on import RunsOn
from .trial import Demand, Measured, Row, Trial

__all__ = ["DeadMan", "Demand", "Ends", "Holds", "Measured", "Refuses", "Row", "RunsOn", "Trial"]
