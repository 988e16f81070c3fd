"""What a process in an agent's box can do: speak MCP through `hive mcp-stdio`, and wake its own agent.

A real hive with real processes: the client is the SDK's own, started in the box with the environment that
agents get, and so is the bridge that it starts.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from hive import config
from hive.actors.protocol import BROKER, Perform
from hive.app.compose import run_hive
from hive.app.running import Running
from hive.directory import Directory, locked
from hive.protocol.commands import AddAgent, Settings
from hive.protocol.mail import Kind, Provenance, State
from hive.store.hints import ANY

SECONDS = 60.0

CLIENT = """
import json, os, sys
import trio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

async def main():
    bridge = StdioServerParameters(command="hive", args=["mcp-stdio"], env=dict(os.environ))
    async with Client(stdio_client(bridge), mode=sys.argv[1]) as client:
        for line in sys.stdin:
            tool, arguments = json.loads(line)
            answer = await client.call_tool(tool, arguments)
            print(json.dumps([answer.content[0].text, not answer.is_error]), flush=True)

trio.run(main)
"""


@asynccontextmanager
async def hive_in(directory: Directory) -> AsyncIterator[Running]:
    """A hive with an agent whose client is its person's own, and one that works by itself."""
    settings = config.Config(web=config.Listen(port=0), mcp=config.Listen(port=0))
    async with run_hive(directory, settings) as running:
        for name, backend in (("iris", "external"), ("rose", "scripted")):
            await running.hive.ref(BROKER).ask(Perform(AddAgent(name, Settings(backend=backend))))
        await running.driver.start("iris")
        try:
            yield running
        finally:
            # The hive did not start this box, so it is not the hive's to take down.
            with trio.move_on_after(SECONDS, shield=True):
                await running.driver.kill("iris")
            directory.clear()


async def run(running: Running, argv: list[str], stdin: str = "") -> str:
    """Run a program in iris's box; what it printed.  It must end well."""
    process = await running.driver.run("iris", argv, environment={})
    assert process.stdin
    assert process.stdout
    assert process.stderr
    said: dict[str, bytes] = {}

    async def read(name: str, stream: trio.abc.ReceiveStream) -> None:
        said[name] = b"".join([chunk async for chunk in stream])

    with trio.fail_after(SECONDS):
        async with process.stdin, trio.open_nursery() as nursery:
            nursery.start_soon(read, "out", process.stdout)
            nursery.start_soon(read, "errors", process.stderr)
            await process.stdin.send_all(stdin.encode())
            await process.stdin.aclose()
        assert await process.wait() == 0, said["errors"].decode()
    return said["out"].decode()


async def converse(
    running: Running, script: Path, era: str, *calls: tuple[str, dict[str, object]]
) -> list[Any]:
    """Use tools one after the other through `hive mcp-stdio`; their answers' texts."""
    stdin = "".join(json.dumps(call) + "\n" for call in calls)
    answers = (await run(running, [sys.executable, "-P", str(script), era], stdin)).splitlines()
    assert all(json.loads(answer)[1] for answer in answers), "\n".join(answers)
    return [json.loads(answer)[0] for answer in answers]


async def until_handled(running: Running) -> None:
    """Wait until no agent has anything left to do."""
    with trio.fail_after(SECONDS):
        while True:
            mark = running.store.hints.mark(ANY)
            views = running.store.reader.agents()
            if not any(view.deliverable or view.open_turn or view.claimed for view in views):
                return
            with trio.move_on_after(1.0):
                await running.store.hints.wait(ANY, mark)


@pytest.mark.real
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
def test_a_client_in_a_box_mails_and_wakes_and_all_of_it_is_accounted_for(tmp_path: Path, era: str) -> None:
    """It is its agent's client by the socket alone: from outside, on leases; and what it sends is handled."""
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    directory = Directory(tmp_path / "hive")
    directory.create()

    async def story() -> None:
        async with hive_in(directory) as running:
            woken = await run(running, ["hive", "wake", "--label", "ci", "--body", "-"], "Build 71 failed.\n")
            who, got, sent, acked, nothing = await converse(
                running,
                script,
                era,
                ("whoami", {}),
                ("recv", {"max": 5}),
                ("send", {"to": "rose", "body": "Build 71 failed; look at it."}),
                ("ack", {"message": "#1"}),
                ("recv", {}),
            )
            await until_handled(running)
            wake, mail = (running.store.reader.mail(f"#{number}") for number in (1, 2))
            assert wake
            assert mail

            assert "accepted as #1" in woken
            assert "You are iris" in who
            assert "1 message; no more waiting. Held for you for 5 min" in got
            assert "from iris, labelled 'ci', from outside hive" in got
            assert "  Build 71 failed." in got
            assert "accepted as #2" in sent
            assert acked == "#1 is done."
            assert nothing == "No mail is waiting."
            assert (wake.kind, wake.provenance, wake.state) == (Kind.WAKE, Provenance.OUTSIDE, State.DONE)
            assert (mail.sender, mail.cause, mail.provenance) == ("iris", "client:iris", Provenance.OUTSIDE)
            assert mail.state is State.DONE
            assert mail.turn is not None
            counts = running.store.reader.counts()
            assert counts.accepted >= 2
            assert running.store.reader.violations() == ()

    with locked(directory):
        trio.run(story)
