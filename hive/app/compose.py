"""Putting a hive together: store, actors, endpoints and page, in order of dependence.

The rule kept here: sockets are opened once, before anything serves, and outlive every restart of whoever
serves them; what earlier boots left running is dead before the first message is claimed.
"""

import os
import secrets
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from typing import cast

import trio
from attrs import evolve
from hypercorn.typing import ASGIFramework

from hive import __version__
from hive.actors import ChildSpec, Grace, Hive, StartChild, open_hive
from hive.actors.auditor import Audit
from hive.actors.boxes import Boxes
from hive.actors.chaos import Chaos, Reach
from hive.actors.protocol import BROKER
from hive.actors.records import Records, begin_boot
from hive.actors.sites import Sites
from hive.actors.tree import core_specs
from hive.actors.turn import Parts
from hive.agents.cli.process import BoxClis
from hive.agents.gated import Starter
from hive.agents.http_tools import http_tools
from hive.agents.instructions import Prompts
from hive.agents.keyring import Keyring
from hive.agents.logins import takes
from hive.agents.presets import all_presets
from hive.agents.registry import BackendParts, CliParts, backend_of, check_settings
from hive.agents.shell import BoxShell
from hive.agents.tokens import Sessions
from hive.app import found
from hive.app.chronicle import Chronicle
from hive.app.launcher import write_launcher
from hive.app.powers import OwnerPowers
from hive.app.running import Listeners, Running, bracketed
from hive.app.vault import Vault
from hive.asgi import Endpoint, HttpServer
from hive.config import Config
from hive.containers.port import Driver
from hive.containers.subprocess import PATH, SubprocessDriver
from hive.directory import Directory
from hive.mcp.parts import McpParts
from hive.mcp.serving import CHILD as MCP, endpoint_server
from hive.protocol.chaos import LARGEST_SEED
from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed, Refused
from hive.protocol.presets import Presets
from hive.sockets import Credentials, open_tcp, open_unix
from hive.store.faults import CommitFaults
from hive.store.sqlite import SqliteStore, open_store
from hive.web import files, vendor
from hive.web.app import LISTENER, OPERATOR_LISTENER, page_app
from hive.web.lanes import Lane, Lanes
from hive.web.login import Codes
from hive.web.parts import WebParts

WEB = "web"
FACE_GRACE = Grace(startup=15.0, shutdown=8.0)
"""The faces' own graces are shorter; this is the backstop."""

