"""A running hive finds out by itself that its promise is broken, says so once, and costs next to nothing."""

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from hive.actors import Context, auditing, harness
from hive.actors.auditing import (
    AGAIN_SECONDS,
    FAILED_SECONDS,
    FULL_SECONDS,
    LATEST_SECONDS,
    LEAST_REST_SECONDS,
    LOOK_SECONDS,
    REST,
    ROWS_KEPT,
    SURE_SECONDS,
    Agenda,
    Doubts,
    Touched,
    rest_seconds,
    touched,
)
from hive.actors.protocol import AUDITOR, Look
from hive.protocol.commands import Broken, SetStatus, TellAudit
from hive.protocol.mail import State
from hive.protocol.views import AuditView, JournalRow, Violation
from hive.store import audit as looking
from hive.store.audit import Looked, Order, Seen
from hive.store.batch import CLEARED
from hive.store.hints import Hints
from hive.store.invariants import GRACE_SECONDS
from hive.testing.stage import Stage
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm
from hive.testing.trouble import AtStep

Story = Callable[[Swarm], Awaitable[None]]

# --- what journal rows call for --------------------------------------------------------------------


def row(type_: str, agent: str | None = "iris", **data: object) -> JournalRow:
    """A row of the journal."""
    return JournalRow(1, 1, 0.0, type_, agent, None, data)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([], Touched()),
        ([row("msg.sent", number=4), row("msg.done", number=4)], Touched(("iris",), (4,))),
        ([row("msg.read", "operator", number=5)], Touched(("operator",), (5,))),
        ([row("park.set"), row("turn.ended", "rosa"), row("agent.removed")], Touched(("iris", "rosa"))),
        ([row("box.started"), row("child.exited"), row("agent.added", None)], Touched()),
        ([row("hive.booted", None)], Touched(everybody=True)),
        ([row("hive.warning", None, code=CLEARED)], Touched(everybody=True)),
        ([row("hive.warning", None, code="other")], Touched()),
        ([row("audit.broken", "iris")], Touched()),
    ],
)
def test_which_checks_rows_call_for(rows: list[JournalRow], found: Touched) -> None:
    """The mailboxes and messages they changed; everything where commits hold again; else nothing."""
    assert touched(rows) == found


def seen(*agents: str, found: tuple[Violation, ...] = (), **more: object) -> Seen:
    """A look at these mailboxes."""
    plain: dict[str, object] = {"deep": False, "messages": (), "news": {}, "told": (), "breaks_at": {}}
    return Seen(agents, found=found, **{**plain, "rest": None, **more})  # type: ignore[arg-type]


def test_an_agenda_begins_with_everything_and_then_has_what_was_heard() -> None:
    """All of it in one look, once."""
    agenda = Agenda()
    assert agenda.wait_seconds(0.0) == 0.0
    assert agenda.next(0.0) == Order(seconds=LOOK_SECONDS)
    assert agenda.next(0.0) is None
    assert agenda.wait_seconds(0.0) == LATEST_SECONDS
    assert not agenda.hear([])
    assert agenda.hear([row("msg.sent", number=1)])
    assert agenda.hear([row("msg.sent", "rosa", number=2), row("msg.done", number=1)])
    assert agenda.wait_seconds(0.0) == 0.0
    assert agenda.next(0.0) == Order(("iris", "rosa"), (1, 2), seconds=LOOK_SECONDS)
    assert agenda.next(0.0) is None


def test_too_much_to_read_means_everything() -> None:
    """What waits is bounded, whatever is committed meanwhile."""
    agenda = Agenda()
    agenda.next(0.0)
    for number in range(ROWS_KEPT + 10):
        agenda.hear([row("msg.sent", number=number)])
    order = agenda.next(0.0)
    assert order is not None
    assert order.agents is None
    assert len(order.messages) == ROWS_KEPT


