"""A hive's credentials as its owner's commands reach them.

The rule kept here: one command at a time changes a credential, in a thread; what it writes is whole or not
there, and no value leaves again but for the environment of a CLI.
"""

from collections.abc import Mapping, Sequence

import trio
from attrs import field, frozen

from hive.agents import logins
from hive.agents.keyring import Keyring
from hive.protocol.commands import Settings
from hive.protocol.errors import Refused
from hive.protocol.views import Credential
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
        return logins.missing(settings, self.keyring.variables(settings.login))

    async def put(self, name: str, variable: str, value: str) -> tuple[str, ...]:
        """See `Secrets`."""
        async with self._alone:
            try:
                return await trio.to_thread.run_sync(self.keyring.put, name, variable, value)
            except OSError as error:
                why = f"The credential {name} cannot be kept: {error.strerror}; it is as it was."
                raise Refused(why) from None

    async def remove(self, name: str) -> bool:
        """See `Secrets`."""
        async with self._alone:
            return await trio.to_thread.run_sync(self.keyring.remove, name)

    def environment(self, store: Store, agent: str) -> Mapping[str, str]:
        """The variables by which an agent's CLI is logged in."""
        view = store.reader.agent(agent)
        return {} if view is None else self.keyring.variables(view.settings.login)
