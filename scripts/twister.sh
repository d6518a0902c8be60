#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds and runs the samples and tests/zephyr with Zephyr's Twister.
#
#   scripts/twister.sh [PART...] [-- ARGUMENT of twister...]
#
# PART    native_sim: on the PC; mps2: a Cortex-M4 in QEMU, with Zephyr's own TCP/IP;
#         boards: built only, for the real boards. All three if none is named.
#
# Prints a line for each scenario, and at last `N passed, N failed, N skipped`: the tests of a
# scenario that runs, 1 for one that is built only, and 1 skipped for a part that cannot run here.
# A scenario that names a part's board and did not run there has failed.
#
# Exit status: 0 if nothing failed, 1 if something did, 2 usage, 77 if nothing could run (said on
# standard error). Reports and logs are in target/twister/PART.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() { sed -n '/^# *scripts/,/^# *boards:/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

declare -A platforms=(
    [native_sim]='native_sim/native/64'
    [mps2]='mps2/an386/qemu'
    [boards]='frdm_k64f nucleo_f429zi nucleo_f439zi'
)

parts=()
while [[ $# -gt 0 && $1 != -- ]]; do
    [[ -v platforms[$1] ]] || usage
    parts+=("$1")
    shift
done
[[ $# -eq 0 ]] || shift
[[ ${#parts[@]} -gt 0 ]] || parts=(native_sim mps2 boards)

# shellcheck source=scripts/zephyr-env.sh
. "$root/scripts/zephyr-env.sh"
if ! zephyr_env; then
    echo "twister: cannot run: $zephyr_missing" >&2
    exit 77
fi

# west finds its commands from a folder of the workspace only.
cd "$ZEPHYR_BASE"
# Where this repository is no module of the workspace, Twister does not know its boards.
board_root=()
if ! west list -f '{abspath}' 2>/dev/null | grep -qxF "$root"; then
    board_root=(--board-root "$root/boards")
fi

# run_part PART [ARGUMENT...]: runs Twister, and counts what its report says. Status 77: cannot run.
run_part() (
    part=$1
    shift
    out=$root/target/twister/$part
    arguments=()
    for platform in ${platforms[$part]}; do
        arguments+=(-p "$platform")
    done
    if [[ $part != native_sim ]]; then
        zephyr_env_arm || {
            echo "twister: cannot run: $part: $zephyr_missing" >&2
            exit 77
        }
        # Debian's linker warns that an object of picolibc has no .note.GNU-stack.
        [[ ${ZEPHYR_TOOLCHAIN_VARIANT:-} != gnuarmemb ]] || arguments+=(--disable-warnings-as-errors)
    fi
    if [[ $part == mps2 ]] && ! command -v qemu-system-arm >/dev/null; then
        echo "twister: cannot run: $part: no qemu-system-arm" >&2
        exit 77
    fi
    mkdir -p "$root/target/twister"
    rm -f "$out/twister.json"
    # One more at a time than there are processors: most tests wait for something.
    # What failed is in the report; without one Twister itself did.
    west twister "${arguments[@]}" "${board_root[@]}" -T "$root/samples" -T "$root/tests/zephyr" \
        -O "$out" --clobber-output --inline-logs -j $(($(nproc) + 1)) "$@" >&2 || [[ -f $out/twister.json ]]
    python3 - "$root" "$out/twister.json" "$#" ${platforms[$part]} <<'PY'
import collections
import json
import pathlib
import sys

import yaml

root, report, narrowed, *platforms = sys.argv[1:]
wanted = set()
for folder in ("samples", "tests/zephyr"):
    for name in ("sample.yaml", "testcase.yaml"):
        for path in pathlib.Path(root, folder).rglob(name):
            for scenario, options in yaml.safe_load(path.read_text())["tests"].items():
                allowed = options.get("platform_allow", [])
                wanted |= {(scenario, board) for board in platforms if board in allowed}

counts = collections.Counter()
ran = set()
for suite in json.load(open(report))["testsuites"]:
    scenario, status = suite["name"].rpartition("/")[2], suite["status"]
    if status == "filtered":
        continue
    # Twister adds the qualifiers that a board's name leaves out.
    board = next(b for b in platforms if suite["platform"] == b or suite["platform"].startswith(b + "/"))
    ran.add((scenario, board))
    cases = collections.Counter(case["status"] for case in suite["testcases"])
    # Twister calls it "not run" if it was to be built only, and was.
    passed = 1 if status == "not run" else cases["passed"]
    skipped = cases["skipped"]
    is_good = status in ("passed", "not run") or 0 < skipped == cases.total()
    failed = 0 if is_good else max(1, cases.total() - passed - skipped)
    if status == "passed" and not passed:
        status, failed = "no test", 1
    counts += collections.Counter(passed=passed, failed=failed, skipped=skipped)
    print(f"{'built' if status == 'not run' else status:8} {board:22} {scenario}")
    # scripts/test.sh tells those that begin with "cannot run".
    for reason in sorted({case.get("reason") or "" for case in suite["testcases"]} - {""}):
        print(f"{'':8} {reason}")
# A scenario that Twister filters out counts as nothing, and Twister is content with that.
for scenario, board in sorted(set() if int(narrowed) and ran else wanted - ran):
    counts["failed"] += 1
    print(f"{'no run':8} {board:22} {scenario}")
if not counts.total():
    counts["failed"] = 1
    print("no scenario is for this part")
print("{} passed, {} failed, {} skipped".format(*(counts[k] for k in ("passed", "failed", "skipped"))))
sys.exit(counts["failed"] > 0)
PY
)

passed=0 failed=0 skipped=0 ran=0
for part in "${parts[@]}"; do
    echo "--- $part"
    status=0
    result=$(run_part "$part" "$@") || status=$?
    if [[ $status -eq 77 ]]; then
        skipped=$((skipped + 1))
        continue
    fi
    ran=1
    printf '%s\n' "$result"
    if [[ $result =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + BASH_REMATCH[3]))
    else
        failed=$((failed + 1))
        echo "FAILED: Twister left no report of $part"
    fi
done
[[ ${#parts[@]} -eq 1 && $ran -eq 1 ]] || echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]] || exit 1
[[ $ran -eq 1 ]] || exit 77
