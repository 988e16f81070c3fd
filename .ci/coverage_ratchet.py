"""Compare what the tests ran with what they ran before: coverage may rise, never fall.

Reads the data of the last run under coverage and the floors in coverage.toml beside this file.
"""

import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

FLOORS = Path(__file__).with_name("coverage.toml")
COUNTS = ("num_statements", "num_branches", "covered_lines", "covered_branches")
SLACK = 2.0  # percentage points above its floor at which a floor should be raised


def percent(summary: Mapping[str, int]) -> float:
    """Return the share of lines and branches together; nothing to run is all run."""
    total = summary["num_statements"] + summary["num_branches"]
    return 100.0 * (summary["covered_lines"] + summary["covered_branches"]) / total if total else 100.0


def by_floor(files: Mapping[str, Mapping[str, int]], floors: Mapping[str, float]) -> dict[str, Counter[str]]:
    """Add the files up under the longest floor that begins their path."""
    sums: dict[str, Counter[str]] = {floor: Counter() for floor in floors}
    for path, summary in files.items():
        if matching := [floor for floor in floors if path.startswith(floor)]:
            sums[max(matching, key=len)].update({key: summary[key] for key in COUNTS})
    return sums


def measured() -> dict[str, dict[str, int]]:
    """Ask coverage for its last run."""
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {path: entry["summary"] for path, entry in report["files"].items()}


def main() -> int:
    """Print one line a floor; the exit code says whether all hold."""
    floors: dict[str, float] = tomllib.loads(FLOORS.read_text(encoding="utf-8"))["floor"]
    files = measured()
    fallen = False
    for floor, summary in by_floor(files, floors).items():
        found, wanted = percent(summary), floors[floor]
        remark = "FALLEN" if found < wanted else "raise the floor" if found > wanted + SLACK else ""
        fallen |= found < wanted
        print(f"{floor:24} {found:6.2f} %, floor {wanted:6.2f} %  {remark}".rstrip())
        if found < wanted:
            for path in sorted(files):
                if path.startswith(floor) and percent(files[path]) < wanted:
                    print(f"    {path} {percent(files[path]):.1f} %")
    return int(fallen)


if __name__ == "__main__":
    sys.exit(main())
