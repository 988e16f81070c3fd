"""Verbs against a daemon that only speaks the protocol: what they send, show, repeat and wait for."""

import io
import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hive.cli.client import (
    ANSWER_SECONDS,
    BEAT_SECONDS,
    FRAME_BYTES,
    REPEAT_SECONDS,
    connected,
    insist,
    persist,
)
from hive.cli.clients import placeholder
from hive.cli.main import conversation
from hive.cli.output import Output
from hive.cli.parser import parse
from hive.cli.places import Place
from hive.cli.status import Failed, Status
from hive.cli.verbs import Call
from tests.cli.conftest import AGENT_VIEW, LOG, FakeDaemon, Run, serving, until

STATUS = {"seq": 40, "boot": 7, "log_id": LOG}
WHY = {"view": AGENT_VIEW, "why": "iris is parked: paused."}


def mail(state: str = "ready", **more: object) -> dict[str, Any]:
    """A message as `get message` answers it."""
    about = {"id": "m-1", "number": 1, "sender": "operator", "recipient": "iris", "state": state, "why": None}
    return {"mail": about | more, "body": "hello", "cut": False, "story": [], "turns": [], "replies": []}


def sent(standing: str = "idle") -> dict[str, Any]:
    """The result of a send to one agent."""
    one = {"recipient": "iris", "number": 1, "id": "m-1", "ahead": 0, "standing": standing, "blocked": None}
    return {"accepted": [one | {"parked_for": "paused", "parked_until": None}], "refused": []}


# --- the connection ------------------------------------------------------------------------------


async def test_a_command_is_repeated_under_its_id_until_it_is_acknowledged(
    daemon: FakeDaemon, autojump_clock: MockClock
) -> None:
    """Two connections break; the daemon sees one id, so it carries one command out."""
    daemon.hang_up, daemon.results = 2, {"agent.kick": ["iris"]}
    ack = await insist([daemon.place], "agent.kick", {"agent": "iris"})
    assert ack["result"] == ["iris"]
    assert daemon.connections == 3
    assert len({frame["id"] for frame in daemon.said("cmd")}) == 1


async def test_a_daemon_that_says_goodbye_before_the_welcome_is_tried_again(
    daemon: FakeDaemon, autojump_clock: MockClock
) -> None:
    """It was there: what serves the page is restarted, and somebody has just come in."""
    daemon.restarts, daemon.results = 2, {"agent.kick": ["iris"]}
    assert (await insist([daemon.place], "agent.kick", {"agent": "iris"}))["result"] == ["iris"]
    assert daemon.connections == 3


async def test_a_daemon_that_always_says_goodbye_is_given_up(
    daemon: FakeDaemon, autojump_clock: MockClock
) -> None:
    """After a bounded time, with what it says."""
    daemon.restarts, began = 1000, trio.current_time()
    with pytest.raises(Failed, match="hive restarts") as failed:
        await insist([daemon.place], "agent.kick", {"agent": "iris"})
    assert failed.value.status is Status.NO_DAEMON
    assert REPEAT_SECONDS <= trio.current_time() - began < REPEAT_SECONDS + 3


@pytest.mark.parametrize(("full", "asked"), [(1, 2), (3, 4), (4, 4)])
async def test_a_command_that_cannot_be_written_down_is_given_again_by_the_same_id(
    daemon: FakeDaemon, autojump_clock: MockClock, full: int, asked: int
) -> None:
    """A few times; then it is the person's to know."""
    daemon.full, daemon.results = full, {"agent.kick": ["iris"]}
    if full < asked:
        assert (await insist([daemon.place], "agent.kick", {"agent": "iris"}))["result"] == ["iris"]
    else:
        with pytest.raises(Failed, match="cannot write to its disk"):
            await insist([daemon.place], "agent.kick", {"agent": "iris"})
    assert len(daemon.said("cmd")) == asked
    assert len({frame["id"] for frame in daemon.said("cmd")}) == 1