BOX_GRACE_SECONDS = 3.0
BOXES_SECONDS = 15.0
"""How long all boxes together may take to be killed when hive stops."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def new_secret() -> str:
    """256 bits nobody can guess, safe in addresses and headers."""
    return secrets.token_urlsafe(32)


def check_exposure(config: Config) -> None:
    """Refuse to listen beyond this machine: neither face has TLS."""
    for name, listen in (("web", config.web), ("mcp", config.mcp)):
        if listen.host not in LOOPBACK:
            raise Refused(
                f"{name}.host = {listen.host!r} would show this hive to other machines without TLS. "
                "Keep it at 127.0.0.1 and reach it through ssh -L, or a proxy that does TLS and login."
            )


def listen(directory: Directory, config: Config, stack: AsyncExitStack) -> Listeners:
    """Open every socket, or none.  Raises `CannotListen`."""
    check_exposure(config)
    web, mcp = config.web, config.mcp
    return Listeners(
        web=stack.enter_context(closing(open_tcp(web.host, web.port, option="HIVE_WEB_PORT or web.port"))),
        mcp=stack.enter_context(closing(open_tcp(mcp.host, mcp.port, option="HIVE_MCP_PORT or mcp.port"))),
        operator=stack.enter_context(closing(open_unix(directory.operator_socket))),
    )


@asynccontextmanager
async def run_hive(directory: Directory, config: Config) -> AsyncIterator[Running]:
    """Run the hive of a directory whose lock is held, until the block is left.

    Leaving it is an ordered shutdown: faces first, then the agents, the store last.  Raises `CannotListen`,
    `Unusable` and `Refused` with nothing left running.
    """
    async with AsyncExitStack() as stack:
        listeners = listen(directory, config, stack)
        commits = CommitFaults()
        store = stack.enter_context(
            open_store(directory.store, limits=config.limits, faults=commits.on_commit)
        )
        await begin_boot(store, __version__)
        driver = _driver(directory)
        boxes, sites = Boxes(store, {driver.name: driver}), Sites(store.hints, commits)
        presets, audit = all_presets(config.presets), Audit()
        vault = Vault(Keyring(directory.credentials), takes(presets))
        for noticed in vault.unnoticed(store.reader.agents()):
            store.submit(noticed)
        backend = _backend_parts(listeners, store, driver, vault, presets)
        parts = _turn_parts(config, store, boxes, backend, Prompts(directory.prompts))
        parts = evolve(parts, backend=sites.backends(parts.backend))
        why = "it failed"
        try:
            async with open_hive(*core_specs(store, parts, audit)) as hive:
                codes, chaos = Codes(new_secret, time.time), _chaos(store, hive, boxes, sites)
                broker = sites.broker(hive.ref(BROKER))
                running = Running(
                    directory, store, hive, broker, codes, listeners, driver, audit, chaos, vault, presets
                )
                with Chronicle(store).following(hive):
                    await _open_faces(running, config, parts, stack)
                    yield running
            why = running.why or "stopped"
            await _each(boxes, lambda agent, driver: driver.stop(agent, BOX_GRACE_SECONDS))
        finally:
            # Whatever was not asked to leave, or did not; impatience ends up here at once.
            with trio.move_on_after(BOXES_SECONDS, shield=True):
                await _each(boxes, lambda agent, driver: driver.kill(agent))
            store.stop(why)


def _driver(directory: Directory) -> SubprocessDriver:
    """Boxes in which an agent's own processes find `hive` and, through it, their agent's endpoint."""
    write_launcher(directory.programs)
    return SubprocessDriver(
        directory.root,
        f"{PATH}:{directory.programs}",
        environment=lambda agent: {"HIVE_ENDPOINT": str(directory.agent_socket(agent))},
    )


def _chaos(store: SqliteStore, hive: Hive, boxes: Boxes, sites: Sites) -> Chaos:
    """Off, until somebody turns it on."""
    reach = Reach(store, sites, boxes, hive.snapshot, hive.kill)
    return Chaos(hive.root, reach, time.time, lambda: secrets.randbelow(LARGEST_SEED))


def _backend_parts(
    listeners: Listeners, store: SqliteStore, driver: SubprocessDriver, vault: Vault, presets: Presets
) -> BackendParts:
    records = Records(store)
    clis = CliParts(
        start=BoxClis(Starter(driver, records, new_secret)).start,
        url_of=listeners.endpoint,
        credentials=partial(vault.environment, store),
        new_id=lambda: str(uuid.uuid4()),
        program=lambda name: shutil.which(name) or name,
    )
    return BackendParts(
        http_tools(listeners.endpoint, new_secret),
        BoxShell(driver, records, new_secret),
        time.time,
        clis=clis,
        presets=presets,
    )


def _turn_parts(
    config: Config, store: SqliteStore, boxes: Boxes, backend: BackendParts, prompts: Prompts
) -> Parts:
    return Parts(
        store=store,
        hints=store.hints,
        boxes=boxes,
        sessions=Sessions(new_secret),
        backend=lambda settings: backend_of(settings, backend),
        wall=time.time,
        limits=config.limits,
        instructions=prompts.instructions,
    )


async def _open_faces(running: Running, config: Config, parts: Parts, stack: AsyncExitStack) -> None:
    """Start the endpoints and the page, last, so that they leave first."""
    mcp = stack.enter_context(
        endpoint_server(_mcp_parts(running, config, parts), [running.listeners.mcp], running.directory.run)
    )
    web = _page_server(running, config, stack)
    for name, server in ((MCP, mcp), (WEB, web)):
        await running.hive.root.ask(StartChild(ChildSpec(name, partial(_same, server), grace=FACE_GRACE)))


def _same(server: HttpServer) -> HttpServer:
    """A server serves again and again; its listeners outlive its incarnations."""
    return server


def _mcp_parts(running: Running, config: Config, parts: Parts) -> McpParts:
    return McpParts(
        store=running.store,
        broker=running.broker,
        sessions=parts.sessions,
        hints=running.store.hints,
        wall=time.time,
        version=__version__,
        operator_name=config.operator.name,
        operator_pronouns=config.operator.pronouns,
        limits=config.limits,
    )


def _page_server(running: Running, config: Config, stack: AsyncExitStack) -> HttpServer:
    store = running.store
    lanes = Lanes(Lane(store.reader.head().seq))
    stack.callback(store.subscribe(lanes.on_commit))
    parts = WebParts(
        store=store,
        lanes=lanes,
        broker=running.broker,
        powers=OwnerPowers(running),
        codes=running.codes,
        wall=time.time,
        new_secret=new_secret,
        version=__version__,
        operator=config.operator.name,
        origins=partial(_origins, running.listeners),
        default_backend=partial(_default_backend, config, running.presets),
        check_settings=partial(_check_settings, running.driver.name, running.presets),
        audit=lambda: running.audit.view,
    )
    stack.callback(store.subscribe(parts.metrics.on_commit))
    app = page_app(parts, files.load(vendor.location()))
    return HttpServer(
        cast("ASGIFramework", app),
        [
            Endpoint(running.listeners.web),
            Endpoint(running.listeners.operator, {LISTENER: OPERATOR_LISTENER}),
        ],
        admit=_admit,
    )


def _default_backend(config: Config, presets: Presets) -> str:
    """What runs an agent of which nobody says more.  Raises `Refused`, which lists what there is."""
    if config.agents.default_backend:
        return config.agents.default_backend
    raise Refused(found.choices(presets))


def _check_settings(driver: str, presets: Presets, settings: Settings) -> None:
    """Refuse what nothing could run.  Raises `Malformed`."""
    check_settings(settings, presets)
    if settings.driver != driver:
        raise Malformed(f"there is no driver {settings.driver[:40]!r}; choose one of {driver}.")


def _origins(listeners: Listeners) -> tuple[str, ...]:
    host, port = listeners.web.getsockname()[:2]
    names = (bracketed(host), "localhost") if host != "localhost" else ("localhost",)
    return tuple(f"http://{name}:{port}" for name in names)


def _admit(endpoint: Endpoint, peer: Credentials | None) -> bool:
    """Only whoever runs hive, and root, may use the operator's socket."""
    if endpoint.scope.get(LISTENER) != OPERATOR_LISTENER:
        return True
    return peer is not None and peer.uid in (os.geteuid(), 0)


async def _each(boxes: Boxes, do: Callable[[str, Driver], Awaitable[None]]) -> None:
    """Do something with every box at once."""
    async with trio.open_nursery() as nursery:
        for agent, driver in boxes.up.items():
            nursery.start_soon(do, agent, driver)
