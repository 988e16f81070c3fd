"""Whatever is asked in whatever order: nothing accepted is lost, and no claim gets two verdicts."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hive.protocol.commands import (
    Ack,
    AddAgent,
    BeginTurn,
    BoxDown,
    BoxStarted,
    Bury,
    CancelTurn,
    ClaimIntoTurn,
    Command,
    EndOrphans,
    EndTurn,
    ExpireLeases,
    ExtendLeases,
    Kick,
    Lease,
    Lift,
    MarkDone,
    MarkSeen,
    Park,
    Pause,
    Redrive,
    Release,
    ReleaseBlocked,
    RemoveAgent,
    Resume,
    Send,
    Sweep,
    TurnBegun,
    Withdraw,
)
from hive.protocol.errors import HiveRefusal
from hive.protocol.limits import Limits
from hive.protocol.mail import ClaimedMail, Kind, Priority, Provenance
from hive.protocol.outcome import Outcome
from hive.protocol.parking import RESUMABLE, Reason

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk

AGENTS = ("iris", "rose", "lily")
DAY = 24 * 3600.0

agents = st.sampled_from(AGENTS)
numbers = st.integers(1, 60)
outcomes = st.sampled_from(Outcome)
flags = st.booleans()
stops = st.sampled_from(["cancel", "requeue", "pause"])
rarely = st.integers(1, 12).map(lambda n: n == 7)
"""What undoes much is asked for seldom, or nothing interesting comes about."""

NEXT = {
    "msg.claimed": ({"ready"}, "claimed"),
    "msg.seen": ({"claimed"}, "claimed"),
    "msg.released": ({"claimed"}, "ready"),
    "msg.retried": ({"claimed"}, "ready"),
    "msg.done": ({"claimed", "ready"}, "done"),
    "msg.dead": ({"claimed", "ready", "blocked"}, "dead"),
    "msg.unblocked": ({"blocked"}, "ready"),
    "msg.redriven": ({"dead"}, "dead"),
}
"""For each journal row: the states a message may be in before it, and the one it is in after it."""

ORDER = ["ready", "claimed", "blocked", "done", "dead"]


class Hive(RuleBasedStateMachine):
    """A hive whose agents, clients, boxes and operator do anything at any time."""

    def __init__(self, desk: "Desk") -> None:
        """Begin with three agents, one of them the manager."""
        super().__init__()
        self.desk = desk
        self.read = 0
        self.states: dict[str, str] = {}
        self.claims = 0
        self.held: list[tuple[str, ClaimedMail]] = []
        self.desk.add("iris", "rose")
        self.desk.add("lily", role="manager")

    def ask(self, command: Command[object]) -> object:
        """Carry out a command; a refusal must change nothing."""
        before = len(self.desk.journal)
        with suppress(HiveRefusal):
            return self.desk.do(command)
        assert len(self.desk.journal) == before
        return None

    # --- mail ------------------------------------------------------------------------------------

    @rule(
        sender=st.sampled_from([*AGENTS, "operator", "system"]),
        to=st.sampled_from([*AGENTS, "manager", "operator", "*", "nobody"]),
        kind=st.sampled_from([Kind.MESSAGE, Kind.NEXT_TURN, Kind.NOTIFY]),
        urgent=flags,
        own=flags,
        delay=st.sampled_from([None, None, 30.0]),
        reply=st.none() | numbers,
    )
    def send(  # noqa: PLR0913 - each is a choice of its own
        self,
        sender: str,
        to: str,
        kind: Kind,
        delay: float | None,
        reply: int | None,
        *,
        urgent: bool,
        own: bool,
    ) -> None:
        """Somebody sends something to somebody."""
        trusted = {"operator": Provenance.OPERATOR, "system": Provenance.SYSTEM}
        own = own and sender not in trusted
        turn = self.desk.db.execute("SELECT max(number) FROM turn WHERE agent = ?", (sender,)).fetchone()[0]
        command = Send(
            sender,
            to,
            "x" * (5000 if urgent and own else 5),
            trusted.get(sender, Provenance.OUTSIDE if own else Provenance.AGENT),
            kind=kind,
            priority=Priority.URGENT if urgent and sender in trusted else Priority.NORMAL,
            in_reply_to=None if reply is None else str(reply),
            not_before=None if delay is None else self.desk.now + delay,
            turn=turn,
            own_token=own,
        )
        self.ask(command)

    @rule(number=numbers, to=st.none() | agents)
    def redrive(self, number: int, to: str | None) -> None:
        """The operator brings a dead letter back."""
        self.ask(Redrive(str(number), to))

    @rule(number=numbers)
    def bury(self, number: int) -> None:
        """The operator buries something."""
        self.ask(Bury(str(number)))

    @rule(number=numbers)
    def let_go(self, number: int) -> None:
        """The operator releases something."""
        self.ask(ReleaseBlocked(str(number)))

    @rule(number=numbers)
    def deal_with(self, number: int) -> None:
        """The operator is done with something."""
        self.ask(MarkDone(str(number)))

    # --- turns -----------------------------------------------------------------------------------

    @rule(agent=agents, limit=st.integers(1, 4))
    def begin(self, agent: str, limit: int) -> None:
        """A harness tries to begin a turn."""
        oldest = self.oldest_normal(agent)
        begun = self.ask(BeginTurn(agent, 1, messages=limit))
        if isinstance(begun, TurnBegun):
            taken = [one.mail for one in begun.messages if one.mail.wakes]
            assert oldest in {None, *(mail.number for mail in taken)} or len(taken) == 1

    @rule(agent=agents, outcome=outcomes, limit=st.integers(1, 4), rounds=st.integers(1, 4))
    def work(self, agent: str, outcome: Outcome, limit: int, rounds: int) -> None:
        """A harness runs turns that end all alike, unless something keeps it from doing so."""
        for _ in range(rounds):
            begun = self.ask(BeginTurn(agent, 1, messages=limit))
            if isinstance(begun, TurnBegun):
                self.desk.end(begun, outcome)
            self.desk.now += 3600
            self.ask(ExpireLeases())

    @rule(sender=agents, to=agents, messages=st.integers(1, 5))
    def chat(self, sender: str, to: str, messages: int) -> None:
        """Two agents write each other."""
        for _ in range(messages):
            self.ask(Send(sender, to, "well", Provenance.AGENT))
            sender, to = to, sender

    def oldest_normal(self, agent: str) -> int | None:
        """The normal message that must not wait any longer."""
        sql = (
            "SELECT min(number) FROM message WHERE recipient = ? AND state = 'ready' AND NOT urgent AND wakes"
            " AND coalesce(not_before, 0) <= ?"
        )
        found: int | None = self.desk.db.execute(sql, (agent, self.desk.now)).fetchone()[0]
        return found

    def turn(self, back: int) -> int:
        """A late turn; usually it is open, sometimes it has ended or never was."""
        newest = self.desk.db.execute("SELECT coalesce(max(number), 0) FROM turn").fetchone()[0]
        return int(newest) - back

    @rule(back=st.integers(0, 3), seen=st.sets(numbers), outcome=outcomes, everything=flags)
    def end(self, back: int, seen: set[int], outcome: Outcome, *, everything: bool) -> None:
        """A turn ends, perhaps one that has ended already."""
        shown = range(1, 200) if everything else seen
        self.ask(EndTurn(self.turn(back), outcome, seen=tuple(shown), error="it broke"))

    @rule(back=st.integers(0, 3), limit=st.integers(1, 3))
    def fold_in(self, back: int, limit: int) -> None:
        """More is claimed into a turn."""
        self.ask(ClaimIntoTurn(self.turn(back), limit))

    @rule(back=st.integers(0, 3), messages=st.sets(numbers), shown=flags)
    def show_or_withdraw(self, back: int, messages: set[int], *, shown: bool) -> None:
        """There is evidence, or there will be none."""
        command = MarkSeen if shown else Withdraw
        self.ask(command(self.turn(back), tuple(messages)))

    @rule(agent=agents, how=stops)
    def stop(self, agent: str, how: str) -> None:
        """A person stops a turn."""
        stop = Pause(agent, now=True) if how == "pause" else CancelTurn(agent, requeue=how == "requeue")
        self.ask(stop)

    @rule(agent=agents, incarnation=st.integers(1, 2))
    def crash(self, agent: str, incarnation: int) -> None:
        """A harness comes up again."""
        self.ask(EndOrphans(agent, incarnation, "it crashed"))

    @rule()
    def restart(self) -> None:
        """The daemon was killed and starts again."""
        self.desk.restart()

    # --- clients ---------------------------------------------------------------------------------

    @rule(agent=agents, limit=st.integers(1, 3), seconds=st.sampled_from([20.0, 500.0]))
    def lease(self, agent: str, limit: int, seconds: float) -> None:
        """A client takes mail."""
        for one in self.ask(Lease(agent, "client", limit, seconds)) or ():  # type: ignore[attr-defined]
            self.held.append((agent, one))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ack=flags)
    def settle(self, data: st.DataObject, *, ack: bool) -> None:
        """A client settles what it holds, or what it held once."""
        agent, one = data.draw(st.sampled_from(self.held))
        self.ask((Ack if ack else Release)(agent, one.mail.id, one.claim))

    @rule(agent=agents)
    def extend(self, agent: str) -> None:
        """A client shows that it is there."""
        self.ask(ExtendLeases(agent, "client", 300))

    # --- agents ----------------------------------------------------------------------------------

    @rule(agent=agents, really=rarely)
    def remove(self, agent: str, *, really: bool) -> None:
        """An agent goes, and a new one of that name comes."""
        if not really:
            return
        self.ask(RemoveAgent(agent))
        assert not [mail for mail in self.desk.box(agent) if mail.state in ("ready", "claimed", "blocked")]
        self.ask(AddAgent(agent))

    @rule(agent=st.none() | agents)
    def resume(self, agent: str | None) -> None:
        """The operator lets them go on."""
        self.ask(Resume(agent, RESUMABLE))

    @rule(agent=agents)
    def kick(self, agent: str) -> None:
        """The operator kicks an agent."""
        self.ask(Kick(agent))

    @rule(agent=agents, reason=st.sampled_from(Reason), set_=rarely)
    def park(self, agent: str, reason: Reason, *, set_: bool) -> None:
        """Some actor parks an agent, or lifts all its reasons."""
        if set_:
            self.ask(Park(agent, reason))
            return
        for each in Reason:
            self.ask(Lift(agent, each))

    @rule(agent=agents, down=rarely, wakes=flags)
    def box(self, agent: str, *, down: bool, wakes: bool) -> None:
        """A box goes or comes."""
        self.ask(BoxDown(agent, "a test") if down else BoxStarted(agent, "a test", wakes))

    @rule(seconds=st.sampled_from([1.0, 31.0, 700.0, 31 * DAY]))
    def wait(self, seconds: float) -> None:
        """Time goes by, and the janitor does its round."""
        self.desk.now += seconds
        self.ask(ExpireLeases())
        self.ask(Sweep())

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def everything_accepted_is_somewhere(self) -> None:
        """Accepted = ready + claimed + blocked + done + dead + removed, for every recipient."""
        for tally in self.desk.db.execute("SELECT * FROM tally").fetchall():
            found = dict.fromkeys(ORDER, 0)
            sql = "SELECT state, count(*) FROM message WHERE recipient = ? GROUP BY state"
            found.update(tuple(row) for row in self.desk.db.execute(sql, (tally["agent"],)).fetchall())
            assert sum(found.values()) + tally["removed"] == tally["accepted"]
            assert (found["done"], found["dead"]) == (tally["done"], tally["dead"])

    @invariant()
    def everything_claimed_has_a_holder(self) -> None:
        """An open turn of this boot lists it under its very claim, or a lease has not ended."""
        sql = """
            SELECT number FROM message WHERE state = 'claimed' AND NOT coalesce(lease_ends_at > ?, 0)
              AND NOT EXISTS (
                SELECT 1 FROM turn_message AS held JOIN turn ON turn.number = held.turn
                WHERE held.message = message.number AND held.claim = message.claim AND verdict IS NULL
                  AND ended_at IS NULL AND boot = ?)
        """
        assert self.desk.db.execute(sql, (self.desk.now, self.desk.boot)).fetchall() == []
        assert self.desk.violations() == ()

    @invariant()
    def each_claim_gets_one_verdict_at_most(self) -> None:
        """The journal tells of each message a life without a step that cannot be, by rising claims."""
        for row in itertools.islice(self.desk.journal, self.read, None):
            if row.type == "msg.sent":
                assert bool(row.data.get("coalesced")) == (str(row.subject) in self.states)
                self.states[str(row.subject)] = str(row.data["state"])
            elif row.type in NEXT:
                before, after = NEXT[row.type]
                assert self.states[str(row.subject)] in before
                assert row.data["state"] == after
                self.states[str(row.subject)] = after
            if row.type == "msg.claimed":
                assert int(str(row.data["claim"])) > self.claims
                self.claims = int(str(row.data["claim"]))
        self.read = len(self.desk.journal)

    def teardown(self) -> None:
        """Whatever has happened: once nothing is in the way, all that waits for an agent is handled."""
        self.desk.now += DAY
        for agent in AGENTS:
            self.ask(EndOrphans(agent, 2, "the end"))
            for reason in Reason:
                self.ask(Lift(agent, reason))
        self.ask(ExpireLeases())
        for _ in range(200):
            begun = [self.ask(BeginTurn(agent, 1)) for agent in AGENTS]
            running = [turn for turn in begun if isinstance(turn, TurnBegun)]
            if not running:
                break
            for turn in running:
                self.desk.end(turn)
        waiting = "SELECT * FROM message WHERE state = 'ready' AND recipient <> 'operator' AND wakes"
        assert self.desk.db.execute(waiting).fetchall() == []
        self.everything_claimed_has_a_holder()
        self.each_claim_gets_one_verdict_at_most()
        self.desk.db.close()


def test_nothing_accepted_is_lost_whatever_happens(new_desk: "Callable[..., Desk]") -> None:
    """Invariants 2 to 4 hold after every step, and everything is handled when nothing stands in the way."""
    tight = Limits(
        mailbox_messages=8,
        hops=6,
        pair_messages=6,
        attempts=2,
        interruptions=3,
        max_running_turns=2,
        attached_bytes_per_sender=12_000,
    )
    run_state_machine_as_test(
        lambda: Hive(new_desk(tight)),  # type: ignore[arg-type] # a factory is as good as a class
        settings=settings(
            max_examples=40, stateful_step_count=60, suppress_health_check=list(HealthCheck), deadline=None
        ),
    )
