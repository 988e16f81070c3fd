"""Verbs that do part of their work here: starting, opening, configuring, copying, bridging.

The rule kept here: what is heavy is imported by the verb that needs it, when it runs.
"""

import os
import secrets
import shlex
import signal
import socket
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import trio
from attrs import asdict

from hive import config
from hive.cli import following, show
from hive.cli.chaos import chaos
from hive.cli.client import Client, connected, insist
from hive.cli.clients import CONFIGURATIONS, placeholder
from hive.cli.places import Place, check_directory, named, place_that_runs, place_to_create
from hive.cli.secret import secret
from hive.cli.simulating import sim
from hive.cli.status import Failed, Status
from hive.cli.torturing import torture
from hive.cli.verbs import Call, text_argument, tree
from hive.directory import Directory, holder

DOWN_SECONDS = 45.0
"""How long `down` waits: what hive gives its faces, its agents and their boxes, and some more."""

# --- without a daemon ----------------------------------------------------------------------------


def up(call: Call) -> int:
    """Run the hive of a directory."""
    from hive.app import UpOptions, run_up  # noqa: PLC0415 - the daemon is heavy

    return run_up(UpOptions(place_to_create(call.options.dir), detach=call.options.detach))


def demo(call: Call) -> int:
    """Run a temporary swarm."""
    from hive.app import DemoOptions, run_demo  # noqa: PLC0415 - the daemon is heavy

    options = call.options
    if options.i_know and options.chaos is None:
        raise Failed(Status.USAGE, "--i-know goes with --chaos")
    return run_demo(
        DemoOptions(
            on=Path(options.on or "."),
            seconds=options.seconds,
            headless=options.headless,
            json=options.json,
            chaos=options.chaos,
            i_know=options.i_know,
            open_browser=not options.no_open,
        )
    )


def show_config(call: Call) -> int:
    """What the daemon that runs took; without one what a start from here would take."""
    if found := place_that_runs(call.places):
        place, pid = found
        root, settings = place.directory, config.read_taken(Directory(place.directory).taken, pid)
        if settings is None:
            raise Failed(Status.TIMEOUT, f"process {pid} is starting on {root}; ask again once it serves")
    else:
        root, pid = place_to_create(call.options.dir), None
        settings = config.effective(root)
    data = {
        "directory": str(root),
        "pid": pid,
        "edited": pid is not None and _edited_since_start(Directory(root)),
        "settings": [asdict(one) for one in settings],
    }
    call.out.show(data, show.settings)
    return Status.OK


def _edited_since_start(directory: Directory) -> bool:
    """Whether the settings file holds what the daemon cannot have read."""
    file = directory.settings
    return file.exists() and file.stat().st_mtime > directory.taken.stat().st_mtime


def restore(call: Call) -> int:
    """Make a hive's directory from a backup."""
    from hive.store.backup import restore as put_back  # noqa: PLC0415 - SQLite's packages are heavy

    directory = Directory(named(call.options.directory, "DIR"))
    check_directory(directory.root)
    with _made(directory.root):
        put_back(named(call.options.file, "FILE"), directory.store)
    said = f"restored to {directory.root}. Start it: hive up --dir {shlex.quote(str(directory.root))}"
    call.out.show({"directory": str(directory.root)}, lambda _data, _width: said)
    return Status.OK


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder with those above it; where the block fails, what was made is not left behind."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # Not made yet, or somebody has put something into it.
            for path in missing:
                path.rmdir()
        raise


# --- with a daemon -------------------------------------------------------------------------------


async def down(call: Call) -> Status:
    """Ask the daemon to stop, by a signal where nobody hears, and wait until its process is gone."""
    try:
        async with connected(call.places) as client:
            place = client.place
            pid, signalled = holder(Directory(place.directory)), False
            await _ask_to_stop(client)
    except Failed as failed:
        if failed.status is not Status.NO_DAEMON or not (found := place_that_runs(call.places)):
            raise
        (place, pid), signalled = found, True
        _signal(place, pid)
    with trio.move_on_after(DOWN_SECONDS) as patience:
        if pid is not None:
            await _gone(pid)
    if patience.cancelled_caught:
        raise Failed(
            Status.TIMEOUT, f"process {pid} still stops after {DOWN_SECONDS:.0f} s; hurry it with: kill {pid}"
        )
    result = {"directory": str(place.directory), "pid": pid, "signalled": signalled}
    call.out.show(result, lambda data, _: _said_down(data))
    return Status.OK


def _said_down(data: Mapping[str, object]) -> str:
    how = f"nobody answered at its socket, so process {data['pid']} was told by SIGTERM.\n"
    return f"{how if data['signalled'] else ''}the hive on {data['directory']} has stopped."


