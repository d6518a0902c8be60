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
part() {
    local name=$1 log=$logs/${1// /-}.log status started=$SECONDS
    shift
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    case $status in
        0)
            passed=$((passed + 1))
            printf 'ok    %s (%d s)\n' "$name" $((SECONDS - started))
            ;;
        77) skip "$name" "$(grep -m 1 'cannot run: ' "$log" | sed 's/.*cannot run: //')" ;;
        *)
            failed=$((failed + 1))
            printf 'FAIL  %s (status %d), the end of %s:\n' "$name" "$status" "$log"
            tail -n 60 "$log"
            ;;
    esac
}

# Adds what cargo test counted to the totals, in place of the part itself.
count_tests() {
    local counts
    counts=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$1" |
        awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
    printf '      %s\n' "$counts" | awk '{ print "      " $1 " tests passed, " $2 " failed" }'
    passed=$((passed + ${counts% *}))
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
        cargo clippy --features zephyr -- -D warnings
}

documented() {
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features std,log,zephyr
}

part format formatted
part clippy linted
part 'tests of the PC build' cargo test
count_tests "$logs/tests-of-the-PC-build.log"
part documentation documented
part 'Cortex-M4 size and conversations' scripts/size.sh
for role in server client; do
    part "Autobahn host $role" scripts/autobahn.sh host "$role"
done
part 'Twister native_sim' scripts/twister.sh
for role in server client; do
    part "Autobahn native_sim $role" scripts/autobahn.sh native_sim "$role"
done

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
