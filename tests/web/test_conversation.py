"""How a conversation ends, and what a client can cost the hive before it does."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from hive.protocol import commands as ask
from hive.protocol.grammar import Role
from hive.testing.mirror import Json
from hive.testing.page_world import World, in_world
from hive.web import connection, wire
from hive.web.connection import Connection
from hive.web.conversation import DEEDS_AT_ONCE, HELLO_SECONDS, Conversation
from hive.web.login import hashed
from hive.web.parts import Login, Via

OWNER = Login("operator", Role.OWNER, Via.SOCKET)
HELLO = json.dumps({"op": "hello", "v": wire.VERSION, "want": ["j"]})
BACKUP = {"op": "cmd", "name": "hive.backup", "args": {"file": "/x"}}


@define(eq=False)
class Client:
    """The server's socket, with a client behind it that a test writes."""

    reads: bool = True
    heard: list[Json] = field(factory=list)
    closed: int | None = None
    ended: trio.Event = field(factory=trio.Event)
    _to_server: "trio.MemorySendChannel[str | bytes]" = field(init=False)
    _from_client: "trio.MemoryReceiveChannel[str | bytes]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._to_server, self._from_client = trio.open_memory_channel[str | bytes](math.inf)

    def say(self, *frames: str | bytes) -> None:
        """Send frames as they are."""
        for frame in frames:
            self._to_server.send_nowait(frame)

    async def receive(self) -> str | bytes:
        """The server reads."""
        return await self._from_client.receive()

    async def send(self, data: str) -> None:
        """The server sends, and waits for ever where nobody reads."""
        await trio.lowlevel.checkpoint()
        if not self.reads:
            await trio.sleep_forever()
        self.heard.append(json.loads(data))

    async def close(self, code: int, reason: str) -> None:
        """The server says goodbye."""
        await trio.lowlevel.checkpoint()
        assert self.heard[-1]["code"] == code
        assert self.heard[-1]["why"] == reason
        self.closed = code

    def said(self, op: str) -> list[Json]:
        """What the server said of that kind."""
        return [frame for frame in self.heard if frame["op"] == op]


@asynccontextmanager
async def talking(
    world: World, client: Client, login: Login = OWNER
) -> AsyncIterator[tuple[Connection, trio.Event]]:
    """A conversation, and the event that asks it to end."""
    talk, stopping = Connection(login, world.boot.parts), trio.Event()

    async def converse() -> None:
        await Conversation(client, talk, world.boot.parts).run(stopping)
        client.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse)
        yield talk, stopping
        nursery.cancel_scope.cancel()


async def goodbye(client: Client) -> int:
    """The code the conversation ends with, within a bounded time."""
    with trio.fail_after(300.0):
        await client.ended.wait()
    assert client.closed is not None
    return client.closed


# --- what ends it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (["not JSON"], 4400),
        ([json.dumps({"op": 3})], 4400),
        ([HELLO, json.dumps({"op": "sub"})], 4400),
        ([HELLO, json.dumps({"op": "cmd", "id": "", "name": "hive.stop"})], 4400),
        ([HELLO, json.dumps({"op": "get", "id": "x" * 65, "what": "status"})], 4400),
        ([HELLO, json.dumps({"op": "get", "id": "1", "what": "status", "args": []})], 4400),
        ([HELLO, json.dumps({"op": "part", "id": "1", "n": "0", "text": ""})], 4400),
        ([HELLO, json.dumps({"op": "part", "id": "1", "n": 1, "text": ""})], 4400),
        ([json.dumps({"op": "hello", "v": 1, "want": "j"})], 4400),
        ([json.dumps({"op": "hello", "v": 1, "log_id": 7})], 4400),
        ([json.dumps({"op": "beat", "at": {}})], 4400),
        ([json.dumps({"op": "hello", "v": 2})], 4406),
        ([b"\x00"], 4413),
        (["x" * (wire.FRAME_BYTES + 1)], 4413),
        ([HELLO, *[json.dumps({"op": "part", "id": f"{n}", "n": 0, "text": ""}) for n in range(5)]], 4413),
        ([HELLO, *[json.dumps(BACKUP | {"id": f"{n}"}) for n in range(300)]], 4429),
        ([], 4408),
        ([HELLO], 4408),
    ],
)
def test_what_ends_a_conversation_is_said_with_its_code(
    tmp_path: Path, frames: list[str | bytes], code: int
) -> None:
    """Broken, too early, too new, too big, too many, or nothing at all."""
    assert DEEDS_AT_ONCE < 300

    async def tell(world: World) -> None:
        client = Client()
        async with talking(world, client):
            client.say(*frames)
            assert await goodbye(client) == code

    in_world(tmp_path, tell)


