"""Detail on demand: of one moment, bounded, and only what the asker may see."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from hive.actors import ActorStopped
from hive.cli import show
from hive.protocol import commands as ask
from hive.protocol.commands import BeginTurn, TurnBegun
from hive.protocol.grammar import Role
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.protocol.requests import GETS
from hive.protocol.views import AuditView, Violation
from hive.protocol.wording import audit_sentence
from hive.testing.mirror import Json
from hive.testing.page_world import Powers, World, in_world
from hive.web import gets, wire
from hive.web.gets import PAGE_BYTES, answer
from hive.web.incoming import Question
from hive.web.parts import Login, Via
from hive.web.plain import plain

OWNER = Login("operator", Role.OWNER, Via.PAGE)


async def got(world: World, what: str, login: Login = OWNER, **arguments: Any) -> Json:
    """The fields of a `got`."""
    return await answer(world.boot.parts, login, Question("1", what, arguments))


async def data(world: World, what: str, **arguments: Any) -> Any:
    """What is answered to a question that has an answer."""
    found = await got(world, what, **arguments)
    assert found["ok"], found
    return found["data"]


async def send(world: World, to: str, body: str = "hello", reply: str | None = None) -> str:
    """A message of the operator's; its id."""
    command = ask.Send("operator", to, body, Provenance.OPERATOR, in_reply_to=reply)
    return (await world.boot.store.submit(command).outcome()).accepted[0].id


async def turn(world: World, agent: str) -> int:
    """A turn that ended well."""
    begun = await world.boot.store.submit(BeginTurn(agent, 1)).outcome()
    assert isinstance(begun, TurnBegun)
    seen = tuple(one.mail.number for one in begun.messages)
    await world.do(ask.EndTurn(begun.turn, Outcome.OK, "done with it", seen=seen))
    return begun.turn


def test_everything_there_is_to_get_is_answered(tmp_path: Path) -> None:
    """Each answer holds what its name says, as JSON that fits a frame."""

    async def tell(world: World) -> None:
        first = await send(world, "iris")
        number = await turn(world, "iris")
        reply = await send(world, "rosa", "about that", first)
        await world.do(ask.Bury(reply))
        await world.do(ask.AppendStream("iris", number, (ask.StreamRow("say", {"text": "well"}),)))
        asked: Mapping[str, Json] = {
            "agent": {"agent": "iris"},
            "endpoint": {"agent": "iris"},
            "message": {"message": first},
            "rows": {"agent": "iris"},
            "thread": {"thread": first},
            "turn": {"turn": number},
            "mailbox": {"recipient": "iris", "states": ["done"]},
        }
        found = {what: await data(world, what, **asked.get(what, {})) for what in GETS if what != "doctor"}
        assert {wire.size(wire.encoded(one)) < wire.FRAME_BYTES for one in found.values()} == {True}
        assert [view["view"]["name"] for view in found["agents"]] == ["iris", "rosa"]
        assert found["agent"]["view"]["name"] == "iris"
        assert found["status"]["counts"]["accepted"] == 2
        assert found["endpoint"]["has_token"] is False
        assert [one["id"] for one in found["mailbox"]["mail"]] == [first]
        assert [one["id"] for one in found["traffic"]["mail"]] == [reply, first]
        assert [one["id"] for one in found["thread"]] == [first, reply]
        assert [one["id"] for one in found["dead"]] == [reply]
        assert [one["id"] for one in found["message"]["replies"]] == [reply]
        assert [one["number"] for one in found["message"]["turns"]] == [number]
        assert found["turn"]["final_text"] == found["turns"][0]["final_text"] == "done with it"
        assert [row[3]["text"] for row in found["rows"]] == ["well"]
        assert [row["seq"] for row in found["journal"]] == list(range(1, len(found["journal"]) + 1))

    in_world(tmp_path, tell)


