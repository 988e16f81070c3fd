"""The simulation kit asks for nothing that only Linux has: agents are written on all kinds of machines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

ELSEWHERE = """
import builtins, os, signal, socket, sys
import mcp, mcp.server.lowlevel, sqlite_utils, trio, trio.testing  # they know where they are

GONE = {
    "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline", "resource",
    "spwd", "syslog", "termios", "tty", *sys.argv[1].split(),
}
real = builtins.__import__

def elsewhere(name, globals=None, locals=None, fromlist=(), level=0):
    asking = (globals or {}).get("__name__", "")
    if not level and name.partition(".")[0] in GONE and asking.partition(".")[0] in {"hive", "__main__"}:
        raise ModuleNotFoundError(f"No module named {name!r}, which {asking} asks for")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = elsewhere
for module, names in {
    os: ["fork", "geteuid", "getuid", "memfd_create", "pidfd_open", "sched_getaffinity", "setsid"],
    signal: ["SIGHUP", "pidfd_send_signal"],
    socket: ["SO_PEERCRED"],
}.items():
    for name in names:
        delattr(module, name)
"""

KERNEL = """
import hive.testing
from hive.testing import Note, probe, simulate

async def story(sim):
    log = []
    async with sim.hive(probe("echo", log)) as hive:
        hive.ref("echo").tell(Note("hello"))
        await trio.sleep(1)
    return log

print(simulate(story, 0))
"""

SWARM = """
from hive.testing import simulate

async def story(sim):
    await sim.spawn("iris")
    await sim.send("iris", '!call hive/send {"to": "operator", "body": "hello"}\\n!say done')
    await sim.settle()
    await sim.restart_daemon()
    await sim.settle()
    return [one.body for one in sim.inbox("operator")]

print(simulate(story, 0))
"""

EACH = """
import importlib, pkgutil
import hive.testing
wanted = [found.name for found in pkgutil.iter_modules(hive.testing.__path__)]
# What drives a real browser or stands on pytest is not the kit itself.
kit = [name for name in wanted if name not in {"browser", "contracts"} and not name.endswith("_contract")]
for name in kit:
    importlib.import_module(f"hive.testing.{name}")
print(len(kit) > 10)
"""


def elsewhere(code: str, *gone: str) -> str:
    """What a program prints on a machine that has little but Python."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", ELSEWHERE + code, " ".join(gone)],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_a_story_of_actors_is_told_anywhere() -> None:
    """Without what belongs to Linux, and without pytest."""
    assert elsewhere(KERNEL, "pytest", "_pytest") == "['echo up', 'echo got hello', 'echo down']"


def test_a_story_of_a_whole_swarm_is_told_anywhere() -> None:
    """With its store, its boxes in memory, its endpoint, and the guard up."""
    assert elsewhere(SWARM, "pytest", "_pytest") == "['hello']"


def test_no_module_of_the_kit_needs_pytest() -> None:
    """Other than the contracts, which are suites of it."""
    assert elsewhere(EACH, "pytest", "_pytest") == "True"


def test_what_is_hidden_is_hidden() -> None:
    """This test would notice."""
    with pytest.raises(AssertionError, match="which __main__ asks for"):
        elsewhere("import fcntl")
    with pytest.raises(AssertionError, match=r"'resource', which hive\.containers\.subprocess asks for"):
        elsewhere("import hive.containers.subprocess")