async def test_bytes_that_are_no_text_are_never_sent(daemon: FakeDaemon, run: Run) -> None:
    """A file's name may be such; it is refused with the words before it."""
    with pytest.raises(Failed, match="not valid UTF-8") as refused:
        await run("backup", "/copies/\udcff")
    assert refused.value.status is Status.USAGE
    assert daemon.said("cmd") == []


async def test_a_daemon_that_never_was_is_not_waited_for(place: Place, autojump_clock: MockClock) -> None:
    """A person who forgot `hive up` hears of it at once."""
    began = trio.current_time()
    with pytest.raises(Failed) as failed:
        await insist([place], "agent.kick", {})
    assert (failed.value.status, trio.current_time()) == (Status.NO_DAEMON, began)


async def test_a_daemon_that_does_not_come_back_is_given_up(place: Place, autojump_clock: MockClock) -> None:
    """After a bounded time."""
    fake = FakeDaemon(place, hang_up=1)
    failures: list[Failed] = []
    ready = trio.Event()

    async def serve_once() -> None:
        async with serving(fake):
            ready.set()
            await until(lambda: bool(fake.said("cmd")))

    async def ask() -> None:
        try:
            await insist([place], "agent.kick", {})
        except Failed as failed:
            failures.append(failed)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_once)
        await ready.wait()
        nursery.start_soon(ask)
    assert [failed.status for failed in failures] == [Status.NO_DAEMON]
    assert REPEAT_SECONDS <= trio.current_time() - began < REPEAT_SECONDS + 3


async def test_silence_is_filled_with_beats(daemon: FakeDaemon, autojump_clock: MockClock) -> None:
    """The daemon hangs up on who is silent for a minute; a person may wait for an hour."""
    async with connected([daemon.place]):
        await trio.sleep(6.5 * BEAT_SECONDS)
        assert len(daemon.said("beat")) == 6


async def test_a_daemon_that_does_not_answer_is_a_timeout(
    daemon: FakeDaemon, run: Run, autojump_clock: MockClock
) -> None:
    """Not a hang."""
    daemon.deaf = True
    began = trio.current_time()
    with pytest.raises(Failed) as failed:
        await run("status")
    assert failed.value.status is Status.TIMEOUT
    assert trio.current_time() - began >= ANSWER_SECONDS


async def test_events_that_come_before_an_answer_are_not_lost(daemon: FakeDaemon) -> None:
    """They wait for whoever reads the lane."""

    async def answer_late(client: Any) -> None:
        await client.greet(LOG, {"j": (40, 7)})
        daemon.answers["status"] = STATUS
        await daemon.tell("j", [41, 1.0, "msg.read", {"boot": 7}])
        assert await client.get("status") == STATUS
        assert (await client.news())["e"][0][0] == 41

    await persist([daemon.place], answer_late)


