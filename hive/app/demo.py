"""`hive demo`: a temporary swarm that surveys a directory tree, for as long as somebody watches.

The rule kept here: it is the same hive as `hive up` runs, in a directory that goes away; nothing in it is
staged but the agents' rules.
"""

import json
import math
import os
import sys
import tempfile
import webbrowser
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import trio
from attrs import asdict, evolve, frozen

from hive import config
from hive.actors import ActorCrashed, ActorStopped
from hive.actors.protocol import Perform
from hive.agents.demo_rules import ROUND_SECONDS, demo_round
from hive.app import DemoOptions
from hive.app.compose import run_hive
from hive.app.daemon import OK, Heed, note_settings, say, under_signals
from hive.app.running import Running
from hive.app.voice import Voice, speaking
from hive.directory import Directory, locked
from hive.protocol.chaos import LONGEST_SECONDS, Plan, check_known, planned
from hive.protocol.commands import AddAgent, Command, Once, Send, Settings
from hive.protocol.errors import Malformed, StoreUnavailable
from hive.protocol.mail import Provenance
from hive.protocol.names import MANAGER, OPERATOR
from hive.store.codec import digest, unstructure
from hive.store.hints import ANY

BOSS = "boss"
SURVEYORS = ("ada", "ben", "cleo", "dan")
BROKEN = 1
"""The exit status where an invariant was violated."""

AGAIN_SECONDS = 0.2
"""How soon to ask again what was not answered."""

SETTLE_SECONDS = 10.0
"""How long a timed demo waits for the last turns to end before it counts."""


@frozen
class Summary:
    """What a timed demo prints as JSON."""

    sent: int
    turns: int
    done: int
    retried: int
    dead: int
    wake_ms_p50: float | None
    wake_ms_p99: float | None
    violations: Sequence[object]
    struck: Mapping[str, object] | None = None
    """How often each kind of chaos has struck; None without chaos."""


def demo(options: DemoOptions) -> int:
    """Run the demo.  The exit status is 0 only if no invariant was broken.

    Raises `HiveRefusal`, `HiveError` or `OSError` where it cannot be run; nothing is left behind then.
    """
    tree = options.on.absolute()
    if not tree.is_dir():
        raise Malformed(f"{tree} is not a directory; name one with --on")
    plan = _chaos(options)
    with tempfile.TemporaryDirectory(prefix="hive-demo-") as root:
        directory = Directory(Path(root))
        directory.create()
        try:
            with locked(directory), speaking(sys.stdout, sys.stderr) as voice:
                return trio.run(_run, directory, options, tree, plan, voice)
        finally:
            directory.clear()


def _chaos(options: DemoOptions) -> Plan | None:
    """What is to be broken, if anything.  Raises `HiveRefusal` where that cannot be, or is not known."""
    if options.chaos is None:
        return None
    plan = planned(options.chaos, options.seconds or LONGEST_SECONDS)
    check_known(plan, known=options.i_know)
    return plan


def _settings(directory: Directory) -> Sequence[config.Setting]:
    """Defaults, and free ports: whatever the person has set is for the person's own hive."""
    plain = config.effective(directory.root, {})
    return [evolve(one, value=0, source="demo") if one.path.endswith(".port") else one for one in plain]


async def _run(
    directory: Directory, options: DemoOptions, tree: Path, plan: Plan | None, voice: Voice
) -> int:
    settings = _settings(directory)

    async def serve(heed: Heed) -> int:
        async with run_hive(directory, config.of(settings)) as running:
            heed(running)
            note_settings(running, settings)
            summary = await _show(running, options, tree, plan)
            running.stop("the demo is over")
        return _report(summary, options)

    return await under_signals(serve, voice)


async def _show(running: Running, options: DemoOptions, tree: Path, plan: Plan | None) -> Summary:
    """Let the agents work until time is up or somebody has seen enough."""
    seen: Counter[str] = Counter()
    running.store.subscribe(lambda rows, _: seen.update(row.type for row in rows))
    async with trio.open_nursery() as nursery:
        await _hire(running)
        _greet(running, options, tree)
        if plan is not None:
            await _break(running, options, plan)
        nursery.start_soon(_direct, running, tree)
        with trio.move_on_after(math.inf if options.seconds is None else options.seconds):
            await running.stopping()
        nursery.cancel_scope.cancel(reason="the demo is over")
    await running.chaos.off("the demo")
    await _settle(running, options)
    return _summary(running, seen["msg.retried"])


