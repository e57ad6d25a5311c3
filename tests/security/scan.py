"""Holds checkov's findings against our gate: everything passes, at most 15 skips, each explained.

Usage: scan.py CHECKOV FOLDER...
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

MOST_SKIPS = 15


def reports(checkov: str, folders: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what checkov says of each folder's templates."""
    for folder in folders:
        words = ["-d", folder, "--framework", "cloudformation", "--output", "json"]
        done = subprocess.run(
            [checkov, *words, "--skip-download"],
            capture_output=True,
            text=True,
            check=False,
        )
        said = json.loads(done.stdout)
        if "results" not in said:
            sys.exit(
                f"{folder}: checkov found no template: {done.stdout[:200]} {done.stderr[:200]}"
            )
        yield said


def main(checkov: str, folders: list[str]) -> int:
    """Print the figures; return 1 if the gate does not hold."""
    passed, failed, skipped = 0, [], []
    for said in reports(checkov, folders):
        passed += said["summary"]["passed"]
        failed += said["results"].get("failed_checks", [])
        skipped += said["results"]["skipped_checks"]
    for one in failed:
        print(f"failed   {one['check_id']} {one['file_path']} {one['resource']}")
    for one in skipped:
        reason = one["check_result"].get("suppress_comment", "")
        print(f"skipped  {one['check_id']} {one['file_path']} {one['resource']}: {reason}")
    mute = [one for one in skipped if not one["check_result"].get("suppress_comment")]
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped (at most {MOST_SKIPS})")
    return int(bool(failed or mute or len(skipped) > MOST_SKIPS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