async def test_a_long_body_goes_up_in_parts_that_fit_their_frames(daemon: FakeDaemon, run: Run) -> None:
    """In any language, and with characters that JSON must escape."""
    daemon.results = {"message.send": sent()}
    body = "\x01" * 100_000 + "\N{GRINNING FACE}" * 50_000
    await run("send", "iris", body)
    parts = daemon.said("part")
    assert "".join(part["text"] for part in parts) == body
    assert [part["last"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(len(json.dumps(part, ensure_ascii=False).encode()) <= FRAME_BYTES for part in parts)
    assert daemon.said("cmd")[0]["args"] == {"to": "iris", "body_parts": parts[0]["id"]}


async def test_a_socket_without_a_daemon_is_no_daemon(place: Place, run: Run) -> None:
    """Left behind by one that was killed."""
    async with serving(FakeDaemon(place)):
        pass
    with pytest.raises(Failed, match="not running") as failed:
        await run("status")
    assert failed.value.status is Status.NO_DAEMON


# --- looking and changing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "name", "arguments"),
    [
        ("pause iris --now", "agent.pause", {"agent": "iris", "now": True}),
        ("pause --all", "agent.pause", {"agent": None, "now": False}),
        ("resume iris", "agent.resume", {"agent": "iris"}),
        (
            "resume --all --reason login failing",
            "agent.resume",
            {"agent": None, "reasons": ["login", "failing"]},
        ),
        ("stop iris", "agent.stop", {"agent": "iris"}),
        ("start --all", "agent.start", {"agent": None}),
        ("kick --all", "agent.kick", {"agent": None}),
        ("cancel iris --requeue", "turn.cancel", {"agent": "iris", "requeue": True}),
        ("remove iris", "agent.remove", {"name": "iris"}),
        (
            "change iris --model opus --allow-shell no",
            "agent.change",
            {"name": "iris", "model": "opus", "allow_shell": False},
        ),
        ("change iris --allow-shell yes", "agent.change", {"name": "iris", "allow_shell": True}),
        ("read m-1", "message.read", {"message": "m-1"}),
        ("unread m-1", "message.read", {"message": "m-1", "unread": True}),
        ("done 1", "message.done", {"message": "1"}),
        ("redrive 1 --to ben", "message.redrive", {"message": "1", "to": "ben"}),
        ("bury 1", "message.bury", {"message": "1"}),
        ("release 1", "message.release", {"message": "1"}),
        ("backup /b.sqlite3", "hive.backup", {"file": "/b.sqlite3"}),
    ],
)
async def test_a_verb_gives_its_command(
    daemon: FakeDaemon, run: Run, typed: str, name: str, arguments: dict[str, object]
) -> None:
    """With the arguments of the protocol, and says what came of it."""
    results: dict[str, object] = {"agent.remove": 3, "turn.cancel": 12}
    made = {"number": 9, "id": "m-9", "recipient": "ben", "file": "/b.sqlite3", "bytes": 4096}
    results["agent.resume"] = [{"agent": "iris", "lifted": ["paused"], "still": ["login"]}]
    daemon.results = {name: results.get(name, made if name in ("message.redrive", "hive.backup") else ["x"])}
    status, said = await run(*typed.split())
    (command,) = daemon.said("cmd")
    assert (command["name"], command["args"]) == (name, arguments)
    assert len(command["id"]) == 32
    assert (status, bool(said)) == (Status.OK, True)


async def test_a_resume_says_what_it_lifted_and_what_still_holds_with_its_way_out(
    daemon: FakeDaemon, run: Run
) -> None:
    """Who ended a pause learns at once that this was not all."""
    left = {"agent": "iris", "lifted": ["paused"], "still": ["login"]}
    none = {"agent": "ben", "lifted": [], "still": ["stopped"]}
    daemon.results = {"agent.resume": [left, none]}
    _, said = await run("resume", "--all")
    assert said.splitlines() == [
        (
            "iris: no longer paused; still login (way out: give it a key (hive secret set), "
            "or hive resume iris --reason login)."
        ),
        "ben: nothing lifted; still stopped (way out: hive start ben).",
    ]


async def test_spawn_sends_settings_only_where_they_were_named(daemon: FakeDaemon, run: Run) -> None:
    """The rest is the store's to default."""
    daemon.results = {"agent.spawn": None}
    await run("spawn", "iris", "--backend", "scripted", "--manager", "--directives-from", "operator", "ben")
    assert daemon.said("cmd")[0]["args"] == {
        "name": "iris",
        "settings": {
            "backend": "scripted",
            "role": "manager",
            "allow_shell": False,
            "directives_from": ["operator", "ben"],
        },
    }


async def test_spawn_says_what_a_new_agent_waits_for(daemon: FakeDaemon, run: Run) -> None:
    """Rather than telling its owner to write to it."""
    daemon.results = {"agent.spawn": "its CLI has no key yet: hive secret set claude"}
    _, said = await run("spawn", "iris", "--backend", "claude", "--model", "opus")
    assert said == "iris is there, but its CLI has no key yet: hive secret set claude\n"


async def test_a_change_of_nothing_is_not_sent(daemon: FakeDaemon, run: Run) -> None:
    """It says what could be changed."""
    with pytest.raises(Failed, match="--model") as failed:
        await run("change", "iris")
    assert failed.value.status is Status.USAGE
    assert not daemon.said("cmd")


@pytest.mark.parametrize("typed", ["pause", "pause iris --all", "kick", "resume"])
async def test_one_agent_or_all_must_be_said(daemon: FakeDaemon, run: Run, typed: str) -> None:
    """Nothing is sent otherwise."""
    with pytest.raises(Failed) as failed:
        await run(*typed.split())
    assert failed.value.status is Status.USAGE
    assert not daemon.said("cmd")


async def test_a_refusal_is_told_in_its_own_words(daemon: FakeDaemon, run: Run) -> None:
    """With the status for its code."""
    daemon.errors = {"message.bury": "conflict", "agent": "not_found"}
    with pytest.raises(Failed, match=r"message\.bury is refused") as failed:
        await run("bury", "1")
    assert failed.value.status is Status.CONFLICT
    with pytest.raises(Failed) as failed:
        await run("why", "iris")
    assert failed.value.status is Status.REFUSED


async def test_why_is_the_daemons_sentence(daemon: FakeDaemon, run: Run) -> None:
    """Word for word."""
    daemon.answers = {"agent": WHY}
    assert await run("why", "iris") == (Status.OK, f"{WHY['why']}\n")
    assert json.loads((await run("why", "iris", "--json"))[1]) == WHY


async def test_a_mailbox_is_read_page_by_page(daemon: FakeDaemon, run: Run) -> None:
    """The last line says how to go on."""
    head = {"number": 12, "from": "ben", "to": "operator", "state": "ready", "read": False, "at": 1.0}
    daemon.answers = {"mailbox": {"mail": [head | {"head": "hi"}], "more": True}}
    _, said = await run("inbox", "--before", "20")
    assert daemon.said("get")[0]["args"] == {"before": 20}
    assert "ready *" in said
    assert "--before 12" in said


async def test_an_edited_letter_is_redriven_with_the_persons_text(
    daemon: FakeDaemon, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the editor leaves in the file is the body."""
    daemon.answers = {"message": mail("dead")}
    daemon.results = {"message.redrive": {"number": 9, "id": "m-9", "recipient": "iris"}}
    monkeypatch.setenv("VISUAL", "sed -i s/hello/goodbye/")
    await run("redrive", "1", "--edit")
    assert daemon.said("cmd")[0]["args"] == {"message": "1", "body": "goodbye"}


@pytest.mark.parametrize(("editor", "cut"), [("false", False), ("true", True)])
async def test_an_edit_that_fails_changes_nothing(
    daemon: FakeDaemon, run: Run, monkeypatch: pytest.MonkeyPatch, *, editor: str, cut: bool
) -> None:
    """Nor does one of a body too long to be shown whole."""
    daemon.answers = {"message": mail("dead") | {"cut": cut}}
    monkeypatch.setenv("VISUAL", editor)
    with pytest.raises(Failed):
        await run("redrive", "1", "--edit")
    assert not daemon.said("cmd")


async def test_the_tree_shows_the_turns_of_agents(daemon: FakeDaemon, run: Run) -> None:
    """A harness handles nothing for long: what its agent is at is the turn."""
    actor = {
        "name": "agent:iris",
        "status": "ready",
        "incarnation": 2,
        "restarts": 1,
        "last_error": "OSError: gone",
        "handling": None,
        "waits_for": [],
        "mailbox": {"waiting": {"Look": {"count": 2, "oldest": 3.0}}},
    }
    root = {
        "actor": actor | {"name": "root", "last_error": None, "handling": {"kind": "Start", "age": 2.0}},
        "strategy": "only the child that failed",
        "kinship": "family",
        "budget": {"intensity": 5, "period": 30.0},
        "children": [actor],
    }
    busy = AGENT_VIEW | {"open_turn": {"number": 12, "started_at": 1_000.0}}
    daemon.answers = {"tree": root, "agents": [{"view": busy, "why": ""}]}
    _, said = await run("tree")
    lines = said.splitlines()
    assert "Start for 2 s; family: restarts only the child that failed, 5 restarts in 30 s" in lines[1]
    assert lines[2].split("  ")[1:2] == ["agent:iris"]
    assert "3, 1 min" in lines[2]  # two hints and a message, the oldest a minute old
    assert "turn 12 for 1 min; last error: OSError: gone" in lines[2]
    shown = json.loads((await run("tree", "--json"))[1])
    assert shown["tree"]["children"][0]["turn"]["number"] == 12


async def test_open_over_ssh_names_the_command_for_ones_own_machine(
    daemon: FakeDaemon, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link leads nowhere there without it."""
    daemon.results = {"session.link": {"link": "http://127.0.0.1:7700/login?code=x"}}
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "x")
    _, said = await run("open")
    assert said.startswith("http://127.0.0.1:7700/login?code=x\n")
    assert "ssh -L 7700:127.0.0.1:7700" in said
    monkeypatch.delenv("SSH_CONNECTION")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    await run("open")
    assert opened == ["http://127.0.0.1:7700/login?code=x"]
    assert json.loads((await run("open", "--json"))[1])["link"] == opened[0]
    assert len(opened) == 1


async def test_endpoint_shows_a_token_once(daemon: FakeDaemon, run: Run) -> None:
    """With it a configuration to paste; later a placeholder."""
    daemon.answers = {"endpoint": {"url": "http://h/mcp/iris", "socket": "/s"}}
    daemon.results = {"client.token": lambda asked: {"token": "t0ken" if asked["rotate"] else None}}
    _, first = await run("endpoint", "iris", "--rotate", "--for", "claude")
    assert "claude mcp add --transport http hive http://h/mcp/iris" in first
    assert first.count("t0ken") == 2
    _, later = await run("endpoint", "iris")
    assert "t0ken" not in later
    assert f"Bearer {placeholder('iris')}" in later


async def test_doctor_is_unwell_when_one_finding_is(daemon: FakeDaemon, run: Run) -> None:
    """The status is for scripts, cause and remedy for people."""
    well = {"ok": True, "what": "disk", "cause": "plenty", "remedy": ""}
    daemon.answers = {"doctor": [well]}
    assert (await run("doctor"))[0] is Status.OK
    daemon.answers = {"doctor": [well | {"ok": False, "cause": "full", "remedy": "free some"}, well]}
    status, said = await run("doctor")
    assert status is Status.REFUSED
    assert "BAD  disk: full\n     -> free some" in said


# --- sending and waiting -------------------------------------------------------------------------


async def test_a_send_says_what_happens_next(daemon: FakeDaemon, run: Run) -> None:
    """And does not wait unless asked."""
    daemon.results = {"message.send": sent("running")}
    assert await run("send", "iris", "hello", "--urgent", "--reply-to", "3") == (
        Status.OK,
        "accepted as #1 (m-1), 0 ahead; iris is running.\n",
    )
    arguments = {"to": "iris", "body": "hello", "priority": "urgent", "in_reply_to": "3"}
    assert daemon.said("cmd")[0]["args"] == arguments


async def test_waiting_ends_with_the_first_reply(daemon: FakeDaemon, run: Run) -> None:
    """Whether it was there before anybody looked or came later."""
    reply = mail() | {"body": "the answer"}
    state = mail()

    def message(asked: dict[str, str]) -> dict[str, Any]:
        return reply if asked["message"] == "m-2" else state

    daemon.results = {"message.send": sent()}
    daemon.answers = {"status": STATUS, "message": message}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_answer_when_awaited, daemon, state)
        assert await run("send", "iris", "hello?", "--wait") == (Status.OK, "the answer\n")
    assert await run("send", "iris", "hello?", "--wait") == (Status.OK, "the answer\n")


