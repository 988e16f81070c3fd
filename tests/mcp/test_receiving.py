"""Taking mail: into the running turn, or on a lease; and nothing is lost by whoever gives up."""

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
import trio.testing
from attrs import define, evolve, field
from trio.testing import MockClock

from hive.actors import Request
from hive.actors.protocol import BROKER
from hive.mcp import receiving
from hive.mcp.delivery import Delivery
from hive.mcp.desk import Call, Desk
from hive.mcp.identity import Caller
from hive.mcp.receiving import HeldArguments, RecvArguments, ack, recv
from hive.mcp.tools import TOOLS, Toolbox
from hive.protocol.commands import EndTurn, ExpireLeases
from hive.protocol.errors import Refused
from hive.protocol.outcome import Outcome

if TYPE_CHECKING:
    from hive.agents.tokens import CliSession
    from tests.mcp.conftest import House

T = TypeVar("T")

NOTHING = "No mail is waiting."


# --- the running turn's own recv -------------------------------------------------------------------


async def test_a_sessions_mail_belongs_to_its_turn_and_is_seen_once_it_calls_again(
    house: "House", era: str
) -> None:
    """The next call of that session is the evidence; without it the turn's end gives the mail back."""
    session = await house.begin_with("iris", "go")
    await house.mail("iris", "first")
    await house.mail("iris", "second")
    async with house.client("iris", session.token, era=era) as iris:
        first = house.said(await iris.call_tool("recv", {}))
        second = house.said(await iris.call_tool("recv", {}))

    assert "1 message; 1 more waiting. They belong to the turn you are running" in first
    assert "second" in second
    assert session.turn is not None
    await house.store.submit(EndTurn(session.turn, Outcome.OK)).outcome()
    assert house.states("iris") == ["done", "done", "ready"]


async def test_a_session_takes_as_many_as_it_asks_for(house: "House", era: str) -> None:
    """Newest last."""
    session = await house.begin_with("iris", "go")
    for number in range(4):
        await house.mail("iris", f"number {number}")
    async with house.client("iris", session.token, era=era) as iris:
        taken = house.said(await iris.call_tool("recv", {"max": 3}))

    assert taken.startswith("3 messages; 1 more waiting.")
    assert taken.index("number 0") < taken.index("number 1") < taken.index("number 2")


async def test_between_turns_a_session_has_nothing_to_claim_into(house: "House") -> None:
    """It is told so; its mail waits for the next turn."""
    await house.mail("iris", "waits")
    session = house.parts.sessions.mint("iris")
    async with house.client("iris", session.token) as iris:
        text, ok = house.answered(await iris.call_tool("recv", {}))

    assert not ok
    assert "next turn" in text
    assert house.states("iris") == ["ready"]


# --- leases ----------------------------------------------------------------------------------------


async def test_a_client_holds_mail_by_a_lease_until_it_says_done(house: "House", era: str) -> None:
    """`ack` ends it; afterwards there is nothing to acknowledge."""
    await house.mail("iris", "to do")
    async with house.client("iris", era=era) as iris:
        got = house.said(await iris.call_tool("recv", {}))
        assert house.states("iris") == ["claimed"]
        done = house.said(await iris.call_tool("ack", {"message": "#1"}))
        text, ok = house.answered(await iris.call_tool("ack", {"message": "#1"}, meta=None))

    assert "Held for you for 5 min" in got
    assert "done" in done
    assert house.states("iris") == ["done"]
    assert (ok, era) == (False, era), text


