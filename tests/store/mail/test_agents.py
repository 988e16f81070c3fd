"""Agents, their boxes, processes and tokens, as rows."""

from typing import TYPE_CHECKING

import pytest
from attrs import asdict

from hive.protocol.commands import (
    AddAgent,
    AddWebSession,
    AppendStream,
    BoxDown,
    BoxStarted,
    ChangeAgent,
    EndTurn,
    ForgetProcess,
    Lease,
    Lift,
    NoteCredential,
    NoteFact,
    Park,
    RecordProcess,
    RemoveAgent,
    RevokeWebSession,
    SetClientToken,
    SetStatus,
    Settings,
    StreamRow,
    TouchClient,
)
from hive.protocol.errors import Conflict, Malformed, NotFound
from hive.protocol.mail import Kind, State
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.store.agents import SETTINGS_BYTES
from hive.store.rows import settings_of

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk

SHA = "0123456789abcdef" * 4


def test_an_agent_is_added_with_its_settings(desk: "Desk") -> None:
    """They come back as they went in."""
    settings = Settings(backend="external", directives_from=("operator", "boss"), purpose="to serve")
    desk.do(AddAgent("lily", settings))
    stored = desk.value("SELECT settings FROM agent WHERE name = 'lily'")
    assert settings_of(str(stored)) == settings
    row = desk.rows("agent.added")[-1]
    assert (row.agent, row.subject, row.data["by"]) == ("lily", "lily", "operator")


def test_settings_are_not_of_any_length(desk: "Desk") -> None:
    """They are read with every look at their agent, and journalled."""
    with pytest.raises(Malformed, match=f"{SETTINGS_BYTES} is the most"):
        desk.do(AddAgent("lily", Settings(purpose="x" * SETTINGS_BYTES)))
    desk.do(AddAgent("lily", Settings(purpose="x" * (SETTINGS_BYTES - 1000))))


def test_an_agent_is_run_otherwise_once_it_was_changed(desk: "Desk") -> None:
    """What was not named stays; the journal has the settings as they are now."""
    desk.do(AddAgent("lily", Settings(backend="claude", purpose="to serve", model="opus")))
    changed = desk.do(ChangeAgent("lily", model="haiku", allow_shell=True))
    assert changed == Settings(backend="claude", purpose="to serve", model="haiku", allow_shell=True)
    assert settings_of(str(desk.value("SELECT settings FROM agent WHERE name = 'lily'"))) == changed
    row = desk.rows("agent.changed")[-1]
    assert (row.subject, row.data["settings"], row.data["by"]) == ("lily", asdict(changed), "operator")
    assert desk.do(ChangeAgent("lily", model="")).model == ""


def test_a_change_that_changes_nothing_is_no_news(desk: "Desk") -> None:
    """And one that cannot be made leaves everything as it was."""
    before = desk.do(ChangeAgent("iris"))
    assert desk.do(ChangeAgent("iris", model=before.model)) == before
    with pytest.raises(Malformed, match=f"{SETTINGS_BYTES} is the most"):
        desk.do(ChangeAgent("iris", purpose="x" * SETTINGS_BYTES))
    with pytest.raises(NotFound, match="'nobody'"):
        desk.do(ChangeAgent("nobody", model="opus"))
    assert desk.rows("agent.changed") == []


def parked(desk: "Desk", agent: str) -> list[str]:
    """The reasons that keep an agent from waking."""
    found = desk.tx().rows("SELECT reason, detail FROM park WHERE agent = ? ORDER BY reason", agent)
    return [f"{row['reason']}: {row['detail']}" for row in found]


def test_an_agent_without_a_login_is_there_and_waits_for_it(desk: "Desk") -> None:
    """The answer says what to do, and so does the reason."""
    assert desk.do(AddAgent("moss", Settings())) == ""
    waits_for = "its CLI has no key yet: hive secret set claude"
    assert desk.do(AddAgent("lily", Settings(backend="claude"), needs_login=waits_for)) == waits_for
    assert (parked(desk, "moss"), parked(desk, "lily")) == ([], [f"login: {waits_for}"])


