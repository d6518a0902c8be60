#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes the targets in fuzz/ with libFuzzer, and installs cargo-fuzz where it is missing.
#
#   scripts/fuzz.sh SECONDS [TARGET...]
#
# SECONDS  for each target, after the build.
# TARGET   one of fuzz/fuzz_targets; all of them if none is named.
#
# Prints for each target how often it ran and what it covered, and at last `N passed, N failed,
# N skipped`. For a finding it names the input, and says how to run it again.
#
# FUZZ_FEATURES=std fuzzes the library as a PC has it. The corpora grow in target/fuzz/corpus.
#
# Exit status: 0 if nothing was found, 1 if something was, 2 usage, 77 if a tool cannot be had (said
# on standard error).

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=0.13.2
out=${CARGO_TARGET_DIR:-$root/target}/fuzz

usage() { sed -n '/^# *scripts/,/^# *TARGET/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

missing() {
    echo "fuzz: cannot run: $*" >&2
    exit 77
}

targets=()
for file in "$root"/fuzz/fuzz_targets/*.rs; do
    targets+=("$(basename "$file" .rs)")
done
[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || usage
seconds=$1
shift
for name in "$@"; do
    [[ " ${targets[*]} " == *" $name "* ]] || usage
done
[[ $# -eq 0 ]] || targets=("$@")

command -v cargo >/dev/null || missing 'no cargo'
command -v c++ >/dev/null || missing 'no C++ compiler, which libFuzzer needs'

# The sanitizers and the counting of coverage are unstable: a nightly toolchain has them, any other
# is asked to act as one.
if command -v rustup >/dev/null && rustup run nightly rustc --version >/dev/null 2>&1; then
    export RUSTUP_TOOLCHAIN=nightly
else
    export RUSTC_BOOTSTRAP=1
fi
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
sanitizer=address
# Debian's Rust has no sanitizers: without one a crash is a panic or an assertion still.
compgen -G "$sysroot/lib/rustlib/$host/lib/librustc*rt.asan.a" >/dev/null || sanitizer=none

export PATH=$PATH:$out/tools/bin
command -v cargo-fuzz >/dev/null ||
    # With the toolchain that is the default: this is no part of what is fuzzed.
    env -u RUSTUP_TOOLCHAIN -u RUSTC_BOOTSTRAP cargo install cargo-fuzz --version "$version" \
        --locked --root "$out/tools" --target-dir "$out/tools/build" >&2 ||
    missing 'cargo-fuzz could not be installed'

cd "$root"
cargo fuzz build --fuzz-dir fuzz --target "$host" --target-dir "$out" -s "$sanitizer" \
    ${FUZZ_FEATURES:+--features "$FUZZ_FEATURES"} >&2 || {
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}
rustc --edition 2024 -o "$out/seeds" fuzz/seeds.rs
rm -rf "$out/seed-corpus"
"$out/seeds" "$out/seed-corpus"

echo "$(rustc --version), sanitizer $sanitizer, $seconds s each"
passed=0 failed=0
for name in "${targets[@]}"; do
    corpus=$out/corpus/$name
    log=$out/$name.log
    findings=$out/findings/$name
    mkdir -p "$corpus" "$findings"
    status=0
    # libFuzzer ends by itself; if a target hangs, its own timeout ends it.
    "$out/$host/release/$name" -max_total_time="$seconds" -timeout=30 -print_final_stats=1 \
        -dict=fuzz/http.dict -artifact_prefix="$findings/" "$corpus" "$out/seed-corpus/$name" \
        >"$log" 2>&1 </dev/null || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/^#[0-9]*.* cov: \([0-9]* ft: [0-9]*\) corp: .*/\1/p' "$log" | tail -n 1)
    printf '%-17s %11s runs, %5s edges, %6s features: ' "$name" "${runs:-0}" "${coverage% ft: *}" \
        "${coverage#* ft: }"
    if [[ $status -eq 0 && ${runs:-0} -gt 0 ]]; then
        passed=$((passed + 1))
        echo ok
    else
        failed=$((failed + 1))
        input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        echo "FAILED (status $status), see $log"
        sed -n -e '/panicked at/,/^stack backtrace/p' -e '/^SUMMARY/p' "$log" | head -n 20
        [[ -z $input ]] || echo "    $out/$host/release/$name $input"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[[ $failed -eq 0 ]]
