"""The page in a real browser, before a hive that says what a test tells it to.

What a person gets is read from the accessibility tree.  After every test the page has complained of
nothing: no error in the console, nothing stopped by the content policy.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from hive.testing.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium")]

Browsing: TypeAlias = Callable[[], AbstractAsyncContextManager[Tab]]
FakeHives: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]

NOW = 1_750_000_000.0
CONTROL = 2


def agent(name: str, **changes: object) -> dict[str, object]:
    """A row of the snapshot."""
    settings = {"role": "agent", "backend": "scripted", "purpose": f"{name}'s purpose"}
    row = {"name": name, "settings": settings, "added_at": NOW, "status": "", "status_at": None}
    return {**row, "parked": [], "turn": None, "epoch": 1, **changes}


def message(number: int, sender: str, to: str, head: str, **changes: object) -> dict[str, object]:
    """A row of the snapshot."""
    row = {"id": f"m-{number}", "number": number, "from": sender, "to": to, "kind": "message", "head": head}
    more = {"thread": f"m-{number}", "size": len(head), "hops": 0, "in_reply_to": None, "priority": "normal"}
    rest = {"provenance": "agent", "label": None, "broadcast": False, "wakes": True, "not_before": None}
    state = {
        "cause": None,
        "state": "done",
        "attempts": 0,
        "turn": None,
        "why": None,
        "at": NOW,
        "read": False,
    }
    return {**row, **more, **rest, **state, **changes}


def happened(n: int, type_: str, subject: str, **data: object) -> list[object]:
    """An event of the journal."""
    return [n, NOW + n, type_, {"agent": data.get("to"), "subject": subject, "boot": 1, **data}]


def sent(n: int, number: int, sender: str, to: str, head: str, **changes: object) -> list[object]:
    """A message is accepted."""
    row = message(number, sender, to, head, state="ready", **changes)
    return happened(n, "msg.sent", str(row["id"]), **row)


LOGIN = {"reason": "login", "since": NOW - 60, "until": None, "detail": "claude says: log in"}
AGENTS = [agent("iris", turn=7), agent("rosa", parked=[LOGIN]), agent("moss")]
TURN = {"number": 7, "agent": "iris", "started_at": NOW - 161, "ended_at": None, "outcome": None}
TURNS = [{**TURN, "error": "", "text": "", "stop": None, "messages": ["m-1"]}]
MESSAGES = [
    message(1, "rosa", "iris", "Is the ledger schema frozen?", state="claimed", turn=7),
    message(2, "iris", "operator", "All 40 pass.", state="ready"),
]


@pytest.fixture
def visiting(browsing: Browsing, fake_hive: FakeHives) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """The page, live before a small hive at event 10; yields the tab, the hive and their connection."""

    @asynccontextmanager
    async def visit(address: str = "", **rows: list[object]) -> AsyncIterator[tuple[Tab, Any, Any]]:
        shown: dict[str, Any] = rows or {"agents": AGENTS, "turns": TURNS, "messages": MESSAGES}
        async with fake_hive() as hive, browsing() as tab:
            await tab.resize(1440, 900)
            await tab.open(f"{hive.origin}/{address}")
            line = await hive.line()
            await line.greet()
            await line.show(10, **shown)
            await tab.until("window.hive")
            await tab.evaluate("hive.settled(10)")
            yield tab, hive, line
            assert tab.complaints == []

    return visit


Visiting: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[Tab, Any, Any]]]


async def shown(tab: Tab) -> str:
    """What is to be read on the page, as one line a node: role and name."""
    return "\n".join(f"{role}: {name}" for role, name in await tab.accessible())


async def write(tab: Tab, text: str) -> None:
    """Type into the box to send from."""
    await tab.evaluate("document.querySelector('textarea').focus()")
    await tab.call("Input.insertText", text=text)


async def press_button(tab: Tab, words: str) -> None:
    """Press the button with these words."""
    reads = f"(one) => one.textContent.trim() === {json.dumps(words)}"
    found = f"[...document.querySelectorAll('button')].find({reads})"
    await tab.until(f"{found} && !{found}.disabled")
    await tab.evaluate(f"{found}.click()")


# --- what is shown -----------------------------------------------------------------------------------


async def test_the_first_sentence_says_what_needs_doing(visiting: Visiting) -> None:
    """And who does what, who wrote to whom, and that the promise holds."""
    async with visiting() as (tab, _hive, _line):
        text = await shown(tab)
    assert "heading: 1 agent needs you" in text
    assert "Every accepted message is accounted for" in text
    assert "rowheader: working iris" in text
    assert "its CLI is not logged in (claude says: log in). Way out: give it a key (hive secret set)." in text
    assert "All 40 pass." in text
    assert "StaticText: Live" in text


async def test_an_event_shows_without_asking_for_anything(visiting: Visiting) -> None:
    """News arrives as events; the page fetches nothing for them."""
    async with visiting() as (tab, _hive, line):
        line.heard.clear()
        lifted = happened(11, "park.lifted", "login", agent="rosa")
        await line.tell("ev", lane="j", e=[lifted, sent(12, 3, "moss", "rosa", "Wake up")])
        await tab.evaluate("hive.settled(12)")
        text = await shown(tab)
        assert {frame["op"] for frame in line.heard} <= {"beat"}
    assert "heading: Nothing needs you" in text
    assert "Wake up" in text


async def test_an_empty_hive_says_what_to_type(visiting: Visiting) -> None:
    """Nothing is a dead end."""
    async with visiting(agents=[], messages=[]) as (tab, _hive, _line):
        text = await shown(tab)
    assert "heading: No agents yet" in text
    assert "hive spawn boss --backend scripted --manager" in text
    assert "hive send manager 'hello' --wait" in text


async def test_the_light_says_when_all_history_was_last_checked(visiting: Visiting) -> None:
    """Its age grows with the clock; before the first full check of a start it says so."""
    async with visiting() as (tab, _hive, line):
        text = await shown(tab)
        assert "Last full check 2 min ago" in text
        title = await tab.evaluate("document.querySelector('.light').title")
        assert title == "All mail accounted for. Last full check 2 min ago"
        audit = {"looks": 0, "full_at": None, "full_seconds": 0}
        health: dict[str, object] = {"violations": [], "refusing": None, "counts": {}, "audit": audit}
        await line.tell("beat", at={"j": 10}, now=NOW, health=health)
        await tab.until("document.querySelector('.promise').textContent.includes('under way')")
        assert "First full check under way" in await shown(tab)


async def test_the_light_goes_red_and_names_what_is_wrong(visiting: Visiting) -> None:
    """A broken invariant comes with a beat and is read out as an alert."""
    async with visiting() as (tab, _hive, line):
        wrong = [{"invariant": 1, "agent": "moss", "text": "moss has mail since noon and does not wake"}]
        health = {"violations": wrong, "refusing": "the disk is full", "counts": {}}
        await line.tell("beat", at={"j": 10}, now=NOW, health=health)
        await tab.until("document.querySelector('.promise.broken')")
        text = await shown(tab)
    assert "Mail not accounted for" in text
    assert "moss has mail since noon and does not wake" in text
    assert "the disk is full" in text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
async def test_chaos_is_marked_at_the_top_of_every_page_while_it_is_on(
    visiting: Visiting, tmp_path: Path, theme: str, width: int, height: int
) -> None:
    """With its rate and its count; the mark comes and goes with a beat, and the light stays what it is."""
    chaos = {"rate": 60, "total": 12, "until": NOW + 300, "seed": 7, "on": True}
    quiet: dict[str, object] = {"violations": [], "refusing": None, "counts": {"accepted": 3, "done": 3}}
    async with visiting() as (tab, _hive, line):
        await tab.resize(width, height, theme)
        assert "Chaos" not in await shown(tab)
        await line.tell("beat", at={"j": 10}, now=NOW, health={**quiet, "chaos": chaos})
        for name, address in (("overview", "#/"), ("agent", "#/agent/iris")):
            await tab.evaluate(f"location.hash = {json.dumps(address)}")
            await tab.until("document.querySelector('h1') && document.querySelector('.chaos')")
            text = await shown(tab)
            assert "note: Chaos is on" in text
            assert "60 strikes a minute until" in text
            assert ", 12 so far" in text
            assert "All mail accounted for" in text or width < 640
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width  # type: ignore[operator]
            await tab.picture(tmp_path / f"{name}.png")
        await line.tell("beat", at={"j": 10}, now=NOW + 10, health={**quiet, "chaos": None})
        await tab.until("!document.querySelector('.chaos')")


async def test_whatever_an_agent_writes_is_text(visiting: Visiting) -> None:
    """Names, heads and bodies never become markup."""
    nasty = "<img src=x onerror='document.title=1'><b>bold</b>"
    async with visiting(
        agents=[agent("iris")], messages=[message(1, "iris", "operator", nasty, label=nasty)]
    ) as (
        tab,
        _hive,
        _line,
    ):
        assert nasty in await shown(tab)
        assert await tab.evaluate("document.querySelectorAll('main img, .feed .head b').length") == 0


async def test_events_of_a_later_hive_are_passed_over(visiting: Visiting) -> None:
    """An unknown type or frame changes nothing and breaks nothing."""
    async with visiting() as (tab, _hive, line):
        await line.tell("confetti", lane="j")
        await line.tell(
            "ev",
            lane="j",
            e=[happened(11, "weather.changed", "sun"), sent(12, 3, "moss", "rosa", "still here")],
        )
        await tab.evaluate("hive.settled(12)")
        assert "still here" in await shown(tab)


# --- one agent, one message --------------------------------------------------------------------------


async def test_an_agents_page_follows_its_stream(visiting: Visiting) -> None:
    """Its lane is opened when the page is, and closed when it is left."""
    async with visiting() as (tab, _hive, line):
        await tab.evaluate("location.hash = '#/agent/iris'")
        await line.expect("sub", lane="a:iris")
        row = [1, NOW, "turn", {"turn": 7, "messages": ["m-1"]}]
        await line.show(1, "a:iris", rows=[row])
        said = [2, NOW, "say", {"text": "The failing case is a redelivery.", "turn": 7}]
        tool = [3, NOW, "tool", {"id": "t", "tool": "hive/send", "arguments": {"to": "rosa"}, "turn": 7}]
        await line.tell("ev", lane="a:iris", e=[said, tool])
        await tab.until("document.querySelectorAll('.ln').length === 2")
        text = await shown(tab)
        await tab.evaluate("location.hash = '#/'")
        await line.expect("unsub", lane="a:iris")
    assert "heading: iris" in text
    assert "log: Stream of iris" in text
    assert "The failing case is a redelivery." in text
    assert "working, 2:4" in text


async def test_a_messages_page_tells_its_life_and_goes_on_telling(visiting: Visiting) -> None:
    """The story is asked for once; what happens later arrives by event."""
    async with visiting("#/message/m-1") as (tab, _hive, line):
        asked = await line.expect("get", what="message")
        story = [
            {"seq": 3, "at": NOW, "type": "msg.sent", "data": {"from": "rosa", "to": "iris", "turn": None}}
        ]
        mail = {
            "id": "m-1",
            "body": "x",
            "sender": "rosa",
            "recipient": "iris",
            "created_at": NOW,
            "read_at": None,
        }
        data = {"mail": mail, "body": "Is the ledger schema frozen? All of it.", "cut": False, "story": story}
        await line.tell("got", id=asked["id"], ok=True, data={**data, "turns": [], "replies": []})
        await tab.until("document.querySelector('.story li')")
        done = happened(11, "msg.done", "m-1", **{**MESSAGES[0], "state": "done", "why": "handled in turn 7"})
        await line.tell("ev", lane="j", e=[done])
        await tab.evaluate("hive.settled(11)")
        text = await shown(tab)
        assert not [frame for frame in line.heard if frame["op"] == "get"]
    assert "All of it." in text
    assert "Accepted from rosa for iris" in text
    assert "handled in turn 7" in text


async def test_a_message_that_is_not_there_is_said_so(visiting: Visiting) -> None:
    """The server's words stand where the message would."""
    async with visiting("#/message/m-99") as (tab, _hive, line):
        asked = await line.expect("get", what="message")
        error = {"code": "not_found", "text": "there is no message 'm-99'"}
        await line.tell("got", id=asked["id"], ok=False, error=error)
        await tab.until("document.querySelector('.refusal')")
        assert "there is no message 'm-99'" in await shown(tab)


