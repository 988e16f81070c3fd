"""The simulation kit: for hive's own tests, and for those of programs built on it."""

from .recorder import FactLog
from .simulate import Simulation, deterministic_scheduling, simulate

__all__ = ["FactLog", "Simulation", "deterministic_scheduling", "simulate"]
