"""A store whose commands hold at once, for tests about rows and not about waiting."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from attrs import define

from hive.protocol.commands import AddAgent, BeginTurn, Command, Once, Send, TurnBegun
from hive.protocol.limits import Limits
from hive.protocol.mail import Provenance
from hive.store.batch import Answer, Asked, Committed, Failure
from hive.store.reader import SqliteReader
from hive.store.sqlite import SqliteStore, open_store
from hive.testing.store_world import VERSION, World

T = TypeVar("T")


@define(eq=False)
class Desk:
    """Carries out one command after the other."""

    store: SqliteStore
    world: World

    @property
    def reader(self) -> SqliteReader:
        """What has been committed."""
        return self.store.reader

    def do(self, command: Command[T], once: Once | None = None) -> T:
        """Commit it, tell the store's subscribers, and return its answer or raise its refusal."""
        result = self.store._committer.commit([Asked(command, once, command.promise)])  # noqa: SLF001
        assert isinstance(result, Committed), result
        for subscriber in tuple(self.store._writer._subscribers):  # noqa: SLF001
            subscriber(result.journal, result.stream)
        match result.outcomes[0]:
            case Failure(error):
                raise error
            case Answer(value):
                return cast("T", value)

    def send(
        self, to: str, body: str = "hello", *, sender: str = "operator", reply: str | None = None
    ) -> str:
        """Send one message; returns its id."""
        who = Provenance.OPERATOR if sender == "operator" else Provenance.AGENT
        return self.do(Send(sender, to, body, who, in_reply_to=reply)).accepted[0].id

    def begin(self, agent: str) -> TurnBegun:
        """Begin a turn that must begin."""
        begun = self.do(BeginTurn(agent, 1))
        assert isinstance(begun, TurnBegun), begun
        return begun

    def sql(self, statement: str, *parameters: str | float) -> None:
        """Change rows behind everybody's back."""
        self.store._committer.db.execute(statement, parameters)  # noqa: SLF001

    def wait(self, seconds: float) -> None:
        """Let wall-clock time pass."""
        self.world.now += seconds


@contextmanager
def open_desk(folder: Path, world: World | None = None, limits: Limits | None = None) -> Iterator[Desk]:
    """Open a recovered store in a folder, with the agents iris and rosa."""
    around = world or World()
    with open_store(
        folder / "hive.sqlite3",
        wall=around.wall,
        random_=around.random,
        limits=limits,
        inline=True,
        pauses=around,
        faults=around.faults,
    ) as store:
        store.recover(VERSION)
        desk = Desk(store, around)
        if store.reader.agent("iris") is None:
            desk.do(AddAgent("iris"))
            desk.do(AddAgent("rosa"))
        yield desk
