"""Commands of the page: once, in order, by whoever may, and only on what its asker has seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from hive.actors import ActorStopped
from hive.protocol import commands as ask
from hive.protocol.commands import Once
from hive.protocol.errors import Malformed, Refused
from hive.protocol.grammar import Role
from hive.protocol.mail import Provenance
from hive.protocol.parking import Reason
from hive.testing.mirror import Json
from hive.testing.page_world import World, in_world
from hive.web.answers import Answers
from hive.web.commands import perform
from hive.web.connection import Connection
from hive.web.incoming import Command, Part
from hive.web.login import hashed
from hive.web.parts import Login, Via

OWNER = Login("operator", Role.OWNER, Via.PAGE)


async def asked(
    world: World,
    name: str,
    key: str = "k",
    /,
    *,
    login: Login = OWNER,
    expect: Mapping[str, object] | None = None,
    **arguments: Any,
) -> Json:
    """The fields of the `ack` that a command gets."""
    command = Command(key, name, arguments, expect or {})
    return dict(await perform(world.boot.parts, Connection(login, world.boot.parts), command))


async def refusal(world: World, name: str, key: str = "k", /, **arguments: Any) -> str:
    """The code with which a command is refused."""
    ack = await asked(world, name, key, **arguments)
    assert not ack["ok"], ack
    return str(ack["error"]["code"])


async def together(world: World, *commands: tuple[str, str, Json, Json]) -> list[Json]:
    """Commands that are under way at the same time: key, name, arguments, expectation."""
    acks: dict[str, Json] = {}

    async def one(key: str, name: str, arguments: Json, expect: Json) -> None:
        acks[key] = await asked(world, name, key, expect=expect, **arguments)

    async with trio.open_nursery() as nursery:
        for command in commands:
            nursery.start_soon(one, *command)
    return [acks[key] for key, *_ in commands]


async def mail_to_the_operator(world: World) -> str:
    """A message that waits for the operator."""
    send = ask.Send("iris", "operator", "look at this", Provenance.AGENT)
    return (await world.boot.store.submit(send).outcome()).accepted[0].id


def answers(world: World) -> str:
    """Everything the table of answers holds, as text."""
    rows = world.boot.store._committer.db.execute("SELECT * FROM answer").fetchall()
    return repr([tuple(row) for row in rows])


# --- expectations ----------------------------------------------------------------------------------


@pytest.mark.seeds(10)
def test_of_two_who_decide_on_the_same_sight_one_is_told_that_it_has_changed(
    tmp_path: Path, seed: int
) -> None:
    """Nothing comes between the check of an expectation and what rests on it."""

    async def tell(world: World) -> None:
        given: Json = {"message": await mail_to_the_operator(world)}
        ready = {"state": "ready"}
        acks = await together(world, ("a", "message.done", given, ready), ("b", "message.done", given, ready))
        assert sorted(ack["ok"] for ack in acks) == [False, True]
        (late,) = [ack for ack in acks if not ack["ok"]]
        assert late["error"]["code"] == "conflict"
        assert "is done by now, not 'ready'; nothing was done" in late["error"]["text"]

    in_world(tmp_path, tell, seed)


def test_a_repeat_gets_its_answer_though_the_message_has_changed_by_its_own_doing(tmp_path: Path) -> None:
    """Its expectation was met when it was carried out, and is not asked again."""

    async def tell(world: World) -> None:
        given: Json = {"message": await mail_to_the_operator(world)}
        ready = {"state": "ready"}
        for _ in range(2):
            assert (await asked(world, "message.done", expect=ready, **given))["ok"]
        assert await refusal(world, "message.done", "other", expect=ready, **given) == "conflict"
        assert world.carried_out["k"] == 1

    in_world(tmp_path, tell)


def test_what_cannot_be_expected_is_said_so(tmp_path: Path) -> None:
    """Only the state of the message that a command names."""

    async def tell(world: World) -> None:
        message = await mail_to_the_operator(world)
        unknown: tuple[Json, ...] = ({"mood": "good"}, {"state": 3})
        for expect in unknown:
            code = await refusal(world, "message.done", message=message, expect=expect)
            assert code == "malformed", expect
        assert await refusal(world, "agent.pause", agent="iris", expect={"state": "ready"}) == "malformed"
        code = await refusal(world, "message.done", message="m-none", expect={"state": "ready"})
        assert code == "not_found"

    in_world(tmp_path, tell)


# --- what the server carries out itself ------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
def test_a_backup_asked_for_again_is_made_once(tmp_path: Path, *, restarted: bool) -> None:
    """Its answer is kept, also over a restart of the daemon."""

    async def tell(world: World) -> None:
        file = str(tmp_path / "copy")
        first = await asked(world, "hive.backup", file=file)
        if restarted:
            await world.restart(ordered=False)
        again = await asked(world, "hive.backup", file=file)
        assert first["result"] == again["result"] == {"file": file, "bytes": 4096}
        assert world.powers.backups[file] == 1

    in_world(tmp_path, tell)


def test_a_backup_asked_for_again_while_it_is_made_is_made_once(tmp_path: Path) -> None:
    """Whoever repeats a command that is under way waits for its answer."""

    async def tell(world: World) -> None:
        given: Json = {"file": str(tmp_path / "copy")}
        acks: list[Json] = []

        async def one() -> None:
            acks.append(await asked(world, "hive.backup", **given))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)
        assert [ack["result"]["bytes"] for ack in acks] == [4096] * 3
        assert world.powers.backups[given["file"]] == 1

    in_world(tmp_path, tell)


def test_a_stop_asked_for_again_does_not_stop_the_next_daemon(tmp_path: Path) -> None:
    """The answer holds before the stop begins."""

    async def tell(world: World) -> None:
        assert (await asked(world, "hive.stop"))["result"] == {"stopping": True}
        await world.restart(ordered=False)
        assert (await asked(world, "hive.stop"))["result"] == {"stopping": True}
        assert world.powers.stops == 1
        world.powers.stopping = False

    in_world(tmp_path, tell)


def test_a_hive_whose_disk_is_full_can_be_stopped(tmp_path: Path) -> None:
    """What cannot be kept is not a reason to go on."""

    async def tell(world: World) -> None:
        world.boot.store._writer.refusing = "the disk is full"
        assert (await asked(world, "hive.stop"))["ok"]
        assert world.powers.stops == 1
        world.boot.store._writer.refusing, world.powers.stopping = None, False

    in_world(tmp_path, tell)


def client_token(world: World) -> str | None:
    """SHA-256 of the token of iris's client."""
    identity = world.boot.store.reader.identity("iris")
    assert identity is not None
    return identity.client_token


