#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Links the minimal applications of tests/footprint for a Cortex-M4, which fails where a panic is
# left, and prints the bytes of flash that they take: for the WebSocket (HTTP and constants included),
# for the accept key (SHA-1 and Base64), and for the compiler's memcpy and its like.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=thumbv7em-none-eabi
if ! bin=$("$root/scripts/rust-targets.sh" "$target"); then
    echo "footprint: cannot run: no Rust for $target" >&2
    exit 77
fi
export PATH=$bin:$PATH
cargo build --release --manifest-path "$root/tests/footprint/Cargo.toml" --target "$target" \
    --target-dir "$root/target/footprint"
python3 - "$root/target/footprint/$target/release" <<'PY'
import re
import struct
import sys

PROVIDER = re.compile("sha1_smol|base64ct|accept_key")
MEMORY = re.compile("compiler_builtins|^(__aeabi_)?mem")


def sections(elf):
    offset, = struct.unpack_from("<I", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x2E)
    return [struct.unpack_from("<10I", elf, offset + i * size) for i in range(count)]


def functions(elf):
    """Name and size of each function; those of one address count once."""
    table = next(section for section in sections(elf) if section[1] == 2)
    names = sections(elf)[table[6]]
    found = {}
    for at in range(table[4], table[4] + table[5], 16):
        name, address, size, info = struct.unpack_from("<IIIB", elf, at)
        if info & 0xF == 2 and size:
            start = names[4] + name
            found[address] = (elf[start : elf.index(0, start)].decode(), size)
    return found.values()


print(f"{'':8}{'WebSocket':>11}{'accept key':>12}{'memcpy etc.':>13}{'all flash':>11}")
for name in ("server", "client", "frames"):
    elf = open(f"{sys.argv[1]}/{name}", "rb").read()
    # Sections that stand in flash: allocated, and not zeros.
    flash = sum(section[5] for section in sections(elf) if section[2] & 2 and section[1] != 8)
    provider = sum(size for symbol, size in functions(elf) if PROVIDER.search(symbol))
    memory = sum(size for symbol, size in functions(elf) if MEMORY.search(symbol))
    print(f"{name:8}{flash - provider - memory:11}{provider:12}{memory:13}{flash:11}")
PY