@pytest.mark.parametrize(
    ("what", "arguments", "code"),
    [
        ("dances", {}, "not_found"),
        ("agent", {}, "malformed"),
        ("agent", {"agent": 3}, "malformed"),
        ("agent", {"agent": "nobody"}, "not_found"),
        ("endpoint", {"agent": "nobody"}, "not_found"),
        ("message", {"message": "m-none"}, "not_found"),
        ("message", {"message": "1", "from": -1}, "malformed"),
        ("mailbox", {"states": "done"}, "malformed"),
        ("mailbox", {"states": [1]}, "malformed"),
        ("traffic", {"before": "1"}, "malformed"),
        ("turn", {"turn": 7}, "not_found"),
        ("turns", {"agent": 7}, "malformed"),
        ("rows", {"agent": "iris", "after": True}, "malformed"),
        ("journal", {"after": 2**60}, "malformed"),
    ],
)
def test_what_cannot_be_answered_is_said_so(tmp_path: Path, what: str, arguments: Json, code: str) -> None:
    """Each with its code, and the conversation goes on."""

    async def tell(world: World) -> None:
        await send(world, "iris")
        found = await got(world, what, **arguments)
        assert (found["ok"], found["error"]["code"]) == (False, code), found

    in_world(tmp_path, tell)


def test_a_viewer_sees_everything_but_how_to_come_in(tmp_path: Path) -> None:
    """An agent's endpoint is for those who may act."""

    async def tell(world: World) -> None:
        viewer = Login("somebody", Role.VIEWER, Via.PAGE)
        refused = set()
        for what in set(GETS) - {"doctor"}:
            error = (await got(world, what, viewer, agent="iris")).get("error", {"code": ""})
            if error["code"] == "forbidden":
                refused.add(what)
        assert refused == {"endpoint", "secrets"}

    in_world(tmp_path, tell)


def test_a_long_body_is_told_in_pieces_that_fit(tmp_path: Path) -> None:
    """However many bytes its characters take; the pieces make the whole."""

    async def tell(world: World) -> None:
        body = "\N{HONEYBEE}" * 100_000 + '"' * 100_000
        message, told = await send(world, "iris", body), ""
        for _ in range(20):
            piece = await data(world, "message", message=message, **{"from": len(told)})
            assert wire.size(wire.encoded(piece["body"])) <= PAGE_BYTES
            told += piece["body"]
            if not piece["cut"]:
                break
        assert told == body

    in_world(tmp_path, tell)