def _signal(place: Place, pid: int) -> None:
    """Tell the process that holds a hive's lock to stop, and no other that has its number by now."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # It held the lock before and holds it now: the handle is of that very process.
        if holder(Directory(place.directory)) == pid:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except PermissionError:
        raise Failed(Status.REFUSED, f"process {pid} does not answer, and is not yours to stop") from None
    finally:
        os.close(handle)


async def _ask_to_stop(client: Client) -> None:
    try:
        await client.command("hive.stop", {}, secrets.token_hex(16))
    except Failed as failed:
        # It may have gone before it could say so.
        if failed.status is not Status.NO_DAEMON:
            raise


async def _gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await trio.lowlevel.wait_readable(handle)
    finally:
        os.close(handle)


async def doctor(call: Call) -> Status:
    """Findings of the daemon, or without one what can be told from the files."""
    try:
        async with connected(call.places) as client:
            findings = await client.get("doctor")
    except Failed as failed:
        if failed.status not in (Status.NO_DAEMON, Status.TIMEOUT):
            raise
        findings = _examined(call, failed)
    call.out.show(findings, show.doctor)
    return Status.OK if all(finding["ok"] for finding in findings) else Status.REFUSED


def _examined(call: Call, failed: Failed) -> list[dict[str, object]]:
    from hive.cli.examination import examine  # noqa: PLC0415 - SQLite's packages are heavy

    directories = (Directory(place.directory) for place in call.places)
    there = next((directory for directory in directories if directory.store.exists()), None)
    if there is None:
        raise failed
    return examine(there)


async def open_page(call: Call) -> Status:
    """Print a link that logs in once, and open it where there is a browser."""
    result = (await insist(call.places, "session.link", {}))["result"]
    link = result["link"]
    call.out.show(result, lambda data, _: str(data["link"]))
    if call.out.as_json:
        return Status.OK
    if os.environ.get("SSH_CONNECTION"):
        port = urlsplit(link).port
        host = socket.gethostname()
        call.out.line(f"From your own machine first:  ssh -L {port}:127.0.0.1:{port} {host}")
    elif os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(link)
    return Status.OK


async def endpoint(call: Call) -> Status:
    """Where an agent's tools are, and how a person's own client uses them."""
    agent = call.options.agent
    async with connected(call.places) as client:
        found = await client.get("endpoint", agent=agent)
    made = await insist(call.places, "client.token", {"agent": agent, "rotate": call.options.rotate})
    token = made["result"]["token"]
    text = CONFIGURATIONS[getattr(call.options, "for")](found["url"], token or placeholder(agent))
    data = {**found, "token": token, "configuration": text}
    call.out.show(data, lambda _data, _width: _endpoint_text(found["url"], found["socket"], token, text))
    return Status.OK


def _endpoint_text(url: str, path: str, token: str | None, text: str) -> str:
    header = (
        f"Authorization: Bearer {token}"
        if token
        else "Authorization: Bearer (shown once; --rotate makes another)"
    )
    once = "\nThe token is shown this once." if token else ""
    return f"url:    {url}\nsocket: {path}\nheader: {header}\n\n{text}{once}"


async def mcp_stdio(call: Call) -> Status:
    """Bridge an agent's endpoint to standard input and output."""
    from hive.mcp.stdio import bridge  # noqa: PLC0415 - only this verb needs the agents' protocol

    stdin, stdout = trio.lowlevel.FdStream(os.dup(0)), trio.lowlevel.FdStream(os.dup(1))
    async with stdin, stdout:
        await bridge(_endpoint(call, call.options.agent), _token(), stdin, stdout, new_id=_new_id)
    return Status.OK


def wake(call: Call) -> int:
    """Leave mail for one's own agent, from inside its box."""
    from hive.mcp.wake import NotWoken, send_wake  # noqa: PLC0415 - hooks wait for this; nothing else is loaded

    body = text_argument(call.options.body)
    try:
        said = send_wake(_endpoint(call, None), _token(), call.options.label, body, new_id=_new_id)
    except NotWoken as failure:
        raise Failed(Status.NO_DAEMON, str(failure)) from None
    call.out.show({"answer": said}, lambda data, _: str(data["answer"]))
    return Status.OK


def _endpoint(call: Call, named: str | None) -> str:
    """Where an agent's tools are, as seen from inside its box: HIVE_ENDPOINT, else the agent's own socket."""
    if named is None and os.environ.get("HIVE_ENDPOINT"):
        return os.environ["HIVE_ENDPOINT"]
    agent = named or os.environ.get("HIVE_AGENT")
    if not agent:
        raise Failed(Status.USAGE, "name the agent, or set HIVE_AGENT")
    sockets = [Directory(place.directory).agent_socket(agent) for place in call.places]
    return str(next((path for path in sockets if path.exists()), sockets[0]))


def _token() -> str | None:
    """The client token in the file HIVE_TOKEN_FILE names; the agent's own socket needs none."""
    path = os.environ.get("HIVE_TOKEN_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else None


def _new_id() -> str:
    return secrets.token_hex(16)


SPOKEN: Mapping[str, Callable[[Call], Awaitable[Status]]] = {
    "chaos": chaos,
    "secret": secret,
    "tail": following.tail,
    "events": following.events,
    "send": following.send,
    "down": down,
    "tree": tree,
    "doctor": doctor,
    "open": open_page,
    "endpoint": endpoint,
    "mcp-stdio": mcp_stdio,
}
"""Verbs with a conversation of their own kind."""

ALONE: Mapping[str, Callable[[Call], int]] = {
    "up": up,
    "demo": demo,
    "config": show_config,
    "restore": restore,
    "torture": torture,
    "sim": sim,
    "wake": wake,
}
"""Verbs that need no conversation with a daemon."""
