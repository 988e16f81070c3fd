"""What a daemon says and logs, to readers who have stopped reading."""

import fcntl
import http.client
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from hive.app.voice import (
    MESSAGE_CHARACTERS,
    TRACE_CHARACTERS,
    WAITING_LINES,
    Log,
    Outlet,
    described,
    shortened,
    speaking,
)
from tests.cli.person import HIVE, PATIENCE_SECONDS, Person, somebody


class Stuck:
    """A stream that takes nothing until it is released."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()
        self.written: list[str] = []

    def __call__(self, text: str) -> None:
        """Write, as soon as it is possible."""
        self.entered.set()
        assert self.released.wait(PATIENCE_SECONDS)
        self.written.append(text)


@contextmanager
def logging_to(outlet: Outlet) -> Iterator[logging.Logger]:
    """A logger of its own."""
    logger, handler = logging.getLogger("a.logger"), Log(outlet)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


def test_a_stream_that_blocks_costs_lines_and_no_time() -> None:
    """Ten thousand calls return while nothing is written; the next line tells how many were lost."""
    stream = Stuck()
    outlet = Outlet(stream)
    with logging_to(outlet) as logger:
        logger.error("the first")
        assert stream.entered.wait(PATIENCE_SECONDS)
        for number in range(10_000):
            logger.error("number %d", number)
        assert stream.written == []
        stream.released.set()
        while len(stream.written) < 1 + WAITING_LINES:
            time.sleep(0.01)
        logger.error("the last")
        logger.error("one more")
    outlet.close(PATIENCE_SECONDS)

    *earlier, last, more = stream.written
    assert len(earlier) == 1 + WAITING_LINES
    assert last.startswith(f"hive: {10_000 - WAITING_LINES} lines could not be written here\n")
    assert last.endswith("the last\n")
    assert "could not be written" not in "".join(earlier) + more


@pytest.mark.parametrize("lines", [1, 2 * WAITING_LINES])
def test_the_end_waits_for_nobody(lines: int) -> None:
    """Neither for a line that is being written, nor for room to say that it is the end."""
    stream = Stuck()
    outlet = Outlet(stream)
    for _ in range(lines):
        outlet.put("lost")
    began = time.monotonic()
    outlet.close(0.01)
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert stream.written == []
    stream.released.set()


def test_the_end_waits_for_what_is_being_read() -> None:
    """Whoever reads gets the last line."""
    written: list[str] = []
    outlet = Outlet(written.append)
    for number in range(100):
        outlet.put(str(number))
    outlet.close(PATIENCE_SECONDS)
    assert written == [f"{number}\n" for number in range(100)]


def test_a_stream_that_fails_is_tried_again() -> None:
    """A reader that has gone costs its lines and not the thread."""
    written: list[str] = []

    def write(text: str) -> None:
        if "bad" in text:
            raise BrokenPipeError
        written.append(text)

    outlet = Outlet(write)
    outlet.put("bad")
    outlet.put("good")
    outlet.close(PATIENCE_SECONDS)
    assert written == ["good\n"]


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    """A record, as a logger makes it."""
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("a.logger", logging.ERROR, "f.py", 1, message, values, trace)


def test_a_clients_text_is_one_short_line_without_controls() -> None:
    """It cannot make up a line of the log, steer a terminal or fill a disk."""
    told = described(
        record("Invalid Host header: %s", "a\n2026 ERROR forged\r\x1b[2J\x9b\u202e\u2028" + "x" * 4_000)
    )

    assert told.isprintable()
    assert (
        " ERROR a.logger: Invalid Host header: a\ufffd2026 ERROR forged\ufffd\ufffd[2J\ufffd\ufffd\ufffdx"
        in told
    )
    assert "characters left out" in told
    assert len(told) < MESSAGE_CHARACTERS + 100


def fail(text: str) -> None:
    """Raise an error that quotes a client."""
    raise ValueError(text)


def test_an_error_is_shown_from_both_ends() -> None:
    """Its lines are indented, so that none of them passes for a record."""
    with pytest.raises(ValueError, match="forged") as raised:
        fail("y\nforged \x1b[31m" + "x" * 20_000 + " the reason")
    told = described(record("It failed", error=raised.value))

    first, *others = told.splitlines()
    assert first.endswith("ERROR a.logger: It failed")
    assert others[0] == "    Traceback (most recent call last):"
    assert [line for line in others if not line.startswith("    ")] == []
    assert [line for line in others if not line.isprintable()] == []
    assert told.endswith("the reason")
    assert len(told) < TRACE_CHARACTERS + 500


@pytest.mark.parametrize("length", [0, 9, 10, 11, 100])
def test_what_is_short_enough_stays_whole(length: int) -> None:
    """The limit itself is short enough."""
    text = "x" * length
    assert (shortened(text, 10) == text) == (length <= 10)


def test_a_record_that_cannot_be_shown_is_told_of() -> None:
    """Logging itself would write its own trace to the stream that blocks."""
    written: list[str] = []
    outlet = Outlet(written.append)
    with logging_to(outlet) as logger:
        logger.error("%d", "no number")
    outlet.close(PATIENCE_SECONDS)
    assert written == ["hive: a.logger logged what cannot be shown (TypeError)\n"]


def test_what_is_logged_goes_to_standard_error_and_what_is_said_does_not() -> None:
    """Warnings are logged; a process without streams speaks to nobody; afterwards nothing is left behind."""
    (out, out_end), (error, error_end) = os.pipe(), os.pipe()
    handlers, show = list(logging.getLogger().handlers), warnings.showwarning
    with os.fdopen(out_end, "w") as to_out, os.fdopen(error_end, "w") as to_error:
        with speaking(to_out, to_error) as voice:
            voice.say("hello \udcff")
            voice.complain("too bad")
            logging.getLogger("some.library").warning("beware")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("old", stacklevel=1)
        with speaking(None, None) as voice:
            voice.say("nobody")
    with os.fdopen(out) as said, os.fdopen(error) as told:
        assert said.read() == "hello \\udcff\n"
        first, *others = told.read().splitlines()
    assert first == "hive: too bad"
    assert [kind in line for kind, line in zip(("beware", "old"), others, strict=True)] == [True, True]
    assert (list(logging.getLogger().handlers), warnings.showwarning) == (handlers, show)


def fill(descriptor: int) -> None:
    """Write to a pipe until it takes no byte more."""
    # Opened anew: the other writers of the pipe go on blocking.
    mine = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(mine, b"x" * 4_096)
    with suppress(BlockingIOError):
        while True:
            os.write(mine, b"x")
    os.close(mine)


def read_until(descriptor: int, words: bytes) -> None:
    """Read what a daemon prints up to these words."""
    read = b""
    while words not in read:
        piece = os.read(descriptor, 65_536)
        assert piece, read
        read += piece


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="fills a pipe of another process through /proc")
def test_a_daemon_whose_output_nobody_reads_answers_and_stops() -> None:
    """Clients make it log, its pipe is full, and still it serves and obeys the first SIGTERM."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4_096)
    with somebody() as person:
        child = subprocess.Popen(
            [*HIVE, "up"], env=person.environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
        )
        try:
            read_until(ours, b"\npage")
            fill(theirs)
            person.types("spawn", "iris", "--backend", "external")
            _log_something(person)
            assert person.asks("status")["violations"] == []
            child.send_signal(signal.SIGTERM)
            assert child.wait(PATIENCE_SECONDS) == 0
        finally:
            child.kill()
            child.wait()
            os.close(theirs)
            os.close(ours)


def _log_something(person: Person) -> None:
    """Call an agent's endpoint under a name that is not its own, which its library logs."""
    port = next(one["value"] for one in person.asks("config")["settings"] if one["path"] == "mcp.port")
    headers = {
        "Authorization": f"Bearer {person.asks('endpoint', 'iris', '--rotate')['token']}",
        "Content-Type": "application/json",
        "Host": "h" * 4_000,
    }
    for _ in range(24):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/mcp/iris", body=b"{}", headers=headers)
        assert connection.getresponse().status == 421
        connection.close()
