"""The driver without walls, with real processes and the real clock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hive.containers.port import Driver
from hive.containers.processes import Identity, gone, is_alive, kill_leftovers, read_stat
from hive.containers.subprocess import SubprocessDriver
from hive.testing.contracts import DriverContract

ESCAPE = """
sleep 600 & echo $!
setsid sleep 600 & echo $!
(setsid sh -c 'sleep 600 & echo $!; sleep 600' &)
sleep 600
"""


class TestSubprocess(DriverContract):
    """The whole contract, and what only a driver with processes can get wrong."""

    def make(self, directory: Path) -> Driver:
        """A driver with real processes."""
        return SubprocessDriver(directory)

    async def break_down(self, driver: Driver, agent: str) -> None:
        """Kill the leader."""
        status = await driver.status(agent)
        assert status.leader is not None
        os.kill(status.leader, signal.SIGKILL)
        await driver.changed(agent)

    def test_what_escaped_its_parents_and_sessions_dies_with_the_box(self, tmp_path: Path) -> None:
        """Background children, children in sessions of their own, orphans: nothing survives."""

        async def story(driver: Driver) -> None:
            await driver.start("iris")
            process, identities = await start_escapers(driver)
            await driver.kill("iris")
            await finish(process)
            assert not [identity for identity in identities if is_alive(identity)]

        self.play(tmp_path, story)

    def test_what_a_dead_leader_left_behind_is_gone_before_the_next_start(self, tmp_path: Path) -> None:
        """A new box is never shared with processes of the old one."""

        async def story(driver: Driver) -> None:
            await driver.start("iris")
            process, identities = await start_escapers(driver)
            await self.break_down(driver, "iris")
            await driver.start("iris")
            await finish(process)
            assert not [identity for identity in identities if is_alive(identity)]

        self.play(tmp_path, story)

    def test_a_process_sees_only_what_it_was_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Hive's own environment may hold keys; none of it is inherited."""
        monkeypatch.setenv("SECRET_KEY", "hunter2")

        async def story(driver: Driver) -> None:
            box = await driver.start("iris")
            process = await driver.run("iris", ["env"], environment={"EXTRA": "yes"})
            text = (await read_all(process)).decode()
            names = {line.partition("=")[0] for line in text.splitlines()}
            assert {"PATH", "HOME", "LANG", "EXTRA", "HIVE_AGENT", "HIVE_STATE", "HIVE_SHARED"} < names
            assert "SECRET_KEY" not in names
            assert f"HOME={box.state_dir}" in text

        self.play(tmp_path, story)

    def test_stopping_asks_before_it_kills(self, tmp_path: Path) -> None:
        """Within its grace a process can still put things in order."""

        async def story(driver: Driver) -> None:
            box = await driver.start("iris")
            script = "trap 'echo bye > said; exit' TERM; echo ready; while :; do sleep 0.05; done"
            process = await driver.run("iris", ["sh", "-c", script], environment={})
            assert process.stdout is not None
            assert await process.stdout.receive_some() == b"ready\n"
            await driver.stop("iris", 5)
            await finish(process)
            assert (box.state_dir / "said").read_text() == "bye\n"

        self.play(tmp_path, story)

    def test_a_daemon_that_is_killed_takes_its_leaders_along(self, tmp_path: Path) -> None:
        """Where the machine has setpriv, nobody has to clean up after a SIGKILL."""
        driver = SubprocessDriver(tmp_path)
        if len(driver._leader_command(1)) == 2:
            pytest.skip("no setpriv here")
        program = (
            "import sys, trio\nfrom pathlib import Path\n"
            "from hive.containers.subprocess import SubprocessDriver\n"
            "async def main():\n"
            f"    driver = SubprocessDriver(Path({str(tmp_path)!r}))\n"
            "    await driver.start('iris')\n"
            "    print((await driver.status('iris')).leader, flush=True)\n"
            "    await trio.sleep_forever()\n"
            "trio.run(main)\n"
        )
        daemon = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert daemon.stdout is not None
        leader = identity_of(int(daemon.stdout.readline()))
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()

        async def until_gone() -> None:
            with trio.fail_after(5):
                await gone(leader)

        trio.run(until_gone)


def test_a_leader_whose_daemon_died_before_it_was_watched_leaves_by_itself(tmp_path: Path) -> None:
    """A daemon may be killed between the fork and the moment from which its death is told."""
    command = SubprocessDriver(tmp_path)._leader_command(parent=os.getppid())
    if len(command) == 2:
        pytest.skip("no setpriv here")
    assert subprocess.run(command, check=False, timeout=60).returncode != 0


def test_leftovers_are_killed_with_everything_they_started() -> None:
    """A pid and its start time are enough to end a whole family that another daemon began."""

    async def story() -> None:
        process = await trio.lowlevel.open_process(
            ["sh", "-c", "sleep 600 & echo $!; sleep 600"], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        child = identity_of(int(await process.stdout.receive_some()))
        root = identity_of(process.pid)
        killed = await kill_leftovers([root])
        assert {root, child} <= killed
        assert not is_alive(child)
        await finish(process)

    trio.run(story)


def test_a_leftover_whose_pid_is_somebody_elses_now_is_left_in_peace() -> None:
    """The start time decides, not the pid."""

    async def story() -> None:
        process = await trio.lowlevel.open_process(["sleep", "600"], start_new_session=True)
        now = identity_of(process.pid)
        assert await kill_leftovers([Identity(process.pid, now.started + 1)]) == set()
        assert is_alive(now)
        process.kill()
        await process.wait()

    trio.run(story)


def identity_of(pid: int) -> Identity:
    """The identity of a process that lives."""
    stat = read_stat(pid)
    assert stat is not None
    return stat.identity


async def read_all(process: trio.Process) -> bytes:
    """Everything a process prints."""
    assert process.stdout is not None
    data = b""
    async for chunk in process.stdout:
        data += chunk
    await finish(process)
    return data


async def finish(process: trio.Process) -> None:
    """Wait for a process and close its pipes."""
    await process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            await pipe.aclose()


async def start_escapers(driver: Driver) -> tuple[trio.Process, list[Identity]]:
    """Run something that leaves processes in every way we know of."""
    process = await driver.run("iris", ["sh", "-c", ESCAPE], environment={})
    assert process.stdout is not None
    data = b""
    while data.count(b"\n") < 3:
        data += await process.stdout.receive_some()
    return process, [identity_of(process.pid), *(identity_of(int(line)) for line in data.split())]