def test_what_there_was_no_time_for_is_next_with_what_came_meanwhile() -> None:
    """And nothing of it is lost."""
    agenda = Agenda()
    agenda.next(0.0)
    agenda.learn(seen("iris", rest=Order(("rosa", "otto"))), 0.0)
    agenda.hear([row("park.set", "iris")])
    assert agenda.wait_seconds(0.0) == 0.0
    order = agenda.next(0.0)
    assert order is not None
    assert order.agents == ("rosa", "otto", "iris")
    agenda.learn(seen("iris", deep=True, rest=Order(("rosa",), deep=True)), 0.0)
    assert agenda.next(0.0) is None, "the rest of a full check is the full check's"


def test_a_mailbox_is_looked_at_again_when_time_can_break_it() -> None:
    """At its date, or every minute while something is broken there; a newer look has newer dates."""
    agenda = Agenda()
    agenda.next(0.0)
    agenda.learn(seen("iris", "rosa", breaks_at={"iris": 20.0, "rosa": 500.0}), 0.0)
    assert agenda.wait_seconds(5.0) == 15.0
    assert agenda.next(19.0) is None
    order = agenda.next(20.0)
    assert order is not None
    assert order.agents == ("iris",)
    assert agenda.wait_seconds(21.0) == LATEST_SECONDS, "the clock may jump"
    agenda.learn(seen("rosa"), 21.0)
    assert agenda.next(501.0) is None
    agenda.learn(seen("iris", found=(Violation(1, "iris", "waits"), Violation(3, "rosa", "lost"))), 0.0)
    assert agenda.next(AGAIN_SECONDS - 1) is None
    order = agenda.next(AGAIN_SECONDS)
    assert order is not None
    assert order.agents == ("iris",)


# --- what is told ----------------------------------------------------------------------------------


def news(invariant: int) -> dict[str, object]:
    """A look's findings: one violation of iris's that nobody was told of."""
    one = Violation(invariant, "iris", "it is broken")
    return {"found": (one,), "news": {one.key: Broken(one.key, invariant, "iris", one.text)}}


def test_what_time_can_break_is_told_when_it_is_seen_again() -> None:
    """At once where only a commit can; not where it was gone meanwhile."""
    doubts = Doubts()
    assert doubts.judge(seen("iris", **news(3)), 0.0)[0].broken  # type: ignore[arg-type]
    waits = seen("iris", **news(1))  # type: ignore[arg-type]
    assert doubts.judge(waits, 0.0) == (TellAudit(), ("iris",))
    assert doubts.judge(waits, SURE_SECONDS - 1) == (TellAudit(), ("iris",))
    assert doubts.judge(seen("rosa"), SURE_SECONDS - 1) == (TellAudit(), ())
    told, again = doubts.judge(waits, SURE_SECONDS)
    assert [one.key for one in told.broken] == ["audit:1:iris"]
    assert not again
    assert doubts.judge(seen("iris"), 6.0) == (TellAudit(), ())
    assert doubts.judge(waits, 7.0) == (TellAudit(), ("iris",))


def test_what_time_can_break_is_not_over_because_hive_has_just_been_started() -> None:
    """It may be excused for a while; what only a commit can break is over at once."""
    doubts, one, other = Doubts(), Violation(1, "iris", "waits"), Violation(3, "iris", "lost")
    fine = seen("iris", deep=True, told=(one, other))
    assert doubts.judge(fine, 100.0)[0] == TellAudit((), (other.key,))
    assert doubts.judge(fine, 100.0 + SURE_SECONDS)[0] == TellAudit((), (one.key, other.key))


def test_rest_keeps_looking_below_a_hundredth_of_a_processor() -> None:
    """Both kinds of looks together; and a look that failed is not repeated at once."""
    assert 2 / REST < 0.01
    assert rest_seconds(Looked(seen(), 0.1)) == 0.1 * REST
    assert rest_seconds(Looked(seen(), 0.0)) == LEAST_REST_SECONDS
    assert rest_seconds(Looked(seen(), 0.0), least=0.0) == 0.0
    assert rest_seconds(None, least=0.0) == FAILED_SECONDS


