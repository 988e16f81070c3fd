"""The box in memory keeps the contract of the real ones."""

from pathlib import Path

from hive.containers.fake import FakeDriver
from hive.containers.port import Driver
from hive.testing.contracts import DriverContract


class TestFake(DriverContract):
    """The whole contract."""

    def make(self, directory: Path) -> Driver:
        """A driver in memory."""
        return FakeDriver(directory)

    async def break_down(self, driver: Driver, agent: str) -> None:
        """Use the kill switch."""
        assert isinstance(driver, FakeDriver)
        driver.break_down(agent)
