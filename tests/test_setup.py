"""The two commands do their own set-up: once, whole or not at all, wherever the checkout lies.

Most of it runs against a copy of the checkout whose locks are empty and whose browser modules come from a
stub, so nothing is fetched; the last tests are about the real locks.
"""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from hive.web import vendor

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
OVERHEAD = 0.05  # seconds that a command may add when nothing has to be done

MAIN = """\
import os, sys
print("ran", sys.argv[1:], os.environ.get("HIVE_VENDOR_DIR", "here"))
if "--trap" in sys.argv:
    import signal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    print(os.getpid(), flush=True)
    signal.pause()
sys.exit(3 if "--fail" in sys.argv else 0)
"""

VENDOR = """\
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
with (folder.parent / "fetched").open("a") as log:
    log.write("x")
"""

# Makes a real environment, as uv would, and says what it was asked for.
UV = """\
#!/bin/sh
echo "$1" >>"{log}"
{trouble}
case $1 in venv) exec "$3" -m venv --without-pip "$4" ;; esac
"""


class Checkout:
    """A small copy of the checkout, and a PATH with the programs we choose."""

    def __init__(self, folder: Path) -> None:
        """Copy what the set-up consists of, and stand in for the rest."""
        self.root = folder / "a checkout"
        self.programs = folder / "programs"
        self.log = folder / "uv.log"
        self.command = "bin/hive"
        shutil.copytree(ROOT / "bin", self.root / "bin")
        for name in ("requirements.lock", "requirements-test.lock", "requirements-node.lock"):
            (self.root / name).write_text("# nothing\n")
        web = self.root / "hive" / "web"
        web.mkdir(parents=True)
        (web / "vendor.toml").write_text("")
        (web / "vendor.py").write_text(VENDOR)
        (web.parent / "__init__.py").write_text("")
        (web.parent / "__main__.py").write_text(MAIN)
        self.programs.mkdir()
        (self.programs / "python3").symlink_to(
            Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
        )
        self.program("npm", "#!/bin/sh\n")
        self.uv()

    def program(self, name: str, script: str) -> None:
        """Put a program first on PATH."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(script)
        path.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)

    def uv(self, trouble: str = "") -> None:
        """Have a uv on PATH that may do something more."""
        self.program("uv", UV.format(log=self.log, trouble=trouble))

    @property
    def asked_of_uv(self) -> list[str]:
        """The commands uv was given."""
        return self.log.read_text().split() if self.log.exists() else []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, with nothing in its environment but PATH."""
        return subprocess.Popen(
            [self.root / self.command, *arguments],
            env={"PATH": f"{self.programs}:/usr/bin:/bin"} | environment,
            cwd=self.root.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> "Ran":
        """Run a command to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return Ran(process.returncode, out, err)


class Ran(NamedTuple):
    """What came of running a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout in which nothing is set up."""
    return Checkout(tmp_path)


def test_the_first_run_sets_up_and_the_second_has_nothing_to_do(checkout: Checkout) -> None:
    """The first says what it does and how long it took; the second is silent."""
    code, out, err = checkout.run("up", "two words")
    assert (code, out) == (0, "ran ['up', 'two words'] here\n")
    assert "requirements.lock" in err
    assert re.search(r"set up in .*/\.venv, \d+ s", err)
    assert checkout.run() == (0, "ran [] here\n", "")
    assert checkout.asked_of_uv == ["venv", "pip"]


def test_a_command_adds_next_to_nothing_when_all_is_in_place(checkout: Checkout) -> None:
    """Measured with an interpreter that does nothing; the best of several runs, as machines are busy."""
    checkout.run()
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\n")
    python.chmod(stat.S_IRWXU)
    took = []
    for _ in range(7):
        begun = time.perf_counter()
        assert checkout.run() == (0, "", "")
        took.append(time.perf_counter() - begun)
    assert min(took) < OVERHEAD


def test_exit_codes_and_signals_are_those_of_hive(checkout: Checkout) -> None:
    """The command becomes hive; it does not stand before it."""
    assert checkout.run("--fail")[0] == 3
    process = checkout.start("--trap")
    assert process.stdout is not None
    process.stdout.readline()
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 7


@pytest.mark.parametrize("moment", ["venv", "pip"])
def test_a_run_killed_in_the_middle_is_repaired_by_the_next(checkout: Checkout, moment: str) -> None:
    """What is half there does not count as there."""
    checkout.uv(f"[ $1 != {moment} ] || kill -9 -$(ps -o pgid= $$ | tr -d ' ')")
    assert checkout.run()[0] == -signal.SIGKILL
    checkout.uv()
    checkout.log.unlink()
    assert checkout.run()[:2] == (0, "ran [] here\n")
    assert checkout.asked_of_uv == ["venv", "pip"]


def test_two_shells_at_once_set_up_once(checkout: Checkout) -> None:
    """The second waits, says so, and finds everything done."""
    checkout.uv("[ $1 != pip ] || sleep 0.5")
    processes = [checkout.start(str(number)) for number in range(2)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [out for out, _ in results] == ["ran ['0'] here\n", "ran ['1'] here\n"]
    assert sum("waiting for it" in err for _, err in results) == 1
    assert checkout.asked_of_uv == ["venv", "pip"]


def test_a_changed_lock_makes_a_new_environment(checkout: Checkout) -> None:
    """Nothing of the old one is left in it; the browser modules are not fetched again."""
    checkout.run()
    leftover = checkout.root / ".venv" / "leftover"
    leftover.touch()
    (checkout.root / "requirements.lock").write_text("# something else\n")
    assert checkout.run()[0] == 0
    assert not leftover.exists()
    assert (checkout.root / "hive" / "web" / "static" / "fetched").read_text() == "x"


def test_changed_browser_modules_leave_the_environment_alone(checkout: Checkout) -> None:
    """Who updates a font does not reinstall Python packages."""
    checkout.run()
    (checkout.root / "hive" / "web" / "vendor.toml").write_text("# newer\n")
    assert checkout.run()[0] == 0
    assert checkout.asked_of_uv == ["venv", "pip"]
    assert (checkout.root / "hive" / "web" / "static" / "fetched").read_text() == "xx"


def test_a_checkout_that_moved_makes_a_new_environment(checkout: Checkout) -> None:
    """An environment knows its own path."""
    checkout.run()
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    assert checkout.run()[:2] == (0, "ran [] here\n")
    assert checkout.asked_of_uv == ["venv", "pip"] * 2


def test_an_interpreter_that_went_away_makes_a_new_environment(checkout: Checkout) -> None:
    """As after an upgrade of the system."""
    checkout.run()
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert checkout.run()[:2] == (0, "ran [] here\n")


def test_a_link_to_the_command_works_from_anywhere(checkout: Checkout, tmp_path: Path) -> None:
    """So that people can put it on their PATH."""
    checkout.run()
    link = tmp_path / "hive"
    link.symlink_to(checkout.root / "bin" / "hive")
    assert subprocess.run([link], check=True, capture_output=True, text=True).stdout == "ran [] here\n"


def test_the_current_folder_provides_no_modules(checkout: Checkout) -> None:
    """Whatever lies around where the command is called is not run."""
    (checkout.root.parent / "hive").mkdir()
    (checkout.root.parent / "hive" / "__main__.py").write_text("print('wrong')")
    assert checkout.run()[1] == "ran [] here\n"


def only_this_python(checkout: Checkout, script: str) -> None:
    """Let the set-up find nothing but an interpreter that behaves like this."""
    (checkout.programs / "uv").unlink()
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        (checkout.programs / name).unlink(missing_ok=True)
        checkout.program(name, f"#!/bin/sh\n{script}\n")
    # The last resort is the system's, which no PATH can hide.
    setup = checkout.root / "bin" / "setup.sh"
    setup.write_text(setup.read_text().replace(" /usr/bin/python3;", ";"))


def test_without_ensurepip_the_text_names_the_package_to_install(checkout: Checkout) -> None:
    """Debian ships Python without it."""
    only_this_python(checkout, 'case $2 in *version_info*) echo "$0" ;; *) exit 1 ;; esac')
    code, out, err = checkout.run()
    assert (code, out) == (1, "")
    assert "python3 cannot make an environment" in err
    assert "apt install python3-venv git" in err


def test_without_python_the_text_says_so(checkout: Checkout) -> None:
    """One that is too old says nothing, and counts as none."""
    only_this_python(checkout, "exit 0")
    code, _, err = checkout.run()
    assert code == 1
    assert "Python 3.11 or newer was not found" in err


def test_when_nothing_can_be_reached_it_says_offline_and_tries_again(checkout: Checkout) -> None:
    """And leaves nothing that looks finished."""
    checkout.uv("[ $1 != pip ] || { echo 'dns error' >&2; exit 2; }")
    code, _, err = checkout.run()
    assert code == 1
    assert "offline" in err
    checkout.uv()
    assert checkout.run()[0] == 0


def test_another_failure_shows_what_was_said_and_where_the_rest_is(checkout: Checkout) -> None:
    """The person need not run it again to see why."""
    checkout.uv("[ $1 != pip ] || { echo 'no space left' >&2; exit 2; }")
    code, _, err = checkout.run()
    assert code == 1
    assert "no space left" in err
    assert str(checkout.root / ".setup.log") in err


@pytest.fixture
def shared() -> Iterator[Checkout]:
    """A checkout that others may read but not write, where even an unprivileged user can reach it."""
    folder = Path("/tmp") / f"hive-test-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield Checkout(folder)
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def as_a_reader(checkout: Checkout) -> None:
    """Make bin/hive run as somebody who may not write to the checkout."""
    cache = checkout.root.parent / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    checkout.log = cache / "uv.log"
    checkout.uv()
    subprocess.run(["chmod", "-R", "a+rX,a-w", checkout.root], check=True)
    if os.geteuid() == 0:
        command = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
        launcher = checkout.root.parent / "bin"
        launcher.mkdir()
        script = f'#!/bin/sh\nexec {command} "{checkout.root}/bin/hive" "$@"\n'
        (launcher / "hive").write_text(script)
        (launcher / "hive").chmod(0o755)
        checkout.root = checkout.root.parent


def test_a_read_only_checkout_is_set_up_in_the_cache(shared: Checkout) -> None:
    """Nothing is written beside the code, and the server is told where the browser modules are."""
    before = sorted(shared.root.rglob("*"))
    root = shared.root
    as_a_reader(shared)
    cache = str(root.parent / "cache")
    code, out, err = shared.run(XDG_CACHE_HOME=cache)
    assert (code, err.count("set up in")) == (0, 1)
    assert out.startswith(f"ran [] {cache}/hive/")
    assert shared.run(XDG_CACHE_HOME=cache)[2] == ""
    assert sorted(root.rglob("*")) == before
    assert list(Path(cache).glob("hive/*/bytecode/**/a checkout/hive/__init__*.pyc"))


def test_a_read_only_checkout_without_a_home_says_what_to_set(shared: Checkout) -> None:
    """There is no good place to guess."""
    as_a_reader(shared)
    code, _, err = shared.run()
    assert code == 1
    assert "XDG_CACHE_HOME" in err


# The other command.

# Stands in for every tool that bin/test runs: says what it was asked, and fails where told to.
TOOL = """\
import os, sys
name = os.path.basename(sys.argv[0]).removesuffix(".py")
told = [os.environ.get(variable, "") for variable in ("HIVE_SEEDS", "HIVE_TEST_REQUIRE")]
print("ran", name, *sys.argv[1:], *told, flush=True)
if name == os.environ.get("SLEEPS"):
    import time
    time.sleep(30)
sys.exit(4 if name == os.environ.get("FAILS") else 0)
"""
SHARED = "pytest -n auto --maxprocesses=8"
FAST = ["ruff check", "ruff format", "mypy", "flake8", f"{SHARED} -m not slow and not real"]
REST = [f"{SHARED} -q --cov", "coverage_ratchet", f"{SHARED} -m slow or real", "pytest -m slow or real"]


@pytest.fixture
def checks(checkout: Checkout) -> Checkout:
    """A checkout whose tools only say that they ran, on a machine that has every program."""
    shutil.copytree(ROOT / ".ci", checkout.root / ".ci")
    for name in ("ruff.py", "mypy.py", "flake8.py", "pytest.py", ".ci/coverage_ratchet.py"):
        (checkout.root / name).write_text(TOOL)
    for program in ("chromium", "curl", "nix-shell"):
        checkout.program(program, "#!/bin/sh\n")
    checkout.command = "bin/test"
    return checkout


def layers(ran: Ran) -> list[str]:
    """What was run, in order, without the paths."""
    return [line.removeprefix("ran ").strip() for line in ran.out.splitlines() if line.startswith("ran ")]


def assert_ran(ran: Ran, wanted: list[str]) -> None:
    """Each layer, in this order, and no other."""
    found = layers(ran)
    assert [name for name, line in zip(wanted, found, strict=True) if not line.startswith(name)] == []


def test_a_plain_run_lints_and_runs_the_fast_tests(checks: Checkout) -> None:
    """What a laptop can do before every commit, and a table of what it took."""
    ran = checks.run()
    assert ran.code == 0
    assert_ran(ran, FAST)
    assert re.search(r"mypy --strict +\d+ s +120 s +ok", ran.out)
    assert re.search(r"together +\d+ s", ran.out)


def test_arguments_go_to_pytest_and_nothing_else_runs(checks: Checkout) -> None:
    """With the exit code of pytest."""
    ran = checks.run("tests/store", "-k", "one or two", FAILS="pytest")
    assert (ran.code, layers(ran)) == (4, ["pytest tests/store -k one or two"])


@pytest.mark.parametrize(("arguments", "environment"), [(["--all"], {}), ([], {"CI": "true"})])
def test_everything_is_run_when_asked(
    checks: Checkout, arguments: list[str], environment: dict[str, str]
) -> None:
    """Few seeds under coverage, all of them elsewhere; the slow tier is last."""
    ran = checks.run(*arguments, **environment)
    assert ran.code == 0
    assert_ran(ran, FAST + REST)
    assert [line.endswith(" 3") for line in layers(ran)] == [False] * 5 + [True] * 2 + [False] * 2


def test_the_run_of_ci_requires_everything(checks: Checkout) -> None:
    """A test that cannot run there has failed."""
    checks.command = ".ci/run"
    ran = checks.run()
    assert_ran(ran, FAST + REST)
    assert all(line.endswith(" all") for line in layers(ran))


def test_a_layer_that_fails_does_not_keep_the_next_from_running(checks: Checkout) -> None:
    """One run tells everything that is wrong."""
    ran = checks.run(FAILS="mypy")
    assert ran.code == 1
    assert_ran(ran, FAST)
    assert re.search(r"mypy --strict .* failed \(4\)", ran.out)
    assert re.search(r"fast tests .* ok", ran.out)


def test_an_interrupted_run_still_shows_its_table(checks: Checkout) -> None:
    """Ctrl-C reaches everyone in the terminal's group."""
    process = checks.start(SLEEPS="mypy")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ran mypy"):
            break
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert re.search(r"ruff format +\d+ s +10 s +ok", out)


def test_there_is_a_hard_stop(checks: Checkout) -> None:
    """A run that hangs ends, and the table says where it hung."""
    script = checks.root / "bin" / "test"
    script.write_text(script.read_text().replace("HARD_STOP=3600", "HARD_STOP=2"))
    ran = checks.run(SLEEPS="mypy")
    assert ran.code == 1
    assert re.search(r"mypy --strict .* failed \(124\)", ran.out)
    assert re.search(r"fast tests .* not run", ran.out)


def without_chromium(checks: Checkout, user: int) -> None:
    """Leave nothing on PATH but what the commands themselves use."""
    (checks.programs / "chromium").unlink()
    used = "cat date dirname env grep mkdir readlink rm sh sha256sum tail timeout"
    for name in used.split():
        (checks.programs / name).symlink_to(shutil.which(name) or name)
    checks.program("id", f"#!/bin/sh\necho {user}\n")
    checks.program("apt-get", '#!/bin/sh\necho "apt-get $*" >&2\n')


def test_who_may_install_gets_the_programs_that_tests_need(checks: Checkout) -> None:
    """And is told so."""
    without_chromium(checks, user=0)
    ran = checks.run(PATH=str(checks.programs))
    assert ran.code == 0
    assert "installing chromium" in ran.err
    assert re.search(r"apt-get .*install .*chromium", ran.err)


def test_who_may_not_install_is_told_what_to_type(checks: Checkout) -> None:
    """And the rest is run."""
    without_chromium(checks, user=1000)
    ran = checks.run(PATH=str(checks.programs))
    assert ran.code == 0
    assert "apt install chromium" in ran.err
    assert "apt-get" not in ran.err
    assert_ran(ran, FAST)


NEEDY = """\
import pytest

@pytest.mark.needs("systemd-nspawn")
def test_marked():
    pass

def test_asking(need):
    need("the moon")

def test_plain():
    pass
"""


@pytest.mark.parametrize(
    ("require", "code", "closing"),
    [("", 0, "1 passed, 2 skipped"), ("all", 1, "1 failed, 1 passed, 1 error")],
)
def test_what_could_not_be_checked_is_listed_or_fails(
    tmp_path: Path, require: str, code: int, closing: str
) -> None:
    """Skipped with a reason at the end; a failure where everything is required."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "test_needy.py").write_text(NEEDY)
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        env={"PATH": str(tmp_path), "HIVE_TEST_REQUIRE": require},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout
    assert "needs systemd-nspawn: apt install systemd-container" in ran.stdout
    assert "needs the moon" in ran.stdout
    assert closing in ran.stdout
    assert ("not checked here" in ran.stdout) == (code == 0)


# For real: from nothing, over the network.

OFFLINE = re.compile("offline|name resolution|NewConnectionError")

EVERY_MODULE = """\
import importlib, pkgutil, hive
names = [module.name for module in pkgutil.walk_packages(hive.__path__, "hive.")]
for name in names:
    if not name.startswith(("hive.testing", "hive.pytest_plugin")) and not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names), "modules")
