"""A scripted model on its socket: what a CLI sees of it when all goes well, and when nothing does.

The sockets are real, and so is what breaks; nobody waits for time to pass.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import trio
import trio.testing
from starlette.types import Message

from hive.testing.model import Asked, Reply, Rule, ScriptedModel, Text, ToolCall, scripted_model
from hive.testing.model.routes import FINGERPRINT, called, key_of, routed

SECRET = "sk-very-secret"
PATIENCE = 10.0
"""Seconds after which a test is stuck, however loaded the machine is."""

LONG = 1_000.0
"""Virtual seconds that no answer takes."""


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A client that waits as long as the test does."""
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=None) as opened:
        with trio.fail_after(PATIENCE):
            yield opened


def messages(text: str, *, stream: bool = True) -> dict[str, Any]:
    """A request on the wire of Anthropic."""
    return {
        "model": "m-1",
        "stream": stream,
        "tools": [{"name": "mcp__hive__send"}],
        "messages": [{"role": "user", "content": text}],
    }


async def ask(client: httpx2.AsyncClient, model: ScriptedModel, text: str, **more: Any) -> httpx2.Response:
    """Have a script carried out, in one piece."""
    body = messages(text, stream=False)
    return await client.post(f"{model.url}/v1/messages", json=body, **more)


async def test_a_stream_comes_whole_and_what_was_asked_is_kept(client: httpx2.AsyncClient) -> None:
    """With the key's chosen name in the key's place."""
    script = '!say hello\n!call hive/send {"to": "juno"}'
    async with scripted_model(names={SECRET: "iris"}) as model:
        answer = await client.post(
            f"{model.url}/v1/messages?beta=true", json=messages(script), headers={"x-api-key": SECRET}
        )
        assert answer.headers["content-type"] == "text/event-stream"
        assert [line for line in answer.text.split("\n") if line.startswith("event: ")][-1] == (
            "event: message_stop"
        )
        assert '"name":"mcp__hive__send"' in answer.text
        (asked,) = model.requests
        assert (asked.wire, asked.model, asked.user, asked.key) == ("anthropic", "m-1", script, "iris")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (
            "/v1/responses",
            {"stream": True, "input": "!say hi", "tools": [{"name": "x"}]},
            "response.completed",
        ),
        (
            "/v1/chat/completions",
            {
                "stream": True,
                "messages": [{"role": "user", "content": "!say hi"}],
                "tools": [{"function": {"name": "x"}}],
            },
            "[DONE]",
        ),
        (
            "/v1beta/models/m-1:streamGenerateContent?alt=sse",
            {
                "contents": [{"role": "user", "parts": [{"text": "!say hi"}]}],
                "tools": [{"functionDeclarations": [{"name": "x"}]}],
            },
            "usageMetadata",
        ),
    ],
)
async def test_every_wire_has_its_address(
    client: httpx2.AsyncClient, path: str, body: dict[str, Any], words: str
) -> None:
    """And streams to its end."""
    async with scripted_model() as model:
        answer = await client.post(model.url + path, json=body)
    assert answer.status_code == 200
    assert '"hi"' in answer.text
    assert words in answer.text


async def test_an_error_comes_with_its_status_and_headers(client: httpx2.AsyncClient) -> None:
    """As a provider says that it is busy; asked again it answers."""
    busy = Rule("!error 529 overloaded_error Busy\n!header Retry-After 1", times=1)
    async with scripted_model([busy]) as model:
        first, second = await ask(client, model, "!say now"), await ask(client, model, "!say now")
    assert (first.status_code, first.headers["retry-after"]) == (529, "1")
    assert first.json()["error"] == {"type": "overloaded_error", "message": "Busy"}
    assert second.json()["content"] == [{"type": "text", "text": "now"}]


async def test_a_dropped_connection_breaks_after_what_was_said(client: httpx2.AsyncClient) -> None:
    """In a stream and in an answer of one piece; the next request is served."""
    async with scripted_model() as model:
        heard = b""
        with pytest.raises(httpx2.RemoteProtocolError):
            async with client.stream(
                "POST", f"{model.url}/v1/messages", json=messages("!say half\n!drop")
            ) as answer:
                async for piece in answer.aiter_bytes():
                    heard += piece
        assert b"half" in heard
        assert b"message_stop" not in heard
        with pytest.raises(httpx2.RemoteProtocolError):
            await ask(client, model, "!drop")
        assert (await ask(client, model, "!say whole")).status_code == 200