def test_the_share_is_of_the_time_since_the_first_look() -> None:
    """And none before it."""
    assert AuditView().share(10.0) == 0.0
    view = auditing.looked(auditing.looked(AuditView(), 100.0, 0.5), 150.0, 0.5)
    assert (view.looks, view.share(100.0), view.share(200.0)) == (2, 0.0, 0.01)
    assert auditing.checked(view, 150.0, 160.0, 0.1).full_seconds == 0.0, "the clock was set back"


# --- in a hive -------------------------------------------------------------------------------------


def letters(swarm: Swarm) -> list[str]:
    """What the operator was told by the audit, oldest first."""
    page = swarm.store.reader.mailbox("operator", limit=200).mail
    bodies = [swarm.store.reader.body(mail.id) or "" for mail in page if mail.sender == "system"]
    return [body for body in bodies[::-1] if "hive's audit of itself" in body]


def sql(swarm: Swarm, statement: str) -> None:
    """Change rows behind everybody's back."""
    swarm.store._committer.db.execute(statement)


def broken_on_purpose(story: Story, seed: int = 0, **more: object) -> None:
    """Tell a story in which the swarm's own checks would fail."""

    def make(stage: Stage, directory: Path) -> Swarm:
        return Swarm(stage, directory, checked=False, **more)  # type: ignore[arg-type]

    run_swarm(story, seed, make=make)


async def told(swarm: Swarm, invariant: int, within: float) -> None:
    """Wait until the operator is told that this is broken."""
    await swarm.until(lambda: bool(letters(swarm)), within)
    (text,) = letters(swarm)
    assert f"Invariant {invariant}: " in text
    assert [one.invariant for one in swarm.audit.view.violations] == [invariant]


async def over(swarm: Swarm, within: float) -> None:
    """Wait until the operator is told that all is well again; it was told once that it was not."""
    await swarm.until(lambda: not swarm.audit.view.violations, within)
    await trio.sleep(2 * FULL_SECONDS)
    assert [text.startswith("What hive's audit") for text in letters(swarm)] == [False, True]


def never_by_itself(ctx: Context, _hints: Hints, _name: str) -> None:
    """The mistake: look now, and then only when told to."""
    ctx.me.tell(Look(), urgent=True)


def test_mail_that_nobody_handles_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness that waits for hints that are lost; when it is rebuilt it sees the mail, and that is told."""
    monkeypatch.setattr(harness, "look_on_hints", never_by_itself)

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.until(lambda: bool(swarm.harnesses))
        await trio.sleep(1.0)
        sent = await swarm.send("iris", "!say hello")
        await trio.sleep(GRACE_SECONDS)
        assert not letters(swarm)
        await told(swarm, 1, SURE_SECONDS + 4.0)
        swarm.kill_loop("iris")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.DONE)
        await over(swarm, 5.0)

    broken_on_purpose(story, deaf=True)


def test_a_claim_that_nobody_holds_is_told() -> None:
    """Seen when something else happens to the mailbox."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        held = await swarm.send("iris", "!wait 300")
        await swarm.until(lambda: swarm.mail(held.id).state is State.CLAIMED)
        sql(swarm, "UPDATE turn_message SET claim = claim + 1000")
        await swarm.send("iris", "!say something else")
        await told(swarm, 2, SURE_SECONDS + 3.0)
        sql(swarm, "UPDATE turn_message SET claim = claim - 1000 WHERE claim > 1000")
        await over(swarm, AGAIN_SECONDS + 2.0)

    broken_on_purpose(story)