async def _answer_when_awaited(daemon: FakeDaemon, state: dict[str, Any]) -> None:
    while not any(frame["want"] for frame in daemon.said("hello")):  # noqa: ASYNC110 - only looking tells
        await trio.sleep(0.001)
    state["replies"] = [{"id": "m-2"}]
    await daemon.tell("j", [41, 1.0, "msg.sent", {"subject": "m-2", "in_reply_to": "m-1", "boot": 7}])


async def test_a_reply_that_comes_while_the_connection_is_lost_is_found(
    daemon: FakeDaemon, run: Run, autojump_clock: MockClock
) -> None:
    """No event tells of it: the answer is computed from the message."""
    state = mail()
    daemon.results = {"message.send": sent()}
    daemon.answers = {"status": STATUS, "message": lambda _asked: state}

    async def lose() -> None:
        while not any(frame["want"] for frame in daemon.said("hello")):  # noqa: ASYNC110 - only looking tells
            await trio.sleep(0.01)
        state["replies"] = [{"id": "m-2"}]
        daemon.drop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lose)
        assert await run("send", "iris", "hello?", "--wait") == (Status.OK, "hello\n")
    assert daemon.said("cmd") == [daemon.said("cmd")[0]]


async def test_what_was_said_but_not_sent_is_marked(daemon: FakeDaemon, run: Run) -> None:
    """It is the turn's last word, not a reply."""
    done = mail("done", why="handled in turn 3") | {"turns": [{"final_text": ""}, {"final_text": "Done it."}]}
    daemon.results, daemon.answers = {"message.send": sent()}, {"status": STATUS, "message": done}
    assert await run("send", "iris", "go", "--wait") == (Status.OK, "(said, not sent) Done it.\n")
    shown = json.loads((await run("send", "iris", "go", "--wait", "--json"))[1])
    assert shown == {"reply": None, "said": "Done it."}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (mail("dead", why="removed"), "dead letter: removed"),
        (mail("done", why="handled in turn 3"), "nothing was said: m-1 is handled in turn 3"),
    ],
    ids=["dead", "silent"],
)
async def test_an_end_without_an_answer_is_a_failure_with_its_reason(
    daemon: FakeDaemon, run: Run, found: dict[str, Any], words: str
) -> None:
    """A script that waits for an answer must not take silence for one."""
    daemon.results, daemon.answers = {"message.send": sent()}, {"status": STATUS, "message": found}
    with pytest.raises(Failed, match=words) as failed:
        await run("send", "iris", "go", "--wait")
    assert failed.value.status is Status.REFUSED