def test_a_token_is_shown_by_the_boot_that_made_it_and_made_once(tmp_path: Path) -> None:
    """A repeat after a restart rotates nothing, and no secret is ever kept."""

    async def tell(world: World) -> None:
        given: Json = {"agent": "iris", "rotate": True}
        shown = await asked(world, "client.token", **given)
        kept = client_token(world)
        assert (await asked(world, "client.token", **given))["result"] == shown["result"]
        await world.restart(ordered=False)
        again = await asked(world, "client.token", **given)
        assert again["result"] == {"agent": "iris", "token": None}
        assert client_token(world) == kept
        assert shown["result"]["token"] not in answers(world)
        assert world.carried_out["k"] == 1

    in_world(tmp_path, tell)


def test_a_link_asked_for_again_is_the_same_until_a_restart_makes_it_worthless(tmp_path: Path) -> None:
    """Codes live in memory, so the next daemon makes a fresh one and keeps neither."""

    async def tell(world: World) -> None:
        links = [(await asked(world, "session.link"))["result"]["link"] for _ in range(2)]
        await world.restart(ordered=False)
        fresh = (await asked(world, "session.link"))["result"]["link"]
        assert links[0] == links[1] != fresh
        old, new = (link.partition("code=")[2] for link in (links[0], fresh))
        assert not world.boot.parts.codes.take(old)
        assert world.boot.parts.codes.take(new)
        assert old not in answers(world)
        assert new not in answers(world)

    in_world(tmp_path, tell)