"""


@pytest.fixture
def fresh(tmp_path: Path, tracked: list[Path]) -> Path:
    """The files of this checkout, and nothing that was made from them."""
    folder = tmp_path / "fresh"
    for path in tracked:
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


@pytest.mark.slow
@pytest.mark.needs("git")
@pytest.mark.parametrize("road", ["pip", pytest.param("uv", marks=pytest.mark.needs("uv"))])
def test_a_fresh_checkout_runs_on_nothing_but_python(
    fresh: Path, tmp_path: Path, need: Callable[[str], None], road: str
) -> None:
    """The lock brings all that any module of hive imports, and the pinned browser modules are there."""
    (fresh / "hive" / "__main__.py").write_text(EVERY_MODULE)
    programs = tmp_path / "programs"
    programs.mkdir()
    found = shutil.which("uv")
    if road == "uv" and found:
        (programs / "uv").symlink_to(found)
    ran = subprocess.run(
        [fresh / "bin" / "hive"],
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if ran.returncode and OFFLINE.search(ran.stderr):
        need("the package registries")
    assert re.fullmatch(r"\d+ modules\n", ran.stdout), ran.stderr
    assert ("environment with uv" in ran.stderr) == (road == "uv")
    assert vendor.unsound(fresh / "hive" / "web" / "static" / "vendor", vendor.read_pins()) == []


@pytest.mark.slow
@pytest.mark.needs("git")
def test_the_wheel_holds_the_browser_modules(
    fresh: Path, tmp_path: Path, need: Callable[[str], None]
) -> None:
    """Who installs hive needs no Node: everything the pages load is inside, as pinned."""
    (fresh / "README.md").touch()
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(fresh)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode and OFFLINE.search(ran.stderr):
        need("the package registries")
    assert ran.returncode == 0, ran.stderr
    (wheel,) = tmp_path.glob("hive-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    assert (
        vendor.unsound(tmp_path / "installed" / "hive" / "web" / "static" / "vendor", vendor.read_pins())
        == []
    )
    assert (tmp_path / "installed" / "hive" / "py.typed").exists()
    assert not list((tmp_path / "installed").glob("tests*"))


# The real locks.

PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?(?P<version>==[^\\]*?) *\\$", re.MULTILINE)


def pins(name: str) -> list[str]:
    """The pins of a lock, with their markers and without extras."""
    return ["".join(pin) for pin in PIN.findall((ROOT / name).read_text())]


def project() -> dict[str, dict[str, dict[str, list[str]]]]:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_locks_and_the_constraints_agree() -> None:
    """Whoever uses uv's own commands gets the very versions of the locks."""
    assert pins("requirements-test.lock") == project()["tool"]["uv"]["constraint-dependencies"]
    assert set(pins("requirements.lock")) < set(pins("requirements-test.lock"))


