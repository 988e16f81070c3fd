"""The rules of the demo's agents: a manager has a real tree surveyed by real commands.

Every round the demo sends the manager `demo_round(...)` as the operator.  The manager hands the next
directory to one surveyor; who gets it follows from the round's number, so nobody has to remember
anything.  The surveyor counts and measures, tells the manager, and on every second lap asks a colleague,
who answers from its own notes.  The manager writes what it hears into `shared/report.md` and now and then
tells everybody.

Pace: with four surveyors and a round every `ROUND_SECONDS` each pair of them exchanges 20 messages in ten
minutes, half of what the loop guard allows; between manager and surveyor each round is input from outside.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from hive.agents.rules import PLAIN, Rule, Rules, is_from_somebody
from hive.agents.steps import Call, Say, Shell, Step, Tell
from hive.protocol.mail import Mail, Provenance

COMMAND_SECONDS = 20.0
"""A survey of one directory that takes longer is given up."""

ROUND_SECONDS = 5.0
"""How often the demo starts a round; twice as often is still under the loop guard."""

SUMMARY_FINDINGS = 6
"""Every so manieth finding is followed by a broadcast."""

STATUS_CHARACTERS = 200

ROUND = re.compile(r"Round (?P<round>\d{1,9}): survey (?P<tree>/.*) with (?P<names>[a-z][a-z0-9, -]*)\.\Z")
ORDER = re.compile(r"Please survey (?P<path>/.*?)(?:, then compare with (?P<colleague>[a-z][a-z0-9-]*))?\.\Z")
FINDING = re.compile(r"Finding: (?P<path>/.*) holds (?P<sums>\d+ files, \d+ lines, \d+ KiB)\.\Z")
QUESTION = re.compile(r"/.* holds \d+ files\. What is the largest you have met\?\Z")

# A body may hold quotes and newlines of file names: everything taken from one is quoted for the shell.
PICK = """cd -- {tree} || exit
find . -xdev -maxdepth 2 -type d -not -path '*/.*' | sort > "$HIVE_STATE/directories"
total=$(wc -l < "$HIVE_STATE/directories")
cd -- "$(sed -n "$(( {round} % total + 1 ))p" "$HIVE_STATE/directories")" && pwd"""

COUNT = """files=$(find {path} -xdev -type f | wc -l)
printf '%s\\t%s\\n' "$files" {path} >> "$HIVE_STATE/notes"
echo "$files\""""
LINES = "find {path} -xdev -type f -size -1024k -exec cat -- {{}} + | wc -l"
KIBIBYTES = "du -skx -- {path} | cut -f 1"
COUNTS = (("files", COUNT), ("lines", LINES), ("size", KIBIBYTES))
LARGEST = "sort -rn notes | sed -n '1s/\\t/ files in /p'"

REPORT = """printf '%s\\n' {finding} >> "$HIVE_SHARED/findings"
{{ echo '# What the survey found'; echo; sort -u "$HIVE_SHARED/findings" | sed 's/^/- /'; }} > report.new
mv report.new "$HIVE_SHARED/report.md"
sort -u "$HIVE_SHARED/findings" | wc -l"""

SUMMARY = "Summary: {known} directories are surveyed; the report is in shared/report.md."


def demo_round(number: int, tree: str, surveyors: Sequence[str]) -> str:
    """The body with which the operator starts one round; `tree` is an absolute path."""
    return f"Round {number}: survey {tree} with {', '.join(surveyors)}."


def _order(mail: Mail) -> tuple[Step, ...]:
    told = _read(ROUND, mail)
    number, names = int(told["round"]), _names(told["names"])
    lap, place = divmod(number, len(names))
    chosen, others = names[place], [*names[:place], *names[place + 1 :]]
    compare = f", then compare with {others[lap // 2 % len(others)]}" if others and lap % 2 else ""
    return (
        Shell(PICK.format(tree=shlex.quote(told["tree"]), round=number), "where", COMMAND_SECONDS),
        Tell(chosen, f"Please survey {{where}}{compare}."),
        Say(f"Asked {chosen} to survey {{where}}."),
    )


def _survey(mail: Mail) -> tuple[Step, ...]:
    told = _read(ORDER, mail)
    path, colleague = told["path"], told["colleague"]
    question = f"{path} holds {{files}} files. What is the largest you have met?"
    return (
        Call("set_status", {"text": f"surveying {path}"[:STATUS_CHARACTERS]}),
        *(Shell(command.format(path=shlex.quote(path)), keep, COMMAND_SECONDS) for keep, command in COUNTS),
        Tell(mail.sender, f"Finding: {path} holds {{files}} files, {{lines}} lines, {{size}} KiB.", mail.id),
        *((Tell(colleague, question),) if colleague else ()),
        Say(f"Surveyed {path}: {{files}} files, {{lines}} lines, {{size}} KiB."),
    )


def _compare(mail: Mail) -> tuple[Step, ...]:
    return (
        Shell(LARGEST, "largest", COMMAND_SECONDS),
        Tell(mail.sender, "The largest I have met: {largest}.", mail.id),
        Say(f"Told {mail.sender} of the largest: {{largest}}."),
    )


def _report(mail: Mail) -> tuple[Step, ...]:
    found = _read(FINDING, mail)
    finding = f"{found['path']}: {found['sums']}".replace("\n", " ")
    written = (
        Shell(REPORT.format(finding=shlex.quote(finding)), "known", COMMAND_SECONDS),
        Say(f"Wrote down what {mail.sender} found: {found['sums']}. {{known}} directories are known."),
    )
    if mail.number % SUMMARY_FINDINGS:
        return written
    return (*written, Tell("*", SUMMARY))


def _read(pattern: re.Pattern[str], mail: Mail) -> Mapping[str, str]:
    match = pattern.match(mail.body)
    assert match is not None, "the rule fits only where the pattern matches"
    return match.groupdict()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(", ") if name)


def _says(pattern: re.Pattern[str]) -> Callable[[Mail], bool]:
    return lambda mail: is_from_somebody(mail) and pattern.match(mail.body) is not None


def _starts_a_round(mail: Mail) -> bool:
    return mail.provenance is Provenance.OPERATOR and _says(ROUND)(mail)


MANAGER: Rules = (Rule(_starts_a_round, _order), Rule(_says(FINDING), _report), *PLAIN)
"""Hands out directories and writes the report."""

SURVEYOR: Rules = (Rule(_says(ORDER), _survey), Rule(_says(QUESTION), _compare), *PLAIN)
"""Counts and measures, and compares notes with its colleagues."""
