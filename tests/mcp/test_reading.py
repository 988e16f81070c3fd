"""Reading what was too long to be delivered whole, with nothing but tools."""

import json
import re
from typing import TYPE_CHECKING

import pytest

from hive.mcp.reading import MOST_CHARACTERS, USUAL_CHARACTERS
from hive.protocol.mail import ATTACHMENT_BYTES, INLINE_BYTES
from hive.protocol.wording import read_call

if TYPE_CHECKING:
    from mcp import Client

    from tests.mcp.conftest import House

CALL = re.compile(r"read\((\{.*\})\)")
LINES = "".join(f"line {number}: naïve 🐝 e\u0301\n" for number in range(4000))
"""Characters of one to four bytes, and one that is made of two."""


def named(text: str) -> dict[str, object]:
    """The arguments of the call that a text names."""
    (arguments,) = CALL.findall(text)
    found: dict[str, object] = json.loads(arguments)
    return found


def body(answer: str) -> str:
    """The part of a body in an answer, without its indentation."""
    shown = answer.partition(":\n")[2]
    if "\nAll of it" not in answer:
        shown, _, _ = shown.rpartition("\n")
    return "".join(line.removeprefix("  ") for line in shown.splitlines(keepends=True))


async def read_all(house: "House", client: "Client", arguments: dict[str, object]) -> tuple[str, int]:
    """What a model gets that makes each call it is told to make, and how many these were."""
    whole, calls = "", 0
    while True:
        answer = house.said(await client.call_tool("read", arguments))
        whole, calls = whole + body(answer), calls + 1
        if "are left" not in answer:
            return whole, calls
        arguments = named(answer)