def test_an_id_used_for_something_else_is_a_conflict(tmp_path: Path) -> None:
    """Whoever carries it out, and before anything is done."""

    async def tell(world: World) -> None:
        await asked(world, "hive.backup", file=str(tmp_path / "a"))
        await asked(world, "message.send", "s", to="iris", body="hello")
        await asked(world, "client.token", "t", agent="iris")
        assert await refusal(world, "hive.backup", file=str(tmp_path / "b")) == "conflict"
        assert await refusal(world, "hive.stop") == "conflict"
        assert await refusal(world, "message.send", "s", to="iris", body="other") == "conflict"
        assert await refusal(world, "client.token", "t", agent="rosa") == "conflict"
        assert world.powers.backups.total() == 1
        assert world.powers.stops == 0

    in_world(tmp_path, tell)


# --- who may, and what is understood ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "name", "code"),
    [
        (Role.VIEWER, "message.send", "forbidden"),
        (Role.VIEWER, "agent.pause", "forbidden"),
        (Role.OPERATOR, "client.token", "forbidden"),
        (Role.OPERATOR, "session.link", "forbidden"),
        (Role.OPERATOR, "session.revoke", "forbidden"),
        (Role.OPERATOR, "hive.backup", "forbidden"),
        (Role.OPERATOR, "hive.stop", "forbidden"),
        (Role.OPERATOR, "agent.dance", "not_found"),
        (Role.OWNER, "agent.pause", "malformed"),
        (Role.OWNER, "client.token", "malformed"),
        (Role.OWNER, "hive.backup", "malformed"),
    ],
)
def test_a_role_may_do_what_is_its_own_and_nothing_is_guessed(
    tmp_path: Path, role: Role, name: str, code: str
) -> None:
    """Refused before anything is looked at; and an owner still has to say what is meant."""

    async def tell(world: World) -> None:
        login = Login("somebody", role, Via.PAGE)
        assert await refusal(world, name, login=login) == code
        assert world.powers.stops + world.powers.backups.total() + world.carried_out.total() == 0

    in_world(tmp_path, tell)


def test_what_hive_fills_in_is_not_the_clients_to_say(tmp_path: Path) -> None:
    """Who did it comes from the login, also where an argument claims otherwise."""

    async def tell(world: World) -> None:
        assert await refusal(world, "agent.pause", agent="iris", by="somebody else") == "malformed"
        login = Login("ada", Role.OPERATOR, Via.PAGE)
        assert (await asked(world, "agent.pause", "p", login=login, agent="iris"))["result"] == ["iris"]
        view = world.boot.store.reader.agent("iris")
        assert view is not None
        assert [parked.detail for parked in view.parked] == ["by ada"]

    in_world(tmp_path, tell)


def test_the_owners_commands_say_what_is_wrong_with_their_arguments(tmp_path: Path) -> None:
    """A relative path, an agent that is not there, one that has been removed."""

    async def tell(world: World) -> None:
        assert await refusal(world, "hive.backup", file="copy") == "malformed"
        assert await refusal(world, "client.token", "a", agent="nobody") == "not_found"
        await world.do(ask.RemoveAgent("rosa"))
        assert await refusal(world, "client.token", "b", agent="rosa") == "not_found"

    in_world(tmp_path, tell)


def test_a_token_that_exists_is_not_replaced_unasked(tmp_path: Path) -> None:
    """It is shown once; whoever lost it has to say `rotate`."""

    async def tell(world: World) -> None:
        first = (await asked(world, "client.token", "a", agent="iris"))["result"]["token"]
        assert (await asked(world, "client.token", "b", agent="iris"))["result"]["token"] is None
        second = (await asked(world, "client.token", "c", agent="iris", rotate=True))["result"]["token"]
        assert first != second
        assert client_token(world) == hashed(second)

    in_world(tmp_path, tell)


