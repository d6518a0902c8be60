#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds every sample for every Arm board with nothing but `west build -b BOARD`, and prints what it
# takes, and how the board is flashed, as a Markdown table.
#
#   scripts/boards.sh [BOARD...]
#
# Each cell has the bytes of flash and of RAM, by the linker's memory report. Exit status: 0, 1 if a
# sample does not build (the build's log is on standard error), 77 if something that the builds need
# is not installed (said on standard error). The builds are in target/boards.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

case ${1:-} in -*)
    sed -n '/^# *scripts/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
boards=("$@")
[[ ${#boards[@]} -gt 0 ]] || boards=(mps2/an386/qemu frdm_k64f nucleo_f429zi nucleo_f439zi)

# shellcheck source=scripts/zephyr-env.sh
. "$root/scripts/zephyr-env.sh"
if ! zephyr_env || ! zephyr_env_arm; then
    echo "boards: cannot run: $zephyr_missing" >&2
    exit 77
fi
# west finds its commands from a folder of the workspace only.
cd "$ZEPHYR_BASE"

# used REGION: bytes, with a comma for thousands.
used() {
    zephyr_used "$log" "$1" | sed ':again; s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/; t again'
}

# row CELL...: a line of the table.
row() { printf '| %s ' "$@" && echo '|'; }

codes=("${boards[@]/#/\`}")
row Sample "${codes[@]/%/\`}"
row --- "${boards[@]/*/---}"
for sample in "$root"/samples/*/sample.yaml; do
    sample=$(basename "$(dirname "$sample")")
    cells=()
    for board in "${boards[@]}"; do
        build=$root/target/boards/${board//\//_}/$sample
        log=$build.log
        mkdir -p "$(dirname "$build")"
        # Pristine: a build that has nothing to link reports nothing.
        west build -p -b "$board" -d "$build" "$root/samples/$sample" >"$log" 2>&1 </dev/null || {
            cat "$log" >&2
            echo "boards: FAIL: $sample does not build for $board" >&2
            exit 1
        }
        if ! flash=$(used FLASH) || ! ram=$(used RAM); then
            echo "boards: FAIL: no memory report in $log" >&2
            exit 1
        fi
        cells+=("$flash, $ram")
    done
    row "\`$sample\`" "${cells[@]}"
done

cells=()
for board in "${boards[@]}"; do
    runners=$root/target/boards/${board//\//_}/$sample/zephyr/runners.yaml
    runner=''
    # A board that is emulated only has none.
    [[ ! -f $runners ]] || runner=$(sed -n 's/^flash-runner: *//p' "$runners")
    cells+=("${runner:--}")
done
row '`west flash`' "${cells[@]}"
