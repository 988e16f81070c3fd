"""The simulation kit: for hive's own tests, and for those of programs built on it.

    from hive.testing import simulate

    async def story(sim):
        await sim.spawn("iris", "!say good morning")
        await (await sim.send("iris", "wake up")).handled()
        assert sim.turns("iris")[-1].final_text == "good morning"

    simulate(story, seed=7)

Needs no pytest, no root and no network.  docs/testing.md is the way in.
"""

from .brains import Brain, Script, Turn, TurnFailed
from .faults import Fault, Faults, Site
from .forbidden import Allowed
from .guard import NotDeterministic, guarded
from .probe import Do, Note, Probe, probe
from .recorder import FactLog, Journalled
from .simulate import Run, Simulation, run, simulate
from .stage import Stage, deterministic_scheduling
from .story import Letter
from .sweep import Swept, sweep_cancel, sweep_kill

__all__ = [
    "Allowed",
    "Brain",
    "Do",
    "FactLog",
    "Fault",
    "Faults",
    "Journalled",
    "Letter",
    "NotDeterministic",
    "Note",
    "Probe",
    "Run",
    "Script",
    "Simulation",
    "Site",
    "Stage",
    "Swept",
    "Turn",
    "TurnFailed",
    "deterministic_scheduling",
    "guarded",
    "probe",
    "run",
    "simulate",
    "sweep_cancel",
    "sweep_kill",
]
