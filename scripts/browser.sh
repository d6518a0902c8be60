#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests the page of the sample dashboard in headless Chromium, by Playwright.
#
#   scripts/browser.sh [--screenshots] [host|native_sim] [ARGUMENT of pytest...]
#
# TARGET         host: the PC build (examples/dashboard.rs); native_sim: the sample itself
# --screenshots  writes those of the README too, which takes two minutes
#
# $CHROMIUM names the browser; otherwise it is looked for in PATH.
#
# The last line is `N passed, N failed, N skipped`. Exit status: 0 none failed, 1 some did, 2 usage,
# 77 something that the run needs is not installed (said on standard error).

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zephyr-websocket/browser

say() { printf 'browser: %s\n' "$*"; }
missing() { say "cannot run: $*" >&2; exit 77; }
usage() { sed -n '/^# *scripts/,/^# [$]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

screenshots=()
if [[ ${1:-} == --screenshots ]]; then
    screenshots=(--screenshots "$root/samples/dashboard")
    shift
fi
target=${1:-host}
[[ $# -eq 0 ]] || shift
[[ $target == host || $target == native_sim ]] || usage
out=$root/target/browser/$target
mkdir -p "$out"

# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"
# shellcheck source=scripts/ports.sh
. "$root/scripts/ports.sh"

# Makes the virtualenv of the tests in $cache, once per content of requirements.txt.
make_environment() {
    local requirements=$root/tests/browser/requirements.txt
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -w 900 9 || missing "another run holds $cache/lock"
    if ! cmp -s "$requirements" "$cache/env/requirements.txt"; then
        say "installing Playwright in $cache (once)"
        rm -rf "$cache/env"
        { python3 -m venv "$cache/env" && "$cache/env/bin/python" -m pip install -r "$requirements"; } \
            >"$cache/install.log" 2>&1 </dev/null || {
            tail -n 15 "$cache/install.log" >&2
            missing "Playwright does not install, see $cache/install.log"
        }
        cp "$requirements" "$cache/env/requirements.txt"
    fi
    exec 9>&-
}

# --- Targets: set port, and device, a command line -------------------------------------

host() {
    (cd "$root" && cargo build --release --example dashboard)
    port=$(free_port)
    device="'$root/target/release/examples/dashboard' --port $port"
}

# The port is compiled in, so a build keeps its own while that is free.
native_sim() {
    local build=$root/target/zephyr/browser-dashboard known=0 command=(west build)
    # shellcheck source=scripts/zephyr-env.sh
    . "$root/scripts/zephyr-env.sh"
    zephyr_env || missing "$zephyr_missing"
    [[ -f $build/browser-port ]] && known=$(<"$build/browser-port")
    port=$(free_port "$known")
    say "building the sample for native_sim"
    if [[ $port == "$known" && -f $build/build.ninja ]]; then
        command+=(-d "$build")
    else
        command+=(-p -b native_sim/native/64 -d "$build" "$root/samples/dashboard" --
            "-DCONFIG_DASHBOARD_PORT=$port")
    fi
    # west finds its commands from a folder of the workspace only.
    (cd "$ZEPHYR_BASE" && "${command[@]}") >"$out/build.log" 2>&1 || {
        tail -n 20 "$out/build.log"
        say "the sample does not build"
        exit 1
    }
    printf '%s\n' "$port" >"$build/browser-port"
    device="'$build/zephyr/zephyr.exe'"
}

command -v python3 >/dev/null || missing "python3"
chromium=$(provide_chromium) || missing "install Chromium, or name it in CHROMIUM"
make_environment
"$target"
say "$target on port $port"
"$cache/env/bin/python" -B -m pytest -p no:cacheprovider --rootdir "$root/tests/browser" \
    "$root/tests/browser" --device "$device" --port "$port" --chromium "$chromium" \
    "${screenshots[@]}" --basetemp "$out/pytest" "$@"
