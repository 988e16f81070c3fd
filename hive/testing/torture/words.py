"""A verdict in words, for whoever started the torture.  Pure."""

from collections.abc import Iterator

from hive.testing.torture.verdict import Verdict


def said(verdict: Verdict) -> str:
    """The whole verdict."""
    return "\n".join((*_figures(verdict), *_problems(verdict)))


def _figures(one: Verdict) -> Iterator[str]:
    kills, cuts, messages, restarts = one.kills, one.log_cuts, one.messages, one.restarts
    early = " (ended early, as asked)" if one.interrupted else ""
    yield f"{kills.number:,} kills in {one.seconds / 60:.1f} minutes{early}, seed {one.seed}:"
    yield f"  {kills.with_sends_awaiting_commit:,} with sends awaiting their commit"
    yield f"  {kills.with_claimed_mail:,} with claimed mail"
    yield f"  {kills.with_running_children:,} with running children of agents"
    yield f"  {kills.while_starting:,} while the daemon was starting"
    yield (
        f"log cuts: {cuts.number:,}; {cuts.took_commits:,} took commits:"
        f" {cuts.bytes:,} bytes, {cuts.events:,} events"
    )
    yield (
        f"messages: {messages.offered:,} offered, {messages.acknowledged:,} acknowledged,"
        f" {messages.accounted_for:,} accounted for ({messages.done:,} done,"
        f" {messages.shown_why_not:,} shown why not)"
    )
    yield (
        f"  {messages.lost:,} lost, {messages.twice:,} there twice, {messages.unheard:,} unheard,"
        f" {messages.handled_twice:,} handled twice with two verdicts"
    )
    yield f"children that outlived their boot: {one.children_that_outlived_their_boot:,}"
    yield f"invariants violated: {one.violations:,}"
    if restarts.number:
        yield (
            f"restarts: {restarts.number:,}; until it serves p50 {restarts.seconds_p50:.2f} s,"
            f" p99 {restarts.seconds_p99:.2f} s"
        )


def _problems(one: Verdict) -> Iterator[str]:
    if one.ok:
        yield "verdict: nothing that was acknowledged is missing, and no invariant is broken."
        return
    yield "verdict: BROKEN"
    yield from (f"  {problem}" for problem in one.problems)
    yield f"everything is kept in {one.kept}"
    again = f"hive torture --kills {max(1, one.kills.number)} --seed {one.seed}"
    yield f"once more with the same chances: {again}"


def progress(kills: int, cuts: int, offered: int, acknowledged: int, seconds: float) -> str:
    """How far it is, in less than a line."""
    minutes, rest = divmod(int(seconds), 60)
    return (
        f"{minutes}:{rest:02d}  {kills:,} kills, {cuts:,} log cuts;"
        f" {offered:,} offered, {acknowledged:,} acknowledged, nothing missing"
    )
