"""Session tokens: alive exactly as long as their process."""

from itertools import count

from hive.agents.tokens import Sessions


def sessions() -> Sessions:
    """Sessions whose tokens can be foretold."""
    numbers = count(1)
    return Sessions(lambda: f"token-{next(numbers)}")


def test_a_token_opens_its_own_session_until_it_is_ended() -> None:
    """And no other; ending it twice is ending it once."""
    open_ones = sessions()
    iris, juno = open_ones.mint("iris"), open_ones.mint("juno")
    assert open_ones.find(iris.token) is iris
    assert open_ones.find(juno.token) is juno
    assert open_ones.find("token-3") is None
    open_ones.end(iris)
    open_ones.end(iris)
    assert open_ones.find(iris.token) is None
    assert open_ones.find(juno.token) is juno


def test_a_token_is_not_shown() -> None:
    """Not where a session is printed or logged."""
    assert "token-1" not in repr(sessions().mint("iris"))


def test_a_token_outside_ascii_is_only_wrong() -> None:
    """A header can hold anything."""
    assert sessions().find("\N{SNOWMAN}") is None


def test_what_was_received_is_confirmed_once() -> None:
    """The next call takes it, in order."""
    session = sessions().mint("iris")
    session.unconfirmed |= {9, 3}
    assert session.confirm() == (3, 9)
    assert session.confirm() == ()