@pytest.mark.parametrize("shown_by", ["recv", "inbox"])
async def test_following_the_calls_an_excerpt_names_gives_the_whole(
    house: "House", era: str, shown_by: str
) -> None:
    """Character for character, in as few parts as there must be, whatever the characters take in bytes."""
    await house.mail("rose", LINES, sender="iris")
    async with house.client("rose", era=era) as rose:
        shown = house.said(await rose.call_tool(shown_by, {}))
        whole, calls = await read_all(house, rose, named(shown))

    assert LINES not in shown
    assert whole == LINES
    assert calls == -(-len(LINES) // USUAL_CHARACTERS)


async def test_a_running_turn_reads_what_its_prompt_began(house: "House") -> None:
    """By the call that the prompt names, with its session's token; the turn's mail stays as it is."""
    session = await house.begin_with("iris", "go" * INLINE_BYTES)
    async with house.client("iris", session.token) as iris:
        whole, _ = await read_all(house, iris, named(read_call("#1")))

    assert whole == "go" * INLINE_BYTES
    assert house.states("iris") == ["claimed"]


@pytest.mark.parametrize(
    ("length", "sizes"),
    [(1, [1, 1]), (INLINE_BYTES, [INLINE_BYTES, INLINE_BYTES]), (MOST_CHARACTERS, [MOST_CHARACTERS, 1])],
)
async def test_the_length_of_a_part_is_kept_from_call_to_call(
    house: "House", length: int, sizes: list[int]
) -> None:
    """A part says what it is, of how much, and names the next call exactly."""
    text = "é" * (MOST_CHARACTERS + 1)
    await house.mail("iris", text)
    async with house.client("iris") as iris:
        first = house.said(await iris.call_tool("read", {"message": "1", "length": length}))
        second = house.said(await iris.call_tool("read", named(first)))

    assert f"Characters 0 to {length} of {len(text)}:" in first
    assert f"{len(text) - length} characters are left" in first
    assert named(first) == {"message": "1", "offset": length, "length": length}
    assert [len(body(first)), len(body(second))] == sizes


@pytest.mark.parametrize(
    "by", ["#{number}", "{number}", "{id}", "hive://message/{id}", "{sha256}", "hive://attachment/{sha256}"]
)
async def test_every_name_of_a_text_reads_it(house: "House", by: str) -> None:
    """Number, id, handle and both addresses; by its message it comes with what is known of that."""
    await house.mail("rose", LINES, sender="iris")
    (mail,) = house.store.reader.mailbox("rose").mail
    asked = by.format(number=mail.number, id=mail.id, sha256=mail.attachment)
    async with house.client("rose") as rose:
        answer = house.said(await rose.call_tool("read", {"message": asked}))

    assert answer.startswith("hive://attachment/" if "sha256" in by else f"#1 ({mail.id}) from iris, 0 s ago")
    assert body(answer) in LINES
    assert named(answer)["message"] == asked


async def test_a_short_message_is_read_at_once_and_not_taken(house: "House", era: str) -> None:
    """No next call is named, and it waits as before."""
    await house.mail("iris", "one\ntwo", sender="rose")
    async with house.client("iris", era=era) as iris:
        answer = house.said(await iris.call_tool("read", {"message": "#1"}))

    assert answer.endswith("All of it, 7 characters:\n  one\n  two")
    assert house.states("iris") == ["ready"]


@pytest.mark.parametrize(
    "asked", ["#1", "{id}", "{sha256}", "hive://attachment/{sha256}", "#2", "m-none", "0" * 64]
)
async def test_what_is_not_ones_own_does_not_exist(house: "House", era: str, asked: str) -> None:
    """Somebody else's message, its attachment, and none at all get the same answer, which says what to do."""
    await house.add("third")
    await house.mail("rose", "secret " * INLINE_BYTES, sender="iris")
    (mail,) = house.store.reader.mailbox("rose").mail
    asked = asked.format(id=mail.id, sha256=mail.attachment)
    async with house.client("third", era=era) as third:
        text, ok = house.answered(await third.call_tool("read", {"message": asked}))

    assert not ok
    assert text == (
        f"There is no message or attachment {asked!r} that you sent or got. `inbox` lists your mail with its "
        "numbers."
    )


async def test_its_sender_reads_what_it_sent(house: "House") -> None:
    """Whoever it went to."""
    await house.mail("operator", LINES, sender="iris")
    async with house.client("iris") as iris:
        whole, _ = await read_all(house, iris, {"message": "#1", "length": MOST_CHARACTERS})

    assert whole == LINES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"offset": 5}, "The text has 5 characters, so there is nothing from offset 5 on"),
        ({"offset": 10**30}, 'From the beginning: read({"message": "#1"})'),
        ({"offset": -1}, "$.offset: must be at least 0"),
        ({"length": 0}, "$.length: must be at least 1"),
        ({"length": MOST_CHARACTERS + 1}, f"$.length: must be at most {MOST_CHARACTERS}"),
        ({"message": "x" * 129}, "$.message: must be at most 128 characters"),
        ({"message": "a\nb"}, "no message or attachment 'a b'"),
    ],
)
async def test_a_part_that_is_not_there_is_refused_in_words(
    house: "House", arguments: dict[str, object], words: str
) -> None:
    """A model can repair its call from the answer alone."""
    await house.mail("iris", "short")
    async with house.client("iris") as iris:
        text, ok = house.answered(await iris.call_tool("read", {"message": "#1", **arguments}))

    assert not ok
    assert words in text


async def test_the_longest_text_there_is_can_be_read(house: "House") -> None:
    """From its last character to its end, and no answer is longer than what was asked for."""
    await house.mail("iris", "x" * ATTACHMENT_BYTES)
    async with house.client("iris") as iris:
        last = house.said(await iris.call_tool("read", {"message": "#1", "offset": ATTACHMENT_BYTES - 1}))
        part = house.said(await iris.call_tool("read", {"message": "#1"}))

    assert body(last) == "x"
    assert last.endswith("This was the last part.")
    assert len(part) < USUAL_CHARACTERS + 200
