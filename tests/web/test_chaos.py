"""Chaos over the page's protocol: refused to whoever does not know, once by its id, shown while it is on."""

import json
from pathlib import Path
from typing import Any

import pytest

from hive.protocol.grammar import Role
from hive.testing.mirror import Json
from hive.testing.page_world import World, in_world
from hive.web import wire
from hive.web.commands import perform
from hive.web.connection import Connection
from hive.web.gets import answer
from hive.web.incoming import Command, Question
from hive.web.parts import Login, Via

OWNER = Login("operator", Role.OWNER, Via.SOCKET)


async def asked(world: World, name: str, key: str = "k", login: Login = OWNER, **arguments: Any) -> Json:
    """The fields of the `ack` that a command gets."""
    parts = world.boot.parts
    return dict(await perform(parts, Connection(login, parts), Command(key, name, arguments, {})))


async def got(world: World, what: str) -> Any:
    """What a question is answered with."""
    return (await answer(world.boot.parts, OWNER, Question("1", what, {})))["data"]


def health(world: World) -> Any:
    """What a client is greeted with."""
    connection = Connection(OWNER, world.boot.parts)
    connection.receive(wire.frame("hello", v=wire.VERSION, want=[wire.JOURNAL]))
    return json.loads(connection.next() or "")["health"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ({}, "malformed", "how many strikes a minute"),
        ({"rate": 6, "only": "fire"}, "malformed", "hints, actor, box, commit, provider, request"),
        ({"rate": 6}, "refused", "kills an actor"),
        ({"rate": 6, "i_know": "yes"}, "refused", "say it again with --i-know"),
    ],
)
def test_it_is_refused_to_whoever_does_not_say_that_they_know(
    tmp_path: Path, arguments: Json, code: str, says: str
) -> None:
    """With a sentence that says what it would do, and nothing happens."""

    async def tell(world: World) -> None:
        ack = await asked(world, "chaos.on", **arguments)
        assert (ack["ok"], ack["error"]["code"]) == (False, code)
        assert says in ack["error"]["text"]
        assert world.powers.chaos.said() is None

    in_world(tmp_path, tell)


@pytest.mark.parametrize("name", ["chaos.on", "chaos.off"])
def test_only_the_owner_turns_it_on_or_off(tmp_path: Path, name: str) -> None:
    """An operator may look."""

    async def tell(world: World) -> None:
        somebody = Login("somebody", Role.OPERATOR, Via.PAGE)
        ack = await asked(world, name, login=somebody, rate=6, i_know=True)
        assert ack["error"]["code"] == "forbidden"

    in_world(tmp_path, tell)


def test_while_it_is_on_every_look_shows_it(tmp_path: Path) -> None:
    """The greeting (and so the beat), the status, and its own question; and no longer when it is off."""

    async def tell(world: World) -> None:
        assert health(world)["chaos"] is None
        assert (await got(world, "status"))["chaos"] is None
        ack = await asked(world, "chaos.on", rate=6, seed=7, i_know=True)
        assert (ack["result"]["on"], ack["result"]["rate"], ack["result"]["by"]) == (True, 6, "operator")
        world.simulation.jump_wall(2.0)  # health is looked up once a second
        for shown in (health(world)["chaos"], (await got(world, "status"))["chaos"]):
            assert (shown["rate"], shown["total"], shown["seed"]) == (6, 0, 7)
        found = await got(world, "chaos")
        assert found["last"]["on"] is True
        assert set(found["kinds"]) == {"hints", "actor", "box", "commit", "provider", "request"}
        assert (await asked(world, "chaos.off", "l"))["result"]["last"]["on"] is False
        world.simulation.jump_wall(2.0)
        assert health(world)["chaos"] is None
        assert (await got(world, "status"))["chaos"]["on"] is False

    in_world(tmp_path, tell)


def test_asked_for_again_after_a_restart_it_is_not_turned_on_in_the_next_daemon(tmp_path: Path) -> None:
    """A repeat gets the answer of the first."""

    async def tell(world: World) -> None:
        given: Json = {"rate": 6, "seed": 7, "i_know": True}
        first = await asked(world, "chaos.on", **given)
        await world.restart(ordered=False)
        world.powers.chaos.run = None
        again = await asked(world, "chaos.on", **given)
        assert again["result"] == first["result"]
        assert world.powers.chaos.said() is None

    in_world(tmp_path, tell)
