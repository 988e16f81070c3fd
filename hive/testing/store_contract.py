"""What every implementation of the store's port must do, as a suite: subclass it and say how one is opened.

    from hive.testing.contracts import StoreContract
    from hive.testing.store_world import ServedStore, World

    class TestMine(StoreContract):
        def opened(self, path: Path, world: World) -> AbstractContextManager[ServedStore]:
            return open_my_store(
                path / "mine.db", wall=world.wall, random=world.random, pauses=world, faults=world.faults
            )

`opened` is a context manager; opening the same path again finds what was committed. The store calls the
world's `wall` for the time, awaits its `before_commit` and `after_commit` around each commit, and calls its
`faults` within, which raises to make it fail. Needs pytest, and no plugin of it.

The rule kept here: only the port is asked, so that the suite says what a caller may rely on.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import trio_test

from hive.protocol.commands import (
    AddAgent,
    BeginTurn,
    Bury,
    ClaimIntoTurn,
    Command,
    EndTurn,
    Expectation,
    KeepAnswer,
    Lease,
    NotBegun,
    NoteFact,
    Once,
    RecordProcess,
    SetStatus,
    TurnBegun,
)
from hive.protocol.errors import Conflict, NotFound, StoreUnavailable
from hive.protocol.mail import Kind, State
from hive.protocol.outcome import Outcome
from hive.protocol.views import JournalRow, Process, StreamView
from hive.store.once import Repeated
from hive.store.port import Reader, Store, Ticket
from hive.testing.store_world import VERSION, ServedStore, World, a_send, bodies, done, served

MORE_THAN_A_BATCH = 1_200
"""Commands no single transaction takes."""


class StoreContract:
    """The promises of `hive.store.port`."""

    def opened(self, path: Path, world: World) -> AbstractContextManager[ServedStore]:
        """Open a store that lives in folder `path`; opening it again finds what was committed."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, path: Path, world: World) -> AsyncIterator[ServedStore]:
        """Open, recover and serve a store with two agents, iris and rosa."""
        with self.opened(path, world) as store:
            store.recover(VERSION)
            async with served(store):
                if store.reader.agent("iris") is None:
                    await done(store, AddAgent("iris"), AddAgent("rosa"))
                yield store

    # --- order and isolation ---------------------------------------------------------------------

    @trio_test
    async def test_commands_hold_in_the_order_they_were_submitted(self, tmp_path: Path) -> None:
        """Numbers follow submission, whoever submits and however commits are grouped."""
        async with self.running(tmp_path, World()) as store:
            tickets = [store.submit(a_send("iris", f"{n}")) for n in range(MORE_THAN_A_BATCH)]
            numbers = [(await ticket.outcome()).accepted[0].number for ticket in tickets]

            assert numbers == sorted(set(numbers))

    @trio_test
    async def test_tickets_are_answered_in_the_order_of_submission(self, tmp_path: Path) -> None:
        """Nobody learns of a command before those in front of him learned of theirs."""
        async with self.running(tmp_path, World()) as store:
            settled: list[list[bool]] = []
            tickets = [store.submit(a_send("iris", f"{n}")) for n in range(5)]

            async def watch(ticket: Ticket[object]) -> None:
                await ticket.outcome()
                settled.append([one.settled for one in tickets])

            async with trio.open_nursery() as nursery:
                for ticket in tickets:
                    nursery.start_soon(watch, ticket)

            assert all(known == sorted(known, reverse=True) for known in settled)

    @trio_test
    async def test_a_refused_command_changes_nothing_and_harms_no_neighbour(self, tmp_path: Path) -> None:
        """In one batch the commands before and after a refusal hold, and it leaves no row behind."""
        async with self.running(tmp_path, World()) as store:
            before = store.reader.head().seq
            first = store.submit(a_send("iris", "first"))
            refused = store.submit(a_send("nobody", "lost"))
            last = store.submit(a_send("iris", "last"))

            with pytest.raises(NotFound):
                await refused.outcome()
            await first.outcome()
            await last.outcome()

            assert bodies(store.reader, "iris") == ["first", "last"]
            assert [row.type for row in store.reader.journal(before)] == ["msg.sent", "msg.sent"]

    @trio_test
    async def test_the_journal_has_no_holes(self, tmp_path: Path) -> None:
        """Refusals and failed commits leave no gap between two numbers."""
        world = World()
        async with self.running(tmp_path, world) as store:
            for body in ("one", "", "two"):
                store.submit(a_send("iris", body))
            world.failing = _full
            await _until(lambda: store.refusing is not None)
            world.failing = None
            await _until(lambda: store.refusing is None)
            await done(store, a_send("iris", "three"))

            seqs = [row.seq for row in store.reader.journal(0)]
            assert seqs == list(range(1, len(seqs) + 1))

    # --- once ------------------------------------------------------------------------------------

    @trio_test
    async def test_a_keyed_command_holds_once_and_answers_the_same(self, tmp_path: Path) -> None:
        """The repeat changes nothing and gets the first answer word for word, also after a restart."""
        once, world = Once("iris", "k1", "d1"), World()
        async with self.running(tmp_path, world) as store:
            first = await store.submit(a_send("iris", "hello"), once).outcome()
            again = await store.submit(a_send("iris", "hello"), once).outcome()
            assert again == first
        async with self.running(tmp_path, world) as store:
            assert await store.submit(a_send("iris", "hello"), once).outcome() == first
            assert bodies(store.reader, "iris") == ["hello"]

    @trio_test
    async def test_a_key_used_for_something_else_is_a_conflict(self, tmp_path: Path) -> None:
        """Another digest or another command under the same key is refused; another scope is not."""
        async with self.running(tmp_path, World()) as store:
            await store.submit(a_send("iris", "a"), Once("iris", "k", "d")).outcome()
            with pytest.raises(Conflict):
                await store.submit(a_send("iris", "b"), Once("iris", "k", "other")).outcome()
            with pytest.raises(Conflict):
                await store.submit(SetStatus("iris", "b"), Once("iris", "k", "d")).outcome()
            await store.submit(a_send("iris", "b"), Once("rosa", "k", "other")).outcome()

            assert bodies(store.reader, "iris") == ["a", "b"]

    @trio_test
    async def test_a_refusal_is_not_remembered(self, tmp_path: Path) -> None:
        """Asking again under the same key may succeed once the reason is gone."""
        once = Once("operator", "k", "d")
        async with self.running(tmp_path, World()) as store:
            with pytest.raises(NotFound):
                await store.submit(a_send("lena", "hello"), once).outcome()
            await done(store, AddAgent("lena"))
            await store.submit(a_send("lena", "hello"), once).outcome()
            assert bodies(store.reader, "lena") == ["hello"]

    @trio_test
    async def test_an_expectation_is_checked_where_nothing_can_come_between(self, tmp_path: Path) -> None:
        """Of two in one transaction that expect the same, the second is a conflict; a repeat is neither."""
        async with self.running(tmp_path, World()) as store:
            await done(store, a_send("iris", "hello"), a_send("iris", "again"))
            onces = [Once("operator", key, "d", Expectation("1", "ready")) for key in ("k", "l", "k")]
            tickets = [store.submit(Bury(ref), once) for ref, once in zip("121", onces, strict=True)]

            await tickets[0].outcome()
            with pytest.raises(Conflict):
                await tickets[1].outcome()
            await tickets[2].outcome()
            with pytest.raises(NotFound):
                await store.submit(Bury("2"), Once("operator", "m", "d", Expectation("3", "ready"))).outcome()
            assert _states(store.reader, "iris") == [State.DEAD, State.READY]

    @trio_test
    async def test_what_was_done_outside_the_store_is_remembered_like_the_rest(self, tmp_path: Path) -> None:
        """Kept once, found after a restart, and never under another content."""
        once, answer = Once("operator", "k", "d"), {"file": "copy"}
        async with self.running(tmp_path, World()) as store:
            assert store.reader.answer(once) is None
            assert await store.submit(KeepAnswer({"file": "copy"}), once).outcome() == answer
            assert await store.submit(KeepAnswer({"file": "late"}), once).outcome() == answer
        async with self.running(tmp_path, World()) as store:
            assert store.reader.answer(once) == answer
            with pytest.raises(Conflict):
                store.reader.answer(Once("operator", "k", "other"))
            await store.submit(a_send("iris", "hello"), Once("operator", "l", "d")).outcome()
            with pytest.raises(Conflict):
                store.reader.answer(Once("operator", "l", "d"))

    @trio_test
    async def test_what_was_answered_can_be_read_without_a_commit(self, tmp_path: Path) -> None:
        """So that it can be said again while commits fail."""
        once, send = Once("operator", "k", "d"), a_send("iris", "hello")
        async with self.running(tmp_path, World()) as store:
            assert store.reader.repeated(send, once) is None
            answer = await store.submit(send, once).outcome()
            assert store.reader.repeated(send, once) == Repeated(answer)
            with pytest.raises(Conflict):
                store.reader.repeated(send, Once("operator", "k", "other"))
            with pytest.raises(Conflict):
                store.reader.repeated(Bury("1"), once)

    @trio_test
    async def test_a_keyed_command_whose_commit_failed_holds_once_when_it_is_asked_again(
        self, tmp_path: Path
    ) -> None:
        """It and its answer stand or fall together: a refusal means that nothing has been done."""
        world, once = World(), Once("iris", "k", "d")
        async with self.running(tmp_path, world) as store:
            world.failing = _full
            with pytest.raises(StoreUnavailable):
                await store.submit(a_send("iris", "hello"), once).outcome()
            world.failing = None
            await _until(lambda: store.refusing is None)
            assert bodies(store.reader, "iris") == []
            await store.submit(a_send("iris", "hello"), once).outcome()
            assert bodies(store.reader, "iris") == ["hello"]

    @trio_test
    async def test_an_answer_is_forgotten_after_its_time(self, tmp_path: Path) -> None:
        """Seven days later the key is free again."""
        world, once = World(), Once("operator", "k", "d")
        async with self.running(tmp_path, world) as store:
            await store.submit(a_send("iris", "old"), once).outcome()
            world.now += 7 * 24 * 3600.0 + 1
            await store.submit(a_send("iris", "new"), once).outcome()
            assert bodies(store.reader, "iris") == ["old", "new"]

    # --- what is told, and when ------------------------------------------------------------------

    @trio_test
    async def test_nothing_is_readable_or_told_before_its_commit(self, tmp_path: Path) -> None:
        """Before the commit the reader sees nothing; after it everything; only then is anybody told."""
        world = World()
        async with self.running(tmp_path, world) as store:
            told: list[JournalRow] = []
            store.subscribe(lambda rows, _: told.extend(rows))
            before, after = trio.Event(), trio.Event()
            world.before, world.after = lambda: before, lambda: after

            ticket = store.submit(a_send("iris", "hello"))
            await world.paused.wait()
            assert bodies(store.reader, "iris") == []

            world.paused = trio.Event()
            before.set()
            await world.paused.wait()
            assert bodies(store.reader, "iris") == ["hello"]
            assert not told
            assert not ticket.settled

            after.set()
            await ticket.outcome()
            assert [row.type for row in told] == ["msg.sent"]

    @trio_test
    async def test_subscribers_hear_every_row_once_in_order_before_the_caller(self, tmp_path: Path) -> None:
        """What subscribers are told is the journal, and it comes before any answer."""
        async with self.running(tmp_path, World()) as store:
            start = store.reader.head().seq
            told: list[JournalRow] = []
            settled: list[bool] = []
            tickets: list[Ticket[object]] = []

            def hear(rows: Sequence[JournalRow], _: Sequence[tuple[str, StreamView]]) -> None:
                told.extend(rows)
                settled.extend(ticket.settled for ticket in tickets[-3:])

            end = store.subscribe(hear)
            for n in range(30):
                tickets += [store.submit(a_send(name, f"{n}")) for name in ("iris", "nobody", "rosa")]
                await tickets[-1].outcome()
            end()
            end()
            await done(store, a_send("iris", "unheard"))

            assert told == list(store.reader.journal(start))[:-1]
            assert not any(settled)

    # --- when the disk fails ---------------------------------------------------------------------

    @trio_test
    async def test_a_failing_commit_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        """Callers get `StoreUnavailable`; the store says why and refuses until a commit succeeds."""
        world = World()
        async with self.running(tmp_path, world) as store:
            world.failing = _full
            with pytest.raises(StoreUnavailable):
                await store.submit(a_send("iris", "lost")).outcome()
            assert store.refusing is not None
            assert "full" in store.refusing
            refused = store.submit(BeginTurn("iris", 1))
            assert refused.settled, "at once"
            with pytest.raises(StoreUnavailable):
                await refused.outcome()

            world.failing = None
            await _until(lambda: store.refusing is None)
            await done(store, a_send("iris", "kept"))
            assert bodies(store.reader, "iris") == ["kept"]
            assert "hive.warning" in [row.type for row in store.reader.journal(0)]

    @trio_test
    async def test_verdicts_wait_out_a_failing_disk_in_order(self, tmp_path: Path) -> None:
        """None is lost, none is applied twice, and those before the failure stay in front."""
        world = World()
        async with self.running(tmp_path, world) as store:
            world.failing = _full
            tickets = [store.submit(_fact(n)) for n in range(3)]
            await _until(lambda: store.refusing is not None)
            tickets += [store.submit(_fact(n)) for n in range(3, 6)]
            tried = world.commits
            await _until(lambda: world.commits > tried)
            assert not any(ticket.settled for ticket in tickets)

            world.failing = None
            for ticket in tickets:
                await ticket.outcome()
            assert _facts(store.reader) == list(range(6))

    # --- callers that go away --------------------------------------------------------------------

    @trio_test
    async def test_a_cancelled_caller_waits_for_what_it_was_promised(self, tmp_path: Path) -> None:
        """The outcome is known when the cancelled caller goes on, so nothing is in doubt."""
        world = World()
        async with self.running(tmp_path, world) as store:
            hold = trio.Event()
            world.before = lambda: hold
            ticket = store.submit(a_send("iris", "hello"))
            await _wait_and_be_cancelled(ticket, world, hold)
            assert ticket.settled
            assert bodies(store.reader, "iris") == ["hello"]

    @pytest.mark.parametrize("late", [False, True])
    @trio_test
    async def test_a_claim_nobody_is_left_to_own_is_given_back(self, tmp_path: Path, *, late: bool) -> None:
        """A turn, a fold-in and a lease whose callers were cancelled leave their mail ready."""
        world = World()
        async with self.running(tmp_path, world) as store:
            await done(store, a_send("iris", "to begin with"), a_send("rosa", "for a client"))
            await self._cancelled(store, world, BeginTurn("iris", 1), late=late)
            await _until(lambda: _states(store.reader, "iris") == [State.READY])
            assert store.reader.turns("iris")[0].outcome == Outcome.INTERRUPTED

            await self._cancelled(store, world, Lease("rosa", "client"), late=late)
            await _until(lambda: _states(store.reader, "rosa") == [State.READY])

            begun = await store.submit(BeginTurn("iris", 2)).outcome()
            assert isinstance(begun, TurnBegun)
            await done(store, a_send("iris", "to fold in"))
            await self._cancelled(store, world, ClaimIntoTurn(begun.turn), late=late)
            await _until(lambda: _states(store.reader, "iris") == [State.CLAIMED, State.READY])
            await done(store, EndTurn(begun.turn, Outcome.OK, seen=(begun.messages[0].mail.number,)))
            assert _states(store.reader, "iris") == [State.DONE, State.READY]

    @trio_test
    async def test_an_unowned_answer_that_claims_nothing_needs_nothing(self, tmp_path: Path) -> None:
        """Without mail nothing was claimed, so nothing is given back."""
        world = World()
        async with self.running(tmp_path, world) as store:
            seq = store.reader.head().seq
            for command in (BeginTurn("iris", 1), Lease("iris", "client"), ClaimIntoTurn(99)):
                await self._cancelled(store, world, command, late=False)
            assert isinstance(await store.submit(BeginTurn("iris", 1)).outcome(), NotBegun)
            assert store.reader.head().seq == seq

    async def _cancelled(self, store: Store, world: World, command: Command[object], *, late: bool) -> None:
        """Submit, and cancel the caller while the commit is held up; `late`: after it."""
        hold = trio.Event()
        world.paused = trio.Event()
        if late:
            world.after = lambda: hold
        else:
            world.before = lambda: hold
        ticket = store.submit(command)
        await _wait_and_be_cancelled(ticket, world, hold)
        world.before = world.after = lambda: None

    # --- ends and beginnings ---------------------------------------------------------------------

    @trio_test
    async def test_a_writer_killed_at_any_pause_loses_and_repeats_nothing(self, tmp_path: Path) -> None:
        """Each command is settled once, whether its writer died before or after the commit."""
        world = World()
        with self.opened(tmp_path, world) as store:
            store.recover(VERSION)
            store.submit(AddAgent("iris"))
            tickets = []
            for n in range(6):
                tickets.append(store.submit(_fact(n)))
                forever = trio.Event()
                world.paused = trio.Event()
                world.before = (lambda: None) if n % 2 else (lambda held=forever: held)  # type: ignore[misc]
                world.after = (lambda held=forever: held) if n % 2 else (lambda: None)  # type: ignore[misc]
                async with served(store):
                    await world.paused.wait()
                assert tickets[-1].settled == bool(n % 2)
            world.before = world.after = lambda: None
            async with served(store):
                for ticket in tickets:
                    await ticket.outcome()
            assert _facts(store.reader) == list(range(6))

    @trio_test
    async def test_what_survives_a_crash_is_a_prefix(self, tmp_path: Path) -> None:
        """A store that was killed with commands in its queue holds the first ones and none after."""
        world = World()
        async with self.running(tmp_path, world) as store:
            await done(store, *[_fact(n) for n in range(3)])
            world.before = trio.Event
            waiting = [store.submit(_fact(n)) for n in range(3, 6)]
            await world.paused.wait()
            store.kill()
            with pytest.raises(StoreUnavailable):
                await waiting[0].outcome()
            with pytest.raises(StoreUnavailable):
                await store.submit(_fact(6)).outcome()
        async with self.running(tmp_path, World()) as store:
            assert _facts(store.reader) == [0, 1, 2]

    @trio_test
    async def test_a_boot_settles_what_the_last_one_left(self, tmp_path: Path) -> None:
        """Its processes are listed first, then its turns end as interrupted and its mail is ready."""
        world = World()
        async with self.running(tmp_path, world) as store:
            await done(
                store, a_send("iris", "hello"), a_send("rosa", "for a client"), RecordProcess("iris", 7, 8)
            )
            first = store.reader.head()
            begun = await store.submit(BeginTurn("iris", 1)).outcome()
            assert isinstance(begun, TurnBegun)
            await store.submit(Lease("rosa", "client", seconds=300)).outcome()
            store.kill()
        with self.opened(tmp_path, world) as store:
            assert store.leftovers() == (Process("iris", 7, 8, first.boot),)
            assert _states(store.reader, "iris") == [State.CLAIMED]

            assert store.recover(VERSION) == first.boot + 1
            assert store.leftovers() == ()
            assert _states(store.reader, "iris") == [State.READY]
            assert _states(store.reader, "rosa") == [State.CLAIMED], "its client may still be there"
            assert store.reader.turns("iris")[0].outcome == Outcome.INTERRUPTED
            assert store.reader.head().log_id == first.log_id
            assert not store.reader.violations()
            async with served(store):
                await done(store, EndTurn(begun.turn, Outcome.OK, seen=(begun.messages[0].mail.number,)))
            assert _states(store.reader, "iris") == [State.READY], "the verdict of a dead boot is void"


def _full() -> Exception:
    import sqlite3  # noqa: PLC0415 - only a store on SQLite is made to fail like this

    return sqlite3.OperationalError("database or disk is full")


def _fact(n: int) -> NoteFact:
    return NoteFact("hive.warning", None, {"code": "fact", "text": f"{n}"})


def _facts(reader: Reader) -> list[int]:
    return [int(str(row.data["text"])) for row in reader.journal(0) if row.data.get("code") == "fact"]


def _states(reader: Reader, recipient: str) -> list[State]:
    mail = reversed(reader.mailbox(recipient).mail)
    return [one.state for one in mail if one.kind is Kind.MESSAGE]


async def _wait_and_be_cancelled(ticket: Ticket[object], world: World, hold: trio.Event) -> None:
    """Wait for an outcome, be cancelled while the writer is held, and only then let the writer go on."""
    caller = trio.CancelScope()

    async def wait() -> None:
        with caller:
            await ticket.outcome()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await world.paused.wait()
        caller.cancel()
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        hold.set()
    assert caller.cancelled_caught


async def _until(true: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not true():  # noqa: ASYNC110 - that the disk fails is no event of the port
            await trio.sleep(0.01)
