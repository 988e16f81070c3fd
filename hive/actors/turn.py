"""One turn: a box, a token, a claim, a prompt, a conversation, a verdict.

The rule kept here: the verdict is a synchronous submit in `finally`.  Whatever ends a turn, its mail has
an ending the moment the turn has one, and no await stands between.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import define, evolve, field, frozen

from hive.actors import lines
from hive.actors.boxes import Boxes, Up
from hive.actors.look import InHand
from hive.agents.backend import Backend, Prompt, SessionSpec, TurnRun
from hive.agents.events import (
    ErrorClass,
    Noted,
    PromptAccepted,
    Result,
    SessionOpened,
    ToolCalled,
    ToolReturned,
    TurnEvent,
)
from hive.agents.instructions import Instructions, Told
from hive.agents.judge import Stop, ending
from hive.agents.prompt import AgentFacts, fold_in_prompt, wake_prompt
from hive.agents.tokens import CliSession, Sessions
from hive.containers.port import Box, BoxDown
from hive.protocol.commands import (
    AppendStream,
    BeginTurn,
    ClaimIntoTurn,
    MarkSeen,
    NotBegun,
    Settings,
    StreamRow,
    TurnBegun,
    Withdraw,
)
from hive.protocol.errors import HiveRefusal, StoreUnavailable
from hive.protocol.limits import Limits
from hive.store.hints import Hints
from hive.store.port import Store, Ticket

CANCEL_SECONDS = 5.0
"""How long a backend may take to stop a turn when asked; then its block is left."""

BATCH_SECONDS = 0.05
BATCH_ROWS = 32
"""Stream rows are committed together: so many, or those of so short a while."""

RECV = "hive/recv"
"""The tool by which a running CLI takes more mail into its turn."""

NOTHING_SHOWN = Result(error=ErrorClass.PROTOCOL, detail="it ended well without taking its prompt")

BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a backend's stream raises when the other end is gone."""


@frozen
class Parts:
    """What a harness and its turns are made of; the composition root fills it in."""

    store: Store
    hints: Hints
    boxes: Boxes
    sessions: Sessions
    backend: Callable[[Settings], Backend]
    wall: Callable[[], float]
    limits: Limits = Limits()
    instructions: Callable[[Told], Instructions] = lambda _told: Instructions()


