#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures what the library costs on a Cortex-M4: bytes of flash, state and stack.
#
#   scripts/size.sh [z|s]...    the opt-levels, both if none is given
#
# The jobs of tests/size are linked, which fails where a panic is left; then each image passes its
# conversations on QEMU's mps2-an386; then its bytes are told apart, by symbol and, where code is
# inlined, by debug information, and compared with tests/size/budgets.toml.
#
# Installs what it needs where it is root. Exit status: 0 done, 1 failed, 2 usage, 77 something that
# the run needs is not installed. The last line is `N passed, N failed, N skipped`.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=thumbv7em-none-eabi
out=${CARGO_TARGET_DIR:-$root/target}/size

missing() {
    echo "size: cannot run: $*" >&2
    exit 77
}

# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

# require WANTED PACKAGE...
require() { provide "$@" || missing "install ${*:2}"; }

levels=("$@")
[[ $# -gt 0 ]] || levels=(z s)
for level in "${levels[@]}"; do
    if [[ $level != [sz] ]]; then
        sed -n '/^# Measures/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
    fi
done

bin=$("$root/scripts/rust-targets.sh" "$target") || missing "no Rust for $target"
export PATH=$bin:$PATH
require qemu-system-arm qemu-system-arm
require arm-none-eabi-objdump binutils-arm-none-eabi
mapfile -t providers < <(sed -n 's/^\(accept-[a-z0-9-]*\) = .*/\1/p' "$root/tests/size/Cargo.toml")
builds=()
for level in "${levels[@]}"; do
    for provider in "${providers[@]}"; do
        jobs=(--bins)
        [[ $provider == "${providers[0]}" ]] || jobs=(--bin server)
        CARGO_PROFILE_RELEASE_OPT_LEVEL=$level cargo build --quiet --release "${jobs[@]}" \
            --no-default-features --features "$provider" --target "$target" \
            --manifest-path "$root/tests/size/Cargo.toml" --target-dir "$out/$level/$provider" || {
            echo "0 passed, 1 failed, 0 skipped"
            exit 1
        }
        builds+=("$level/$provider")
    done
done
python3 -B "$root/tests/size/measure.py" "$out" "${builds[@]}"