def test_a_long_body_comes_in_parts_and_is_whole_or_not_there(tmp_path: Path) -> None:
    """In order, before the command that names it, on the same connection; and it is used once."""

    async def tell(world: World) -> None:
        parts, talk = world.boot.parts, Connection(OWNER, world.boot.parts)
        text = "a long story, " * 5_000
        for n in range(3):
            talk.bodies.take(Part("body", n, text[n * 30_000 : (n + 1) * 30_000], n == 2))
        given = {"to": "iris", "body_parts": "body"}
        ack = await perform(parts, talk, Command("k", "message.send", given, {}))
        assert ack["ok"], ack
        (mail,) = world.boot.store.reader.mailbox("iris").mail
        assert world.boot.store.reader.body(mail.id) == text
        refused: Json = await perform(parts, talk, Command("l", "message.send", given, {}))
        assert refused["error"]["code"] == "malformed"

    in_world(tmp_path, tell)


def test_settings_that_nothing_could_run_are_refused(tmp_path: Path) -> None:
    """By whoever composes hive, before the store is asked."""

    async def tell(world: World) -> None:
        def check(_settings: ask.Settings) -> None:
            raise Malformed("there is no such backend")

        parts = evolve(world.boot.parts, check_settings=check)
        spawn = Command("k", "agent.spawn", {"name": "moss", "settings": {"backend": "none"}}, {})
        ack: Json = await perform(parts, Connection(OWNER, parts), spawn)
        assert ack["error"]["code"] == "malformed"
        assert world.boot.store.reader.agent("moss") is None

    in_world(tmp_path, tell)


def test_an_agent_that_nobody_has_a_key_for_is_parked_and_woken_by_one(tmp_path: Path) -> None:
    """Its spawn says what to do; the key itself is in no answer, journal row or table."""

    async def tell(world: World) -> None:
        spawned = await asked(world, "agent.spawn", "a", name="moss", settings={"backend": "claude"})
        assert spawned["result"] == "its CLI has no key yet: hive secret set claude"
        view = world.boot.store.reader.agent("moss")
        assert view is not None
        assert [one.reason for one in view.parked] == [Reason.LOGIN]
        kept = await asked(world, "secret.set", "b", name="claude", value="sk-secret")
        variables = ["ANTHROPIC_API_KEY"]
        assert kept["result"] == {"name": "claude", "variables": variables, "woken": ["moss"]}
        assert world.powers.secrets.kept == {"claude": {"ANTHROPIC_API_KEY": "sk-secret"}}
        assert "sk-secret" not in repr(kept) + answers(world) + repr(world.boot.store.reader.journal(0))
        again = await asked(world, "agent.spawn", "c", name="fern", settings={"backend": "claude"})
        assert again["result"] == ""

    in_world(tmp_path, tell)


def test_a_credential_of_another_name_says_which_variable_it_is(tmp_path: Path) -> None:
    """And is taken away by its name, once."""

    async def tell(world: World) -> None:
        assert await refusal(world, "secret.set", name="work", value="k") == "malformed"
        kept = await asked(world, "secret.set", "b", name="work", value="k", variable="OPENAI_API_KEY")
        assert kept["result"]["variables"] == ["OPENAI_API_KEY"]
        await asked(world, "secret.set", "e", name="work", value="u", variable="OPENAI_BASE_URL")
        left = await asked(world, "secret.remove", "f", name="work", variable="OPENAI_API_KEY")
        assert left["result"] == {"name": "work", "left": ["OPENAI_BASE_URL"]}
        assert await refusal(world, "secret.remove", "g", name="work", variable="OTHER") == "not_found"
        assert (await asked(world, "secret.remove", "c", name="work"))["result"]["left"] == []
        assert await refusal(world, "secret.remove", "d", name="work") == "not_found"
        assert world.powers.secrets.kept == {}

    in_world(tmp_path, tell)