def test_a_credential_wakes_those_who_wait_for_it(desk: "Desk") -> None:
    """By the name they were given, or by their backend's; nobody else, and nobody who waits for more."""
    for name, credential in (("lily", ""), ("moss", "work"), ("fern", "other")):
        desk.do(AddAgent(name, Settings(backend="claude", credential=credential), needs_login="a key"))
    desk.do(Park("lily", Reason.FAILING))
    assert desk.do(NoteCredential("claude", ("ANTHROPIC_API_KEY",))) == ("lily",)
    assert desk.do(NoteCredential("work", ("ANTHROPIC_API_KEY",))) == ("moss",)
    assert (parked(desk, "lily"), parked(desk, "moss")) == (["failing: "], [])
    assert parked(desk, "fern") == ["login: a key"]
    row = desk.rows("credential.set")[-1]
    assert (row.subject, row.data) == ("work", {"variables": ("ANTHROPIC_API_KEY",), "by": "operator"})


def test_a_credential_that_is_taken_away_wakes_nobody(desk: "Desk") -> None:
    """Whoever still has it in a running process goes on until the process ends."""
    desk.do(AddAgent("lily", Settings(backend="claude"), needs_login="a key"))
    assert desk.do(NoteCredential("claude", ())) == ()
    assert parked(desk, "lily") == ["login: a key"]
    assert desk.rows("credential.removed")[-1].subject == "claude"


def test_an_agent_that_is_given_another_credential_tries_it(desk: "Desk") -> None:
    """Another model is no reason to."""
    desk.do(AddAgent("lily", Settings(backend="claude"), needs_login="a key"))
    desk.do(ChangeAgent("lily", model="opus"))
    assert parked(desk, "lily") == ["login: a key"]
    desk.do(ChangeAgent("lily", credential="work", needs_login="another key"))
    assert parked(desk, "lily") == ["login: another key"]
    desk.do(ChangeAgent("lily", credential="play"))
    assert parked(desk, "lily") == []


@pytest.mark.parametrize(
    "meanwhile", [NoteCredential("scripted", ("KEY",)), ChangeAgent("iris", credential="work")]
)
def test_a_login_that_came_during_a_turn_counts(
    desk: "Desk", meanwhile: NoteCredential | ChangeAgent
) -> None:
    """The turn was refused with the old one; nobody would wake its agent for the new one any more."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(meanwhile)
    desk.end(begun, Outcome.LOGIN)
    assert [one.split(":")[0] for one in parked(desk, "iris")] == ["backoff"]
    desk.do(Lift("iris", Reason.BACKOFF))
    desk.now += 60
    desk.end(desk.begin("iris"), Outcome.LOGIN)
    assert [one.split(":")[0] for one in parked(desk, "iris")] == ["login"]


@pytest.mark.parametrize(
    ("name", "role", "error", "hint"),
    [
        ("Lily", "agent", Malformed, "is not a name"),
        ("operator", "agent", Malformed, "is reserved"),
        ("lily", "queen", Malformed, "'queen' is not a role; use agent or manager"),
        ("manager", "agent", Malformed, "choose the role or another name"),
        ("iris", "agent", Conflict, "There is an agent 'iris' already"),
        ("lily", "manager", Conflict, "'boss' is the manager already"),
    ],
)
def test_a_wrong_agent_is_refused(
    desk: "Desk", name: str, role: str, error: type[Exception], hint: str
) -> None:
    """With what to do instead."""
    with pytest.raises(error, match=hint):
        desk.do(AddAgent(name, Settings(role=role)))


def test_the_manager_may_bear_the_name_of_its_role(desk: "Desk") -> None:
    """Then both are the same mailbox."""
    desk.do(RemoveAgent("boss"))
    desk.add("manager", role="manager")
    assert desk.send("iris", "manager").recipient == "manager"


def test_a_removed_agent_leaves_nothing_undecided(desk: "Desk") -> None:
    """Its unfinished mail is dead, the senders are told in one note each, its turn's verdicts are void."""
    desk.do(SetClientToken("iris", SHA))
    desk.do(Park("iris", Reason.LIMIT))
    done = desk.send("operator", "iris")
    desk.now += 60
    desk.end(desk.begin("iris"))
    held = desk.send("rose", "iris", "held")
    begun = desk.begin("iris")
    waiting = desk.send("rose", "iris", "waiting")
    desk.adjust(hops=0)
    blocked = desk.send("rose", "iris", "blocked")
    own = desk.send("operator", "iris")

    assert desk.do(RemoveAgent("iris", by="web")) == 4

    for one in (held, waiting, blocked, own):
        assert (desk.mail(one.id).state, desk.mail(one.id).why) == (State.DEAD, "removed")
    assert desk.mail(done.id).state is State.DONE
    (note,) = desk.box("rose")
    assert note.kind is Kind.UNDELIVERED
    assert note.body.count("your message #") == 3
    assert "because iris was removed" in note.body
    assert desk.value("SELECT outcome FROM turn WHERE number = ?", begun.turn) == "interrupted"
    assert desk.rows("turn.ended")[-1].data["dead"] == 4
    assert desk.rows("agent.removed")[0].data == {"by": "web", "dead": 4}
    assert desk.value("SELECT count(*) FROM park") == 0
    assert desk.value("SELECT client_token FROM agent WHERE name = 'iris'") is None
    before = len(desk.journal)
    desk.do(EndTurn(begun.turn, Outcome.OK, seen=(held.number,)))
    assert len(desk.journal) == before
    with pytest.raises(NotFound):
        desk.do(RemoveAgent("iris"))


