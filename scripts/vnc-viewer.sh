#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests the sample vnc_display with noVNC in headless Chromium.
#
#   scripts/vnc-viewer.sh [--screenshot] [host|native_sim]
#
# TARGET        host: the PC build (examples/vnc_display.rs); native_sim: the sample itself
# --screenshot  writes the README's too
#
# $CHROMIUM names the browser; otherwise it is looked for in PATH.
#
# The last line is `N passed, N failed, N skipped`. Exit status: 0 none failed, 1 some did, 2 usage,
# 77 something that the run needs is not installed (said on standard error).

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zephyr-websocket/vnc-viewer

say() { printf 'vnc-viewer: %s\n' "$*"; }
missing() { say "cannot run: $*" >&2; exit 77; }
usage() { sed -n '/^# *scripts/,/^# [$]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

screenshot=''
if [[ ${1:-} == --screenshot ]]; then
    screenshot=$root/samples/vnc_display/screenshot.png
    shift
fi
target=${1:-host}
[[ $# -le 1 && ($target == host || $target == native_sim) ]] || usage

# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

# Installs what package.json names in $cache, once per content of it.
install() {
    local package=$root/tests/vnc_viewer/package.json
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -w 900 9 || missing "another run holds $cache/lock"
    if ! cmp -s "$package" "$cache/installed.json"; then
        say "installing noVNC and Playwright in $cache (once)"
        rm -rf "$cache/node_modules" "$cache/installed.json"
        cp "$package" "$cache/package.json"
        npm install --prefix "$cache" --no-package-lock --no-audit --no-fund --ignore-scripts \
            >"$cache/install.log" 2>&1 </dev/null || {
            tail -n 15 "$cache/install.log" >&2
            missing "noVNC and Playwright do not install, see $cache/install.log"
        }
        cp "$package" "$cache/installed.json"
    fi
    exec 9>&-
}

# --- Targets: set server=(command...) ---------------------------------------------

host() {
    (cd "$root" && cargo build --release --example vnc_display)
    server=("$root/target/release/examples/vnc_display" --port 0)
}

native_sim() {
    local build=$root/target/zephyr/vnc-viewer
    # shellcheck source=scripts/zephyr-env.sh
    . "$root/scripts/zephyr-env.sh"
    zephyr_env || missing "$zephyr_missing"
    say "building the sample for native_sim"
    mkdir -p "$(dirname "$build")"
    # west finds its commands from a folder of the workspace only.
    (cd "$ZEPHYR_BASE" && west build -p auto -b native_sim/native/64 -d "$build" \
        "$root/samples/vnc_display" -- -DCONFIG_VNC_DISPLAY_PORT=0) >"$build.log" 2>&1 || {
        tail -n 20 "$build.log"
        say "the sample does not build"
        exit 1
    }
    server=("$build/zephyr/zephyr.exe")
}

provide node nodejs && provide npm npm || missing "install Node.js and npm"
chromium=$(provide_chromium) || missing "install Chromium, or name it in CHROMIUM"
install
"$target"
exec timeout 600 node "$root/tests/vnc_viewer/test.mjs" "$cache" "$chromium" "$screenshot" "${server[@]}"