def test_rows_are_told_in_pages_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row at least, and no more than a page holds; whoever wants more asks for what follows."""
    monkeypatch.setattr(gets, "PAGE_BYTES", 1_000)

    async def tell(world: World) -> None:
        rows = tuple(ask.StreamRow("say", {"text": "x" * size}) for size in (100, 2_000, 300, 300, 300, 300))
        await world.do(ask.AppendStream("iris", None, rows))
        pages, after = [], 0
        for _ in range(10):
            page = await data(world, "rows", agent="iris", after=after, limit=400)
            if not page:
                break
            pages.append(len(page))
            after = page[-1][0]
        assert pages == [1, 1, 2, 2]

    in_world(tmp_path, tell)


def test_a_fault_of_hive_is_told_without_its_text(tmp_path: Path) -> None:
    """Its log says how."""

    async def tell(world: World) -> None:
        class Broken(Powers):
            def tree(self) -> object:
                raise ZeroDivisionError("secret")

        faults: list[BaseException] = []
        parts = evolve(world.boot.parts, powers=Broken(), on_error=faults.append)
        found = await answer(parts, OWNER, Question("1", "tree", {}))
        assert found["ok"] is False
        assert "secret" not in repr(found)
        assert [type(fault) for fault in faults] == [ZeroDivisionError]

    in_world(tmp_path, tell)


def test_the_doctor_tells_of_a_store_that_refuses_and_of_a_machine_that_does_not_answer(
    tmp_path: Path,
) -> None:
    """Worst first; and a stuck disk holds up the answer for so long and no longer."""

    async def tell(world: World) -> None:
        answered = threading.Event()

        class Stuck(Powers):
            def diagnosis(self, _agents: Sequence[ask.Settings]) -> list[Mapping[str, object]]:
                answered.wait(60.0)
                return []

        parts = evolve(world.boot.parts, powers=Stuck())
        world.boot.store._writer.refusing = "the disk is full"
        try:
            found = await answer(parts, OWNER, Question("1", "doctor", {}))
        finally:
            answered.set()
            world.boot.store._writer.refusing = None
        findings = [(one["ok"], one["what"]) for one in found["data"]]  # type: ignore[attr-defined]
        assert findings == [(False, "store"), (False, "machine"), (True, "invariants"), (True, "audit")]

    in_world(tmp_path, tell)


def test_doctor_and_status_tell_what_the_audit_has_found(tmp_path: Path) -> None:
    """Also what a quick look does not see; and when all history was last checked."""

    async def tell(world: World) -> None:
        old = Violation(4, "iris", "Message #7 is done, and nobody knows why.", 7)
        now = world.simulation.wall()
        view = AuditView(
            since=now - 1_000,
            looks=3,
            failed=1,
            full_at=now - 130,
            full_seconds=61,
            spent=2,
            violations=(old,),
        )
        parts = evolve(world.boot.parts, audit=lambda: view, wall=lambda: now)
        found = await answer(parts, OWNER, Question("1", "doctor", {}))
        findings: Any = found["data"]
        assert (findings[0]["ok"], findings[0]["cause"]) == (False, old.text)
        said = (
            "last full check 2 min ago, it took 1 min; "
            "3 looks, 0.20% of a core, 1 failed (see hive.warning in the journal)"
        )
        assert {"ok": True, "what": "audit", "cause": said, "remedy": ""} in findings
        status: Any = (await answer(parts, OWNER, Question("2", "status", {})))["data"]
        assert [one["message"] for one in status["violations"]] == [7]
        assert status["audit"]["sentence"] == said
        assert status["audit"]["full_age"] == 130
        assert f"audit: {said}." in show.status(status, None)
        assert "it took less than 1 s;" in audit_sentence(evolve(view, full_seconds=0.4), now)
        assert parts.health.look()["audit"] == {"looks": 3, "full_at": now - 130, "full_seconds": 61}

    in_world(tmp_path, tell)


def test_before_the_first_full_check_that_is_said(tmp_path: Path) -> None:
    """No age is made up."""

    async def tell(world: World) -> None:
        status = await data(world, "status")
        assert status["audit"]["full_age"] is None
        assert "the first full check since the start is not over yet" in show.status(status, None)

    in_world(tmp_path, tell)


# --- values as JSON --------------------------------------------------------------------------------


@frozen
class Shown:
    """A value of the kernel's kind."""

    name: str
    inner: object = None


def test_any_value_of_the_kernel_can_be_shown() -> None:
    """Objects by their fields, types and errors by name, and what is unknown as its text."""
    cases: tuple[tuple[object, object], ...] = (
        (None, None),
        (1.5, 1.5),
        (Outcome.OK, "ok"),
        (ActorStopped("iris", begun=False), f"ActorStopped: {ActorStopped('iris', begun=False)}"),
        ({Outcome.OK: (1, 2)}, {"ok": [1, 2]}),
        (frozenset({1}), [1]),
        (Shown, "Shown"),
        (Shown("iris", Shown("rosa")), {"type": "Shown", "name": "iris", "inner": SHOWN}),
        (Path("/tmp"), "/tmp"),
    )
    assert [plain(value) for value, _ in cases] == [expected for _, expected in cases]


SHOWN = {"type": "Shown", "name": "rosa", "inner": None}


def test_the_cost_of_turns_is_added_up_as_asked(tmp_path: Path) -> None:
    """By agent where nothing is said; a word that means nothing is refused."""

    async def tell(world: World) -> None:
        await send(world, "iris")
        begun = await world.boot.store.submit(ask.BeginTurn("iris", 1)).outcome()
        assert isinstance(begun, ask.TurnBegun)
        usage = ask.Usage(100, 10, 0.5)
        await world.do(ask.EndTurn(begun.turn, Outcome.OK, usage=usage, model="opus"))
        (mine,) = await data(world, "cost")
        assert (mine["of"], mine["turns"], mine["cost_usd"]) == ("iris", 1, 0.5)
        assert [one["of"] for one in await data(world, "cost", by="model", days=1)] == ["opus"]
        refused = await got(world, "cost", by="moon")
        assert refused["error"]["code"] == "malformed"

    in_world(tmp_path, tell)