def test_a_message_that_is_nowhere_is_told() -> None:
    """At once with the next commit that touches its mailbox."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.send("iris", "!say hello")
        await swarm.settle()
        sql(swarm, "UPDATE tally SET accepted = accepted + 1 WHERE agent = 'iris'")
        await swarm.send("iris", "!say again")
        await told(swarm, 3, 3.0)
        sql(swarm, "UPDATE tally SET accepted = accepted - 1 WHERE agent = 'iris'")
        await over(swarm, FULL_SECONDS + 2.0)

    broken_on_purpose(story)


def test_done_without_evidence_is_told() -> None:
    """With the look that follows the commit which says so."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!say hello")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.DONE)
        sql(swarm, "UPDATE turn_message SET seen = 0")
        await swarm.perform(SetStatus("iris", "something"))
        await told(swarm, 4, FULL_SECONDS + 2.0)
        sql(swarm, "UPDATE turn_message SET seen = 1")
        await over(swarm, FULL_SECONDS + 2.0)

    broken_on_purpose(story)


@pytest.mark.parametrize(
    ("invariant", "damage"),
    [
        (2, "UPDATE message SET state = 'claimed', claim = 0 WHERE number = 1"),
        (3, "UPDATE tally SET done = done - 1, dead = dead + 1 WHERE agent = 'iris'"),
        (4, "UPDATE turn_message SET seen = 0"),
    ],
)
def test_the_full_check_finds_what_no_commit_hints_at(invariant: int, damage: str) -> None:
    """Within its pace; what time can break, once it is seen again."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.send("iris", "!say hello")
        await swarm.settle()
        await trio.sleep(2 * FULL_SECONDS)
        assert swarm.audit.view.full_at is not None
        assert not letters(swarm)
        sql(swarm, damage)
        said = f"Invariant {invariant}: "
        await swarm.until(
            lambda: any(said in text for text in letters(swarm)), FULL_SECONDS + SURE_SECONDS + 4.0
        )

    broken_on_purpose(story)


def test_an_auditor_killed_at_any_step_tells_once() -> None:
    """What it has told is in the store; what it has not, its successor sees."""
    struck = 0
    for step in itertools.count(1, 3):
        instrument = AtStep(step)

        async def story(swarm: Swarm, instrument: AtStep = instrument) -> None:
            await swarm.add("iris")
            await swarm.send("iris", "!say hello")
            await swarm.settle()
            sql(swarm, "UPDATE tally SET accepted = accepted + 1 WHERE agent = 'iris'")
            instrument.arm(swarm.kill_auditor)
            await swarm.send("iris", "!say again")
            await swarm.until(lambda: bool(letters(swarm)), 10.0)
            instrument.disarm()
            await trio.sleep(FULL_SECONDS * 1.5)
            assert len(letters(swarm)) == 1
            assert swarm.incarnation(AUDITOR) == 1 + instrument.struck

        run_swarm(story, 0, make=lambda s, d: Swarm(s, d, checked=False), instruments=[instrument])
        if not instrument.struck:
            break
        struck += 1
    assert struck >= 15


def test_a_restarted_daemon_does_not_tell_again() -> None:
    """Nor does it forget to tell that it is over."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sql(swarm, "UPDATE tally SET accepted = accepted + 1 WHERE agent = 'iris'")
        sql(swarm, "INSERT INTO tally (agent, accepted) VALUES ('iris', 1) ON CONFLICT DO NOTHING")
        await swarm.until(lambda: bool(letters(swarm)), FULL_SECONDS + 2.0)
        swarm.restart_daemon()
        await trio.sleep(FULL_SECONDS)
        assert len(letters(swarm)) == 1
        sql(swarm, "UPDATE tally SET accepted = accepted - 1 WHERE agent = 'iris'")
        await over(swarm, 2 * FULL_SECONDS)

    broken_on_purpose(story)