async def test_leaving_the_block_ends_a_connection_that_hangs(client: httpx2.AsyncClient) -> None:
    """Its client has heard what stands before, and then of the end."""
    broken = trio.Event()
    said, heard = trio.open_memory_channel[bytes](100)

    async def listen(url: str) -> None:
        with pytest.raises(httpx2.RemoteProtocolError):
            async with client.stream(
                "POST", f"{url}/v1/messages", json=messages("!say half\n!hang")
            ) as answer:
                async for piece in answer.aiter_bytes():
                    await said.send(piece)
        broken.set()

    async with trio.open_nursery() as nursery:
        async with scripted_model() as model:
            url = model.url
            nursery.start_soon(listen, url)
            received = b""
            while b"half" not in received:
                received += await heard.receive()
            await trio.testing.wait_all_tasks_blocked()
            assert not broken.is_set()
        await broken.wait()


async def test_what_a_brain_raises_is_answered_with_the_reason(client: httpx2.AsyncClient) -> None:
    """At once and for good: a CLI tries other errors again for minutes."""

    def broken(_asked: Asked) -> Reply:
        raise LookupError("no such mood")

    def careless(_asked: Asked) -> Reply:
        return Reply((Text("so"), ToolCall("hive/send", {"to": object()})))

    async with scripted_model(brain=careless) as model:
        answer = await client.post(f"{model.url}/v1/messages", json=messages("go"))
    assert answer.status_code == 400
    assert "not JSON serializable" in answer.json()["error"]["message"]
    async with scripted_model(brain=broken) as model:
        answer = await ask(client, model, "go")
        wrong = await ask(client, model, "!say the brain is not the script's")
    assert (answer.status_code, wrong.status_code) == (400, 400)
    assert answer.json()["error"]["message"] == "LookupError: no such mood"
    async with scripted_model() as model:
        answer = await ask(client, model, "!call hive/fly")
    assert answer.status_code == 400
    assert "there are: mcp__hive__send" in answer.json()["error"]["message"]


async def test_a_brain_of_ones_own_answers_from_the_conversation(client: httpx2.AsyncClient) -> None:
    """It is a plain function; ids are drawn for its calls."""

    def counting(asked: Asked) -> Reply:
        return Reply((Text(f"{asked.finished} so far"), ToolCall("hive/send")))

    async with scripted_model(brain=counting, new_id=iter("abc").__next__) as model:
        said = (await ask(client, model, "go")).json()
    assert said["content"][0]["text"] == "0 so far"
    assert said["content"][1] == {"type": "tool_use", "id": "call_a", "name": "mcp__hive__send", "input": {}}
    assert (said["id"], said["model"]) == ("msg_b", "m-1")


