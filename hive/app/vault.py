"""A hive's credentials as its owner's commands reach them.

The rule kept here: one command at a time changes a credential, in a thread; what it writes is whole or not
there, and no value leaves again but for the environment of a CLI.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import trio
from attrs import field, frozen

from hive.agents import logins
from hive.agents.keyring import Keyring
from hive.protocol.commands import NoteCredential, Settings
from hive.protocol.errors import Refused
from hive.protocol.names import SYSTEM
from hive.protocol.parking import Reason
from hive.protocol.views import AgentView, Credential
from hive.store.port import Store


@frozen(eq=False)
class Vault:
    """Implements `hive.web.parts.Secrets`."""

    keyring: Keyring
    takes: logins.Takes = logins.KEYS
    """The variables that each backend's CLI takes."""

    _alone: trio.Lock = field(factory=trio.Lock, init=False)

    def credentials(self) -> Sequence[Credential]:
        """See `Secrets`."""
        return self.keyring.credentials()

    def variable_of(self, name: str) -> str:
        """See `Secrets`."""
        return logins.variable_of(name, self.takes)

    def missing(self, settings: Settings) -> str:
        """See `Secrets`."""
        try:
            return logins.missing(settings, self.keyring.variables(settings.login))
        except Refused as unreadable:
            return unreadable.text

    async def put(self, name: str, variable: str, value: str) -> tuple[str, ...]:
        """See `Secrets`."""
        return await self._change(name, partial(self.keyring.put, name, variable, value))

    async def remove(self, name: str, variable: str | None = None) -> tuple[str, ...]:
        """See `Secrets`."""
        return await self._change(name, partial(self.keyring.remove, name, variable))

    async def _change(self, name: str, change: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        async with self._alone:
            try:
                return await trio.to_thread.run_sync(change)
            except OSError as error:
                why = f"The credential {name} cannot be changed: {error.strerror}; it is as it was."
                raise Refused(why) from None

    def environment(self, store: Store, agent: str) -> Mapping[str, str]:
        """The variables by which an agent's CLI is logged in.  Raises `Refused` where they cannot be read."""
        view = store.reader.agent(agent)
        return {} if view is None else self.keyring.variables(view.settings.login)

    def unnoticed(self, agents: Iterable[AgentView]) -> Iterator[NoteCredential]:
        """Those that came while nobody could be told: an earlier daemon died just then."""
        waits = [
            (view.settings.login, parked.since)
            for view in agents
            for parked in view.parked
            if parked.reason is Reason.LOGIN
        ]
        for one in self.credentials():
            if one.variables and any(login == one.name and since < one.changed_at for login, since in waits):
                yield NoteCredential(one.name, one.variables, by=SYSTEM)
