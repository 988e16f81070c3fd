"""Processes on record: what a daemon leaves behind when it is killed is dead before the next one serves."""

from pathlib import Path

import trio

from hive.actors.boxes import Boxes
from hive.actors.records import Records, begin_boot
from hive.containers.processes import Identity, is_alive, read_stat
from hive.containers.subprocess import SubprocessDriver
from hive.protocol.commands import AddAgent
from hive.store.sqlite import SqliteStore, open_store


def test_a_new_boot_begins_when_everything_of_the_old_one_is_dead(tmp_path: Path) -> None:
    """The leader of the box, what runs in it, and what that started; real processes and the real clock."""
    driver = SubprocessDriver(tmp_path)
    started: list[trio.Process] = []

    async def first(store: SqliteStore) -> list[Identity]:
        await begin_boot(store, "1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.drain_forever)
            await store.submit(AddAgent("iris")).outcome()
            boxes = Boxes(store, {"subprocess": driver})
            up = await boxes.bring_up("iris")
            process = await driver.run("iris", ["sh", "-c", "sleep 600 & echo $!; wait"], environment={})
            assert process.stdout is not None
            child = int(await process.stdout.receive_some())
            assert up.leader is not None
            left = [identity_of(pid) for pid in (up.leader, process.pid, child)]
            await Records(store).record("iris", left[1])
            started.append(process)
            store.kill()
            nursery.cancel_scope.cancel()
        return left

    async def second(store: SqliteStore, left: list[Identity]) -> None:
        recorded = {process.pid for process in store.leftovers()}
        assert recorded == {left[0].pid, left[1].pid}
        assert await begin_boot(store, "2") == 2
        assert not [identity for identity in left if is_alive(identity)]
        assert not store.leftovers()

    async def story() -> None:
        with trio.fail_after(30):
            with open_store(tmp_path / "hive.sqlite3") as store:
                left = await first(store)
            with open_store(tmp_path / "hive.sqlite3") as store:
                await second(store, left)
            await driver.kill("iris")
            for process in started:
                await finish(process)

    trio.run(story)


async def finish(process: trio.Process) -> None:
    """Reap a process, and close its pipes."""
    await process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        await pipe.aclose()


def identity_of(pid: int) -> Identity:
    """The identity of a process that lives."""
    stat = read_stat(pid)
    assert stat is not None
    return stat.identity
