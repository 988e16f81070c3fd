"""Who is calling: decided by the endpoint and its credential, never by anything the caller says.

The rule kept here: an agent's name comes from its own socket or from the path, and counts only together with
a credential of that very agent.  No text below names or repeats a token.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Protocol, cast

from attrs import frozen

from hive.agents.tokens import CliSession, Sessions
from hive.protocol.mail import Provenance
from hive.protocol.views import Identity
from hive.sockets import Credentials

AGENT_ENTRY = "hive.agent"
OWNER_ENTRY = "hive.owner"
"""What the listener of an agent's socket puts into every scope: whose it is, and for which user."""

_LABEL_BYTES = 8


class AgentDirectory(Protocol):
    """What identity asks of the store's reader."""

    def identity(self, agent: str) -> Identity | None:
        """Who an agent is, or None if there is none of that name any more."""
        ...


@frozen
class Caller:
    """An agent at its own endpoint: its running CLI by a session token, or else its own client."""

    agent: str
    role: str
    session: CliSession | None = None

    @property
    def client(self) -> bool:
        """Whether it is the agent's own client, which holds mail by leases."""
        return self.session is None

    @property
    def credential(self) -> str:
        """A word that is the same for the same credential only, and says nothing about it."""
        if self.session is None:
            return "client"
        return hashlib.sha256(self.session.token.encode()).hexdigest()[: 2 * _LABEL_BYTES]

    @property
    def provenance(self) -> Provenance:
        """Who stands behind what this caller sends."""
        return Provenance.OUTSIDE if self.client else Provenance.AGENT

    @property
    def turn(self) -> int | None:
        """The turn this caller is running, if any."""
        return self.session.turn if self.session else None


class Service(Enum):
    """What an endpoint offers."""

    MCP = "mcp"
    WAKE = "wake"


@frozen
class Refusal:
    """An HTTP answer in place of a caller."""

    status: int
    text: str


@frozen
class Knock:
    """What a request shows before it is let in."""

    path: str
    authorization: tuple[str, ...] = ()
    own_socket: str | None = None
    """The agent whose socket it came through; None over TCP."""

    owner: int | None = None
    """The user that socket is for."""

    peer: Credentials | None = None
    """Who is at the other end of a socket."""

    @property
    def target(self) -> tuple[str, Service] | None:
        """The agent a request is for and what it wants there; an agent's own socket serves no other agent."""
        own = self.own_socket
        match self.path.strip("/").split("/"):
            case ["mcp"] if own:
                return own, Service.MCP
            case ["wake"] if own:
                return own, Service.WAKE
            case ["mcp", name] if own in {None, name}:
                return name, Service.MCP
            case ["mcp", name, "wake"] if own in {None, name}:
                return name, Service.WAKE
            case _:
                return None

    @classmethod
    def of(cls, scope: Mapping[str, object]) -> "Knock":
        """Read an ASGI scope of `hive.asgi`: its path, its headers and its listener's entries."""
        headers = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
        return cls(
            path=cast("str", scope["path"]),
            authorization=tuple(
                value.decode("latin-1") for name, value in headers if name == b"authorization"
            ),
            own_socket=cast("str | None", scope.get(AGENT_ENTRY)),
            owner=cast("int | None", scope.get(OWNER_ENTRY)),
            peer=cast("Credentials | None", scope.get("hive.peer")),
        )


def identify(knock: Knock, agents: AgentDirectory, sessions: Sessions) -> Caller | Refusal:
    """Decide who a request comes from, or how it is refused."""
    name = knock.target[0] if knock.target else ""
    known = agents.identity(name) if name else None
    if known is None:
        return Refusal(
            404, f"There is no agent at {knock.path[:80]!r}. An agent's endpoint is /mcp/<its name>."
        )
    if knock.own_socket and not (knock.peer and may_connect(knock.peer, knock.owner)):
        return Refusal(403, "This socket belongs to another user.")
    return _admit(knock, name, known, sessions)


def _admit(knock: Knock, name: str, known: Identity, sessions: Sessions) -> Caller | Refusal:
    if not knock.authorization and knock.own_socket:
        return Caller(name, known.role)
    token = _bearer(knock.authorization)
    session = sessions.find(token) if token else None
    if session and session.agent == name:
        return Caller(name, known.role, session)
    if token and known.client_token and hmac.compare_digest(token_hash(token), known.client_token):
        return Caller(name, known.role)
    return Refusal(
        401,
        f"This is the endpoint of agent {name}. It takes the header 'Authorization: Bearer <token>' "
        f"with a token of that agent; `hive endpoint {name} --rotate` makes a new one.",
    )


def may_connect(peer: Credentials, owner: int | None) -> bool:
    """Whether a user may use a socket made for `owner`."""
    return peer.uid in {owner, 0}


def token_hash(token: str) -> str:
    """What the store keeps of a client token: its SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _bearer(authorization: tuple[str, ...]) -> str | None:
    """The token of the one Authorization header, or None where there is none or more."""
    if len(authorization) != 1:
        return None
    scheme, _, token = authorization[0].partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