def test_a_client_without_a_hello_is_not_waited_for_as_long_as_one_that_fell_silent(tmp_path: Path) -> None:
    """Ten seconds, where the other has a minute."""

    async def tell(world: World) -> None:
        client, began = Client(), trio.current_time()
        async with talking(world, client):
            assert await goodbye(client) == 4408
        assert HELLO_SECONDS <= trio.current_time() - began <= HELLO_SECONDS + wire.BEAT_SECONDS

    in_world(tmp_path, tell)


def test_a_beat_says_what_went_out_and_keeps_a_client_that_beats(tmp_path: Path) -> None:
    """Every ten seconds the numbers that the client has once it has read everything."""

    async def tell(world: World) -> None:
        client = Client()
        async with talking(world, client):
            client.say(json.dumps({"op": "hello", "v": wire.VERSION, "want": ["j", "a:iris", "a:nobody"]}))
            for _ in range(12):
                client.say(json.dumps({"op": "beat", "at": {}}))
                await trio.sleep(wire.BEAT_SECONDS)
            assert client.closed is None
            (welcome,) = client.said("welcome")
            assert welcome["lanes"] == {"j": "snapshot", "a:iris": "snapshot"}
            beats = client.said("beat")
            assert len(beats) in (11, 12)
            assert beats[-1]["at"] == {"j": world.boot.store.reader.head().seq, "a:iris": 0}
            client.say(json.dumps({"op": "unsub", "lane": "j"}))
            await trio.sleep(wire.BEAT_SECONDS)
            assert client.said("beat")[-1]["at"] == {"a:iris": 0}

    in_world(tmp_path, tell)


def test_a_hive_that_stops_says_so(tmp_path: Path) -> None:
    """With the code that means: come back."""

    async def tell(world: World) -> None:
        client = Client()
        async with talking(world, client) as (_, stopping):
            client.say(HELLO)
            stopping.set()
            assert await goodbye(client) == 1012

    in_world(tmp_path, tell)


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_login_that_is_over_ends_its_conversation_and_no_other(tmp_path: Path, how: str) -> None:
    """At once where it is revoked, within a minute or so where its time is up."""

    async def tell(world: World) -> None:
        logins = [Login("operator", Role.VIEWER, Via.PAGE, hashed(secret)) for secret in ("a", "b")]
        for login, seconds in zip(logins, (70.0, 3600.0), strict=True):
            assert login.session is not None
            await world.do(ask.AddWebSession(login.session, "viewer", world.simulation.wall() + seconds))
        ending, staying = Client(), Client()
        async with talking(world, ending, logins[0]), talking(world, staying, logins[1]):
            for client in (ending, staying):
                client.say(HELLO)
            if how == "revoked":
                await world.do(ask.RevokeWebSession(logins[0].session))
                await trio.sleep(1.0)
                assert ending.closed == 4401
            for _ in range(15):
                for client in (ending, staying):
                    client.say(json.dumps({"op": "beat", "at": {}}))
                await trio.sleep(wire.BEAT_SECONDS)
            assert (ending.closed, staying.closed) == (4401, None)

    in_world(tmp_path, tell)


# --- what it can cost ------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [HELLO, json.dumps({"op": "get", "id": "1", "what": "agents"})])
def test_answers_that_nobody_reads_are_bounded_whatever_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: str
) -> None:
    """While the writer waits for the client, the reader takes no more than may be left unread."""
    monkeypatch.setattr(connection, "ANSWERS_BYTES", 20_000)

    async def tell(world: World) -> None:
        client = Client(reads=False)
        async with talking(world, client) as (talk, _):
            client.say(HELLO)
            for _ in range(50):
                client.say(*[frame] * 20)
                await trio.sleep(0.1)
            assert talk._answers_bytes <= 20_000 + 20 * 1_000
            assert client._from_client.statistics().current_buffer_used == 0

    in_world(tmp_path, tell)


def test_what_comes_after_a_goodbye_is_taken_and_dropped(tmp_path: Path) -> None:
    """A client that sends garbage for ever and reads nothing costs its place on the wire and no memory."""

    async def tell(world: World) -> None:
        client = Client(reads=False)
        async with talking(world, client) as (talk, _):
            client.say(HELLO)
            await trio.sleep(0.1)
            for _ in range(50):
                client.say(*["garbage"] * 100)
                client.say(*[json.dumps({"op": "part", "id": "1", "n": 0, "text": "x" * 1_000})] * 10)
                await trio.sleep(0.1)
            assert client._from_client.statistics().current_buffer_used == 0
            assert talk.bodies._bytes() == 0
            assert len(talk._answers) == 0

    in_world(tmp_path, tell)
