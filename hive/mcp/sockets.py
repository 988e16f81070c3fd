"""The agents' own sockets: they come with an agent and go with it.

The rule kept here: a socket lies in a directory of that agent alone, and what is listened on is computed from
the agents there are, never from what was announced.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from attrs import define, field

from hive.asgi import Endpoint, HttpServer
from hive.mcp.identity import AGENT_ENTRY, OWNER_ENTRY, may_connect
from hive.protocol.views import JournalRow, StreamView
from hive.sockets import CannotListen, Credentials, open_unix
from hive.store.port import Store

SOCKET = "mcp.sock"
"""The file's name in the agent's directory."""

LOOK_SECONDS = 30.0
"""The set of agents is looked at least so often, announced or not."""

CHANGES = frozenset({"agent.added", "agent.removed"})

OnError = Callable[[BaseException], None]


def _ourselves(_agent: str) -> int:
    return os.geteuid()


def admit(endpoint: Endpoint, peer: Credentials | None) -> bool:
    """Let only its owner, and root, connect to an agent's socket."""
    if AGENT_ENTRY not in endpoint.scope:
        return True
    owner = endpoint.scope.get(OWNER_ENTRY)
    return peer is not None and may_connect(peer, owner if isinstance(owner, int) else None)


@define(eq=False)
class AgentSockets:
    """The sockets of a hive's agents, below its run directory; closed with `close`.

    `owner` tells which user an agent's processes run as: the socket and its directory become theirs.
    """

    run: Path
    store: Store
    server: HttpServer
    on_error: OnError
    owner: Callable[[str], int] = _ourselves
    _open: dict[str, Endpoint] = field(factory=dict, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)

    def path(self, agent: str) -> Path:
        """Where an agent's socket is."""
        return self.run / "agents" / agent / SOCKET

    async def keep(self) -> None:
        """Keep the sockets as they should be, for ever."""
        unsubscribe = self.store.subscribe(self._on_commit)
        try:
            while True:
                self._changed = trio.Event()
                self.reconcile()
                with trio.move_on_after(LOOK_SECONDS):
                    await self._changed.wait()
        finally:
            unsubscribe()

    def reconcile(self) -> None:
        """Open what is missing and close what is left over."""
        wanted = [view.name for view in self.store.reader.agents() if view.removed_at is None]
        for agent in sorted(self._open.keys() - set(wanted)):
            self._close(agent)
        for agent in wanted:
            if agent not in self._open:
                self._listen(agent)

    def close(self) -> None:
        """Close all of them."""
        for agent in list(self._open):
            self._close(agent)

    def _listen(self, agent: str) -> None:
        path, owner = self.path(agent), self.owner(agent)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = open_unix(path)
            if owner != os.geteuid():
                for place in (path, path.parent):
                    os.chown(place, owner, -1, follow_symlinks=False)
        except (CannotListen, OSError) as error:
            # One agent's trouble is not the others'; the next look tries again.
            self.on_error(error)
            return
        endpoint = Endpoint(opened, {AGENT_ENTRY: agent, OWNER_ENTRY: owner})
        self._open[agent] = endpoint
        self.server.add_listener(endpoint)

    def _close(self, agent: str) -> None:
        endpoint = self._open.pop(agent)
        self.server.remove_listener(self.path(agent))
        endpoint.socket.close()
        self.path(agent).unlink(missing_ok=True)

    def _on_commit(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        if any(row.type in CHANGES for row in rows):
            self._changed.set()
