#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Loads the echo server with honest and hostile peers, more than it has room for, and compares the
# memory, descriptors, buffers and sockets in use at the end with those after warming up.
#
#   scripts/soak.sh MINUTES [WHERE...]
#
# MINUTES  for each place, a fifth of it for warming up.
# WHERE    host, native_sim, or mps2: a Cortex-M4 in QEMU, with Zephyr's own TCP/IP. All if none is
#          named.
#
# The last line is `N passed, N failed, N skipped`. Exit status: 0 if nothing was lost and nothing
# leaked, 1 if something was, 2 usage, 77 if nothing could run (said on standard error). SOAK_SEED
# repeats a run, as far as the network does.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() { sed -n '/^# *scripts/,/^# *named/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

[[ ${1:-} =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage
minutes=$1
shift
places=("$@")
[[ ${#places[@]} -gt 0 ]] || places=(host native_sim mps2)
for place in "${places[@]}"; do
    [[ $place =~ ^(host|native_sim|mps2)$ ]] || usage
done

# shellcheck source=scripts/ports.sh
. "$root/scripts/ports.sh"

server='' waker=''
stop() {
    local pid
    for pid in $server $waker; do
        kill "$pid" 2>/dev/null || true
    done
    server='' waker=''
}
trap stop EXIT

# zephyr_build BOARD DIRECTORY ARGUMENT...: the echo server, listening on $port.
zephyr_build() {
    local board=$1 build=$2
    shift 2
    mkdir -p "$build"
    # west finds its commands from a folder of the workspace only.
    (cd "$ZEPHYR_BASE" && west build -p -b "$board" -d "$build" "$root/samples/echo_server" -- \
        "-DCONFIG_ECHO_SERVER_PORT=$port" "$@") >"$build.log" 2>&1 || {
        tail -n 30 "$build.log"
        return 1
    }
}

# Sets command and options.
prepare_host() {
    (cd "$root" && cargo build --release --example echo_server) || return 1
    command=("$root/target/release/examples/echo_server" --port "$port" --connections 8
        --idle-ms 3000)
    python=python3
    python3 -c 'import websockets.asyncio.client' 2>/dev/null ||
        python3 -m pip install -q 'websockets>=13' || {
        echo 'soak: cannot run: host: the Python package websockets' >&2
        return 77
    }
}

prepare_native_sim() {
    local build=$root/target/zephyr/soak-native_sim
    zephyr_build native_sim/native/64 "$build" "-DEXTRA_CONF_FILE=$root/tests/soak/soak.conf" ||
        return 1
    command=("$build/zephyr/zephyr.exe")
    options+=(--status)
}

prepare_mps2() {
    local build=$root/target/zephyr/soak-mps2
    command -v qemu-system-arm >/dev/null || {
        echo 'soak: cannot run: mps2: no qemu-system-arm' >&2
        return 77
    }
    zephyr_env_arm || {
        echo "soak: cannot run: mps2: $zephyr_missing" >&2
        return 77
    }
    zephyr_build mps2/an386/qemu "$build" \
        "-DEXTRA_CONF_FILE=$root/tests/soak/soak.conf;$root/tests/soak/mps2.conf" || return 1
    command=(qemu-system-arm -M mps2-an386 -cpu cortex-m4 -nographic
        -kernel "$build/zephyr/zephyr.elf"
        -nic "user,model=lan9118,hostfwd=udp:127.0.0.1:$port-:9,hostfwd=tcp:127.0.0.1:$port-:$port")
    # What the emulator itself uses says nothing.
    options=(--status --longest 20000)
}

run() {
    local place=$1 log=$root/target/soak-$1.log i
    local command=() options=() python=python3
    port=$(free_port)
    if [[ $place != host ]]; then
        # shellcheck source=scripts/zephyr-env.sh
        . "$root/scripts/zephyr-env.sh"
        zephyr_env || {
            echo "soak: cannot run: $place: $zephyr_missing" >&2
            return 77
        }
    fi
    mkdir -p "$root/target"
    "prepare_$place" || return
    rm -f "$log"
    "${command[@]}" >"$log" 2>&1 </dev/null &
    server=$!
    [[ $place == mps2 ]] || options+=(--pid "$server")
    if [[ $place == mps2 ]]; then
        # Zephyr's driver misses an interrupt now and then: see scripts/autobahn.sh.
        python3 -c 'import socket, sys, time
board = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    board.sendto(b"wake", ("127.0.0.1", int(sys.argv[1])))
    time.sleep(0.02)' "$port" >/dev/null 2>&1 </dev/null &
        waker=$!
    fi
    for ((i = 0; i < 300; i++)); do
        grep -qs 'listening on' "$log" && break
        sleep 0.1
    done
    "$python" "$root/tests/soak/soak.py" --port "$port" --minutes "$minutes" "${options[@]}" \
        ${SOAK_SEED:+--seed "$SOAK_SEED"} || {
        echo "--- the end of what the server printed"
        tail -n 20 "$log"
        return 1
    }
    kill -0 "$server" 2>/dev/null || {
        echo "soak: the server has ended"
        return 1
    }
}

passed=0 failed=0 skipped=0
for place in "${places[@]}"; do
    echo "--- $place"
    status=0
    run "$place" || status=$?
    stop
    case $status in
        0) passed=$((passed + 1)) ;;
        77) skipped=$((skipped + 1)) ;;
        *) failed=$((failed + 1)) ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]] || exit 1
[[ $passed -gt 0 ]] || exit 77