async def test_an_address_of_nothing_says_so(visiting: Visiting) -> None:
    """And offers the way home."""
    async with visiting("#/attic") as (tab, _hive, _line):
        assert "heading: There is nothing at this address" in await shown(tab)


# --- sending -----------------------------------------------------------------------------------------

ACCEPTED = {"recipient": "iris", "number": 3, "id": "m-3", "ahead": 0, "standing": "running", "blocked": None}


async def test_a_message_is_sent_until_the_page_shows_it(visiting: Visiting) -> None:
    """The acknowledgement alone is not enough: the event it names has to be here."""
    async with visiting("#/agent/iris") as (tab, _hive, line):
        await write(tab, "Land the retry change first.")
        await tab.press("Enter", modifiers=CONTROL)
        command = await line.expect("cmd", name="message.send")
        assert command["args"] == {"to": "iris", "body": "Land the retry change first."}
        assert len(str(command["id"])) == 32
        await line.tell(
            "ack", id=command["id"], ok=True, n=11, result={"accepted": [ACCEPTED], "refused": []}
        )
        await tab.until("[...hive.state().commands.values()][0]?.status === 'arriving'")
        assert "button: Sending" in await shown(tab)
        await line.tell("ev", lane="j", e=[sent(11, 3, "operator", "iris", "Land the retry change first.")])
        await tab.until("document.querySelector('textarea').value === ''")
        text = await shown(tab)
    assert "Accepted as #3 for iris; iris is running." in text
    assert "button: Send" in text.splitlines()