def test_a_spawn_that_names_no_backend_takes_the_hive_s_or_is_told_what_there_is(tmp_path: Path) -> None:
    """There is none that nobody has chosen."""

    async def tell(world: World) -> None:
        def refuse() -> str:
            raise Refused("Say what runs it")

        parts = evolve(world.boot.parts, default_backend=lambda: "external")
        spawn = Command("k", "agent.spawn", {"name": "moss", "settings": {"purpose": "waits"}}, {})
        await perform(parts, Connection(OWNER, parts), spawn)
        view = world.boot.store.reader.agent("moss")
        assert view is not None
        assert (view.settings.backend, view.settings.purpose) == ("external", "waits")
        without = evolve(world.boot.parts, default_backend=refuse)
        other = Command("l", "agent.spawn", {"name": "fern"}, {})
        ack: Json = dict(await perform(without, Connection(OWNER, without), other))
        assert (ack["error"]["code"], ack["error"]["text"]) == ("refused", "Say what runs it")
        assert world.boot.store.reader.agent("fern") is None

    in_world(tmp_path, tell)


def test_a_change_is_checked_as_the_agent_then_is(tmp_path: Path) -> None:
    """What it is run with already counts as well."""

    async def tell(world: World) -> None:
        checked: list[ask.Settings] = []
        parts = evolve(world.boot.parts, check_settings=checked.append)
        change = Command("k", "agent.change", {"name": "iris", "model": "opus"}, {})
        ack: Json = dict(await perform(parts, Connection(OWNER, parts), change))
        assert ack["result"]["model"] == "opus"
        assert checked == [evolve(ask.Settings(), model="opus")]
        gone = Command("l", "agent.change", {"name": "nobody"}, {})
        ack = dict(await perform(parts, Connection(OWNER, parts), gone))
        assert ack["error"]["code"] == "not_found"

    in_world(tmp_path, tell)


def test_a_fault_of_hive_is_told_without_its_text_and_ends_nothing(tmp_path: Path) -> None:
    """Its log says how; a client might learn something it should not."""

    async def tell(world: World) -> None:
        def check(_settings: ask.Settings) -> None:
            raise ZeroDivisionError("secret")

        faults: list[BaseException] = []
        parts = evolve(world.boot.parts, check_settings=check, on_error=faults.append)
        spawn = Command("k", "agent.spawn", {"name": "moss"}, {})
        ack: Json = await perform(parts, Connection(OWNER, parts), spawn)
        assert (ack["ok"], ack["error"]["code"]) == (False, "fault")
        assert "secret" not in repr(ack)
        assert [type(fault) for fault in faults] == [ZeroDivisionError]

    in_world(tmp_path, tell)


@pytest.mark.parametrize(("how", "code"), [("gone", "unavailable"), ("silent", "unknown")])
def test_a_command_without_an_outcome_says_that_repeating_is_safe(
    tmp_path: Path, how: str, code: str
) -> None:
    """A broker that is gone, and a store that does not get to it within half a minute."""

    async def tell(world: World) -> None:
        class Gone:
            async def ask(self, _message: object) -> object:
                if how == "silent":
                    await trio.sleep_forever()
                raise ActorStopped("broker", begun=False)

        parts = evolve(world.boot.parts, broker=Gone())  # type: ignore[arg-type]
        command = Command("k", "agent.kick", {"agent": "iris"}, {})
        ack: Json = await perform(parts, Connection(OWNER, parts), command)
        assert ack["error"]["code"] == code
        assert "again with the same id" in ack["error"]["text"]

    in_world(tmp_path, tell)


def test_answers_are_forgotten_after_a_while_and_when_there_are_too_many(tmp_path: Path) -> None:
    """Ten minutes, 256 of them; a secret does not live longer than that."""

    async def tell(world: World) -> None:
        answers = Answers(world.simulation.wall)
        onces = [Once("operator:page", f"{n}", "d") for n in range(300)]
        for once in onces:
            answers.keep(once, once.key)
        assert answers.find(onces[0]) is None
        kept = answers.find(onces[-1])
        assert kept is not None
        assert kept.answer == "299"
        await trio.sleep(601.0)
        assert answers.find(onces[-1]) is None

    in_world(tmp_path, tell)