@define(eq=False)
class Turn:
    """One turn of one agent, from the look that wants it to its verdict."""

    _parts: Parts
    _agent: str
    _settings: Settings
    _incarnation: int
    in_hand: InHand | None = field(default=None, init=False)
    """What it holds, once it has begun."""

    _stop: Stop | None = field(default=None, init=False)
    _asked_to_stop: trio.Event = field(factory=trio.Event, init=False)
    _mail_waits: trio.Event = field(factory=trio.Event, init=False)
    _silence: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _run: TurnRun | None = field(default=None, init=False)
    _result: Result | None = field(default=None, init=False)
    _accepted: bool = field(default=False, init=False)
    _unshown: set[int] = field(factory=set, init=False)
    _receiving: set[str] = field(factory=set, init=False)
    _model: str = field(default="", init=False)
    _tools: Counter[str] = field(factory=Counter, init=False)
    _rows: list[StreamRow] = field(factory=list, init=False)
    _rows_wait: trio.Event = field(factory=trio.Event, init=False)

    # What a harness says to it.  Never waits.

    def ask_to_stop(self, stop: Stop) -> None:
        """Have the turn end; the first reason counts."""
        if not self._asked_to_stop.is_set():
            self._stop = stop
            self._asked_to_stop.set()

    def take_mail(self) -> None:
        """More mail waits: fold it in, once the prompt is through."""
        if self._accepted:
            self._mail_waits.set()

    @property
    def _number(self) -> int:
        assert self.in_hand is not None, "a turn has its number before it has anything to say"
        return self.in_hand.turn

    # The pipeline.

    async def run(self) -> NotBegun | None:
        """Carry the turn out.  Answers why none began, or None when one has begun and ended.

        Cancelled or crashed at any point, the mail it held is released by a verdict that is already queued.
        """
        try:
            up = await self._parts.boxes.bring_up(self._agent)
        except (BoxDown, HiveRefusal, OSError, trio.TooSlowError) as error:
            return NotBegun(str(error) or "its box does not answer")
        token = self._parts.sessions.mint(self._agent)
        try:
            begun = await self._begin()
            if isinstance(begun, NotBegun):
                return begun
            verdict = await self._hold(begun, token, up)
        finally:
            self._parts.sessions.end(token)
        with suppress(StoreUnavailable):  # hive is stopping: the next boot ends the turn
            await verdict.outcome()
        return None

    async def _begin(self) -> TurnBegun | NotBegun:
        limits = self._parts.limits
        wanted = BeginTurn(self._agent, self._incarnation, limits.batch_messages, limits.batch_bytes)
        try:
            return await self._parts.store.submit(wanted).outcome()
        except StoreUnavailable as error:
            return NotBegun(error.text)

    async def _hold(self, begun: TurnBegun, token: CliSession, up: Up) -> Ticket[None]:
        """Have the mail in hand; give it back with a verdict."""
        self.in_hand = InHand(begun.turn, up.epoch)
        token.turn = begun.turn
        try:
            backend = self._parts.backend(self._settings)
            self._say(*lines.header(begun.turn, begun.messages))
            spec = SessionSpec(
                self._agent, self._settings, token, up.box, self._instructions(backend, up.box)
            )
            prompt = wake_prompt(begun, _facts(spec), self._parts.wall())
            result = await self._converse(backend, spec, prompt)
            if result.error is not None and not await self._parts.boxes.is_up(self._agent, up):
                # Whatever the backend makes of it: what ran in a box that is gone did not fail by itself.
                self.ask_to_stop(Stop.BOX)
            self._result = result
        finally:
            token.turn = None
            verdict = self._give_back(begun.turn)
        return verdict

    def _instructions(self, backend: Backend, box: Box) -> str:
        if not backend.capabilities.instructions:
            return ""
        told = self._parts.instructions(Told(self._agent, self._settings, box.home, box.shared))
        self._say(*(lines.row(Noted("prompts", problem)) for problem in told.problems))
        return told.text

    def _give_back(self, turn: int) -> Ticket[None]:
        self._flush()
        if self._unshown:
            self._parts.store.submit(Withdraw(turn, tuple(sorted(self._unshown))))
        ended = ending(turn, self._result, stop=self._stop)
        return self._parts.store.submit(evolve(ended, model=self._model, tools=dict(self._tools)))

    # The conversation.

    async def _converse(self, backend: Backend, spec: SessionSpec, prompt: Prompt) -> Result:
        result = Result(error=ErrorClass.CANCELLED, detail="it did not stop when asked")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._guard, nursery.cancel_scope)
            nursery.start_soon(self._flush_often)
            if backend.capabilities.fold_in:
                nursery.start_soon(self._fold_in_often, spec)
            result = await self._talk(backend, spec, prompt)
            nursery.cancel_scope.cancel(reason="the turn has its result")
        return result

    async def _talk(self, backend: Backend, spec: SessionSpec, prompt: Prompt) -> Result:
        result = None
        try:
            async with backend.open(spec) as session, session.turn(prompt) as self._run:
                result = await self._listen(self._run, spec.token)
        except BoxDown as error:
            return result or Result(error=ErrorClass.BOX_GONE, detail=str(error))
        except BROKEN as error:
            kind = ErrorClass.NO_START if self._run is None else ErrorClass.CRASH
            return result or Result(error=kind, detail=f"{type(error).__name__}: {error}")
        return result

    async def _listen(self, run: TurnRun, token: CliSession) -> Result:
        async for event in run:
            self._hear(event, token)
            if isinstance(event, Result):
                # Else its mail would come back unseen and begin the next turn at once, for ever.
                skipped = event.error is None and not self._accepted
                return NOTHING_SHOWN if skipped else event
        return Result(error=ErrorClass.PROTOCOL, detail="its events ended without a result")

    def _hear(self, event: TurnEvent, token: CliSession) -> None:
        self._silence.deadline = trio.current_time() + self._parts.limits.silent_seconds
        self._say(lines.row(event))
        match event:
            case SessionOpened(model=model):
                self._model = model
            case PromptAccepted(messages=messages):
                self._accepted = True
                self._see(messages)
            case ToolCalled(id=call, tool=tool):
                self._tools[tool] += 1
                if tool == RECV:
                    self._receiving.add(call)
            case ToolReturned(id=call, ok=ok) if call in self._receiving:
                self._receiving.discard(call)
                # With another `recv` under way we could not tell whose messages these are.
                if ok and not self._receiving:
                    self._see(token.confirm())
            case _:
                pass

    def _see(self, messages: tuple[int, ...]) -> None:
        self._unshown.difference_update(messages)
        if messages:
            self._parts.store.submit(MarkSeen(self._number, messages))

    # Beside the conversation.

    async def _guard(self, conversation: trio.CancelScope) -> None:
        """Stop the turn when there is a reason to: ask, wait a little, leave its block."""
        self.ask_to_stop(await self._reason_to_stop())
        with trio.move_on_after(CANCEL_SECONDS), suppress(*BROKEN):
            if self._run is not None:
                await self._run.cancel()
                await trio.sleep_forever()
        conversation.cancel(reason=f"the turn was stopped: {self._stop}")

    async def _reason_to_stop(self) -> Stop:
        limits = self._parts.limits
        with trio.move_on_after(limits.turn_seconds):
            with trio.move_on_after(limits.silent_seconds) as self._silence:
                await self._asked_to_stop.wait()
                return self._stop or Stop.LEAVING
            return Stop.SILENT
        return Stop.TOO_LONG

    async def _fold_in_often(self, spec: SessionSpec) -> None:
        while True:
            await self._mail_waits.wait()
            self._mail_waits = trio.Event()
            with suppress(StoreUnavailable, *BROKEN):
                await self._fold_in(spec)

    async def _fold_in(self, spec: SessionSpec) -> None:
        assert self._run is not None, "mail is taken once the prompt is through"
        limit = self._parts.limits.batch_messages
        claimed = await self._parts.store.submit(ClaimIntoTurn(self._number, limit)).outcome()
        if claimed:
            self._unshown.update(one.mail.number for one in claimed)
            self._say(*lines.incoming(claimed))
            await self._run.fold_in(fold_in_prompt(claimed, _facts(spec), self._parts.wall()))

    def _say(self, *rows: StreamRow) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= BATCH_ROWS:
            self._flush()
        else:
            self._rows_wait.set()

    async def _flush_often(self) -> None:
        while True:
            await self._rows_wait.wait()
            await trio.sleep(BATCH_SECONDS)
            self._flush()

    def _flush(self) -> None:
        self._rows_wait = trio.Event()
        if self._rows:
            self._parts.store.submit(AppendStream(self._agent, self._number, tuple(self._rows)))
            self._rows = []


def _facts(spec: SessionSpec) -> AgentFacts:
    settings = spec.settings
    if spec.instructions:
        return AgentFacts(spec.agent, settings.role, tools=())
    return AgentFacts(spec.agent, settings.role, settings.purpose, spec.box.home, spec.box.shared)
