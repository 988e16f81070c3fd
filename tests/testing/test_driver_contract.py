"""The contract of drivers finds out the ones that break it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio
from attrs import define, evolve

from hive.containers.fake import FakeDriver
from hive.containers.port import Box, BoxState, BoxStatus, Driver
from hive.testing.contracts import DriverContract


@define(eq=False)
class Restarting(FakeDriver):
    """Starts a box anew though it is up."""

    async def start(self, agent: str) -> Box:
        """Break it first."""
        self._boxes.pop(agent, None)
        return await super().start(agent)


@define(eq=False)
class Repeating(FakeDriver):
    """Tells no start from another."""

    async def status(self, agent: str) -> BoxStatus:
        """Always the same leader."""
        status = await super().status(agent)
        return evolve(status, leader=1) if status.state is BoxState.RUNNING else status


@define(eq=False)
class Believing(FakeDriver):
    """Believes what it remembers, and does not look again."""

    async def status(self, agent: str) -> BoxStatus:
        """Whatever has been started runs."""
        if self._starts:
            return BoxStatus(BoxState.RUNNING, self._starts)
        return await super().status(agent)


@define(eq=False)
class Mute(FakeDriver):
    """Does not say why a box is down."""

    async def status(self, agent: str) -> BoxStatus:
        """Leave out the cause."""
        status = await super().status(agent)
        return status if status.state is BoxState.RUNNING else BoxStatus(status.state)


@define(eq=False)
class Deaf(FakeDriver):
    """Wakes nobody."""

    async def changed(self, agent: str) -> None:
        """Wait for what never comes."""
        del agent
        await trio.sleep_forever()


@define(eq=False)
class Crowded(FakeDriver):
    """Has one state directory for all."""

    async def start(self, agent: str) -> Box:
        """Put everybody into the same."""
        return evolve(await super().start(agent), state_dir=self.directory)


@define(eq=False)
class Careless(FakeDriver):
    """Kills everybody's box."""

    async def kill(self, agent: str) -> None:
        """All of them."""
        del agent
        self.break_all()


@define(eq=False)
class Unconcerned(FakeDriver):
    """Runs programs where there is no box."""

    async def run(self, agent: str, argv: Sequence[str], *, environment: Mapping[str, str]) -> trio.Process:
        """Try as though there were one."""
        self._boxes.setdefault(agent, 0)
        return await super().run(agent, argv, environment=environment)


class Wrong(DriverContract):
    """The suite, given a wrong driver; no test class, so only run on purpose."""

    def __init__(self, kind: type[FakeDriver]) -> None:
        self.kind = kind

    def make(self, directory: Path) -> Driver:
        """See `DriverContract`."""
        return self.kind(directory)

    async def break_down(self, driver: Driver, agent: str) -> None:
        """Use the kill switch."""
        assert isinstance(driver, FakeDriver)
        driver.break_down(agent)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Restarting, "test_starting_twice_is_starting_once"),
        (Repeating, "test_a_box_started_again_has_another_leader"),
        (Repeating, "test_a_broken_box_can_be_started_again"),
        (Believing, "test_a_box_started_again_has_another_leader"),
        (Believing, "test_a_box_that_breaks_down_is_seen_down_and_its_waiter_hears_of_it"),
        (Mute, "test_a_box_that_breaks_down_is_seen_down_and_its_waiter_hears_of_it"),
        (Crowded, "test_boxes_do_not_touch_each_other"),
        (Careless, "test_boxes_do_not_touch_each_other"),
        (Unconcerned, "test_nothing_runs_in_a_box_that_is_down"),
    ],
)
def test_a_driver_that_breaks_the_contract_is_found_out(
    kind: type[FakeDriver], test: str, tmp_path: Path
) -> None:
    """Each wrong in a test of its own."""
    with pytest.raises((AssertionError, OSError)):
        getattr(Wrong(kind), test)(tmp_path)


def test_one_that_wakes_nobody_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the limit of the story."""
    monkeypatch.setattr("hive.testing.driver_contract.LIMIT_SECONDS", 0.2)
    with pytest.raises(AssertionError, match=r"not over after 0\.2 s"):
        Wrong(Deaf).test_a_box_that_breaks_down_is_seen_down_and_its_waiter_hears_of_it(tmp_path)