@pytest.mark.parametrize("own_socket", [False, True])
async def test_a_client_beside_a_running_turn_takes_leases_and_nothing_of_the_turns(
    house: "House", era: str, own_socket: bool
) -> None:
    """By its token or by the socket alone: what it took outlives the turn, and the turn never held it."""
    session = await house.begin_with("iris", "the turn's")
    await house.mail("iris", "the client's")
    token = None if own_socket else "iris-token"
    async with house.client("iris", token, era=era, own_socket=own_socket) as iris:
        got = house.said(await iris.call_tool("recv", {"max": 5}))
        assert session.turn is not None
        turn = house.store.reader.turn(session.turn)
        await house.store.submit(EndTurn(session.turn, Outcome.OK)).outcome()
        after = house.states("iris")
        house.said(await iris.call_tool("ack", {"message": "#2"}))

    assert turn
    assert "1 message; no more waiting. Held for you for 5 min" in got
    assert "the client's" in got
    assert [house.number(message) for message in turn.messages] == [1]
    assert session.unconfirmed == set()
    assert after == ["done", "claimed"]
    assert house.states("iris") == ["done", "done"]


async def test_a_client_gives_mail_back(house: "House", era: str) -> None:
    """`release` makes it wait again, uncharged."""
    await house.mail("iris", "not now")
    async with house.client("iris", era=era) as iris:
        house.said(await iris.call_tool("recv", {}))
        house.said(await iris.call_tool("release", {"message": "1"}))
        again = house.said(await iris.call_tool("recv", {}))

    assert "not now" in again
    (mail,) = house.store.reader.mailbox("iris").mail
    assert mail.attempts == 0


async def test_a_lease_that_runs_out_gives_the_mail_back(house: "House") -> None:
    """After five minutes without a call."""
    await house.mail("iris", "forgotten")
    async with house.client("iris") as iris:
        house.said(await iris.call_tool("recv", {}))
    house.wall.turned += 301
    await house.store.submit(ExpireLeases()).outcome()

    assert house.states("iris") == ["ready"]


async def test_any_call_extends_a_clients_leases_and_shows_it_is_there(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """At most once a second, because leases last minutes."""
    await quiet_house.mail("iris", "in work")
    caller = Caller("iris", "agent")
    calls = Calls(quiet_house)

    await calls.make(caller, "recv")
    first = quiet_house.store.reader.next_lease_end()
    quiet_house.wall.turned += 100
    await calls.make(caller, "whoami")
    await trio.testing.wait_all_tasks_blocked()
    throttled = quiet_house.store.reader.next_lease_end()
    await trio.sleep(1)
    await calls.make(caller, "whoami")
    await quiet_house.perform(ExpireLeases())

    extended = quiet_house.store.reader.next_lease_end()
    view = quiet_house.store.reader.agent("iris")
    assert first == throttled
    assert extended is not None
    assert throttled is not None
    assert extended - throttled == pytest.approx(100, abs=10)
    assert view is not None
    assert view.client_seen_at == pytest.approx(quiet_house.wall(), abs=10)


# --- waiting ---------------------------------------------------------------------------------------


@define(eq=False)
class Calls:
    """Calls of the tools' table itself."""

    house: "House"
    desk: Desk = field(init=False)
    stopping: trio.Event = field(factory=trio.Event)
    answers: list[str] = field(factory=list)

    @desk.default
    def _desk(self) -> Desk:
        return Desk(self.house.parts)

    def call(self, caller: Caller) -> Call:
        """A call by somebody."""
        return Call(caller, self.desk, Delivery(), self.stopping)

    async def make(self, caller: Caller, name: str, **arguments: object) -> str:
        """Use a tool."""
        said = await Toolbox(TOOLS).call(self.call(caller), name, arguments)
        assert said.ok
        self.answers.append(str(said.result))
        return self.answers[-1]


CLIENT = Caller("iris", "agent")


async def test_recv_waits_for_mail_as_long_as_it_was_told(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """Then it answers that there is none."""
    before = trio.current_time()

    assert await Calls(quiet_house).make(CLIENT, "recv", wait_seconds=20) == NOTHING
    assert trio.current_time() - before == pytest.approx(20)


async def test_recv_answers_at_once_when_mail_comes(autojump_clock: MockClock, quiet_house: "House") -> None:
    """The store rings for it."""
    calls, before = Calls(quiet_house), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(calls.make, CLIENT, "recv", wait_seconds=20))
        await trio.sleep(7)
        await quiet_house.mail("iris", "here I am")

    assert "here I am" in calls.answers[0]
    assert trio.current_time() - before == pytest.approx(7)


async def test_recv_finds_mail_whose_hint_was_lost(autojump_clock: MockClock, quiet_house: "House") -> None:
    """It looks again every few seconds by itself."""
    quiet_house.store.hints.deaf = True
    calls, before = Calls(quiet_house), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(calls.make, CLIENT, "recv", wait_seconds=20))
        await trio.sleep(7)
        await quiet_house.mail("iris", "here I am")

    assert "here I am" in calls.answers[0]
    assert trio.current_time() - before == pytest.approx(10)


