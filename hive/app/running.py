"""A hive that serves, as whoever composes, shows or stops it sees it.

The rule kept here: it knows what it consists of, and nothing of who put it together.
"""

import socket
from collections.abc import Mapping

import trio
from attrs import define, field, frozen

from hive.actors import Hive
from hive.actors.auditor import Audit
from hive.actors.chaos import Chaos
from hive.actors.protocol import Performs
from hive.app.vault import Vault
from hive.containers.subprocess import SubprocessDriver
from hive.directory import Directory
from hive.protocol.presets import Presets
from hive.store.sqlite import SqliteStore
from hive.web.login import Codes


@frozen
class Listeners:
    """The listening sockets of a hive."""

    web: socket.socket
    mcp: socket.socket
    operator: socket.socket

    @property
    def origin(self) -> str:
        """Where the page is."""
        return f"http://{address(self.web)}"

    @property
    def ports(self) -> Mapping[str, object]:
        """The ports that are really served, by the path of their setting."""
        return {"web.port": self.web.getsockname()[1], "mcp.port": self.mcp.getsockname()[1]}

    def endpoint(self, agent: str) -> str:
        """Where an agent's tools are."""
        return f"http://{address(self.mcp)}/mcp/{agent}"


@define(eq=False)
class Running:
    """A hive that serves."""

    directory: Directory
    store: SqliteStore
    hive: Hive
    broker: Performs
    """The road of every client to the broker."""

    codes: Codes
    listeners: Listeners
    driver: SubprocessDriver
    audit: Audit
    chaos: Chaos
    vault: Vault
    presets: Presets
    _stop: trio.Event = field(factory=trio.Event, init=False)
    why: str = field(default="", init=False)

    def stop(self, why: str) -> None:
        """Begin an ordered shutdown; the first reason is the one recorded."""
        self.why = self.why or why
        self._stop.set()

    async def stopping(self) -> None:
        """Wait until somebody has asked it to stop."""
        await self._stop.wait()

    def login_link(self) -> str:
        """A fresh link that logs a browser in once."""
        return self.codes.link(self.listeners.origin)


def bracketed(host: str) -> str:
    """A host as addresses hold it."""
    return f"[{host}]" if ":" in host else host


def address(opened: socket.socket) -> str:
    """Host and port of a listening socket."""
    host, port = opened.getsockname()[:2]
    return f"{bracketed(host)}:{port}"