# Locks one package, and says what it was asked.
LOCKING = """\
#!/bin/sh
echo "$*" >>asked
while [ "$1" != --output-file ]; do shift; done
printf 'iris==2 \\\\\\n    --hash=sha256:0\\n' >"$2"
"""


@pytest.mark.parametrize("options", [(), ("--upgrade",)])
def test_locking_writes_the_pins_into_the_constraints_too(checkout: Checkout, options: Sequence[str]) -> None:
    """Those of the tests, in place of the old ones; every lock is made with what was typed."""
    settings = checkout.root / "pyproject.toml"
    settings.write_text('[tool.uv]\nconstraint-dependencies = [\n    "iris==1",\n]\n')
    checkout.program("uv", LOCKING)
    checkout.command = "bin/lock"
    assert checkout.run(*options) == (0, "", "")
    assert tomllib.loads(settings.read_text())["tool"]["uv"]["constraint-dependencies"] == ["iris==2"]
    asked = (checkout.root / "asked").read_text().splitlines()
    assert [line.endswith(" --upgrade") for line in asked] == [bool(options)] * 3


def test_every_pin_has_a_hash() -> None:
    """What was measured is what is installed."""
    for name in ("requirements.lock", "requirements-test.lock", "requirements-node.lock"):
        entries = [entry for entry in re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text()) if "==" in entry]
        assert len(entries) == len(pins(name)) > 0
        assert all("--hash=sha256:" in entry for entry in entries)


