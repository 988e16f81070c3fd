"""An agent of one's own: it counts votes and tells the operator the score."""

from collections import Counter

from hive.testing import Turn


class Teller:
    """Remembers every vote by its message, which bears the same id when it comes again."""

    def __init__(self) -> None:
        self.votes: dict[str, str] = {}

    async def think(self, turn: Turn) -> None:
        """One turn: count what came, tell the score."""
        self.votes.update({mail.id: mail.body for mail in turn.mail if mail.body in {"yes", "no"}})
        score = Counter(self.votes.values())
        await turn.send("operator", f"{score['yes']} to {score['no']}")


class HastyTeller:
    """The same with a bug: a message whose turn broke is delivered again, and then its vote counts twice."""

    def __init__(self) -> None:
        self.score: Counter[str] = Counter()

    async def think(self, turn: Turn) -> None:
        """One turn: count what came, tell the score."""
        self.score.update(mail.body for mail in turn.mail)
        await turn.send("operator", f"{self.score['yes']} to {self.score['no']}")
