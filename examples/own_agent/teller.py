"""An agent of one's own: it counts votes and tells the operator the score."""

from collections import Counter

from hive.testing import Turn, TurnFailed


async def tell(turn: Turn, score: Counter[str]) -> None:
    """Send mail.  What refuses it is an answer; then the turn fails, and its mail comes again."""
    answer = await turn.send("operator", f"{score['yes']} to {score['no']}")
    if not answer.ok:
        raise TurnFailed("rate_limit", answer.text, after=60)


class Teller:
    """Remembers every vote by its message, which bears the same id when it comes again."""

    def __init__(self) -> None:
        self.votes: dict[str, str] = {}

    async def think(self, turn: Turn) -> None:
        """One turn: count what came, tell the score."""
        self.votes.update({mail.id: mail.body for mail in turn.mail})
        await tell(turn, Counter(self.votes.values()))


class HastyTeller:
    """The same with a bug: a message whose turn broke is delivered again, and then its vote counts twice."""

    def __init__(self) -> None:
        self.score: Counter[str] = Counter()

    async def think(self, turn: Turn) -> None:
        """One turn: count what came, tell the score."""
        self.score.update(mail.body for mail in turn.mail)
        await tell(turn, self.score)
