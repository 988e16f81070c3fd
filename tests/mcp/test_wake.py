"""Waking one's own agent from inside its box."""

import socket
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest
import trio
import trio.testing

from hive.mcp.wake import NotWoken, send_wake
from hive.protocol.mail import Kind, Provenance

if TYPE_CHECKING:
    from tests.mcp.conftest import House

NUMBERS = count()


def new_id() -> str:
    """A word no other call bears."""
    return f"wake-{next(NUMBERS)}"


async def woken(endpoint: str, token: str | None, label: str = "ci", body: str = "Build 71 failed.") -> str:
    """Do what `hive wake` does, which blocks, in a thread."""
    return await trio.to_thread.run_sync(lambda: send_wake(endpoint, token, label, body, new_id=new_id))


@pytest.mark.parametrize("way", ["socket", "client token", "session token"])
async def test_whatever_opens_it_what_comes_through_is_from_outside(house: "House", way: str) -> None:
    """A message to the agent itself, with the label it was given, which starts a turn and counts hops."""
    session = await house.begin_with("iris", "go")
    token = {"socket": None, "client token": "iris-token", "session token": session.token}[way]
    endpoint = str(house.socket("iris")) if way == "socket" else house.url("iris")

    answer = await woken(endpoint, token)

    mail, *_ = house.store.reader.mailbox("iris").mail
    assert f"#{mail.number}" in answer
    assert (mail.sender, mail.label, mail.kind) == ("iris", "ci", Kind.WAKE)
    assert (mail.provenance, mail.wakes, mail.cause) == (Provenance.OUTSIDE, True, "client:iris")


@pytest.mark.parametrize(
    ("token", "label", "body", "words"),
    [
        ("wrong", "ci", "x", "token of that agent"),
        ("iris-token", "", "x", "label: must be at least 1"),
        ("iris-token", "l" * 65, "x", "label: must be at most 64"),
        ("iris-token", "ci", "", "body: must be at least 1"),
        ("iris-token", "ci", "\x00", "NUL"),
        ("iris-token", "ci", "x" * 9_000_000, "too long"),
    ],
)
async def test_a_refusal_says_why(house: "House", token: str, label: str, body: str, words: str) -> None:
    """In the endpoint's own words."""
    with pytest.raises(NotWoken, match=words):
        await woken(house.url("iris"), token, label, body)

    assert house.states("iris") == []


async def test_another_agents_token_wakes_nobody(house: "House") -> None:
    """An agent wakes itself only."""
    with pytest.raises(NotWoken, match="endpoint of agent rose"):
        await woken(house.url("rose"), "iris-token")


async def test_a_repeated_attempt_is_one_message(house: "House") -> None:
    """The same key again answers the same."""
    async with house.http("iris-token") as http:
        answers = [
            await http.post(
                house.url("iris") + "/wake",
                json={"label": "ci", "body": "x"},
                headers={"idempotency-key": "k"},
            )
            for _ in range(2)
        ]

    assert answers[0].json() == answers[1].json()
    assert house.states("iris") == ["ready"]


async def test_an_empty_key_is_none(house: "House") -> None:
    """Or the second thing that happened would be taken for the first, and refused."""
    async with house.http("iris-token") as http:
        for body in ("x", "y"):
            answer = await http.post(
                house.url("iris") + "/wake",
                json={"label": "ci", "body": body},
                headers={"idempotency-key": ""},
            )
            assert answer.status_code == 200

    assert house.states("iris") == ["ready", "ready"]


@pytest.mark.parametrize(
    ("method", "content", "headers", "status"),
    [
        ("POST", b"garbage", {}, 400),
        ("POST", b"[]", {}, 400),
        ("GET", b"", {}, 405),
        ("POST", b"{}", {"host": "evil.example"}, 421),
        ("POST", b"{}", {"content-type": "text/plain"}, 400),
    ],
)
async def test_garbage_is_refused(
    house: "House", method: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    """With a status that says what is wrong."""
    async with house.http("iris-token") as http:
        answer = await http.request(
            method,
            house.url("iris") + "/wake",
            content=content,
            headers={"content-type": "application/json", **headers},
        )

    assert answer.status_code == status


def test_an_agent_that_cannot_be_reached_is_not_woken(tmp_path: Path) -> None:
    """After a few attempts, in one sentence."""
    with pytest.raises(NotWoken, match="cannot be reached"):
        send_wake(str(tmp_path / "none.sock"), None, "ci", "x", new_id=new_id)


def test_something_else_at_that_address_is_recognised() -> None:
    """A server that is not ours."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

        other = threading.Thread(target=answer)
        other.start()
        port = listening.getsockname()[1]
        with pytest.raises(NotWoken, match="no endpoint of hive"):
            send_wake(f"http://127.0.0.1:{port}/mcp/iris", "t", "ci", "x", new_id=new_id)
        other.join()


async def test_who_hangs_up_in_the_middle_of_a_wake_is_nobodys_fault(house: "House") -> None:
    """Nothing was understood, nothing is stored, and no error is anybody's."""
    there = urlsplit(house.url("iris"))
    head = f"POST {there.path}/wake HTTP/1.1\r\nHost: {there.netloc}\r\nAuthorization: Bearer iris-token\r\n"
    stream = await trio.open_tcp_stream(str(there.hostname), int(there.port or 0))
    rest = "Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    await stream.send_all(f"{head}{rest}".encode())
    await trio.testing.wait_all_tasks_blocked(0.05)
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked(0.05)

    assert house.states("iris") == []


async def test_a_cancelled_wake_may_be_repeated(house: "House") -> None:
    """A hook that was killed and runs again with its key wakes once."""
    async with house.http("iris-token") as http:
        for seconds in (0.001, 5):
            with trio.move_on_after(seconds):
                try:
                    await http.post(
                        house.url("iris") + "/wake",
                        json={"label": "ci", "body": "x"},
                        headers={"idempotency-key": "k"},
                    )
                except httpx2.TransportError:
                    continue

    assert house.states("iris") == ["ready"]