async def test_time_that_is_up_says_why(
    daemon: FakeDaemon, run: Run, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the message and from its recipient; that it is parked is said at once."""
    daemon.results = {"message.send": sent("parked")}
    daemon.answers = {"status": STATUS, "message": mail(), "agent": WHY}
    with pytest.raises(Failed, match=r"within 90 s; m-1 is ready\. iris is parked: paused\.") as failed:
        await run("send", "iris", "go", "--wait", "--seconds", "90")
    assert failed.value.status is Status.TIMEOUT
    assert "iris is parked (paused)" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["*", "operator"])
async def test_only_one_agents_reply_can_be_awaited(daemon: FakeDaemon, run: Run, to: str) -> None:
    """Nothing is sent then."""
    with pytest.raises(Failed) as failed:
        await run("send", to, "hello", "--wait")
    assert failed.value.status is Status.USAGE
    assert not daemon.received


# --- following -----------------------------------------------------------------------------------


def row(seq: int) -> dict[str, Any]:
    """A journal row as `get journal` answers it."""
    return {"seq": seq, "boot": 7, "at": 1.0, "type": "msg.read", "agent": None, "subject": None, "data": {}}


def event(seq: int) -> list[Any]:
    """The same as an event."""
    return [seq, 1.0, "msg.read", {"agent": None, "subject": None, "boot": 7}]


async def test_events_are_shown_once_over_a_lost_connection(
    daemon: FakeDaemon, autojump_clock: MockClock, place: Place
) -> None:
    """Old ones by question, new ones as they come, and after a loss from where it broke."""
    daemon.answers = {
        "status": STATUS,
        "journal": lambda asked: [row(n) for n in range(asked["after"] + 1, 41)][:30],
    }
    seen = await _followed(place, daemon, ["events", "--from", "3", "--json"])
    assert seen == list(range(3, 45))
    resumed = [frame for frame in daemon.said("hello") if frame["want"]]
    assert [frame["at"] for frame in resumed] == [{"j": [40, 7]}, {"j": [42, 7]}]
    assert all(frame["log_id"] == LOG for frame in resumed)


async def _followed(place: Place, daemon: FakeDaemon, typed: list[str]) -> list[int]:
    """Numbers of the events a verb prints while two come, the connection is lost, and two more come."""
    verb, options = parse(typed)
    printed = io.StringIO()

    async def awaited(greetings: int) -> None:
        while sum(bool(frame["want"]) for frame in daemon.said("hello")) < greetings:  # noqa: ASYNC110 - only looking tells
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            conversation(verb), Call(verb, options, (place,), Output(as_json=True, stream=printed))
        )
        await awaited(1)
        await daemon.tell("j", event(40), event(41), event(42))
        await trio.sleep(1)
        daemon.drop()
        await awaited(2)
        await daemon.tell("j", event(42), event(43), event(44))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return [json.loads(line)["n"] for line in printed.getvalue().splitlines()]


async def test_another_history_is_followed_from_its_own_position(
    daemon: FakeDaemon, autojump_clock: MockClock, place: Place
) -> None:
    """After a restore the old numbers mean nothing: the snapshot says where to go on."""
    daemon.answers, daemon.resumes = {"status": STATUS}, False
    assert await _followed(place, daemon, ["events", "--json"]) == []
    # The snapshot stands for event 50: what was pushed lies before it.
    assert daemon.said("hello")[-1]["at"] == {"j": [50, 7]}


async def test_tail_begins_with_the_newest_rows(
    daemon: FakeDaemon, run: Run, autojump_clock: MockClock
) -> None:
    """Each agent with its name before the line."""
    head = {"view": AGENT_VIEW | {"stream_head": 100}, "why": ""}
    daemon.answers = {"agent": head, "rows": [[100, 1.0, "say", {"text": "hi", "turn": 3}]]}
    with trio.move_on_after(5):
        await run("tail", "iris")
    assert [frame["args"] for frame in daemon.said("get") if frame["what"] == "rows"] == [
        {"agent": "iris", "after": 80, "limit": 500}
    ]
    assert daemon.said("hello")[-1]["at"] == {"a:iris": [100, None]}


TURN: dict[str, Any] = {
    "number": 7,
    "started_at": 1_000.0,
    "ended_at": 1_030.0,
    "outcome": "step_limit",
    "cause": "operator",
    "model": "opus",
    "input_tokens": 12_000,
    "output_tokens": 20,
    "cost_usd": 0.25,
    "context_tokens": 50_000,
    "context_window": 200_000,
    "tools": {"hive/send": 2},
    "error": "",
    "final_text": "done",
}


async def test_turns_are_shown_with_what_they_took_and_used(daemon: FakeDaemon, run: Run) -> None:
    """A running one has no end yet, and a model that nobody asked for its room has none."""
    daemon.answers = {"turns": []}
    assert await run("turns", "iris") == (Status.OK, "no turns.\n")
    running: dict[str, Any] = {
        "ended_at": None,
        "outcome": None,
        "context_window": 0,
        "context_tokens": 1_500,
        "tools": {},
    }
    daemon.answers = {"turns": [TURN | running, TURN]}
    _, said = await run("turns", "iris", "--limit", "2")
    assert daemon.said("get")[-1]["args"] == {"agent": "iris", "limit": 2}
    open_, ended = said.splitlines()[-2:]
    words = ("30 s", "step limit", "operator", "opus", "12,000", "$0.2500", "25%", "hive/send*2", "done")
    assert [word for word in words if word not in ended] == []
    assert [word for word in ("running", "1,500") if word not in open_] == []


async def test_costs_end_with_their_sum(daemon: FakeDaemon, run: Run) -> None:
    """And say so where there are none."""
    daemon.answers = {"cost": []}
    assert "no turn has ended" in (await run("cost"))[1]
    one = {"of": "iris", "turns": 2, "seconds": 90.0, "cached_tokens": 5}
    one |= {"input_tokens": 1_000, "output_tokens": 10, "cost_usd": 0.5}
    daemon.answers = {"cost": [one, one | {"of": ""}]}
    _, said = await run("cost", "--by", "model", "--days", "7")
    assert daemon.said("get")[-1]["args"] == {"by": "model", "days": 7}
    assert "(unknown)" in said
    whole = said.splitlines()[-1]
    assert [word for word in ("all", "4", "3 min", "2,000", "$1.0000") if word not in whole] == []