async def _break(running: Running, options: DemoOptions, plan: Plan) -> None:
    run = await running.chaos.on(plan, "the demo")
    if not options.json:
        say(f"Chaos is on: {run['rate']} strikes a minute, seed {run['seed']}. Watch them: hive events")


async def _perform(running: Running, command: Command[object], key: str) -> object:
    """As a careful client: again under the same key until there is an answer."""
    once = Once("demo", key, digest(command))
    while True:
        with suppress(ActorCrashed, ActorStopped, StoreUnavailable):
            return await running.broker.ask(Perform(command, once))
        await trio.sleep(AGAIN_SECONDS)


async def _hire(running: Running) -> None:
    boss = Settings(role="manager", rules="demo-manager", purpose="has the tree surveyed, writes the report")
    await _perform(running, AddAgent(BOSS, boss), BOSS)
    surveyor = Settings(rules="demo-surveyor", purpose="surveys what the manager names")
    for name in SURVEYORS:
        await _perform(running, AddAgent(name, surveyor), name)


async def _direct(running: Running, tree: Path) -> None:
    """Start a round now and then, as the operator."""
    number = 0
    while True:
        body, cause = demo_round(number, str(tree), SURVEYORS), f"demo:{number}"
        await _perform(running, Send(OPERATOR, MANAGER, body, Provenance.OPERATOR, cause=cause), cause)
        number += 1
        await trio.sleep(ROUND_SECONDS)


def _greet(running: Running, options: DemoOptions, tree: Path) -> None:
    if options.json:
        return
    say(f"A manager and {len(SURVEYORS)} scripted agents survey {tree}.")
    say(f"Their files: {running.directory.root}; the report: {running.directory.shared / 'report.md'}")
    say(f"Another terminal can look in:  export HIVE_DIR={running.directory.root}")
    if options.headless:
        return
    link = running.login_link()
    say(f"Watch them (the link logs in once): {link}")
    if options.open_browser and _has_display():
        webbrowser.open(link)
    say("Ctrl-C ends it.")


def _has_display() -> bool:
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


async def _settle(running: Running, options: DemoOptions) -> None:
    """Let what is under way end, so that a timed demo counts whole turns."""
    if options.seconds is None:
        return
    with trio.move_on_after(SETTLE_SECONDS):
        while any(view.open_turn or view.deliverable for view in running.store.reader.agents()):
            await running.store.hints.wait(ANY, running.store.hints.mark(ANY))


def _summary(running: Running, retries: int) -> Summary:
    reader = running.store.reader
    with reader.moment():
        counts = reader.counts()
        waits = sorted(reader.wake_latencies())
        return Summary(
            sent=counts.accepted,
            turns=max((turn.number for turn in reader.turns(limit=1)), default=0),
            done=counts.done,
            retried=retries,
            dead=counts.dead,
            wake_ms_p50=_percentile(waits, 0.50),
            wake_ms_p99=_percentile(waits, 0.99),
            violations=[unstructure(violation) for violation in reader.violations()],
            struck=_struck(running.chaos.said()),
        )


def _struck(run: Mapping[str, object] | None) -> Mapping[str, object] | None:
    return None if run is None else cast("Mapping[str, object]", run["struck"])


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which `share` of them lie, in milliseconds."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3)


def _report(summary: Summary, options: DemoOptions) -> int:
    if options.json:
        said = {
            name: value for name, value in asdict(summary).items() if name != "struck" or value is not None
        }
        say(json.dumps(said))
        return BROKEN if summary.violations else OK
    say(f"{summary.sent} messages sent, {summary.turns} turns, {summary.done} handled, {summary.dead} dead.")
    if summary.struck is not None:
        say(f"Struck by chaos: {', '.join(f'{count} {kind}' for kind, count in summary.struck.items())}.")
    if summary.violations:
        say(f"Broken invariants: {summary.violations}")
    say("A hive of your own:      hive up")
    say("Its first agent:         hive spawn boss --backend scripted --manager")
    say("Then talk to it:         hive send boss 'hello' --wait")
    return BROKEN if summary.violations else OK