def test_a_restart_mends_nothing_that_nobody_handles() -> None:
    """All mail is excused for a while after a start: that is no good news, and no news again afterwards."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!say hello")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.DONE)
        ghost = "SELECT 'ghost', settings, added_at, 1 FROM agent WHERE name = 'iris'"
        sql(swarm, f"INSERT INTO agent (name, settings, added_at, removed_at) {ghost}")
        sql(swarm, "INSERT INTO tally (agent, accepted) VALUES ('ghost', 1)")
        sql(swarm, "UPDATE message SET recipient = 'ghost', state = 'ready' WHERE recipient = 'iris'")
        sql(swarm, "UPDATE tally SET accepted = 0, done = 0 WHERE agent = 'iris'")
        await told(swarm, 1, 3 * FULL_SECONDS)
        swarm.restart_daemon()
        await trio.sleep(3 * FULL_SECONDS)
        assert len(letters(swarm)) == 1
        sql(swarm, "UPDATE message SET wakes = 0 WHERE recipient = 'ghost'")
        await over(swarm, 2 * FULL_SECONDS)

    broken_on_purpose(story)


def slow_to_hear(ctx: Context, hints: Hints, name: str) -> None:
    """A harness that is busy for a while whenever it is rung."""

    async def hear() -> None:
        while True:
            mark = hints.mark(name)
            await trio.sleep(SURE_SECONDS - 2.0)
            ctx.me.tell(Look(), urgent=True)
            await hints.wait(name, mark)

    ctx.spawn(hear)


@pytest.mark.parametrize("jump", [3_600.0, -3_600.0])
def test_a_clock_that_jumps_breaks_no_promise(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a laptop's that has slept: mail looks old for a moment."""
    monkeypatch.setattr(harness, "look_on_hints", slow_to_hear)

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        for _ in range(5):
            await swarm.send("iris", "!say hello")
            swarm.jump_wall(jump)
            await trio.sleep(20.0)
        await swarm.settle(4_000)
        await trio.sleep(FULL_SECONDS)
        assert not letters(swarm)

    broken_on_purpose(story)


def test_what_cannot_be_told_now_is_told_when_the_disk_is_well_again() -> None:
    """Meanwhile the page's light knows."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.send("iris", "!say hello")
        await swarm.settle()
        sql(swarm, "UPDATE tally SET done = done + 1 WHERE agent = 'iris'")
        swarm.fill_disk()
        await swarm.until(lambda: bool(swarm.audit.view.violations), 2 * FULL_SECONDS)
        assert not letters(swarm)
        assert swarm.audit.view.failed
        swarm.fill_disk(full=False)
        await swarm.until(lambda: bool(letters(swarm)), 2 * FULL_SECONDS)

    broken_on_purpose(story)


def test_a_fault_in_looking_is_told_once_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hive goes on, and so does the audit as soon as it can."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        monkeypatch.setattr(looking, "BOXES", "SELECT nonsense FROM nowhere")
        await trio.sleep(5 * FULL_SECONDS)
        sent = await swarm.send("iris", "!say hello")
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)
        warned = [one for one in swarm.journal if one.data.get("code") == "audit_failed"]
        assert len(warned) == 1
        assert "no such table" in str(warned[0].data["text"])
        assert swarm.audit.view.failed > 1
        monkeypatch.undo()
        before = swarm.audit.view.full_checks
        await swarm.until(lambda: swarm.audit.view.full_checks > before, 2 * FULL_SECONDS)
        assert swarm.incarnation(AUDITOR) == 1

    run_swarm(story, 0)


def test_a_flood_of_commits_does_not_make_it_look_more_often_than_its_budget() -> None:
    """Whatever looking costs, it stays below a hundredth of a processor, and it still looks."""
    ticks = itertools.count()

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        began = trio.current_time()
        for number in range(6_000):
            await swarm.perform(SetStatus("iris", f"{number}"))
            if number % 20 == 0:
                await swarm.send("iris", "!say hello")
            await trio.sleep(0.1)
        took = trio.current_time() - began
        view = swarm.audit.view
        assert view.spent <= 0.01 * took
        assert 20 < view.looks < 200
        assert view.full_checks >= 2

    # Every question about the time costs some of it.
    broken_on_purpose(story, meter=lambda: 0.02 * next(ticks))