def test_hypercorn_is_pinned_exactly_where_we_ask_for_it() -> None:
    """Its internals are part of hive/asgi.py, so no other version will do, wheel or checkout."""
    assert (
        "hypercorn==0.18.0" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    )


def test_everything_asked_for_is_locked() -> None:
    """A dependency added to pyproject.toml without bin/lock is missing from every set-up."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = data["project"]["dependencies"]
    tests = data["dependency-groups"]["test"]
    for lock, wanted in (("requirements.lock", runtime), ("requirements-test.lock", runtime + tests)):
        locked = {pin.partition("==")[0] for pin in pins(lock)}
        assert {re.split(r"[<>=[]", name)[0] for name in wanted} <= locked


def registry_hosts() -> set[str]:
    """The hosts packages come from, as the tools themselves know them."""
    own = "from pip._internal.models.index import PyPI as P; print(P.url, 'https://' + P.file_storage_domain)"
    asked = [
        said_by(sys.executable, "-c", own),
        said_by(sys.executable, "-m", "pip", "config", "list"),
        said_by("npm", "config", "get", "registry"),
    ]
    hosts = {urlsplit(url).hostname for url in re.findall(r"https?://[^\s'\"]+", " ".join(asked))}
    return {host for host in hosts if host}


def said_by(*command: str) -> str:
    """The output of a program, run where the tests lie."""
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.needs("npm", "git")
def test_no_tracked_file_names_the_host_of_a_registry(tracked: list[Path]) -> None:
    """Where packages come from is the machine's business."""
    hosts = registry_hosts()
    assert hosts
    found = [f"{path}: {host}" for path in tracked for host in hosts if host.encode() in path.read_bytes()]
    assert found == []
