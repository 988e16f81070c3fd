"""The simulation kit: for hive's own tests, and for those of programs built on it."""

from .probe import Do, Note, Probe, probe
from .recorder import FactLog
from .simulate import Simulation, deterministic_scheduling, simulate

__all__ = ["Do", "FactLog", "Note", "Probe", "Simulation", "deterministic_scheduling", "probe", "simulate"]
