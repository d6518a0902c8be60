#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds and runs the samples and tests/zephyr with Zephyr's Twister.
#
#   scripts/twister.sh [ARGUMENT of twister...]
#
# Runs on native_sim/native/64 unless the arguments name other platforms. Exit status: Twister's;
# 1 too if no scenario ran, 77 if Zephyr is not there (said on standard error).

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/zephyr-env.sh
. "$root/scripts/zephyr-env.sh"
if ! zephyr_env; then
    echo "twister: cannot run: $zephyr_missing" >&2
    exit 77
fi

platform=(-p native_sim/native/64)
for argument in "$@"; do
    case $argument in -p | --platform | --platform=*) platform=() ;; esac
done
out=$root/target/twister
mkdir -p "$root/target"
# west finds its commands from a folder of the workspace only.
cd "$ZEPHYR_BASE"
# Where this repository is no module of the workspace, Twister does not know its boards.
boards=()
if ! west list -f '{abspath}' 2>/dev/null | grep -qxF "$root"; then
    boards=(--board-root "$root/boards")
fi
west twister "${platform[@]}" "${boards[@]}" -T "$root/samples" -T "$root/tests/zephyr" -O "$out" --clobber-output \
    --inline-logs -j "$(nproc)" "$@"

# A scenario that is filtered out counts as nothing, and Twister is content with that.
python3 - "$out/twister.json" <<'PY'
import json, sys
suites = json.load(open(sys.argv[1]))["testsuites"]
ran = [suite for suite in suites if suite["status"] in ("passed", "not run")]
for suite in suites:
    print(f"{suite['status']:9} {suite['platform']:28} {suite['name']}")
sys.exit(not ran)
PY
