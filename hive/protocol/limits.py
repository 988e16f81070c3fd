"""Every bound of a hive that its owner may set, with its unit and its default.

`hive.toml` sets them under `[limits]`; the names here are the names there.
"""

from attrs import frozen

from hive.protocol import mail


@frozen
class Limits:
    """Bounds the store, the harness and the endpoints obey."""

    mailbox_messages: int = mail.MAILBOX_MESSAGES
    batch_messages: int = mail.BATCH_MESSAGES
    batch_bytes: int = mail.BATCH_BYTES
    attempts: int = mail.ATTEMPTS
    interruptions: int = mail.INTERRUPTIONS
    hops: int = mail.HOPS
    pair_messages: int = mail.PAIR_MESSAGES
    pair_seconds: float = mail.PAIR_SECONDS
    operator_mail_per_minute: int = mail.OPERATOR_MAIL_PER_MINUTE
    attached_bytes_per_sender: int = mail.ATTACHED_BYTES_PER_SENDER
    answers_kept_seconds: float = mail.ANSWERS_KEPT_SECONDS
    max_running_turns: int = 8
    silent_seconds: float = 600.0
    """A turn without any event for so long is stopped as timed out."""

    turn_seconds: float = 7200.0
    """A turn longer than this is stopped as timed out."""

    lease_seconds: float = 300.0
    done_mail_days: float = 30.0
    stream_days: float = 14.0
    stream_rows: int = 50_000
    status_characters: int = 200