def test_leased_mail_of_a_removed_agent_is_dead_too(desk: "Desk") -> None:
    """And nobody is told about mail of its own."""
    desk.send("iris", "iris")
    desk.do(Lease("iris", "client"))
    assert desk.do(RemoveAgent("iris")) == 1
    assert len(desk.box("iris")) == 1


def test_removing_who_waits_or_runs_moves_the_line(desk: "Desk") -> None:
    """A slot that becomes free is offered."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "iris")
    desk.begin("iris")
    desk.send("operator", "rose")
    desk.do(Park("rose", Reason.SLOT))
    desk.do(RemoveAgent("iris"))
    assert desk.parked("rose") == set()


def test_a_removed_name_comes_back_clean_and_its_numbers_go_on(desk: "Desk") -> None:
    """Nothing of the old agent sticks to the new one, but no number is used twice."""
    desk.do(BoxStarted("iris", "first start", wakes=True))
    desk.do(AppendStream("iris", None, (StreamRow("text"),)))
    desk.do(SetStatus("iris", "busy"))
    desk.end(desk.begin("iris"), Outcome.FAILED)
    desk.do(TouchClient("iris"))
    desk.do(RemoveAgent("iris"))
    desk.adjust(batch_messages=16)
    desk.add("iris")

    row = dict(desk.db.execute("SELECT * FROM agent WHERE name = 'iris'").fetchone())
    clean = {"status": "", "status_at": None, "failures": 0, "dead_in_a_row": 0, "interruptions": 0}
    clean |= {"removed_at": None, "client_token": None, "client_seen_at": None, "batch_limit": 16}
    assert {name: row[name] for name in clean} == clean
    assert desk.do(BoxStarted("iris", "second", wakes=False)) == 2
    desk.do(AppendStream("iris", None, (StreamRow("text"),)))
    assert desk.value("SELECT max(n) FROM stream") == 2


def test_a_status_is_one_line_of_a_bounded_length(desk: "Desk") -> None:
    """What is too long is refused, so that the agent says it shorter."""
    desk.do(SetStatus("iris", " reading\n the  report "))
    assert desk.value("SELECT status FROM agent WHERE name = 'iris'") == "reading the report"
    assert desk.rows("agent.status")[0].data == {"text": "reading the report"}
    with pytest.raises(Malformed, match="201 characters; 200 is the most"):
        desk.do(SetStatus("iris", "x" * 201))
    with pytest.raises(Malformed, match="surrogate"):
        desk.do(SetStatus("iris", "\ud800"))
    with pytest.raises(NotFound):
        desk.do(SetStatus("nobody", "x"))


def test_stream_rows_are_numbered_without_holes_and_published(desk: "Desk") -> None:
    """Each agent has a lane of its own; a name nobody ever bore has none."""
    tx = desk.tx()
    desk.do(AppendStream("iris", 1, (StreamRow("text", {"text": "a"}), StreamRow("tool"))))
    desk.do(AppendStream("iris", None, (StreamRow("text"),)))
    desk.do(AppendStream("rose", None, ()))
    desk.do(AppendStream("nobody", None, (StreamRow("text"),)))
    assert [row[0] for row in tx.db.execute("SELECT n FROM stream WHERE agent = 'iris'")] == [1, 2, 3]
    assert desk.value("SELECT data FROM stream") == '{"text": "a"}'
    assert desk.value("SELECT sum(stream_head) FROM agent") == 3


# --- boxes and processes ---------------------------------------------------------------------------


def test_every_start_of_a_box_has_an_epoch_and_leaves_a_note(desk: "Desk") -> None:
    """Whoever started it."""
    assert desk.do(BoxStarted("iris", "rebuilt", wakes=True)) == 1
    assert desk.do(BoxStarted("iris", "crashed \ud800", wakes=True)) == 2
    (note,) = desk.box("iris")
    assert (note.kind, note.sender) == (Kind.RESTARTED, "system")
    assert "crashed ?" in note.body
    assert [row.data["epoch"] for row in desk.rows("box.started")] == [1, 2]
    with pytest.raises(NotFound):
        desk.do(BoxStarted("nobody", "x", wakes=False))


def test_a_box_that_is_down_is_written_down_once(desk: "Desk") -> None:
    """Its agent is parked until it is up again; nobody's box is nobody's business."""
    desk.do(BoxDown("iris", "killed"))
    desk.do(BoxDown("iris", "killed"))
    desk.do(RemoveAgent("rose"))
    for name in ("rose", "nobody"):
        desk.do(BoxDown(name, "killed"))
    (row,) = desk.rows("box.down")
    assert (row.agent, row.data) == ("iris", {"epoch": 0, "cause": "killed"})
    assert desk.parked("iris") == {"box_down"}


def test_processes_are_known_until_they_are_gone(desk: "Desk") -> None:
    """A pid alone is no identity: with its start time it is."""
    desk.do(RecordProcess("iris", 42, 1000))
    desk.do(RecordProcess("iris", 42, 2000))
    desk.do(ForgetProcess("iris", 42, 1000))
    desk.do(ForgetProcess("iris", 42, 1000))
    assert desk.value("SELECT group_concat(started) FROM process") == "2000"
    assert desk.value("SELECT boot FROM process") == desk.boot
    assert [row.type for row in desk.journal if row.subject == "42"] == [
        "process.recorded",
        "process.recorded",
        "process.gone",
    ]


def test_a_fact_becomes_a_journal_row_with_its_subject(desk: "Desk") -> None:
    """Whatever names its data has: those of columns are not repeated."""
    data: dict[str, object] = {
        "path": "agents/iris",
        "reason": "crash",
        "agent": "x",
        "subject": "y",
        "type_": "z",
    }
    desk.do(NoteFact("child.exited", "iris", data))
    desk.do(NoteFact("hive.warning", None, {"code": "disk", "text": "nearly full"}))
    first, second = desk.journal[-2:]
    assert (first.type, first.agent, first.subject) == ("child.exited", "iris", "agents/iris")
    assert first.data == {"path": "agents/iris", "reason": "crash"}
    assert (second.agent, second.subject, second.data["code"]) == (None, None, "disk")


# --- tokens and sessions ---------------------------------------------------------------------------


def test_only_hashes_of_tokens_are_kept_and_none_is_journalled(desk: "Desk") -> None:
    """A new one takes the place of the old one."""
    desk.do(SetClientToken("iris", SHA))
    desk.do(SetClientToken("iris", SHA[::-1]))
    assert desk.value("SELECT client_token FROM agent WHERE name = 'iris'") == SHA[::-1]
    assert [row.data for row in desk.rows("client.token")] == [{"by": "operator"}] * 2
    for wrong in ("secret", SHA.upper(), SHA + "\n"):
        with pytest.raises(Malformed, match="64 hexadecimal digits") as refusal:
            desk.do(SetClientToken("iris", wrong))
        assert wrong not in refusal.value.text
    with pytest.raises(NotFound):
        desk.do(SetClientToken("nobody", SHA))


def test_a_client_that_was_here_is_seen(desk: "Desk") -> None:
    """Without a journal row for every call."""
    desk.do(TouchClient("iris"))
    desk.do(TouchClient("nobody"))
    assert desk.value("SELECT client_seen_at FROM agent WHERE name = 'iris'") == desk.now


def test_browsers_log_in_and_out(desk: "Desk") -> None:
    """One by one, or all at once."""
    for digit in "123":
        desk.do(AddWebSession(digit * 64, "owner", desk.now + 60))
    assert desk.do(RevokeWebSession("1" * 64))
    assert not desk.do(RevokeWebSession("1" * 64))
    assert desk.do(RevokeWebSession(None))
    assert desk.value("SELECT count(*) FROM web_session") == 0
    assert len(desk.rows("session.added")) == 3
    assert [row.data for row in desk.rows("session.revoked")] == [{"sessions": 1}, {"sessions": 2}]
    with pytest.raises(Malformed):
        desk.do(AddWebSession("secret", "owner", desk.now))
