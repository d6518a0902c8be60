#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every test that can run on this machine, and installs what it needs for that.
#
#   scripts/test.sh
#
# A part that cannot run is named with its reason and counted as skipped. The last line is
# `N passed, N failed, N skipped`; the exit status is 0 if none failed.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

logs=target/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0

skip() {
    skipped=$((skipped + 1))
    printf 'SKIP  %s: %s\n' "$1" "$2"
}

# part NAME COMMAND...: one part of the tests. Status 77 means that something is not installed.
# What a part counts itself, in a last line like this script's or as cargo test does, counts in its
# place.
part() {
    local name=$1 log=$logs/${1// /-}.log status started=$SECONDS counts
    shift
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    if [[ $status -eq 77 ]]; then
        skip "$name" "$(grep -m 1 'cannot run: ' "$log" | sed 's/.*cannot run: //')"
        return
    fi
    read -r -a counts < <(counted "$log")
    if [[ $status -eq 0 ]]; then
        passed=$((passed + ${counts[0]:-1}))
        printf 'ok    %s (%s passed, %d s)\n' "$name" "${counts[0]:-1}" $((SECONDS - started))
    else
        passed=$((passed + ${counts[0]:-0}))
        failed=$((failed + (${counts[1]:-0} > 0 ? counts[1] : 1)))
        printf 'FAIL  %s (status %d), the end of %s:\n' "$name" "$status" "$log"
        tail -n 60 "$log"
    fi
    if [[ ${counts[2]:-0} -gt 0 ]]; then
        skipped=$((skipped + counts[2]))
        printf 'SKIP  of %s, %d: %s\n' "$name" "${counts[2]}" \
            "$(grep 'cannot run: ' "$log" | sed 's/.*cannot run: //' | sort -u | paste -sd ';')"
    fi
}

# Passed, failed and skipped in a log; nothing if it does not count. What cargo test ignores is a
# part of the documentation that is built elsewhere.
counted() {
    sed -nE -e 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' \
        -e 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2 0/p' "$1" |
        awk '{ p += $1; f += $2; s += $3 } END { if (NR) print p, f, s }'
}

every_manifest() {
    git ls-files '*Cargo.toml'
}

formatted() {
    local manifest
    cargo fmt --check || return 1
    for manifest in $(every_manifest); do
        cargo fmt --check --manifest-path "$manifest" || return 1
    done
}

linted() {
    # Every set of features that an application can choose.
    cargo clippy --all-targets -- -D warnings &&
        cargo clippy -- -D warnings &&
        cargo clippy --features std,log -- -D warnings &&
        cargo clippy --features zephyr -- -D warnings &&
        cargo clippy --no-default-features --features accept-compact -- -D warnings &&
        cargo clippy --no-default-features --features accept-psa -- -D warnings
}

documented() {
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features std,log,zephyr
}

# shellcheck source=scripts/packages.sh
. scripts/packages.sh
# The broker of the MQTT client's tests, on the PC and under Twister. Both are skipped without it.
{ provide mosquitto mosquitto && provide mosquitto_sub mosquitto-clients; } >"$logs/broker.log" 2>&1 ||
    skip 'MQTT on the PC' 'install mosquitto and mosquitto-clients'

part format formatted
part clippy linted
part 'tests of the PC build' cargo test
part documentation documented
part fuzzing scripts/fuzz.sh 10
part 'Faults host' scripts/faults.sh 100 host
part 'Browser host' scripts/browser.sh host
part 'noVNC host' scripts/vnc-viewer.sh host
part 'Cortex-M4 size and conversations' scripts/size.sh
for role in server client; do
    part "Autobahn host $role" scripts/autobahn.sh host "$role"
done
for where in native_sim mps2 boards; do
    part "Twister $where" scripts/twister.sh "$where"
done
part 'noVNC native_sim' scripts/vnc-viewer.sh native_sim
part 'Faults native_sim' scripts/faults.sh 100 native_sim
part 'Browser native_sim' scripts/browser.sh native_sim
for role in server client; do
    part "Autobahn native_sim $role" scripts/autobahn.sh native_sim "$role"
done

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
