"""Every command that a page names is run by a test, so none can be written down that does not work.

Each is run here, as it stands or at a smaller size, or is listed here with the test that runs it.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hive.cli.parser import parse
from hive.protocol.verbs import VERBS
from tests.cli.person import somebody
from tests.commands import ROOT, Command, commands, found_in

FAILS = re.compile(r"\s+# fails: (\d+)$")
SPEAKS = re.compile(r"(?:bin/)?hive ([a-z-]+)(?: .*(?:\[|\b[A-Z]+\b).*)?")
"""Nothing follows the verb, or something that stands for other words."""

NAMES = frozenset(verb.name for verb in VERBS)


def small(bench: str, call: str, **constants: object) -> str:
    """A program that measures, with so little to do that it ends within seconds."""
    settings = "; ".join(f"b.{name} = {value!r}" for name, value in constants.items())
    text = f"from bench import {bench} as b, store; store.SYNCS = 1; {settings}; b.{call}"
    return f"python -c {shlex.quote(text)}"


AS_IT_STANDS = ("hive help", "bin/hive help", "bin/hive", "python -m tests.actors.otp")
"""Short ones of blocks without a mark, and of running text."""

CHATTER = "hive sim --story chatter --seeds 1..1 --faults some"
SMALLER: Mapping[str, str] = {
    "hive VERB --help": "hive status --help",
    "hive sim --story chatter --seeds 1..100 --faults some": CHATTER,
    "bin/hive sim --story chatter --seeds 1..100 --faults some": CHATTER,
    # What is in place already is not fetched again.
    ".venv/bin/python -P hive/web/vendor.py /tmp/vendor": (
        'python -P hive/web/vendor.py "${HIVE_VENDOR_DIR:-hive/web/static/vendor}"'
    ),
    "python -m bench.kernel": small(
        "kernel", "main('1')", TELLS=100, ASKS=100, SPAWNS=100, IDLE=100, CRASHES=200
    ),
    "python -m bench.store FOLDER 100000,1000000": small(
        "store", "main(None, '10,100')", ROWS=100, SENDS=100, CYCLES=100, POINTS=2, ROUNDS=2, BOXES=10
    ),
    "python -m bench.daemon": small(
        "daemon",
        "main(None, '2')",
        **dict.fromkeys(("STARTS", "WAKES", "AWAKE", "SENDERS", "SENDS", "DEMO_SECONDS"), 1),
        **dict.fromkeys(("SETTLE_SECONDS", "IDLE_SECONDS"), 0.1),
    ),
    "python -m bench.endpoints": small("endpoints", "main(None, '1')", CALLS=1),
    "python -m bench.audit FOLDER 100000,1000000": small(
        "audit", "main(None, '100')", LOAD_SECONDS=0.1, CALM_SECONDS=0.1, AGENTS=2, SENDERS=1
    ),
    "python -m bench.simulation [DAYS]": small(
        "simulation", "STORIES = {'quiet': b.a_while}; b.main(0.1)", AGENTS=2, STORIES_MEASURED=("quiet",)
    ),
    "bin/hive up": "hive up --detach",
    "curl --unix-socket DIR/run/operator.sock http://hive/metrics": (
        'curl --fail --unix-socket "$HIVE_DIR/run/operator.sock" http://hive/metrics'
    ),
}
"""What is run instead of what takes long, goes on for ever or holds a word for another."""

IN_A_HIVE = (
    "bin/hive up",
    "bin/hive spawn boss --backend scripted --manager",
    "bin/hive spawn iris --backend external",
    "bin/hive endpoint iris --for claude",
    'bin/hive send boss "hello?" --wait',
    "bin/hive why boss",
    "bin/hive message 1",
    "bin/hive open",
    "curl --unix-socket DIR/run/operator.sock http://hive/metrics",
    "bin/hive chaos on --rate 6 --i-know",
)
"""Those that need a hive that runs, in the order of the README."""

SETUP = "tests/test_setup.py::test_"
PLAIN = f"{SETUP}a_plain_run_lints_and_runs_the_fast_tests"
LOCKS = f"{SETUP}locking_writes_the_pins_into_the_constraints_too"
LIFE = "tests/cli/test_daemon.py::test_a_life_of_a_hive"
BOX = "tests/real/test_inside_a_box.py::test_a_client_in_a_box_mails_and_wakes_and_all_of_it_is_accounted_for"
REBUILD = "tests/actors/test_post_rebuild_wake.py"
SIM = "tests/cli/test_simulating.py::test_"
KILLED = "tests/cli/test_torturing.py::test_a_hive_is_killed_three_times_and_nothing_is_missing"
ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "nix-shell nix/shell.nix": (
        "tests/nix/test_shell.py::test_it_brings_the_interpreter_the_programs_and_the_libraries",
        '"nix-shell", ROOT / "nix/shell.nix"',
    ),
    "pip install 'hive[testing]'": (
        "tests/test_wheel.py::test_the_installed_wheel_runs_the_demo_and_the_examples_outside_the_checkout",
        "hive[testing]",
    ),
    "bin/hive demo": ("tests/cli/test_nothing_left.py::test_a_demo_leaves_nothing_behind", '"demo"'),
    "bin/hive torture --minutes 5": (
        "tests/cli/test_torturing.py::test_whoever_has_seen_enough_leaves_nothing_behind",
        '"torture", "--minutes"',
    ),
    "bin/hive torture --kills 130 --seed 20": (KILLED, '"torture", "--kills", "3", "--seed"'),
    "bin/hive torture --kills 140 --seed 21": (KILLED, '"torture", "--kills", "3", "--seed"'),
    "bin/hive torture --kills 41 --seed 22": (KILLED, '"torture", "--kills", "3", "--seed"'),
    "hive sim --seeds 1..10000 --faults some": (
        f"{SIM}without_a_story_all_of_hives_own_are_told_in_turn",
        '"sim", "--seeds"',
    ),
    "hive sim --list": (f"{SIM}hives_own_stories_are_listed", '"sim", "--list"'),
    "hive sim --shrink": (f"{SIM}a_program_gets_json", '"--shrink"'),
    "hive VERB [arguments]": ("tests/cli/test_parser.py::test_every_verb_has_help", "overview()"),
    'bin/hive spawn iris --backend claude --purpose "keeps the documentation true"': (
        LIFE,
        '"--backend", "claude"',
    ),
    "bin/hive up --detach": (LIFE, '"up", "--detach"'),
    "bin/hive secret set claude": (LIFE, '"secret", "set", "claude"'),
    'bin/hive send iris "Read README.md here and tell me in one sentence what is missing." --wait': (
        "tests/real/test_claude.py::test_mail_is_answered_with_hive_s_tools_and_the_session_outlives_hive",
        "answers_and_remembers",
    ),
    "hive secret set claude --variable ANTHROPIC_BASE_URL": (
        "tests/cli/test_secret.py::test_a_variable_may_be_named",
        '"--variable", "ANTHROPIC_BASE_URL"',
    ),
    "hive change iris --model NAME": (LIFE, '"change", "rosa", "--model"'),
    "hive read": (LIFE, '"read"'),
    "hive unread": (LIFE, '"unread"'),
    "hive mcp-stdio": (BOX, 'command="hive", args=["mcp-stdio"]'),
    "hive wake": (BOX, '"hive", "wake"'),
    "bin/test": (PLAIN, 'checkout.command = "bin/test"'),
    "bin/test --all": (f"{SETUP}everything_is_run_when_asked", '"--all"'),
    "bin/test tests/store -x": (f"{SETUP}arguments_go_to_pytest_and_nothing_else_runs", '"tests/store"'),
    "bin/test tests/actors --hive-seed 17": (
        "tests/testing/test_pytest_plugin.py::test_a_marked_test_runs_once_for_each_seed",
        '"--hive-seed", "400"',
    ),
    "HIVE_SEEDS=500 bin/test tests/actors": (f"{SETUP}everything_is_run_when_asked", '"HIVE_SEEDS"'),
    "bin/test -m slow tests/actors/test_like_otp.py": (
        "tests/actors/test_like_otp.py::test_otp_does_what_the_table_says",
        "@pytest.mark.slow",
    ),
    "bin/test tests/actors/test_post_rebuild_wake.py -k auditor": (
        f"{REBUILD}::test_whatever_dies_during_a_rebuild_the_message_drives_a_turn",
        '"auditor"',
    ),
    ".ci/run": (f"{SETUP}the_run_of_ci_requires_everything", '".ci/run"'),
    "ruff check": (PLAIN, "ruff check"),
    "ruff format": (PLAIN, "ruff format"),
    "mypy --strict": (PLAIN, "mypy --strict"),
    "bin/lock": (LOCKS, "bin/lock"),
    "bin/lock --upgrade": (LOCKS, '"--upgrade"'),
    "uv run": (f"{SETUP}the_locks_and_the_constraints_agree", "constraint-dependencies"),
    "apt install python3-venv git": (
        f"{SETUP}without_ensurepip_the_text_names_the_package_to_install",
        "apt install python3-venv git",
    ),
    "npm pack NAME@VERSION": (
        "tests/web/test_vendor.py::test_fetching_puts_the_files_and_the_licence_in_place",
        "npm pack",
    ),
    "python -m bench.mutants": (
        "tests/testing/test_mutants.py::test_bugs_are_found_and_nothing_is_not",
        "main([",
    ),
    "PYTHONPATH=. .venv/bin/python tests/public_api.py": (
        "tests/test_public_api.py::test_the_public_api_is_the_one_that_is_written_down",
        "public_api.listing()",
    ),
}
"""Commands and verbs that another test runs: which one, and words of it that show that it does."""

NOWHERE: Mapping[str, str] = {
    "bin/agent-clis DIRECTORY": "it fetches programs of hundreds of megabytes",
    (
        "HIVE_AGENT_CLIS=DIRECTORY bin/test"
        " tests/real/test_claude.py tests/real/test_codex.py tests/real/test_acp.py"
    ): "it needs those",
    "apt install erlang-base": "it changes the machine",
}
"""Commands that no test can run, and why."""

WHAT_TO_DO = (
    "no test runs this command: if it is short put it into a block marked sh or into AS_IT_STANDS, "
    "else give it a smaller form in SMALLER, or name in ELSEWHERE the test that runs it"
)

ALL = tuple(dict.fromkeys(commands()))


def typed(command: Command) -> str | None:
    """What is typed here for a command; None where that is left to another test."""
    if command.text in {*ELSEWHERE, *IN_A_HIVE}:
        return None
    as_it_stands = command.marked or command.text in AS_IT_STANDS
    return SMALLER.get(command.text, command.text if as_it_stands else None)


def is_run(command: Command) -> bool:
    """Whether some test runs it, or none can for a reason that is written down."""
    if command.text in {*IN_A_HIVE, *ELSEWHERE, *NOWHERE} or typed(command) is not None:
        return True
    speaks = SPEAKS.fullmatch(command.text)
    return speaks[1] in NAMES if speaks else is_of_the_suite(command.text)


def is_of_the_suite(text: str) -> bool:
    """Whether it runs whole files of tests: so does whoever runs this one."""
    program, *paths = text.split()
    return program == "bin/test" and paths != [] and all((ROOT / path).exists() for path in paths)


def verbs_typed() -> Iterator[str]:
    """The verbs that tests type: the first word of what they give to those who carry verbs out."""
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case (
                    ast.Call(
                        ast.Attribute(attr="types" | "asks" | "in_a_pipe" | "at_a_terminal"), [first, *_]
                    )
                    | ast.Call(ast.Name("_printed"), [_, first, *_])
                    | ast.Call(ast.Name("main" | "_followed"), [*_, ast.List([first, *_])])
                    | ast.List([ast.Starred(ast.Name("HIVE")), first, *_])
                ) if isinstance(first, ast.Constant):
                    yield str(first.value)


TYPED = {line: one.text for one in ALL if (line := typed(one))}
"""What is typed here, and what of the pages is shown by it."""


def test_every_command_of_the_pages_is_run_by_a_test() -> None:
    """A command that nobody runs is wrong sooner or later."""
    assert [f"{one.page}: {one.text}" for one in ALL if not is_run(one)] == [], WHAT_TO_DO


def test_nothing_is_listed_that_no_page_names() -> None:
    """Whoever takes a command out of a page takes it out of the lists."""
    named = {one.text for one in ALL} | {f"hive {name}" for name in NAMES}
    assert {*AS_IT_STANDS, *SMALLER, *IN_A_HIVE, *ELSEWHERE, *NOWHERE} - named == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\nmystery x  # why\nhive ps  # fails: 3\n```\n", ["mystery x", "hive ps  # fails: 3"]),
        ("```\n$ hive ps\nbin/test   # all\nhive       a tree\nFailed: no\n```\n", ["hive ps", "bin/test"]),
        ("so:\n\n    X=1 .venv/bin/python -m x  # why\n    else\n", ["X=1 .venv/bin/python -m x"]),
        ("as `uv run` and `bin/hive`, by `uv`, `hive.toml` or `python`", ["uv run", "bin/hive"]),
        ("with `bin/agent-clis DIRECTORY`, once", ["bin/agent-clis DIRECTORY"]),
        ("```python\npip = 1\n```\n", []),
    ],
)
def test_a_command_is_found_wherever_it_stands(text: str, found: list[str]) -> None:
    """In blocks with and without a mark, indented, and within a sentence; a tree or an answer is none."""
    assert [one.text for one in found_in(text)] == found


@pytest.mark.parametrize(
    "text", ["hive nonsense", "hive send boss hello", "uv sync", "bin/test tests/gone.py"]
)
def test_a_command_that_no_test_knows_is_noticed(text: str) -> None:
    """Also where its verb is known."""
    (command,) = found_in(f"`{text}`")
    assert not is_run(command)


def test_every_verb_is_typed_by_a_test() -> None:
    """docs/cli.md tells of each."""
    readme = {shlex.split(text)[1] for text in IN_A_HIVE}
    listed = {name for name in NAMES if f"hive {name}" in ELSEWHERE}
    assert NAMES - listed - readme - set(verbs_typed()) == set(), "type them in tests/cli"


@pytest.mark.parametrize(
    "text", sorted({one.text for one in ALL if "hive " in one.text and "[" not in one.text})
)
def test_what_is_typed_is_understood(text: str) -> None:
    """No page tells of an option that is not there."""
    _, verb, *words = shlex.split(FAILS.sub("", text))
    if verb in NAMES and words:
        parse([verb, *("1" if word.isupper() else word for word in words)])


@pytest.mark.parametrize("command", sorted(ELSEWHERE))
def test_the_test_that_is_named_runs_the_command(command: str) -> None:
    """It is there, and it or what its file has besides tests holds the words."""
    where, words = ELSEWHERE[command]
    file, _, name = where.partition("::")
    source = (ROOT / file).read_text()
    functions = (
        one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    tests = {
        one.name: ast.get_source_segment(source, one) or ""
        for one in functions
        if one.name.startswith("test_")
    }
    del tests[name]
    for other in tests.values():
        source = source.replace(other, "")
    assert words in source


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where `hive` and `python` are those of this checkout."""
    python = f"exec {shlex.quote(sys.executable)}"
    for name, text in {"hive": f'{python} -P -m hive "$@"', "python": f'{python} "$@"'}.items():
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} {text}\n")
        script.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def does(line: str, environment: Mapping[str, str]) -> None:
    """Type a line in the checkout's root, as whoever reads the page would."""
    expected = FAILS.search(line)
    ran = subprocess.run(
        ["/bin/sh", "-c", FAILS.sub("", line).removeprefix("bin/")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == int(expected[1] if expected else 0), f"{line}: {ran.stdout}{ran.stderr}"


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("line", TYPED, ids=TYPED.values())
def test_a_command_of_the_pages_does_what_it_says(line: str, path: str) -> None:
    """That `bin/hive` becomes hive is told in tests/test_setup.py."""
    does(line, {**os.environ, "PATH": path})


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.needs("curl")
def test_a_hive_of_ones_own_lives_as_the_readme_tells(path: str) -> None:
    """One line after the other; it is stopped at the end."""
    with somebody() as person:
        shown = {"DISPLAY", "WAYLAND_DISPLAY"}
        environment = {name: value for name, value in person.environment.items() if name not in shown}
        for line in (*(SMALLER.get(text, text) for text in IN_A_HIVE), "hive chaos off", "hive down"):
            does(line, {**environment, "PATH": path})
