#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures what a WebSocket adds to a Zephyr image: builds tests/zephyr/image_size for a Cortex-M4
# (mps2/an386 in QEMU) as an echo server over TCP, and as one over WebSocket on the same sockets,
# lets each echo once, and prints the difference in bytes of the linker's memory report.
#
#   scripts/image-size.sh [VARIANT...]
#
# VARIANT  where SHA-1 for the accept key comes from: sha1_smol, compact, or psa, for which both
#          images have TLS too. All if none is named.
#
# The last line is `N passed, N failed, N skipped`. Exit status: 0 if every image echoes and no
# variant takes more than it may, 1 if not, 2 usage, 77 if something that the run needs is not installed
# (said on standard error). The builds are in target/image-size.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
application=$root/tests/zephyr/image_size

# Bytes of ROM that the WebSocket may add, without the sockets.
declare -A budgets=([sha1_smol]=6000 [compact]=6000 [psa]=3000)

missing() { echo "image-size: cannot run: $*" >&2; exit 77; }
usage() { sed -n '/^# *scripts/,/^# *images/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

variants=("$@")
[[ ${#variants[@]} -gt 0 ]] || variants=(sha1_smol compact psa)
for variant in "${variants[@]}"; do
    [[ -v budgets[$variant] ]] || usage
done

# shellcheck source=scripts/zephyr-env.sh
. "$root/scripts/zephyr-env.sh"
zephyr_env && zephyr_env_arm || missing "$zephyr_missing"
command -v qemu-system-arm >/dev/null || missing "qemu-system-arm"
# Zephyr's SDK or Debian's, whichever the build chose, has the same name but for its triple.
tools=$(command -v arm-none-eabi-nm arm-zephyr-eabi-nm | head -n 1) || true
[[ -n $tools ]] || missing "arm-none-eabi-nm"
tools=${tools%nm}
cd "$ZEPHYR_BASE"

# build IMAGE [ARGUMENT of CMake...]
build() {
    local image=$1 log=$root/target/image-size/$1.log
    shift
    mkdir -p "$root/target/image-size"
    # Pristine: a build that has nothing to link reports nothing.
    west build -p -b mps2/an386/qemu -d "$root/target/image-size/$image" "$application" -- "$@" \
        >"$log" 2>&1 </dev/null || {
        cat "$log" >&2
        echo "image-size: FAIL: $image does not build" >&2
        return 1
    }
}

# echoes IMAGE KIND: whether the image, started in QEMU, echoes over a plain connection or WebSocket.
echoes() {
    python3 - "$root/target/image-size/$1/zephyr/zephyr.elf" "$2" <<'PY'
import socket
import subprocess
import sys
import time

elf, kind = sys.argv[1:]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]


def exchange(talk, message, answer):
    talk.sendall(message)
    received = b""
    while len(received) < len(answer):
        more = talk.recv(4096)
        if not more:
            raise OSError("the connection ended")
        received += more
    if received != answer:
        sys.exit(f"image-size: FAIL: {received!r} instead of {answer!r}")


def converse():
    with socket.create_connection(("127.0.0.1", port), 5) as talk:
        if kind == "without":
            exchange(talk, b"Hello", b"Hello")
            return
        # The example of RFC 6455 sections 1.3 and 5.7, then the closing handshake.
        exchange(
            talk,
            b"GET / HTTP/1.1\r\nHost: board\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        exchange(talk, bytes.fromhex("818537fa213d7f9f4d5158"), b"\x81\x05Hello")
        exchange(talk, bytes.fromhex("88820000000003e8"), bytes.fromhex("880203e8"))


qemu = subprocess.Popen(
    ["qemu-system-arm", "-machine", "mps2-an386", "-cpu", "cortex-m4", "-nographic",
     "-kernel", elf, "-nic", f"user,model=lan9118,hostfwd=tcp:127.0.0.1:{port}-:9001"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    deadline = time.monotonic() + 60
    while True:
        try:
            converse()
            break
        except OSError as error:
            # QEMU accepts before the board listens.
            if time.monotonic() > deadline or qemu.poll() is not None:
                sys.exit(f"image-size: FAIL: {elf} does not echo: {error}")
            time.sleep(0.2)
finally:
    qemu.kill()
    qemu.wait()
PY
}

# memory_functions IMAGE: the bytes of ROM of memcpy and its like, which other code of an image shares.
memory_functions() {
    "${tools}nm" -S "$root/target/image-size/$1/zephyr/zephyr.elf" | python3 -c '
import re, sys
found = re.findall(r"^(\w+) (\w+) [tTwW] (?:__aeabi_)?mem(?:cpy|set|move|clr|cmp)[48]?$", sys.stdin.read(), re.M)
# Names of one address are one function.
print(sum(int(size, 16) for size in dict(found).values()))'
}

# socket_layer IMAGE: the bytes of ROM of this module's sockets: the shim's by the linker's map, the
# Rust half's by debug information, as most of it is inlined.
socket_layer() {
    python3 - "$root" "$root/target/image-size/$1/zephyr" "$tools" <<'PY'
import pathlib
import re
import subprocess
import sys

root, folder, tools = sys.argv[1:]
placed = pathlib.Path(folder, "zephyr.map").read_text().split("Linker script and memory map", 1)[1]
pieces = re.findall(r"^ \.(text|rodata)[^\s]*\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S+)$", placed, re.M)
shim = sum(int(size, 16) for _, _, size, file in pieces if file.endswith("(shim.c.obj)"))
addresses = [
    address
    for kind, start, size, file in pieces
    if kind == "text" and "librustapp.a" in file
    for address in range(int(start, 16), int(start, 16) + int(size, 16), 2)
]
lines = subprocess.run(
    [tools + "addr2line", "-e", pathlib.Path(folder, "zephyr.elf")],
    input="\n".join(map(hex, addresses)), capture_output=True, text=True, check=True,
).stdout.splitlines()
rust = 2 * sum(line.startswith(f"{root}/src/zephyr/") for line in lines)
if not shim or not rust:
    sys.exit("image-size: FAIL: the sockets are not found in the image")
print(shim + rust)
PY
}

passed=0 failed=0
declare -A built
# checked IMAGE KIND [ARGUMENT of CMake...]: builds the image unless that was done, and lets it echo.
checked() {
    local image=$1 kind=$2
    shift 2
    [[ ! -v built[$image] ]] || return "${built[$image]}"
    built[$image]=1
    build "$image" "$@" && echoes "$image" "$kind" && built[$image]=0
    return "${built[$image]}"
}
used() { zephyr_used "$root/target/image-size/$1.log" "$2"; }

rows=()
for variant in "${variants[@]}"; do
    without=without arguments=()
    if [[ $variant == psa ]]; then
        without=without-tls arguments=(-DEXTRA_CONF_FILE=tls.conf)
    fi
    if ! checked "$without" without "${arguments[@]}" ||
        ! checked "$variant" with "${arguments[@]}" -DCONFIG_IMAGE_SIZE_WEBSOCKET=y \
            "-DCONFIG_RUST_WEBSOCKET_ACCEPT_KEY_${variant^^}=y"; then
        failed=$((failed + 1))
        continue
    fi
    rom=$(($(used "$variant" FLASH) - $(used "$without" FLASH)))
    ram=$(($(used "$variant" RAM) - $(used "$without" RAM)))
    memory=$(($(memory_functions "$variant") - $(memory_functions "$without")))
    sockets=$(socket_layer "$variant")
    verdict=ok
    if ((rom > budgets[$variant])); then
        verdict='over budget'
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
    rows+=("$(printf '| %s | %d | %d | %d | %d | %d | %d | %s |' "$variant" \
        "$(used "$without" FLASH)" "$rom" "$memory" "${budgets[$variant]}" "$ram" "$sockets" "$verdict")")
done
if [[ ${#rows[@]} -gt 0 ]]; then
    echo '| Accept key | ROM of TCP echo | A WebSocket adds | Of it, `memcpy` etc. | At most | RAM | Sockets, in both | |'
    echo '|---|---|---|---|---|---|---|---|'
    printf '%s\n' "${rows[@]}"
fi
echo "$passed passed, $failed failed, 0 skipped"
[[ $failed -eq 0 ]]
