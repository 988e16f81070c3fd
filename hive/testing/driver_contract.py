"""What every driver must do, as a suite: subclass it and give it a driver.

    from hive.testing.contracts import DriverContract

    class TestMine(DriverContract):
        def make(self, directory: Path) -> Driver:
            return MyDriver(directory)

        async def break_down(self, driver: Driver, agent: str) -> None:
            await my_box(driver, agent).kill()

`break_down` kills an agent's box from outside, behind the driver's back. Runs in real time, because boxes
are real. Needs pytest, and no plugin of it.

The rule kept here: a box is known by re-reading it, each start of it is told from every other, and nothing
of it survives its end.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from hive.containers.port import BoxDown, BoxState, Driver

LIMIT_SECONDS = 20.0
"""How long any one story may take."""


class DriverContract:
    """The suite.  Every test gets a fresh driver."""

    def make(self, directory: Path) -> Driver:
        """The driver under test, with its boxes below `directory`."""
        raise NotImplementedError

    async def break_down(self, driver: Driver, agent: str) -> None:
        """Kill the box from outside, behind the driver's back."""
        raise NotImplementedError

    def play(self, directory: Path, story: Callable[[Driver], Awaitable[None]]) -> None:
        """Run a story and take its boxes down whatever happened."""

        async def main() -> None:
            driver = self.make(directory)
            try:
                with trio.fail_after(LIMIT_SECONDS):
                    await story(driver)
            except trio.TooSlowError as error:
                raise AssertionError(f"the story is not over after {LIMIT_SECONDS} s") from error
            finally:
                with trio.move_on_after(LIMIT_SECONDS, shield=True):
                    for agent in ("iris", "otto"):
                        await driver.kill(agent)

        trio.run(main)

    def test_a_box_that_was_never_started_is_not_running(self, tmp_path: Path) -> None:
        """Neither `status` nor `kill` needs a box to be there."""

        async def story(driver: Driver) -> None:
            await driver.kill("iris")
            await driver.stop("iris", 0)
            assert (await driver.status("iris")).state is not BoxState.RUNNING

        self.play(tmp_path, story)

    def test_starting_twice_is_starting_once(self, tmp_path: Path) -> None:
        """The leader tells one start from another, so a second start must not change it."""

        async def story(driver: Driver) -> None:
            first = await driver.start("iris")
            leader = (await driver.status("iris")).leader
            assert leader is not None
            assert first == await driver.start("iris")
            assert leader == (await driver.status("iris")).leader
            assert first.seen_as["HIVE_AGENT"] == "iris"

        self.play(tmp_path, story)

    def test_a_box_started_again_has_another_leader(self, tmp_path: Path) -> None:
        """Who remembers a leader learns of a restart that nobody told it of."""

        async def story(driver: Driver) -> None:
            await driver.start("iris")
            before = (await driver.status("iris")).leader
            await driver.stop("iris", 0.1)
            assert (await driver.status("iris")).state is not BoxState.RUNNING
            await driver.start("iris")
            assert before != (await driver.status("iris")).leader

        self.play(tmp_path, story)

    def test_a_box_that_breaks_down_is_seen_down_and_its_waiter_hears_of_it(self, tmp_path: Path) -> None:
        """The wake is a hint; the re-read says what is."""

        async def story(driver: Driver) -> None:
            await driver.start("iris")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.changed, "iris")
                await trio.testing.wait_all_tasks_blocked()
                await self.break_down(driver, "iris")
            status = await driver.status("iris")
            assert status.state is not BoxState.RUNNING
            assert status.cause

        self.play(tmp_path, story)

    def test_a_broken_box_can_be_started_again(self, tmp_path: Path) -> None:
        """Whatever is left of the old one does not stand in the way."""

        async def story(driver: Driver) -> None:
            await driver.start("iris")
            before = (await driver.status("iris")).leader
            await self.break_down(driver, "iris")
            await driver.start("iris")
            status = await driver.status("iris")
            assert status.state is BoxState.RUNNING
            assert status.leader != before

        self.play(tmp_path, story)

    def test_nothing_runs_in_a_box_that_is_down(self, tmp_path: Path) -> None:
        """It is an error with a name, before the start and after the end."""

        async def story(driver: Driver) -> None:
            with pytest.raises(BoxDown):
                await driver.run("iris", ["true"], environment={})
            await driver.start("iris")
            await self.break_down(driver, "iris")
            with pytest.raises(BoxDown):
                await driver.run("iris", ["true"], environment={})

        self.play(tmp_path, story)

    def test_boxes_do_not_touch_each_other(self, tmp_path: Path) -> None:
        """One goes down, the other does not notice."""

        async def story(driver: Driver) -> None:
            iris = await driver.start("iris")
            otto = await driver.start("otto")
            assert iris.state_dir != otto.state_dir
            assert iris.shared_dir == otto.shared_dir
            leader = (await driver.status("otto")).leader
            await driver.kill("iris")
            assert leader == (await driver.status("otto")).leader

        self.play(tmp_path, story)
