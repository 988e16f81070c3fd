"""Every bound of a hive that its owner may set, with its unit, its default and what makes sense for it.

`hive.toml` sets them under `[limits]`; the names here are the names there.  The rule kept here: no value
between the bounds of a limit stops a hive from working; those that would are refused before it starts.
"""

from collections.abc import Mapping
from typing import TypeVar

from attrs import field, frozen

from hive.protocol import mail

Number = TypeVar("Number", int, float)

DAY_SECONDS = 24 * 3600.0
YEAR_DAYS = 366.0


def bounded(default: Number, least: Number, most: Number) -> Number:
    """A setting that is a number, both bounds of which are allowed too."""
    return field(default=default, metadata={"least": least, "most": most})


def bounds(metadata: Mapping[str, float]) -> tuple[float, float] | None:
    """The least and the most a setting may be; None for one that is no number."""
    return (metadata["least"], metadata["most"]) if metadata else None


@frozen
class Limits:
    """Bounds the store, the harness and the endpoints obey."""

    mailbox_messages: int = bounded(mail.MAILBOX_MESSAGES, 1, 1_000_000)
    batch_messages: int = bounded(mail.BATCH_MESSAGES, 1, 1_000)
    batch_bytes: int = bounded(mail.BATCH_BYTES, 1, 16 * 1024**2)
    attempts: int = bounded(mail.ATTEMPTS, 1, 100)
    interruptions: int = bounded(mail.INTERRUPTIONS, 1, 1_000)
    hops: int = bounded(mail.HOPS, 1, 1_000_000)
    pair_messages: int = bounded(mail.PAIR_MESSAGES, 1, 1_000_000)
    pair_seconds: float = bounded(mail.PAIR_SECONDS, 1.0, 30 * DAY_SECONDS)
    operator_mail_per_minute: int = bounded(mail.OPERATOR_MAIL_PER_MINUTE, 1, 100_000)
    attached_bytes_per_sender: int = bounded(mail.ATTACHED_BYTES_PER_SENDER, 0, 1024**4)
    answers_kept_seconds: float = bounded(mail.ANSWERS_KEPT_SECONDS, 60.0, YEAR_DAYS * DAY_SECONDS)
    """Not shorter than whoever lost a connection goes on asking."""

    max_running_turns: int = bounded(8, 1, 10_000)
    silent_seconds: float = bounded(600.0, 1.0, 30 * DAY_SECONDS)
    """A turn without any event for so long is stopped as timed out."""

    turn_seconds: float = bounded(7200.0, 1.0, 30 * DAY_SECONDS)
    """A turn longer than this is stopped as timed out."""

    lease_seconds: float = bounded(300.0, 10.0, DAY_SECONDS)
    """Not shorter than a client that works may be silent: its calls extend it once a second at most."""

    done_mail_days: float = bounded(30.0, 0.01, 100 * YEAR_DAYS)
    stream_days: float = bounded(14.0, 0.01, 100 * YEAR_DAYS)
    stream_rows: int = bounded(50_000, 1, 1_000_000_000)
    status_characters: int = bounded(200, 1, 10_000)
