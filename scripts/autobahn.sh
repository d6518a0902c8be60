#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs Autobahn|Testsuite against this library's echo endpoints.
#
#   scripts/autobahn.sh TARGET ROLE [CASE...]
#
# TARGET  host, native_sim, mps2 (a Cortex-M4 in QEMU), or command: any other endpoint,
#         whose command line is $AUTOBAHN_COMMAND (it finds the port in $PORT)
# ROLE    server: our endpoint is the server, client: our endpoint is the client
# CASE    patterns as the suite takes them, such as 7.*; all but compression if none
#
# Exit status: 0 all verdicts as expected, 1 not, 2 usage, 77 something that the run
# needs is not installed (said on standard error).
#
# AUTOBAHN_TIMEOUT bounds the run, in seconds, without building.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
agent_name=zephyr-websocket
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zephyr-websocket/autobahn
image=crossbario/autobahn-testsuite

say() { printf 'autobahn: %s\n' "$*"; }
fail() { say "FAIL: $*"; exit 1; }
missing() { say "cannot run: $*" >&2; exit 77; }
usage() { sed -n '/^# *scripts/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

# --- Ports and processes -------------------------------------------------------

# shellcheck source=scripts/ports.sh
. "$root/scripts/ports.sh"

port_is_free() {
    python3 - "$1" <<'PY'
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind(("127.0.0.1", int(sys.argv[1])))
except OSError:
    sys.exit(1)
PY
}

alive() { [[ -n ${1:-} ]] && kill -0 "$1" 2>/dev/null; }

stop() {
    local pid=${1:-} i
    alive "$pid" || return 0
    kill "$pid" 2>/dev/null || true
    for ((i = 0; i < 30; i++)); do
        alive "$pid" || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

agent_pid=''
suite_pid=''
wake_pid=''
container=''
cleanup() {
    stop "$wake_pid"
    stop "$agent_pid"
    stop "$suite_pid"
    if [[ -n $container ]]; then
        "$engine" rm -f "$container" >/dev/null 2>&1 || true
    fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits until process $1 accepts connections on $port and, where $2 is not empty, has
# printed it to file $3. A connect alone would also succeed with a stranger's server.
wait_ready() {
    local pid=$1 line=$2 log=$3 i
    for ((i = 0; i < 300; i++)); do
        alive "$pid" || return 1
        if { [[ -z $line ]] || grep -qF -- "$line" "$log"; } &&
            (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            return 0
        fi
        sleep 0.1
    done
    return 1
}

# --- The suite -----------------------------------------------------------------

# Prints a working Python 2.7. Shims of pyenv exist even while no version is selected.
find_python2() {
    local candidate
    for candidate in "$(command -v python2.7 || true)" \
        "$( (pyenv root || echo "${PYENV_ROOT:-$HOME/.pyenv}") 2>/dev/null)"/versions/2.7*/bin/python; do
        if [[ -x $candidate ]] &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

find_engine() {
    local candidate
    for candidate in docker podman; do
        # An installed client says nothing: the engine has to answer.
        if command -v "$candidate" >/dev/null && timeout 20 "$candidate" info >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Makes the suite's virtualenv in $cache, once per content of requirements.txt.
make_environment() {
    local python2=$1 requirements=$root/tests/autobahn/requirements.txt
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -w 900 9 || fail "another run holds $cache/lock"
    if ! cmp -s "$requirements" "$cache/env/requirements.txt"; then
        say "installing the suite in $cache (once, takes minutes)"
        rm -rf "$cache/env" "$cache/bootstrap"
        {
            if "$python2" -m virtualenv --version; then
                "$python2" -m virtualenv "$cache/env"
            else
                # The last virtualenv that runs on 2.7.
                "$python2" -m pip install --target "$cache/bootstrap" 'virtualenv==20.15.1' &&
                    PYTHONPATH=$cache/bootstrap "$python2" -m virtualenv "$cache/env"
            fi && "$cache/env/bin/python" -m pip install -r "$requirements"
        } >"$cache/install.log" 2>&1 </dev/null || {
            tail -n 15 "$cache/install.log" >&2
            missing "the suite does not install, see $cache/install.log"
        }
        rm -rf "$cache/bootstrap"
        cp "$requirements" "$cache/env/requirements.txt"
    fi
    exec 9>&-
}

# Sets suite=(command...), to which -m MODE and -s SPEC are added.
suite=()
engine=''
prepare_suite() {
    local python2
    if python2=$(find_python2); then
        make_environment "$python2"
        # wstest itself listens on every interface.
        suite=("$cache/env/bin/python" -u -W ignore -c '
import functools, sys
from autobahntestsuite import wstest
wstest.fuzzing.listenWS = functools.partial(wstest.fuzzing.listenWS, interface="127.0.0.1")
sys.argv[0] = "wstest"
wstest.run()' -u 0)
    elif engine=$(find_engine); then
        container=zephyr-websocket-autobahn-$$
        local network=(--network host)
        # As a server the suite would listen on every interface of the host network.
        [[ $role == client ]] && network=(-p "127.0.0.1:$port:$port")
        suite=("$engine" run --rm --init --name "$container" "${network[@]}"
            -e PYTHONUNBUFFERED=1 -v "$out:$out" "$image" wstest -u 0)
    else
        missing "Autobahn|Testsuite needs Python 2.7 (python2.7 in PATH, or pyenv's), or a running docker or podman"
    fi
}

# failByDrop false, as RFC 6455 section 7.1.7 wants it: where the suite fails the
# connection, it sends a Close frame and waits for the answer. It is the suite's own
# choice too, written down so that it stays; with true no verdict of 2.* to 5.*,
# 6.4.* and 7.* moved.
write_spec() {
    python3 - "$out" "$role" "$port" "$agent_name" "${cases[@]}" >"$out/spec.json" <<'PY'
import json, sys
out, role, port, agent, *cases = sys.argv[1:]
spec = {
    "outdir": out,
    "options": {"failByDrop": False},
    "cases": cases or ["*"],
    # Compression is a protocol extension, which is not offered.
    "exclude-cases": [] if cases else ["12.*", "13.*"],
    "exclude-agent-cases": {},
}
url = f"ws://127.0.0.1:{port}"
if role == "server":
    spec["servers"] = [{"agent": agent, "url": url}]
else:
    # The suite takes only the port from it, which is what a container needs.
    spec["url"] = url
json.dump(spec, sys.stdout, indent=1)
PY
}

# --- Targets: TARGET_ROLE sets agent=(command...) and what it prints when ready. ---

agent=()
# Not empty if the endpoint has to be woken, see wake().
wakes=''
ready_line=''
# What a client prints when done, where its process cannot end.
done_line=''
limit=300

host_server() {
    (cd "$root" && cargo build --release --example echo_server)
    agent=("$root/target/release/examples/echo_server" --port "$port")
    ready_line='listening on'
}

host_client() {
    (cd "$root" && cargo build --release --example autobahn_client)
    agent=("$root/target/release/examples/autobahn_client" "ws://127.0.0.1:$port")
}

# Builds application $3 for board $2 in $build, target/zephyr/$1, with the CMake arguments
# that follow, in which @port@ stands for the port. The port is compiled in, so a build
# keeps its port while that is free.
zephyr_build() {
    local board=$2 application=$root/$3 known=''
    build=$root/target/zephyr/$1
    shift 3
    [[ -f $build/autobahn-port ]] && known=$(<"$build/autobahn-port")
    # west finds its commands from a folder of the workspace only.
    cd "$ZEPHYR_BASE"
    if [[ -n $known && -f $build/build.ninja ]] && port_is_free "$known"; then
        port=$known
        west build -d "$build"
    else
        rm -f "$build/autobahn-port"
        west build -p -b "$board" -d "$build" "$application" -- "${@//@port@/$port}"
        printf '%s\n' "$port" >"$build/autobahn-port"
    fi
    cd "$root"
}

find_zephyr() {
    # shellcheck source=scripts/zephyr-env.sh
    . "$root/scripts/zephyr-env.sh"
    zephyr_env || missing "$zephyr_missing"
}

native_sim_build() {
    find_zephyr
    zephyr_build "$1" native_sim/native/64 "$2" "-D$3"
    agent=("$build/zephyr/zephyr.exe")
    limit=900
}

native_sim_server() {
    native_sim_build autobahn-server samples/echo_server 'CONFIG_ECHO_SERVER_PORT=@port@'
    ready_line='listening on'
}

native_sim_client() {
    native_sim_build autobahn-client tests/autobahn/client \
        'CONFIG_AUTOBAHN_URL="ws://127.0.0.1:@port@"'
    done_line='cases run'
}

# In QEMU's user network, where this PC is 10.0.2.2.
mps2_build() {
    local nic
    command -v qemu-system-arm >/dev/null || missing "qemu-system-arm"
    find_zephyr
    zephyr_env_arm || missing "$zephyr_missing"
    zephyr_build "$1" mps2/an386/qemu "$2" "-DEXTRA_CONF_FILE=$root/tests/autobahn/mps2.conf" "-D$3"
    # To the board's port "discard", see wake().
    wakes=1
    nic=user,model=lan9118,hostfwd=udp:127.0.0.1:$port-:9
    [[ $role == server ]] && nic+=,hostfwd=tcp:127.0.0.1:$port-:$port
    agent=(qemu-system-arm -M mps2-an386 -cpu cortex-m4 -nographic
        -kernel "$build/zephyr/zephyr.elf" -nic "$nic")
    limit=1800
}

mps2_server() {
    mps2_build autobahn-mps2-server samples/echo_server 'CONFIG_ECHO_SERVER_PORT=@port@'
    ready_line='listening on'
}

mps2_client() {
    mps2_build autobahn-mps2-client tests/autobahn/client \
        'CONFIG_AUTOBAHN_URL="ws://10.0.2.2:@port@"'
    done_line='cases run'
}

command_server() {
    [[ -n ${AUTOBAHN_COMMAND:-} ]] || usage
    agent=(env "PORT=$port" bash -c "exec $AUTOBAHN_COMMAND")
}

command_client() { command_server; }

# --- The run -------------------------------------------------------------------

start_agent() {
    "${agent[@]}" >"$out/agent.log" 2>&1 </dev/null 8>&- &
    agent_pid=$!
    [[ -z $wakes ]] || wake
}

# Zephyr's eth_smsc911x clears the interrupt of a frame that arrives just after it has found no more,
# and reads that frame when another one arrives: on a quiet network seconds later, when a peer
# repeats itself. With a datagram every 20 ms the network is never quiet.
wake() {
    python3 -c 'import socket, sys, time
board = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        board.sendto(b"wake", ("127.0.0.1", int(sys.argv[1])))
    except OSError:
        pass
    time.sleep(0.02)' "$port" >/dev/null 2>&1 </dev/null 8>&- &
    wake_pid=$!
}

start_suite() {
    (cd "$out" && exec "${suite[@]}" -m "fuzzing$1" -s "$out/spec.json") >"$out/suite.log" 2>&1 </dev/null 8>&- &
    suite_pid=$!
}

give_up() {
    say "last lines of the endpoint:"
    tail -n 5 "$out/agent.log" 2>/dev/null | cut -c 1-200 || true
    say "last lines of the suite:"
    tail -n 5 "$out/suite.log" 2>/dev/null | cut -c 1-200 || true
    fail "$* (logs in $out)"
}

run_server() {
    start_agent
    wait_ready "$agent_pid" "$ready_line" "$out/agent.log" || give_up "the server did not start"
    start_suite client
    while alive "$suite_pid"; do
        # The suite would wait forever, with no case to run or for a server that is gone.
        ! grep -qsx 'Cases = \[\]' "$out/suite.log" || give_up "no case matches"
        alive "$agent_pid" || give_up "the server ended during the run"
        ((SECONDS < deadline)) || give_up "not done within $limit s"
        sleep 0.2
    done
    wait "$suite_pid" || give_up "the suite failed"
    alive "$agent_pid" || give_up "the server ended during the run"
}

run_client() {
    start_suite server
    wait_ready "$suite_pid" '' "$out/suite.log" || give_up "the suite did not start"
    start_agent
    while alive "$agent_pid"; do
        [[ -n $done_line ]] && grep -qF -- "$done_line" "$out/agent.log" && return 0
        alive "$suite_pid" || give_up "the suite ended during the run"
        ((SECONDS < deadline)) || give_up "not done within $limit s"
        sleep 0.2
    done
    wait "$agent_pid" || give_up "the client ended with status $?"
}

[[ $# -ge 2 ]] || usage
target=$1
role=$2
shift 2
cases=("$@")
[[ $role == server || $role == client ]] || usage
declare -F "${target}_$role" >/dev/null || usage
command -v python3 >/dev/null || missing "python3"

out=$root/target/autobahn/$target-$role
mkdir -p "$root/target/autobahn"
# Two runs of one kind would overwrite each other's report.
exec 8>"$out.lock"
flock -n 8 || fail "another run of $target $role is under way"
rm -rf "$out"
mkdir -p "$out"

port=$(free_port)
"${target}_$role"
prepare_suite
write_spec

limit=${AUTOBAHN_TIMEOUT:-$limit}
started=$SECONDS
deadline=$((SECONDS + limit))
say "$target $role on port $port"
"run_$role"
say "ran $((SECONDS - started)) s, report in ${out#"$root"/}/index.html"

scope=()
[[ ${#cases[@]} -eq 0 ]] && scope=(--all)
python3 "$root/tests/autobahn/verdicts.py" "$out" "$out/suite.log" "${scope[@]}"
