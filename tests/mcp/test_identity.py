"""Who is calling, as a table: endpoint and credential decide, and nothing the caller says."""

import pytest
from attrs import frozen

from hive.agents.tokens import Sessions
from hive.mcp.identity import Caller, Knock, Refusal, Service, identify, token_hash
from hive.protocol.mail import Provenance
from hive.protocol.views import Identity
from hive.sockets import Credentials

OWNER, STRANGER = 1000, 1001


@frozen
class Directory:
    """Agents iris and rose, and nobody else: old was removed."""

    def identity(self, agent: str) -> Identity | None:
        """Look one up; only iris has made a client token."""
        known = {"iris": Identity("manager", token_hash("iris-client")), "rose": Identity("agent")}
        return known.get(agent)


SESSIONS = Sessions(iter(["iris-session", "rose-session"]).__next__)
IRIS, ROSE = SESSIONS.mint("iris"), SESSIONS.mint("rose")
OWN = {"own_socket": "iris", "owner": OWNER, "peer": Credentials(1, OWNER, OWNER)}

CLIENT = "client"
SESSION = "session"


def knock(path: str, *authorization: str, **own: object) -> Knock:
    """A request."""
    return Knock(path, authorization, **own)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # Over TCP a token of that very agent is needed.
        (knock("/mcp/iris", "Bearer iris-session"), SESSION),
        (knock("/mcp/iris/", "bearer iris-client"), CLIENT),
        (knock("/mcp/iris/wake", "Bearer iris-client"), CLIENT),
        (knock("/mcp/iris"), 401),
        (knock("/mcp/iris", "Bearer "), 401),
        (knock("/mcp/iris", "Bearer nonsense"), 401),
        (knock("/mcp/iris", "Bearer rose-session"), 401),
        (knock("/mcp/iris", "Basic iris-client"), 401),
        (knock("/mcp/iris", "iris-client"), 401),
        (knock("/mcp/iris", "Bearer iris-client", "Bearer iris-client"), 401),
        (knock("/mcp/rose", "Bearer iris-session"), 401),
        (knock("/mcp/rose", "Bearer iris-client"), 401),
        (knock("/mcp/rose", f"Bearer {token_hash('iris-client')}"), 401),
        (knock("/mcp/iris", "Bearer ÿ-not-ascii"), 401),
        # Who does not exist has no endpoint.
        (knock("/mcp/old", "Bearer iris-client"), 404),
        (knock("/mcp/nobody", "Bearer iris-client"), 404),
        (knock("/mcp", "Bearer iris-client"), 404),
        (knock("/wake", "Bearer iris-client"), 404),
        (knock("/", "Bearer iris-client"), 404),
        (knock("/mcp/iris/other", "Bearer iris-client"), 404),
        (knock("/other/iris", "Bearer iris-client"), 404),
        # On its own socket a call without a token is that agent's client, never its session.
        (knock("/mcp", **OWN), CLIENT),
        (knock("/mcp/iris", **OWN), CLIENT),
        (knock("/wake", **OWN), CLIENT),
        (knock("/mcp/iris", "Bearer iris-session", **OWN), SESSION),
        (knock("/mcp/iris", "Bearer iris-client", **OWN), CLIENT),
        (knock("/mcp/iris", "Bearer nonsense", **OWN), 401),
        (knock("/mcp/iris", "", **OWN), 401),
        (knock("/mcp/rose", **OWN), 404),
        (knock("/mcp/rose", "Bearer rose-session", **OWN), 404),
        # The socket is its owner's, and root's.
        (knock("/mcp", **{**OWN, "peer": Credentials(1, 0, 0)}), CLIENT),
        (knock("/mcp", **{**OWN, "peer": Credentials(1, STRANGER, STRANGER)}), 403),
        (knock("/mcp/iris", "Bearer iris-client", **{**OWN, "peer": Credentials(1, STRANGER, OWNER)}), 403),
        (knock("/mcp", **{**OWN, "peer": None}), 403),
    ],
)
def test_endpoint_and_credential_decide_who_calls(asked: Knock, expected: str | int) -> None:
    """Each row is one way to knock and who is let in, or the status of the refusal."""
    match identify(asked, Directory(), SESSIONS):
        case Refusal(status):
            assert expected == status
        case Caller("iris", "manager", session):
            assert expected == (SESSION if session is IRIS else CLIENT)
        case other:
            pytest.fail(str(other))


def test_a_session_that_has_ended_opens_nothing() -> None:
    """A session token dies with its process."""
    sessions = Sessions(lambda: "short-lived")
    sessions.end(sessions.mint("iris"))

    answer = identify(knock("/mcp/iris", "Bearer short-lived"), Directory(), sessions)

    assert isinstance(answer, Refusal)
    assert answer.status == 401


def test_no_text_repeats_a_token() -> None:
    """What was shown is not shown back, nor what would have been right."""
    answer = identify(knock("/mcp/iris", "Bearer secret-word"), Directory(), SESSIONS)

    assert isinstance(answer, Refusal)
    assert "secret-word" not in answer.text
    assert "iris-" not in answer.text


def test_what_a_client_sends_is_from_outside_and_what_a_session_sends_is_the_agents() -> None:
    """Provenance follows the credential."""
    assert Caller("iris", "agent").provenance is Provenance.OUTSIDE
    assert Caller("iris", "agent", IRIS).provenance is Provenance.AGENT
    assert Caller("iris", "agent").turn is None


def test_each_credential_has_a_word_of_its_own_that_does_not_give_it_away() -> None:
    """MCP sessions are bound to it."""
    words = {Caller("iris", "agent", session).credential for session in (None, IRIS, ROSE)}

    assert len(words) == 3
    assert not any(session.token in word for word in words for session in (IRIS, ROSE))


def test_a_request_shows_its_path_its_headers_and_its_listener() -> None:
    """Read from an ASGI scope as `hive.asgi` makes it."""
    peer = Credentials(1, OWNER, OWNER)
    scope = {
        "path": "/mcp",
        "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer x")],
        "hive.agent": "iris",
        "hive.owner": OWNER,
        "hive.peer": peer,
    }

    assert Knock.of(scope) == Knock("/mcp", ("Bearer x",), "iris", OWNER, peer)
    assert Knock.of(scope).target == ("iris", Service.MCP)
