"""What the kernel did about its children, written into the journal.

The rule kept here: a synchronous recorder loses nothing, and what the store cannot take now it takes later.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

from attrs import frozen

from hive.actors import ActorStarted, Crashed, Decision, Fact, Hive, Left, Stopped, Supervised, WillNotLeave
from hive.actors.protocol import HARNESS_PREFIX, agent_of
from hive.protocol.commands import NoteFact
from hive.store.port import Store

ERROR_CHARACTERS = 500


@frozen
class Chronicle:
    """Writes down starts, exits and what supervisors decided."""

    store: Store

    @contextmanager
    def following(self, hive: Hive) -> Iterator[None]:
        """Write for as long as the block lasts."""
        recording = hive.record(self.write, ActorStarted, Supervised, WillNotLeave)
        try:
            yield
        finally:
            recording.close()

    def write(self, fact: Fact) -> None:
        """One fact, as a journal row.  The writer's own are left out: they would wait for themselves."""
        match fact:
            case ActorStarted(name=name, incarnation=incarnation) if incarnation > 1:
                self._note("child.started", name, incarnation=incarnation)
            case Supervised(child=name, exit=exit_, decision=Decision.PARK):
                self._note("child.parked", name, error=_described(exit_))
            case Supervised(child=name, exit=Crashed() as exit_, incarnation=incarnation, decision=decision):
                error = _described(exit_)
                self._note(
                    "child.exited", name, incarnation=incarnation, error=error, decision=decision.value
                )
            case WillNotLeave(name=name, stack=stack):
                text = f"{name} ignores its cancellation: {' < '.join(reversed(stack))}"
                self._note("hive.warning", name, code="will_not_leave", text=text[:ERROR_CHARACTERS])
            case _:
                pass

    def _note(self, type_: str, name: str, **data: object) -> None:
        agent = agent_of(name) if name.startswith(HARNESS_PREFIX) else None
        self.store.submit(NoteFact(type_, agent, {"path": name, **data}))


def _described(exit_: Left | Stopped | Crashed) -> str:
    match exit_:
        case Left():
            return "it left"
        case Stopped():
            return "it was stopped"
        case Crashed(error=error):
            return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        case _:
            assert_never(exit_)
