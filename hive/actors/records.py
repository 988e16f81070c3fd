"""Processes on record, and what a new boot does with those of earlier ones.

The rule kept here: a process is on disk before it is given anything to do, and it is dead before anybody
else may claim what it held.
"""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from hive.containers.processes import Identity, kill_leftovers
from hive.protocol.commands import ForgetProcess, RecordProcess
from hive.protocol.views import Process
from hive.store.port import Store


@frozen
class Records:
    """The store's list of processes, as whoever starts them sees it."""

    store: Store

    async def record(self, agent: str, process: Identity) -> None:
        """Return once the record is on disk.  Raises `StoreUnavailable`."""
        await self.store.submit(RecordProcess(agent, process.pid, process.started)).outcome()

    def forget(self, agent: str, process: Identity) -> None:
        """It is gone."""
        self.store.submit(ForgetProcess(agent, process.pid, process.started))


class Recoverable(Protocol):
    """A store that has been opened and does not serve yet."""

    def leftovers(self) -> Sequence[Process]:
        """Processes of earlier boots that nobody has seen leave."""
        ...

    def recover(self, version: str) -> int:
        """Begin a boot and settle what earlier ones left open; answers its number."""
        ...


async def begin_boot(store: Recoverable, version: str) -> int:
    """Kill what earlier boots left running, wait for its death, then recover; answers the boot's number.

    Raises `trio.TooSlowError` where something cannot be killed: then nothing may be served.
    """
    await kill_leftovers(Identity(process.pid, process.started) for process in store.leftovers())
    return store.recover(version)