async def test_a_refusal_stands_at_the_box_and_the_text_stays(visiting: Visiting) -> None:
    """What was written is not lost."""
    async with visiting("#/agent/moss") as (tab, _hive, line):
        await write(tab, "hello")
        await press_button(tab, "Send")
        command = await line.expect("cmd")
        error = {"code": "refused", "text": "moss has 1000 unread messages; wait."}
        await line.tell("ack", id=command["id"], ok=False, n=0, error=error)
        await tab.until("document.querySelector('.refusal')")
        assert "moss has 1000 unread messages; wait." in await shown(tab)
        assert await tab.evaluate("document.querySelector('textarea').value") == "hello"


async def test_a_long_message_goes_in_parts_that_fit(visiting: Visiting) -> None:
    """Put together again it is what was written, and no part ends within a character."""
    text = "🐝" * 50_000
    async with visiting("#/agent/moss") as (tab, _hive, line):
        await write(tab, text)
        await press_button(tab, "Send")
        command = await line.expect("cmd")
        parts = [frame["text"] for frame in line.heard if frame["op"] == "part"]
    assert command["args"] == {"to": "moss", "body_parts": command["id"]}
    assert "".join(parts) == text
    assert len(parts) > 1


async def test_an_unanswered_command_is_repeated_under_its_id(visiting: Visiting) -> None:
    """A lost connection does not lose it, and hive knows it by its id."""
    async with visiting("#/agent/moss") as (tab, hive, line):
        await write(tab, "hello")
        await press_button(tab, "Send")
        first = await line.expect("cmd")
        await line.close()
        again = await hive.line()
        hello = await again.greet("resumed")
        assert hello["at"] == {"j": [10, 1]}
        assert hello["log_id"] == "a log"
        assert await again.expect("cmd") == first
        await again.tell("ack", id=first["id"], ok=True, n=10, result={"accepted": [], "refused": []})
        await tab.until("[...hive.state().commands.values()][0]?.status === 'done'")


