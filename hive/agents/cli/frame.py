"""The frame of a turn that is carried out by somebody else's CLI.

The rule kept here: however badly a CLI takes being stopped, a turn that was asked to stop and did not end
well was *cancelled*; and what breaks it down ends it.
"""

from contextlib import suppress

import trio
from attrs import define, evolve, field

from hive.agents.cli.json_lines import TooLong
from hive.agents.cli.memory import Memory
from hive.agents.cli.process import NOT_FOUND, Cli
from hive.agents.events import ErrorClass, Noted, Result
from hive.agents.frame import DETAIL_CHARACTERS, TurnFrame, broken, cause_of


@define(eq=False)
class CliTurn(TurnFrame):
    """One running turn of a CLI.  A subclass carries it out in `_converse`, until `_asked_to_stop` is set."""

    _asked_to_stop: trio.Event = field(factory=trio.Event, init=False)

    async def cancel(self) -> None:
        """Ask the CLI to stop, then tell it more and more plainly."""
        await trio.lowlevel.checkpoint()
        self._asked_to_stop.set()

    async def _play(self) -> Result:
        try:
            result = await self._converse()
        except Exception as error:  # noqa: BLE001 - a turn that breaks down ends in a Result too
            result = _broken(cause_of(error))
        if result.error is not None and self._asked_to_stop.is_set():
            return evolve(result, error=ErrorClass.CANCELLED, detail="asked to stop")
        return result

    async def _converse(self) -> Result:
        """Talk with the CLI until its process has ended."""
        raise NotImplementedError

    def _keep(self, memory: Memory, session: str) -> None:
        """Go on with this session from the next turn on."""
        try:
            memory.keep(session)
        except OSError as error:
            self._tell(Noted("session", f"it will be forgotten: {error}"))

    def _left_behind(self, memory: Memory, result: Result) -> Result:
        """The result; a session that is full is not gone on with: it would be as full at every later turn."""
        if result.error is ErrorClass.OVERFLOW:
            self._tell(Noted("session", "it is full: the next turn begins a new one"))
            with suppress(OSError):
                memory.forget()
        return result


def left(cli: Cli, install: str, *, opened: bool) -> Result:
    """The end of a turn whose process has left without a result.  `install` says how to get the program."""
    if cli.status in NOT_FOUND and not opened:
        return Result(error=ErrorClass.NO_START, detail=install)
    detail = f"its process ended with status {cli.status}: {cli.complaint[-DETAIL_CHARACTERS:]}"
    return Result(error=ErrorClass.CRASH, detail=detail.removesuffix(": "))


def _broken(error: Exception) -> Result:
    if isinstance(error, TooLong):
        return Result(error=ErrorClass.PROTOCOL, detail=str(error))
    return broken(error)


__all__ = ["CliTurn", "left"]
