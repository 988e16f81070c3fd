"""What an agent can read, be told of and be introduced with, on both wires."""

from typing import TYPE_CHECKING

import pytest
import trio
from mcp import MCPError, types
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp.types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from hive.mcp.subscriptions import CLIENTS, SUBSCRIPTIONS, Audience, Client as Subscriber
from hive.protocol.mail import INLINE_BYTES

if TYPE_CHECKING:
    from mcp import Client

    from tests.mcp.conftest import House


async def text_at(client: "Client", uri: str) -> str:
    """What is at an address."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_a_message_can_be_read_by_who_sent_it_and_who_got_it(house: "House", era: str) -> None:
    """Whole, and without taking it."""
    sent = await house.mail("rose", "line one\nline two", sender="iris")
    uri = f"hive://message/{sent.accepted[0].id}"
    async with house.client("iris", era=era) as iris, house.client("rose", era=era) as rose:
        texts = [await text_at(one, uri) for one in (iris, rose)]

    assert texts[0] == texts[1]
    assert "  line one\n  line two" in texts[0]
    assert house.states("rose") == ["ready"]


@pytest.mark.parametrize(
    "uri",
    [
        "hive://message/{theirs}",
        "hive://message/m-none",
        "hive://attachment/00",
        "hive://x",
        "file:///etc/passwd",
    ],
)
async def test_what_is_not_ones_own_does_not_exist(house: "House", era: str, uri: str) -> None:
    """Somebody else's message, and no message at all, get the same answer."""
    await house.add("third")
    theirs = await house.mail("third", "secret", sender="rose")
    asked = uri.format(theirs=theirs.accepted[0].id)
    async with house.client("iris", era=era) as iris:
        with pytest.raises(MCPError) as refusal:
            await iris.read_resource(asked)

    assert refusal.value.code == types.INVALID_PARAMS
    assert refusal.value.data == {"uri": asked}
    assert "secret" not in str(refusal.value)


async def test_a_long_message_is_an_excerpt_with_a_handle_to_the_whole(house: "House", era: str) -> None:
    """The handle is readable by sender and recipient only."""
    body = "word " * INLINE_BYTES
    await house.add("third")
    await house.mail("rose", body, sender="iris")
    async with house.client("rose", era=era) as rose:
        got = house.said(await rose.call_tool("recv", {}))
        handle = next(word.strip(")") for word in got.split() if word.startswith("hive://attachment/"))
        assert await text_at(rose, handle) == body
    async with house.client("third", era=era) as third:
        with pytest.raises(MCPError):
            await third.read_resource(handle)

    assert len(got) < len(body)


async def test_what_there_is_to_read_is_listed(house: "House", era: str) -> None:
    """Inbox and latest messages; message and attachment as templates; nothing is cached for others."""
    await house.mail("iris", "read me")
    async with house.client("iris", era=era) as iris:
        listed = await iris.list_resources()
        templates = await iris.list_resource_templates()
        inbox = await text_at(iris, "hive://inbox")

    assert [resource.name for resource in listed.resources] == ["inbox", "#1 from the operator"]
    assert [one.uri_template for one in templates.resource_templates] == [
        "hive://message/{id}",
        "hive://attachment/{sha256}",
    ]
    assert (listed.cache_scope, listed.ttl_ms) == ("private", 0)
    assert "read me" in inbox


async def test_addresses_can_be_completed(house: "House", era: str) -> None:
    """A template's place is filled from one's own mail."""
    sent = await house.mail("iris", "x")
    async with house.client("iris", era=era) as iris:
        reference = ResourceTemplateReference(uri="hive://message/{id}")
        found = await iris.complete(reference, {"name": "id", "value": "m-"})
        none = await iris.complete(reference, {"name": "id", "value": "zz"})
        attached = await iris.complete(
            ResourceTemplateReference(uri="hive://attachment/{sha256}"), {"name": "sha256", "value": ""}
        )
        prompt = await iris.complete(PromptReference(name="hive"), {"name": "x", "value": ""})
        unknown = await iris.complete(PromptReference(name="nothing"), {"name": "x", "value": ""})

    assert found.completion.values == [sent.accepted[0].id]
    assert [one.completion.values for one in (none, attached, prompt, unknown)] == [[], [], [], []]