async def test_while_not_connected_nothing_is_sent_and_nothing_looks_live(visiting: Visiting) -> None:
    """Buttons are off, the clock stands, the bar says so; and no decision is kept for later."""
    async with visiting() as (tab, hive, line):
        await line.close()
        await hive.line()  # it is taken, but never greeted
        await tab.until("document.querySelector('.notice')")
        text = await shown(tab)
        assert "Not connected" in text
        assert "StaticText: Live" not in text
        assert await tab.evaluate("[...document.querySelectorAll('.btn.honey')].every((one) => one.disabled)")


async def test_a_command_of_another_log_is_not_repeated(visiting: Visiting) -> None:
    """It was decided on what is no longer so."""
    async with visiting("#/agent/moss") as (tab, hive, line):
        await write(tab, "hello")
        await press_button(tab, "Send")
        await line.expect("cmd")
        await line.close()
        again = await hive.line()
        await again.greet(log_id="another log")
        await again.show(5, agents=AGENTS, turns=TURNS, messages=MESSAGES)
        await tab.until("document.querySelector('.refusal')")
        assert "restored from a backup" in await shown(tab)
        assert not [frame for frame in again.heard if frame["op"] == "cmd"]


async def test_what_is_parked_for_a_person_is_resumed_by_a_button(visiting: Visiting) -> None:
    """The way out is where the reason is, and lifts that reason alone."""
    async with visiting() as (tab, _hive, line):
        await press_button(tab, "It is logged in")
        command = await line.expect("cmd", name="agent.resume")
        assert command["args"] == {"agent": "rosa", "reasons": ["login"]}


