"""Bugs to be planted into hive, one at a time, to see whether its tests notice: the list of `bench.mutants`.

Each is a text that stands once in its file, what is put in its place, and the tests that ought to notice.
The tests are whole suites, not the one that knows the line: what counts is that a run for other reasons finds
it.  A fast test sees to it that every text is still there.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

FAST: Final = ' -m "not slow"'
KERNEL: Final = ("tests/actors/core" + FAST,)
STORE: Final = ("tests/store" + FAST,)
SWARM: Final = (
    "tests/actors/test_stories.py" + FAST,
    "tests/actors/test_post_rebuild_wake.py" + FAST,
    "tests/actors --ignore=tests/actors/core --ignore=tests/actors/test_stories.py"
    " --ignore=tests/actors/test_post_rebuild_wake.py" + FAST,
)
"""Whole hives in virtual time, parts of which are killed: the stories first, the rest of the folder after."""

MCP: Final = ("tests/mcp" + FAST,)


@frozen
class Mutant:
    """One bug: where it is planted, by which text, and what it breaks."""

    name: str
    file: str
    before: str
    after: str
    tests: Sequence[str]
    breaks: str


CORE: Final = "hive/actors/_core"

MUTANTS: Final = (
    # The kernel: cells, mailboxes, supervisors.
    Mutant(
        "stop order reversed",
        f"{CORE}/supervisor.py",
        "cells = list(reversed(self._cells.values()))",
        "cells = list(self._cells.values())",
        KERNEL,
        "A family stops what others depend on first.",
    ),
    Mutant(
        "group stops in order",
        f"{CORE}/supervisor.py",
        "for other in reversed(group):",
        "for other in group:",
        KERNEL,
        "A group that is restarted together loses first what the rest depends on.",
    ),
    Mutant(
        "strangers share a budget",
        f"{CORE}/supervisor.py",
        "self._window if self.kinship is Kinship.FAMILY else RestartWindow(self.budget)",
        "self._window",
        KERNEL,
        "One crash-looping agent spends the restarts of all others.",
    ),
    Mutant(
        "one restart too many",
        f"{CORE}/policy.py",
        "if self.count(now) >= self.budget.intensity:",
        "if self.count(now) > self.budget.intensity:",
        KERNEL,
        "A supervisor allows one restart more than it says.",
    ),
    Mutant(
        "superseded restart starts anyway",
        f"{CORE}/supervisor.py",
        "if failed in self._due and self._due[failed].message is message:",
        "if failed in self._due:",
        KERNEL,
        "A child comes up before those it depends on, by a plan that no longer holds.",
    ),
    Mutant(
        "temporary child returns with its group",
        f"{CORE}/supervisor.py",
        'self._drop(cell, "stopped together with its group")',
        "pass",
        KERNEL,
        "What was never to come back comes back.",
    ),
    Mutant(
        "stale news of an exit counts",
        f"{CORE}/supervisor.py",
        "cell.life is not life or cell.status is not Status.EXITED",
        "False",
        KERNEL,
        "The end of an earlier incarnation restarts the one that lives.",
    ),
    Mutant(
        "mailbox dies with the incarnation",
        f"{CORE}/cell.py",
        "        self.incarnation += 1\n",
        "        self.incarnation += 1\n        self.mailbox = self.spec.mailbox()\n",
        KERNEL,
        "Whatever waited for a crashed actor is gone.",
    ),
    Mutant(
        "message in hand forgotten at a crash",
        f"{CORE}/mailbox.py",
        "if envelope.reply is None:\n                self._to_front(envelope)",
        "if envelope.reply is None:\n                pass",
        KERNEL,
        "A message that was popped, so to speak: whoever dies with it takes it along.",
    ),
    Mutant(
        "attempt charged for an interruption",
        f"{CORE}/mailbox.py",
        "            if envelope.reply is None:\n                self._to_front(envelope)",
        "            envelope.attempts += 1\n            if envelope.reply is None:\n"
        "                self._to_front(envelope)",
        KERNEL,
        "A bystander of three crashes is buried.",
    ),
    Mutant(
        "attempts not counted",
        f"{CORE}/mailbox.py",
        "if isinstance(verdict, Retry):\n                    envelope.attempts += 1",
        "if isinstance(verdict, Retry):\n                    pass",
        KERNEL,
        "One bad message spends every restart there is.",
    ),
    Mutant(
        "late verdict of the kernel holds",
        f"{CORE}/mailbox.py",
        "if envelope.claim != claim or self._held.pop(envelope.id, None) is None:",
        "if self._held.pop(envelope.id, None) is None:",
        KERNEL,
        "A handling that has lost its message settles it under its successor.",
    ),
    Mutant(
        "full mailbox says nothing",
        f"{CORE}/cell.py",
        "raise full",
        "return envelope",
        KERNEL,
        "`Full` is not raised: the sender believes in a message that is nowhere.",
    ),
    Mutant(
        "asker not told of a crash",
        f"{CORE}/cell.py",
        "reply.resolve(Error(unanswered))",
        "pass",
        KERNEL,
        "Whoever asked waits for ever.",
    ),
    Mutant(
        "startup grace has no end",
        f"{CORE}/cell.py",
        "deadline=self.runtime.now() + self.spec.grace.startup",
        "deadline=math.inf",
        KERNEL,
        "A deadline that does not cancel: a child that never becomes ready holds up all after it.",
    ),
    Mutant(
        "grace over, nobody cancelled",
        f"{CORE}/cell.py",
        'life.scope.cancel(reason=f"the grace of {self.name!r} is over")',
        "pass",
        KERNEL,
        "A child that does not leave when asked is never made to.",
    ),
    Mutant(
        "handling limit has no end",
        f"{CORE}/actor.py",
        "with trio.move_on_after(limit):",
        "with trio.move_on_after(limit * math.inf):",
        KERNEL,
        "A handling that hangs is left hanging.",
    ),
    Mutant(
        "message wakes nobody",
        f"{CORE}/cell.py",
        "if self._reader is not None:\n            self.wake()\n        return envelope",
        "return envelope",
        KERNEL,
        "An idle actor sleeps on while mail waits for it.",
    ),
    # The store: claims, verdicts, commits.
    Mutant(
        "verdict without a fence",
        "hive/store/endings.py",
        "message.state = 'claimed' AND message.claim = turn_message.claim",
        "message.state = 'claimed'",
        STORE,
        "Whoever lost a claim long ago decides what becomes of the message.",
    ),
    Mutant(
        "mail popped",
        "hive/store/claims.py",
        "UPDATE message SET state = 'claimed', claim = ?",
        "UPDATE message SET state = 'done', claim = ?",
        SWARM,
        "Taking a message finishes it, so whoever dies with it loses it.",
    ),
    Mutant(
        "accepted before the commit",
        "hive/store/batch.py",
        'self.db.execute("COMMIT")',
        "pass",
        SWARM,
        "The answer says accepted and the row is not there.",
    ),
    Mutant(
        "promise not synced",
        "hive/store/batch.py",
        '"PRAGMA synchronous = FULL" if synced else',
        '"PRAGMA synchronous = NORMAL" if synced else',
        STORE,
        "A power cut takes what was promised.",
    ),
    Mutant(
        "failed commit is answered",
        "hive/store/writer.py",
        "queued.ticket.fail(_unavailable(why))",
        "queued.ticket.settle(None)",
        STORE,
        "A full disk looks like success.",
    ),
    Mutant(
        "verdict lost on a full disk",
        "hive/store/writer.py",
        "if queued.asked.promise is Promise.VERDICT:",
        "if queued.asked.promise is None:",
        SWARM,
        "A turn that ended while the disk was full stays open.",
    ),
    Mutant(
        "answer outside the transaction",
        "hive/store/batch.py",
        "        remember(tx, asked.command, asked.once, answer)\n",
        "        tx.write_journal()\n"
        "        del tx._columns[:]\n"
        '        self.db.execute("RELEASE command")\n'
        '        self.db.execute("COMMIT")\n'
        "        self.faults()\n"
        '        self.db.execute("BEGIN IMMEDIATE")\n'
        '        self.db.execute("SAVEPOINT command")\n'
        "        remember(tx, asked.command, asked.once, answer)\n",
        STORE,
        "A daemon killed between the two does a repeated command twice.",
    ),
    Mutant(
        "answer not kept",
        "hive/store/batch.py",
        "        remember(tx, asked.command, asked.once, answer)\n",
        "",
        SWARM,
        "A tool call that is repeated because its answer was lost is done twice.",
    ),
    Mutant(
        "claim that nobody owns",
        "hive/store/orphans.py",
        "return (EndTurn(turn, Outcome.INTERRUPTED, error=WHY),)",
        "return ()",
        STORE,
        "A harness cancelled while it claims leaves a turn that nobody runs.",
    ),
    Mutant(
        "lease not extended",
        "hive/store/leases.py",
        "lease_ends_at = max(lease_ends_at, ?)",
        "lease_ends_at = max(lease_ends_at, 0 * ?)",
        STORE,
        "A client that shows it is there loses its mail to another.",
    ),
    Mutant(
        "lease never ends",
        "hive/store/leases.py",
        "lease_ends_at <= ?",
        "lease_ends_at <= 0 * ?",
        STORE,
        "A client that is gone keeps its mail for ever.",
    ),
    Mutant(
        "retention takes the conversation",
        "hive/store/retention.py",
        '"DELETE FROM message WHERE number = ?"',
        '"DELETE FROM message WHERE thread = (SELECT thread FROM message WHERE number = ?)"',
        STORE,
        "An old message that is done takes the unfinished ones along.",
    ),
    Mutant(
        "retention forgets who refers to it",
        "hive/store/retention.py",
        "WHERE thread = old.thread AND thread <> id AND state IN ('ready', 'claimed', 'blocked'))",
        "WHERE thread = old.thread AND thread <> id AND state = 'ready')",
        STORE,
        "An answer under way refers to a message that is gone.",
    ),
    Mutant(
        "hops not counted in a turn",
        "hive/store/guard.py",
        "hops.append(_turn_hops(tx, send.sender, send.turn) + 1)",
        "hops.append(_turn_hops(tx, send.sender, send.turn))",
        STORE,
        "Two agents may write to each other for ever.",
    ),
    Mutant(
        "hops not counted behind a token",
        "hive/store/guard.py",
        'int(row["hops"]) + 1',
        'int(row["hops"])',
        STORE,
        "A command that a turn leaves running goes on with a chain that is never cut.",
    ),
    Mutant(
        "urgent mail starves the rest",
        "hive/store/claims.py",
        "chosen = [*urgent[:1], *normal[:1]]",
        "chosen = [*(urgent or normal)[:1]]",
        STORE,
        "Whoever gets urgent mail often enough never sees the other.",
    ),
    Mutant(
        "urgent mail waits its turn",
        "hive/store/claims.py",
        'key=lambda row: (-row["urgent"], row["number"])',
        'key=lambda row: row["number"]',
        STORE,
        "What the operator calls urgent is shown last.",
    ),
    Mutant(
        "accepted not counted",
        "hive/store/mailbox.py",
        'count(tx, to, "accepted")',
        "pass",
        SWARM,
        "Nobody can tell any more whether a message is missing.",
    ),
    Mutant(
        "park reasons forgotten at a restart",
        "hive/store/boot.py",
        'tx.journal("hive.booted", None, None, version=version)',
        'tx.execute("DELETE FROM park")\n        tx.journal("hive.booted", None, None, version=version)',
        SWARM,
        "Whoever was paused wakes because the daemon was restarted.",
    ),
    Mutant(
        "a resume lifts every reason",
        "hive/store/steering.py",
        "tuple(reason for reason in command.reasons if lift_reason(",
        "tuple(reason for reason in Reason if lift_reason(",
        STORE,
        "Ending a pause wakes an agent that is parked for something else.",
    ),
    Mutant(
        "a kick lifts every reason",
        "hive/store/steering.py",
        "lambda way: way.kicked",
        "lambda way: way.kicked or way.resumed",
        STORE,
        "A nudge ends a pause.",
    ),
    Mutant(
        "a turn begins though its agent is parked",
        "hive/store/turns.py",
        "if held:\n        ends",
        "if False:\n        ends",
        SWARM,
        "A pause that comes just before a turn is not heeded.",
    ),
    Mutant(
        "timed reason without an end",
        "hive/store/parking.py",
        "min(until, tx.now + PARKED_SECONDS)",
        "until",
        STORE,
        "A model's wrong clock parks its agent for years.",
    ),
    # Turns: what an ending does to the mail that was held.
    Mutant(
        "interruption charged",
        "hive/protocol/outcome.py",
        "Outcome.INTERRUPTED: Consequence(Settlement.RELEASE, interruption=True)",
        "Outcome.INTERRUPTED: Consequence(Settlement.RETRY, interruption=True)",
        SWARM,
        "Three restarts of the daemon make a dead letter of mail that did nothing wrong.",
    ),
    Mutant(
        "whole batch charged",
        "hive/protocol/outcome.py",
        "CONSEQUENCES[outcome].seen is Settlement.RETRY and batch == 1",
        "CONSEQUENCES[outcome].seen is Settlement.RETRY",
        STORE,
        "One message that breaks turns takes its neighbours along.",
    ),
    Mutant(
        "batch not released",
        "hive/store/endings.py",
        "    for row in held:\n        change",
        "    for row in held[:1]:\n        change",
        SWARM,
        "A turn ends and the rest of its mail stays claimed by nobody.",
    ),
    Mutant(
        "done without evidence",
        "hive/store/endings.py",
        'if not row["seen"]:',
        "if False:",
        SWARM,
        "A turn that ended well finishes mail that its model was never given.",
    ),
    Mutant(
        "interruptions without an end",
        "hive/store/endings.py",
        "if interruptions >= tx.limits.interruptions:",
        "if False:",
        STORE,
        "Mail that kills its box does so for ever, and nobody is told.",
    ),
    Mutant(
        "orphaned turn left open",
        "hive/actors/harness.py",
        "await self.parts.store.submit(EndOrphans(self.agent, ctx.incarnation, why)).outcome()",
        "del why",
        SWARM,
        "After a crash of its harness an agent never begins a turn again.",
    ),
    Mutant(
        "turn without an end",
        "hive/actors/turn.py",
        "with trio.move_on_after(limits.turn_seconds):",
        "with trio.move_on_after(limits.turn_seconds * 1e9):",
        SWARM,
        "A deadline that does not cancel: an agent that loops holds its slot for ever.",
    ),
    # Waking: what has to look, and when.
    Mutant(
        "hints needed",
        "hive/actors/hearing.py",
        "    ctx.every(LOOK_SECONDS, Look())\n",
        "",
        SWARM,
        "One lost signal, and mail waits for ever.",
    ),
    Mutant(
        "hints lost",
        "hive/store/hints.py",
        "for name in dict.fromkeys(row.agent or ANY for row in rows):",
        "for name in ():",
        SWARM,
        "Every wake takes half a minute.",
    ),
    Mutant(
        "wake flag cleared after the claim",
        "hive/actors/harness.py",
        "            self._missed = True\n",
        "            self._missed = False\n",
        SWARM,
        "A change that falls into the beginning of a turn is not looked at when the turn does not begin.",
    ),
    Mutant(
        "mail between look and wait",
        "hive/store/hints.py",
        "if self.mark(name) != mark:",
        "if False:",
        MCP,
        "A waiting `recv` sleeps over mail that came while it looked.",
    ),
    Mutant(
        "epoch ignored",
        "hive/actors/look.py",
        "if reasons & BOX_REASONS or view.epoch != in_hand.epoch:",
        "if reasons & BOX_REASONS:",
        SWARM,
        "A turn goes on in a box that was replaced under it.",
    ),
    Mutant(
        "no note after a rebuild",
        "hive/actors/boxes.py",
        "wakes=not first",
        "wakes=False",
        SWARM,
        "An agent rebuilt in the middle of its work is never woken to go on.",
    ),
    Mutant(
        "slot offered to nobody",
        "hive/store/endings.py",
        "    slots.offer(tx)\n",
        "",
        SWARM,
        "Whoever waits for a free slot waits for the next half minute.",
    ),
    Mutant(
        "leases nobody ends",
        "hive/actors/janitor.py",
        "if lease_end is not None and lease_end <= now:",
        "if lease_end is not None and lease_end < 0:",
        SWARM,
        "Mail of a client that left is claimed until the next restart.",
    ),
    Mutant(
        "claimed again before the kill",
        "hive/actors/records.py",
        "    await kill_leftovers(Identity(process.pid, process.started) for process in store.leftovers())\n",
        "",
        SWARM,
        "An agent of an earlier daemon still works on the mail that its successor is given.",
    ),
    # The faces: answers that are lost, requests that are repeated.
    Mutant(
        "key dropped on the way",
        "hive/actors/broker.py",
        "self.store.submit(message.command, message.once)",
        "self.store.submit(message.command)",
        SWARM,
        "A command asked for twice is done twice.",
    ),
    Mutant(
        "mail of a client that left",
        "hive/mcp/receiving.py",
        "await call.delivery.hand_over(partial(_give_back, call, turn, mail))",
        "await trio.lowlevel.checkpoint()",
        MCP,
        "An answer that is never read takes its mail along until the lease ends.",
    ),
    Mutant(
        "seen before its answer was",
        "hive/actors/turn.py",
        "if ok and not self._receiving:\n                    self._see(token.confirm())",
        "if ok:\n                    self._see(token.confirm())",
        SWARM,
        "Mail counts as shown because some other call came back.",
    ),
)
