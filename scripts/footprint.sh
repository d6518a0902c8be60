#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Links the minimal applications of tests/footprint for a Cortex-M4, which fails where a panic is
# left, and prints how many bytes they take in all.

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
import struct, sys
for name in ("server", "client", "frames"):
    elf = open(f"{sys.argv[1]}/{name}", "rb").read()
    offset, = struct.unpack_from("<I", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x2E)
    sections = (struct.unpack_from("<10I", elf, offset + i * size) for i in range(count))
    # Sections that stand in flash: allocated, and not zeros.
    flash = sum(section[5] for section in sections if section[2] & 2 and section[1] != 8)
    print(f"{name:8}{flash:6} bytes")
PY