@define(eq=False)
class Late:
    """A broker behind whose empty answer mail comes."""

    house: "House"
    came: bool = False

    async def ask(self, request: Request[T]) -> T:
        """Carry out what was asked, and send mail once."""
        answer = await self.house.hive.ref(BROKER).ask(request)
        if not self.came:
            self.came = True
            await self.house.mail("iris", "just in time")
        return answer


async def test_mail_that_comes_between_the_look_and_the_wait_is_found(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """The hint was marked before the look."""
    calls, before = Calls(quiet_house), trio.current_time()
    calls.desk = Desk(evolve(quiet_house.parts, broker=Late(quiet_house)))

    assert "just in time" in await calls.make(CLIENT, "recv", wait_seconds=20)
    assert trio.current_time() == pytest.approx(before, abs=1)


async def test_a_newer_recv_ends_the_older_one_empty(autojump_clock: MockClock, quiet_house: "House") -> None:
    """Who gave up and asks again does not compete with itself; another credential is not touched."""
    calls = Calls(quiet_house)
    session = await quiet_house.begin_with("iris", "go")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(calls.make, Caller("iris", "agent", session), "recv", wait_seconds=20))
        nursery.start_soon(partial(calls.make, CLIENT, "recv", wait_seconds=20))
        await trio.sleep(3)
        nursery.start_soon(partial(calls.make, CLIENT, "recv", wait_seconds=10))
        await trio.testing.wait_all_tasks_blocked()
        assert calls.answers == [NOTHING]
        await trio.sleep(5)
        assert len(calls.answers) == 1


async def test_a_waiting_recv_answers_when_the_endpoint_leaves(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """It says that nothing was taken and to call again."""
    calls, before = Calls(quiet_house), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(calls.make, CLIENT, "recv", wait_seconds=20))
        await trio.sleep(3)
        calls.stopping.set()

    assert "restarting" in calls.answers[0]
    assert trio.current_time() - before == pytest.approx(3)


async def test_a_recv_whose_turn_ends_meanwhile_takes_nothing(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """Mail that comes then is the next turn's."""
    calls = Calls(quiet_house)
    session = await quiet_house.begin_with("iris", "go")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(calls.make, Caller("iris", "agent", session), "recv", wait_seconds=10))
        await trio.sleep(1)
        assert session.turn is not None
        await quiet_house.store.submit(EndTurn(session.turn, Outcome.OK)).outcome()
        session.turn = None
        await quiet_house.mail("iris", "for the next turn")

    assert quiet_house.states("iris") == ["done", "ready"]


# --- giving up -------------------------------------------------------------------------------------


@pytest.fixture(params=["client", "session"])
def by(request: pytest.FixtureRequest) -> str:
    """Both kinds of callers."""
    return str(request.param)


async def caller_of(house: "House", by: str) -> tuple[Caller, "CliSession | None"]:
    """Such a caller; a session's turn holds one message already."""
    session = await house.begin_with("iris", "go") if by == "session" else None
    return Caller("iris", "agent", session), session