async def test_one_prompt_introduces_hive(house: "House", era: str) -> None:
    """It says who one is; an unknown prompt is refused by name."""
    async with house.client("iris", era=era) as iris:
        (listed,) = (await iris.list_prompts()).prompts
        shown = await iris.get_prompt("hive")
        with pytest.raises(MCPError, match="no prompt 'other'"):
            await iris.get_prompt("other")

    content = shown.messages[0].content
    assert isinstance(content, TextContent)
    assert listed.description
    assert "You are iris" in content.text
    assert "the operator (Ada)" in content.text


# --- being told ------------------------------------------------------------------------------------


async def test_a_client_of_the_newer_wire_is_told_of_its_own_changes_only(house: "House") -> None:
    """Exact addresses, and the list where it asked for it; another agent's mail does not show."""
    heard: list[object] = []
    async with house.client("iris") as iris, house.client("rose") as rose:
        await house.mail("iris", "before")
        async with iris.listen(resources_list_changed=True, resource_subscriptions=["hive://inbox"]) as told:
            await house.mail("rose", "not for iris")
            await rose.call_tool("recv", {})
            await house.mail("iris", "news")
            with trio.move_on_after(5):
                async for event in told:
                    heard.append(event)
                    if len(heard) == 2:
                        break

    assert ResourcesListChanged() in heard
    assert ResourceUpdated(uri="hive://inbox") in heard


@pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed")
async def test_a_client_of_the_older_wire_is_told_until_it_unsubscribes(house: "House") -> None:
    """Over its standing stream; also of a message it sent, when that message is taken."""
    told = trio.Event()
    heard: list[str] = []
    sent = await house.mail("rose", "for rose", sender="iris")
    uri = f"hive://message/{sent.accepted[0].id}"

    async def hear(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(message.params.uri)
            told.set()

    async with house.client("iris", era="legacy", message_handler=hear) as iris:
        for watched in (uri, "hive://inbox"):
            await iris.subscribe_resource(watched)
        await iris.unsubscribe_resource("hive://inbox")
        await house.mail("iris", "nobody is told of this one")
        async with house.client("rose") as rose:
            with trio.fail_after(5):
                # The client says nowhere when its standing stream is open, so there is news until it hears.
                while not told.is_set():
                    await rose.call_tool("recv", {})
                    await rose.call_tool("release", {"message": sent.accepted[0].id})

    assert set(heard) == {uri}


def test_what_is_remembered_of_subscribers_has_a_bound() -> None:
    """The oldest are forgotten."""
    audience = Audience()
    for number in range(CLIENTS + 10):
        audience.meet(str(number), None)  # type: ignore[arg-type]
    subscriber = Subscriber(None)  # type: ignore[arg-type]
    for number in range(SUBSCRIPTIONS + 10):
        subscriber.watch(str(number))

    assert len(audience.clients) == CLIENTS
    assert "0" not in audience.clients
    assert len(subscriber.watched) == SUBSCRIPTIONS


async def test_a_subscriber_that_takes_nothing_is_dropped(autojump_clock: object) -> None:
    """The others hear in time."""

    class Stuck:
        async def send_notification(self, _: object) -> None:
            await trio.sleep_forever()

    audience = Audience()
    heard: list[ServerEvent] = []
    audience.meet("stuck", Stuck())  # type: ignore[arg-type]
    end = audience.bus.subscribe(heard.append)
    before = trio.current_time()
    await audience.tell(ResourcesListChanged())
    await audience.tell(ResourcesListChanged())
    end()
    await audience.tell(ResourcesListChanged())

    assert len(heard) == 2
    assert trio.current_time() - before == pytest.approx(1)
    assert audience.clients == {}
