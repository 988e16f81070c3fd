"""The simulation kit: for hive's own tests, and for those of programs built on it."""

from .probe import Do, Note, Probe, probe
from .recorder import FactLog
from .simulate import Simulation, deterministic_scheduling, simulate
from .sweep import Swept, sweep_cancel, sweep_kill

__all__ = [
    "Do",
    "FactLog",
    "Note",
    "Probe",
    "Simulation",
    "Swept",
    "deterministic_scheduling",
    "probe",
    "simulate",
    "sweep_cancel",
    "sweep_kill",
]
