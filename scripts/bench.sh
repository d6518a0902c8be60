#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares this library with others; all are built in this run, in one way.
#
#   scripts/bench.sh              instructions for a message, x86-64 and Cortex-M4 (about a minute)
#   scripts/bench.sh --loopback   echo servers over TCP on this machine (about three minutes)
#
# Installs what it needs where it is root. BENCH_SERVER is the command of our echo server, which
# prints its port; CARGO_TARGET_DIR is where everything is built (target/bench if not set).
#
# Exit status: 0 done, 1 failed, 2 usage, 77 something that the run needs is not installed.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
benches=$root/benches
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/bench}
release=$CARGO_TARGET_DIR/release

missing() {
    echo "bench: cannot run: $*" >&2
    exit 77
}

# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

# require WANTED PACKAGE...
require() { provide "$@" || missing "install ${*:2}"; }

# build PROFILE OPTION...
build() {
    cargo build --quiet --locked --manifest-path "$benches/Cargo.toml" --profile "$@"
}

# --- Instructions --------------------------------------------------------------

# The functions of benches/instructions/src/link.rs stand for the socket and are left out. A
# string instruction would be one instruction for each byte to callgrind: the C library copies
# without them.
x86_64() {
    local out=$CARGO_TARGET_DIR/callgrind.out
    GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=2147483647:glibc.cpu.x86_rep_stosb_threshold=2147483647 \
        valgrind --quiet --tool=callgrind --callgrind-out-file="$out" --zero-before=measured \
        --dump-after=measured --toggle-collect=read_with --toggle-collect=put \
        --collect-atstart=yes "$release/instructions" "$out"
    rm -f "$out"
}

# The output of semihosting is on standard error.
cortex_m4() {
    qemu-system-arm -M mps2-an386 -icount shift=8 -nographic -monitor none -serial none \
        -semihosting-config enable=on,target=native \
        -kernel "$CARGO_TARGET_DIR/thumbv7em-none-eabi/$1/instructions" 2>&1
}

instructions() {
    local bin rows=$CARGO_TARGET_DIR/instructions
    require valgrind valgrind
    require qemu-system-arm qemu-system-arm
    require /usr/include/wslay/wslay.h libwslay-dev
    bin=$("$root/scripts/rust-targets.sh" thumbv7em-none-eabi) || missing "Rust for a Cortex-M4"
    PATH=$bin:$PATH
    build release --bin instructions
    build release --bin instructions --target thumbv7em-none-eabi
    build small --bin instructions --target thumbv7em-none-eabi
    x86_64 >"$rows.x86-64" || { cat "$rows.x86-64" >&2 && exit 1; }
    cortex_m4 release >"$rows.m4-3" || { cat "$rows.m4-3" >&2 && exit 1; }
    cortex_m4 small >"$rows.m4-z" || { cat "$rows.m4-z" >&2 && exit 1; }
    python3 "$benches/instructions/table.py" "$rows"
}

# --- Loopback ------------------------------------------------------------------

loopback() {
    local cores server
    require node nodejs
    require npm npm
    require taskset util-linux
    mapfile -t cores < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0))[:2], sep="\n")')
    [[ ${#cores[@]} -eq 2 ]] || missing "two processors"
    build release --bin load --bin tungstenite_server --bin fastwebsockets_server
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" --example poll_server
    npm install --silent --no-fund --no-audit --prefix "$CARGO_TARGET_DIR/npm" ws@8.23.0 >&2
    server=${BENCH_SERVER:-"'$release/examples/poll_server' --port 0"}
    NODE_PATH=$CARGO_TARGET_DIR/npm/node_modules CORE=${cores[0]} \
        taskset -c "${cores[1]}" "$release/load" "ours=$server" \
        "tungstenite=$release/tungstenite_server" \
        "fastwebsockets=$release/fastwebsockets_server" \
        "ws=node $benches/loopback/ws_server.cjs"
}

case ${1:-} in
    '') instructions ;;
    --loopback) loopback ;;
    --help | -h) sed -n '/^# Compares/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    *)
        echo "bench: $1 is not an option; see --help" >&2
        exit 2
        ;;
esac
