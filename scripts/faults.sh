#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Lets the samples' echo server and echo client talk through a bad network: a proxy that splits,
# merges, delays, cuts off and changes what passes.
#
#   scripts/faults.sh [RUNS] [host|native_sim]
#
# RUNS    conversations with the server, 200 if not given; the client has a tenth as many
# TARGET  host: the PC build, and with as many seeds the tests that have such; native_sim: the
#         images for Zephyr
#
# All follows from a seed, which is printed; FAULT_SEED gives it again. The last line is `N passed,
# N failed, N skipped`. Exit status: 0 none failed, 1 some did, 2 usage, 77 something that the run
# needs is not installed (said on standard error).

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'faults: %s\n' "$*"; }
missing() { say "cannot run: $*" >&2; exit 77; }
usage() { sed -n '/^# *scripts/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

runs=${1:-200}
target=${2:-host}
[[ $# -le 2 && $runs =~ ^[1-9][0-9]*$ && ($target == host || $target == native_sim) ]] || usage
seed=${FAULT_SEED:-$((RANDOM * 32768 + RANDOM))}
out=$root/target/faults/$target
mkdir -p "$out"
passed=0 failed=0

endpoint=''
stop() {
    local i
    [[ -n $endpoint ]] || return 0
    kill "$endpoint" 2>/dev/null || true
    for ((i = 0; i < 30; i++)); do
        kill -0 "$endpoint" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$endpoint" 2>/dev/null || true
    wait "$endpoint" 2>/dev/null || true
    endpoint=''
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for PATTERN FILE SECONDS: until a line matches, or the endpoint has ended.
wait_for() {
    local i
    for ((i = 0; i < $3 * 20; i++)); do
        grep -qE -- "$1" "$2" 2>/dev/null && return 0
        kill -0 "$endpoint" 2>/dev/null || break
        sleep 0.05
    done
    grep -qE -- "$1" "$2" 2>/dev/null
}

fault() {
    failed=$((failed + 1))
    say "FAIL: $*"
}

# Adds up the results in a log.
count() {
    local p f
    read -r p f < <(sed -nE -e 's/^([0-9]+) passed, ([0-9]+) failed, [0-9]+ skipped$/\1 \2/p' \
        -e 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' "$1" |
        awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
    passed=$((passed + p))
    failed=$((failed + f))
}

# --- Targets: what runs as the server, and as the client that connects to $port ----

host() {
    (cd "$root" && cargo build --release --example echo_server --example echo_client)
    server=("$root/target/release/examples/echo_server" --port 0)
    client=("$root/target/release/examples/echo_client" "ws://127.0.0.1:$port/")
    local tests=(--test proxy --test hub)
    if ! (cd "$root" && FAULT_RUNS=$runs cargo test "${tests[@]}") >"$out/tests.log" 2>&1; then
        grep -E 'to repeat|panicked' "$out/tests.log" || tail -n 20 "$out/tests.log"
        grep -q '^test result: FAILED' "$out/tests.log" || fault 'the tests do not run'
    fi
    count "$out/tests.log"
}

native_sim() {
    # shellcheck source=scripts/zephyr-env.sh
    . "$root/scripts/zephyr-env.sh"
    zephyr_env || missing "$zephyr_missing"
    build server -DCONFIG_ECHO_SERVER_PORT=0
    build client "-DCONFIG_ECHO_CLIENT_URL=\"ws://127.0.0.1:$port/\""
    server=("$root/target/zephyr/faults-server/zephyr/zephyr.exe")
    client=("$root/target/zephyr/faults-client/zephyr/zephyr.exe")
}

# build ROLE OPTION: the image of a sample. A build keeps its option.
build() {
    local build=$root/target/zephyr/faults-$1 known='' command=(west build)
    say "building the echo $1 for native_sim"
    [[ -f $build/faults-option ]] && known=$(<"$build/faults-option")
    if [[ $known == "$2" && -f $build/build.ninja ]]; then
        command+=(-d "$build")
    else
        command+=(-p -b native_sim/native/64 -d "$build" "$root/samples/echo_$1" -- "$2")
    fi
    # west finds its commands from a folder of the workspace only.
    (cd "$ZEPHYR_BASE" && "${command[@]}") >"$out/build-$1.log" 2>&1 || {
        tail -n 20 "$out/build-$1.log"
        say "the echo $1 does not build"
        exit 1
    }
    printf '%s\n' "$2" >"$build/faults-option"
}

# shellcheck source=scripts/ports.sh
. "$root/scripts/ports.sh"

# The port that the client's image connects to, if there is one and the port is free; or any.
client_port() {
    local option=$root/target/zephyr/faults-client/faults-option
    free_port "$([[ -f $option ]] && sed -nE 's/.*:([0-9]+).*/\1/p' "$option" || echo 0)"
}

# --- The runs ----------------------------------------------------------------------

run_server() {
    local port
    rm -f "$out/server.log"
    "${server[@]}" >"$out/server.log" 2>&1 </dev/null &
    endpoint=$!
    if ! wait_for 'listening on' "$out/server.log" 30; then
        fault "the server did not start"
        return
    fi
    port=$(sed -nE 's/.*listening on.*[: ]([0-9]+).*/\1/p' "$out/server.log" | head -n 1)
    say "server on port $port, $runs conversations"
    "$tool" server "$port" "$runs" "$seed" >"$out/server-runs.log" 2>&1 ||
        grep '^seed' "$out/server-runs.log" || fault "see $out/server-runs.log"
    count "$out/server-runs.log"
    kill -0 "$endpoint" 2>/dev/null || fault "the server has ended, see $out/server.log"
    stop
}

# One conversation of a client, which connects to $port.
run_client() {
    local kind=$1 number=$2 log=$out/client.log network=$out/network.log proxy ended=0
    # What the last one has said must not be taken for this one's.
    rm -f "$log" "$network"
    timeout 60 "$tool" client "$port" "$kind" "$number" >"$network" 2>&1 &
    proxy=$!
    endpoint=$proxy wait_for 'listening on' "$network" 10 || true
    "${client[@]}" >"$log" 2>&1 </dev/null &
    endpoint=$!
    wait "$proxy" || ended=$?
    if [[ $kind == slow ]]; then
        wait_for 'messages echoed' "$log" 30 || ended=1
    fi
    if grep -qiE 'panicked|FATAL ERROR|ASSERTION FAIL' "$log"; then
        ended=1
    fi
    stop
    if [[ $ended -eq 0 ]]; then
        passed=$((passed + 1))
    else
        cp "$log" "$out/client-$number.log"
        fault "$kind network, seed $number: see $out/client-$number.log"
        tail -n 3 "$network"
    fi
}

run_clients() {
    local kinds=(slow cut corrupt) count=$(((runs + 9) / 10)) run
    say "client, $count conversations"
    for ((run = 0; run < count; run++)); do
        run_client "${kinds[run % 3]}" $((seed + run))
    done
}

command -v python3 >/dev/null || missing "python3"
port=$(client_port)
(cd "$root" && cargo build --release --example faults)
tool=$root/target/release/examples/faults
say "$target, FAULT_SEED=$seed"
"$target"
run_server
run_clients
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