async def test_only_the_given_key_is_answered_and_no_key_is_kept(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the right one nor a wrong one is found in what is kept, shown or logged."""
    async with scripted_model(key=SECRET) as model:
        right = await ask(client, model, "!say hi", headers={"authorization": f"Bearer {SECRET}"})
        wrong = await ask(client, model, "!say hi", headers={"x-api-key": "sk-guessed-é".encode()})
        none = await ask(client, model, "!say hi")
        assert [one.status_code for one in (right, wrong, none)] == [200, 401, 401]
        assert wrong.json()["error"]["type"] == "authentication_error"
        keys = [asked.key for asked in model.requests]
        assert keys[0].startswith("sha256:")
        assert keys[2] == ""
        shown = repr(model) + repr(model.requests) + caplog.text + wrong.text
    assert SECRET not in shown
    assert "guessed" not in shown


async def test_tokens_are_counted_and_no_request_is_made_of_it(client: httpx2.AsyncClient) -> None:
    """On the two wires that can be asked."""
    async with scripted_model() as model:
        counted = await client.post(f"{model.url}/v1/messages/count_tokens", json=messages("how long?"))
        other = await client.post(f"{model.url}/v1beta/models/m:countTokens", json={"contents": []})
        assert counted.json()["input_tokens"] > 10
        assert other.json() == {"totalTokens": 3}
        assert model.requests == []


async def test_what_is_not_there_and_what_is_no_request_is_said(client: httpx2.AsyncClient) -> None:
    """404 for other addresses and methods, 400 for a body that is no object."""
    async with scripted_model() as model:
        elsewhere = await client.post(f"{model.url}/v1/embeddings", json={})
        looked = await client.get(f"{model.url}/v1/messages")
        broken = [await client.post(f"{model.url}/v1/messages", content=content) for content in (b"{", b"[]")]
    assert [one.status_code for one in (elsewhere, looked, *broken)] == [404, 404, 400, 400]


async def asked_directly(
    model: ScriptedModel, text: str, *, leaves: bool = False, stopping: trio.Event | None = None
) -> list[Message]:
    """Call the application without a socket; its client waits for the answer, or leaves at once."""
    heard: list[Message] = [
        {"type": "http.request", "body": json.dumps(messages(text)).encode(), "more_body": False}
    ]
    said: list[Message] = []

    async def receive() -> Message:
        await trio.lowlevel.checkpoint()
        if heard:
            return heard.pop()
        if not leaves:
            await trio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": []}
    with trio.fail_after(LONG):
        await model({**scope, "hive.stopping": trio.Event() if stopping is None else stopping}, receive, send)
    return said


async def test_an_answer_may_take_its_time(autojump_clock: trio.testing.MockClock) -> None:
    """As long as the script says, and not a second more."""
    async with scripted_model() as model:
        began = trio.current_time()
        said = await asked_directly(model, "!wait 90\n!say at last")
        assert trio.current_time() - began == pytest.approx(90)
    assert said[0]["status"] == 200
    assert b"at last" in b"".join(one.get("body", b"") for one in said)


@pytest.mark.parametrize("script", ["!hang", f"!wait {2 * LONG}"])
async def test_nobody_waits_for_an_answer_that_nobody_will_hear(
    script: str, autojump_clock: trio.testing.MockClock
) -> None:
    """However long it would have taken: its client has left, or the block is being left."""
    stopping = trio.Event()
    stopping.set()
    async with scripted_model() as model:
        await asked_directly(model, script, leaves=True)
        await asked_directly(model, script, stopping=stopping)
        assert trio.current_time() < LONG


async def test_a_websocket_is_refused() -> None:
    """Clients that try one first go on without."""
    said: list[Message] = []

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        said.append(message)

    async def receive() -> Message:
        await trio.lowlevel.checkpoint()
        return {"type": "websocket.connect"}

    async with scripted_model() as model:
        await model({"type": "websocket", "path": "/v1/responses"}, receive, send)
    assert [one["type"] for one in said] == ["websocket.close"]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/messages", ("anthropic", False, "", None)),
        ("/v1/messages/count_tokens", ("anthropic", True, "", None)),
        ("/v1/responses", ("responses", False, "", None)),
        ("/v1/chat/completions", ("chat", False, "", None)),
        ("/v1beta/models/g-2.5:streamGenerateContent", ("gemini", False, "g-2.5", True)),
        ("/v1/models/g:generateContent", ("gemini", False, "g", False)),
        ("/v1beta/models/g:countTokens", ("gemini", True, "g", False)),
        ("/v1/models", None),
        ("/", None),
    ],
)
def test_a_path_says_what_is_asked(path: str, known: tuple[str, bool, str, bool | None] | None) -> None:
    """The wire, whether it only counts, the model in the path, whether it must stream."""
    route = routed(path)
    assert (route and (route.wire.name, route.counts, route.model, route.streams)) == known


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ([(b"x-api-key", b"a")], "", "a"),
        ([(b"Authorization", b"Bearer b")], "", "b"),
        ([(b"x-goog-api-key", b"c")], "alt=sse", "c"),
        ([], "alt=sse&key=d", "d"),
        ([], "", ""),
    ],
)
def test_the_key_is_found_where_its_provider_wants_it(
    headers: list[tuple[bytes, bytes]], query: str, key: str
) -> None:
    """In one of three headers, or in the query."""
    assert key_of(headers, query) == key


def test_a_key_has_a_name_or_a_fingerprint() -> None:
    """The same for the same key, and not the key."""
    assert called("a", {"a": "iris"}) == "iris"
    assert called("", {"a": "iris"}) == ""
    assert called("b", {}) == called("b", {}) != called("c", {})
    assert len(called("b", {})) == len("sha256:") + FINGERPRINT