async def test_a_held_message_is_released_on_what_was_seen(visiting: Visiting) -> None:
    """The decision names the state it was taken on."""
    held = message(3, "iris", "rosa", "again", state="blocked", why="40 messages between iris and rosa")
    async with visiting(agents=AGENTS, turns=TURNS, messages=[held]) as (tab, _hive, line):
        assert "1 message held for you" in await shown(tab)
        await press_button(tab, "Release")
        command = await line.expect("cmd", name="message.release")
        assert (command["args"], command["expect"]) == ({"message": "m-3"}, {"state": "blocked"})


async def test_a_viewer_can_press_nothing(browsing: Browsing, fake_hive: FakeHives) -> None:
    """The server refuses anyway; the page does not pretend."""
    async with fake_hive() as hive, browsing() as tab:
        await tab.open(hive.origin)
        line = await hive.line()
        await line.greet(role="viewer")
        await line.show(10, agents=AGENTS, turns=TURNS, messages=MESSAGES)
        await tab.until("document.querySelector('.btn.honey')")
        assert await tab.evaluate("document.querySelectorAll('.btn:enabled').length") == 0
        assert "read only" in await shown(tab)


# --- the connection ----------------------------------------------------------------------------------


async def test_a_gap_is_asked_about_from_the_last_good_number(visiting: Visiting) -> None:
    """What came after the gap waits; nothing is applied out of order."""
    async with visiting() as (tab, _hive, line):
        await line.tell("ev", lane="j", e=[sent(12, 3, "moss", "rosa", "too early")])
        asked = await line.expect("sub", lane="j")
        assert asked["at"] == [10, 1]
        assert "too early" not in await shown(tab)
        news = [sent(11, 4, "moss", "rosa", "in between"), sent(12, 3, "moss", "rosa", "too early")]
        await line.tell("ev", lane="j", e=news)
        await tab.evaluate("hive.settled(12)")
        assert "in between" in await shown(tab)


async def test_a_hole_within_one_frame_is_asked_about_at_once(visiting: Visiting) -> None:
    """What came before the hole holds, and the question begins after it."""
    async with visiting() as (tab, _hive, line):
        news = [sent(11, 3, "moss", "rosa", "before the hole"), sent(13, 5, "moss", "rosa", "behind it")]
        await line.tell("ev", lane="j", e=news)
        assert (await line.expect("sub", lane="j"))["at"] == [11, 1]
        await tab.evaluate("hive.settled(11)")
        text = await shown(tab)
    assert "before the hole" in text
    assert "behind it" not in text


async def test_what_is_told_twice_is_passed_over_and_nothing_is_asked(visiting: Visiting) -> None:
    """A repeated event is no gap."""
    async with visiting() as (tab, _hive, line):
        again = sent(11, 3, "moss", "rosa", "once")
        for news in ([again], [again], [again, sent(12, 4, "moss", "rosa", "twice")]):
            await line.tell("ev", lane="j", e=news)
        await tab.evaluate("hive.settled(12)")
        assert not [frame for frame in line.heard if frame["op"] == "sub"]


async def test_a_number_that_a_beat_names_and_that_does_not_come_is_asked_for(visiting: Visiting) -> None:
    """An event lost at the end of a lane is missed too, after three seconds."""
    async with visiting() as (_tab, _hive, line):
        await line.tell(
            "beat", at={"j": 11}, now=NOW, health={"violations": [], "refusing": None, "counts": {}}
        )
        assert (await line.expect("sub", lane="j"))["at"] == [10, 1]


