"""What a daemon says and logs, written by threads of its own.

The rule kept here: whoever speaks never waits for whoever reads. A terminal or a pipe that takes nothing any
more costs lines, which are counted, and holds up neither a request nor a stop.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from attrs import define, field, frozen

WAITING_LINES = 1_000
"""Lines of one stream that may wait to be written; what is said beyond them is dropped and counted."""

GOODBYE_SECONDS = 1.0
"""How long the end of a daemon waits for one stream to take its last lines."""

MESSAGE_CHARACTERS = 500
"""What is kept of a logged message; clients may have written most of it."""

TRACE_CHARACTERS = 8_000
"""What is kept of the frames of a logged error, from both ends."""

Write = Callable[[str], object]


@define(eq=False)
class Outlet:
    """Lines on their way to a stream that may block for ever."""

    _write: Write
    _waiting: queue.Queue[str | None] = field(factory=lambda: queue.Queue(WAITING_LINES), init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _lost: int = field(default=0, init=False)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        # A daemon: where it hangs in a write, the interpreter ends without it.
        self._thread = threading.Thread(target=self._run, name="hive outlet", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Have a line written, or count it; from any thread, and at once."""
        with self._lock:
            lost = f"hive: {self._lost} lines could not be written here\n" if self._lost else ""
            try:
                self._waiting.put_nowait(f"{lost}{line}\n")
            except queue.Full:
                self._lost += 1
            else:
                self._lost = 0

    def close(self, seconds: float) -> None:
        """Wait that long at most until everything is written; the last thing to call."""
        deadline = time.monotonic() + seconds
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            # The terminal was closed, or the reader has gone: nobody misses it.
            with suppress(OSError):
                self._write(text)


@frozen
class Voice:
    """Both streams of a daemon."""

    out: Outlet
    error: Outlet

    def say(self, line: str) -> None:
        """Tell the person."""
        self.out.put(line)

    def complain(self, line: str) -> None:
        """Tell the person what is wrong."""
        self.error.put(f"hive: {line}")


class Log(logging.Handler):
    """The standard library's log, on its way to an outlet."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on as text; one that has none is told of, and never raises."""
        try:
            text = described(record)
        except Exception as error:  # noqa: BLE001 - logging would write this to the stream itself
            text = f"hive: {record.name} logged what cannot be shown ({type(error).__name__})"
        self._outlet.put(text)


def described(record: logging.LogRecord) -> str:
    """A record as a line, and its error as indented ones: no client's text looks like a record of ours."""
    when = logging.Formatter().formatTime(record)
    message = visible(shortened(record.getMessage(), MESSAGE_CHARACTERS))
    lines = [f"{when} {record.levelname} {record.name}: {message}"]
    if record.exc_info:
        trace = logging.Formatter().formatException(record.exc_info)
        lines += [f"    {visible(line)}" for line in shortened(trace, TRACE_CHARACTERS).splitlines()]
    return "\n".join(lines)


def shortened(text: str, characters: int) -> str:
    """Both ends of a text: the last line of an error says the most."""
    half = characters // 2
    if len(text) <= characters:
        return text
    return f"{text[:half]} ({len(text) - 2 * half} characters left out) {text[-half:]}"


def visible(text: str) -> str:
    """A text without what moves a cursor, colours a terminal, or turns the direction of writing."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


@contextmanager
def speaking(out: TextIO | None, error: TextIO | None) -> Iterator[Voice]:
    """Log to `error` while the block runs, warnings too; leaving it takes two goodbyes at most.

    Either stream is None where the process was started without it.
    """
    voice = Voice(Outlet(_written_to(out)), Outlet(_written_to(error)))
    handler = Log(voice.error)
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(capture=True)
    try:
        yield voice
    finally:
        logging.captureWarnings(capture=False)
        logging.getLogger().removeHandler(handler)
        voice.out.close(GOODBYE_SECONDS)
        voice.error.close(GOODBYE_SECONDS)


def _written_to(stream: TextIO | None) -> Write:
    """Write past the stream's buffer: the interpreter's end waits for whoever holds that one's lock."""
    if stream is None:
        return len
    descriptor = stream.fileno()

    def write(text: str) -> None:
        left = text.encode(errors="backslashreplace")
        while left:
            left = left[os.write(descriptor, left) :]

    return write