async def test_a_cancelled_recv_takes_nothing(
    autojump_clock: MockClock, quiet_house: "House", by: str
) -> None:
    """Cancelled while it claims: what it claimed waits again."""
    caller, session = await caller_of(quiet_house, by)
    await quiet_house.mail("iris", "keep me")
    with trio.CancelScope() as scope:
        scope.cancel()
        await recv(Calls(quiet_house).call(caller), RecvArguments())
    await quiet_house.until(lambda: quiet_house.states("iris")[-1] == "ready")

    assert scope.cancelled_caught
    assert session is None or not session.unconfirmed


async def test_an_answer_that_was_lost_gives_its_mail_back(
    autojump_clock: MockClock, quiet_house: "House", by: str
) -> None:
    """It is not seen either, whatever that session calls next."""
    caller, session = await caller_of(quiet_house, by)
    await quiet_house.mail("iris", "keep me")
    calls = Calls(quiet_house)
    lost = calls.call(caller)
    await recv(lost, RecvArguments())
    lost.delivery.lose()
    assert session is None or not session.unconfirmed
    await calls.make(caller, "whoami")
    await quiet_house.until(lambda: quiet_house.states("iris")[-1] == "ready")


async def test_mail_that_cannot_be_told_of_is_given_back(
    autojump_clock: MockClock, quiet_house: "House", by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader is told of an error, and so has not got it."""
    caller, session = await caller_of(quiet_house, by)
    await quiet_house.mail("iris", "keep me")
    monkeypatch.setattr(receiving, "describe_received", _fail)
    with pytest.raises(RuntimeError, match="no words"):
        await recv(Calls(quiet_house).call(caller), RecvArguments())
    assert session is None or not session.unconfirmed
    with trio.fail_after(10):
        await quiet_house.until(lambda: quiet_house.states("iris")[-1] == "ready")


def _fail(*_: object, **__: object) -> str:
    raise RuntimeError("no words")


async def test_a_client_that_has_left_is_given_nothing(
    autojump_clock: MockClock, quiet_house: "House", by: str
) -> None:
    """What was claimed for it in the same moment waits again, and is not counted as shown."""
    caller, session = await caller_of(quiet_house, by)
    await quiet_house.mail("iris", "keep me")
    gone = Calls(quiet_house).call(caller)
    gone.delivery.left()
    await recv(gone, RecvArguments())
    await quiet_house.until(lambda: quiet_house.states("iris")[-1] == "ready")

    assert session is None or not session.unconfirmed


async def test_a_client_that_disconnects_during_recv_loses_nothing(house: "House", era: str) -> None:
    """The connection is cut while `recv` waits, then mail comes; it is there for the next one."""
    async with house.client("iris", era=era) as iris:
        with trio.move_on_after(0.2):
            await iris.call_tool("recv", {"wait_seconds": 20})
    await house.mail("iris", "keep me")
    async with house.client("iris", era=era) as iris:
        got = house.said(await iris.call_tool("recv", {"wait_seconds": 5}))

    assert "keep me" in got


async def test_a_repeated_ack_of_the_same_tool_use_is_one(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """A bridge that reconnects may say it twice; without an id the second one is too late."""
    await quiet_house.mail("iris", "to do")
    calls = Calls(quiet_house)
    await calls.make(CLIENT, "recv")
    for _ in range(2):
        call = Call(CLIENT, calls.desk, Delivery(), calls.stopping, tool_use="use-1")
        assert "done" in await ack(call, HeldArguments("1"))
    with pytest.raises(Exception, match="1"):
        await ack(calls.call(CLIENT), HeldArguments("1"))


async def test_without_a_turn_the_table_refuses_in_words(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """The refusal is the tool's answer."""
    session = quiet_house.parts.sessions.mint("iris")
    with pytest.raises(Refused, match="No turn of yours"):
        await recv(Calls(quiet_house).call(Caller("iris", "agent", session)), RecvArguments())
