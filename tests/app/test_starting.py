"""Starting for real: what keeps a hive from running, and a demo from its first word to its last."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def started(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end, with temporary files where the caller says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIVE_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "hive", *words],
        env=kept | {"PYTHONPATH": str(ROOT), "HIVE_MCP_PORT": "0"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_in_use_names_its_holder_and_the_setting(tmp_path: Path) -> None:
    """In one sentence, also where the daemon was to run in the background."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for how in ([], ["--detach"]):
            ran = started("up", "--dir", str(tmp_path / "h"), *how, HIVE_WEB_PORT=port)
            assert ran.returncode == 1
            assert f"(process {os.getpid()})" in ran.stderr
            assert "HIVE_WEB_PORT" in ran.stderr
            assert "Traceback" not in ran.stdout + ran.stderr


def test_a_timed_demo_prints_one_object_and_leaves_nothing(tmp_path: Path) -> None:
    """Real agents, real commands, no invariant violated."""
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "file").write_text("one\ntwo\n")
    scratch = tmp_path / "t"
    scratch.mkdir()
    ran = started(*("demo", "--on", str(tree), "--seconds", "4", "--headless", "--json"), TMPDIR=str(scratch))
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["violations"] == []
    assert summary["sent"] >= 3
    assert summary["done"] == summary["sent"]
    assert list(scratch.iterdir()) == []