async def test_half_a_snapshot_is_never_shown(visiting: Visiting) -> None:
    """It is swapped in when it is whole."""
    async with visiting() as (tab, _hive, line):
        await line.tell("resync", lane="j", why="slow")
        await line.tell("snap", lane="j", part="begin", n=20, boot=1)
        await line.tell("snap", lane="j", part="rows", kind="agents", rows=[agent("zoe")])
        await line.tell(
            "beat", at={"j": 20}, now=NOW + 1, health={"violations": [], "refusing": "a mark", "counts": {}}
        )
        await tab.until("document.querySelector('.promise.broken')")
        assert "zoe" not in await shown(tab)
        await line.tell("snap", lane="j", part="end", n=20)
        await tab.evaluate("hive.settled(20)")
        text = await shown(tab)
    assert "rowheader: idle zoe" in text
    assert "iris" not in text


async def test_the_end_of_the_login_is_said_and_the_page_stays_away(visiting: Visiting) -> None:
    """Trying again is pointless until there is a login."""
    async with visiting() as (tab, hive, line):
        await line.close(4401, "sign in again")
        await tab.until("document.querySelector('.notice')")
        assert "Your login has ended" in await shown(tab)
        assert await hive.nobody_calls()


# --- looks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
async def test_every_page_fits_its_window_in_both_themes(
    visiting: Visiting, tmp_path: Path, theme: str, width: int, height: int
) -> None:
    """Nothing is wider than the window; pictures are left in the test's folder."""
    right = "(one) => one.getBoundingClientRect().right > innerWidth && one.className !== 'vh'"
    wide = (
        f"[...document.querySelectorAll('main *')].filter({right}).map((one) => one.outerHTML.slice(0, 80))"
    )
    async with visiting() as (tab, _hive, _line):
        await tab.resize(width, height, theme)
        for name, address in (("overview", "#/"), ("agent", "#/agent/iris"), ("message", "#/message/m-2")):
            await tab.evaluate(f"location.hash = {json.dumps(address)}")
            await tab.until(f"document.querySelector('h1') && location.hash === {json.dumps(address)}")
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width  # type: ignore[operator]
            assert await tab.evaluate(wide) == [], name
            await tab.picture(tmp_path / f"{name}.png")
        colour = await tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert colour == ("rgb(246, 244, 236)" if theme == "light" else "rgb(19, 17, 14)")


async def test_a_chosen_theme_is_kept(visiting: Visiting) -> None:
    """Over a reload, in this browser."""
    async with visiting() as (tab, hive, _line):
        await tab.evaluate("document.querySelector('[aria-label=\"Use the dark theme\"]').click()")
        await tab.open(f"{hive.origin}/?again")
        await (await hive.line()).greet()
        await tab.until("window.hive && document.documentElement.dataset.theme === 'dark'")


async def test_everything_to_press_has_a_name_and_can_be_reached_by_key(visiting: Visiting) -> None:
    """Tab goes from the skip link through every link, button and field, and none is without a name."""
    async with visiting() as (tab, _hive, _line):
        pressable = {"link", "button", "textbox", "combobox"}
        named = [(role, name) for role, name in await tab.accessible() if role in pressable]
        assert all(name for _role, name in named), named
        reached = []
        for _ in named:
            await tab.press("Tab")
            reached.append(await tab.evaluate("document.activeElement.tagName"))
        assert await tab.evaluate("document.activeElement !== document.body")
    assert reached[0] == "A"
    assert {"A", "BUTTON", "SELECT", "TEXTAREA"} <= {str(tag) for tag in reached}


async def test_the_policy_of_the_page_lets_no_markup_in(visiting: Visiting) -> None:
    """Trusted Types are on: a string cannot become markup even by mistake."""
    async with visiting() as (tab, _hive, _line):
        attempt = "try { document.body.innerHTML = '<p>x'; 'made' } catch (error) { error.name }"
        assert await tab.evaluate(attempt) == "TypeError"
        assert any("TrustedHTML" in one for one in tab.complaints), tab.complaints
        tab.complaints.clear()
