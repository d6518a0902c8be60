# SPDX-License-Identifier: Apache-2.0
#
# Sourced by scripts that build for Zephyr: zephyr_env finds Zephyr and its tools, and exports what a
# build needs; zephyr_env_arm, after it, does so for the Arm boards. Each returns 1, with the reason
# in zephyr_missing, where something is not there.

zephyr_missing=''

# ZEPHYR_BASE, or what `west zephyr-export` left in CMake's package registry.
find_zephyr_base() {
    local entry
    if [ -n "${ZEPHYR_BASE:-}" ]; then
        printf '%s\n' "$ZEPHYR_BASE"
        return 0
    fi
    for entry in "$HOME"/.cmake/packages/Zephyr/*; do
        if [ -f "$entry" ]; then
            entry=$(cat "$entry")
            # The entry names the folder of ZephyrConfig.cmake, share/zephyr-package/cmake.
            (cd "$entry/../../.." 2>/dev/null && pwd) && return 0
        fi
    done
    return 1
}

zephyr_env() {
    local west_python here
    here=$(dirname "${BASH_SOURCE[0]}")
    if ! ZEPHYR_BASE=$(find_zephyr_base) || [ ! -f "$ZEPHYR_BASE/Kconfig.zephyr" ]; then
        zephyr_missing='no Zephyr in ZEPHYR_BASE or exported by `west zephyr-export`'
        return 1
    fi
    if ! command -v west >/dev/null; then
        zephyr_missing='Zephyr is here, but no west: pip install west'
        return 1
    fi
    # Twister runs pytest and CMake runs Python by name: those that west was installed with.
    west_python=$(sed -n '1s/^#!//p' "$(readlink -f "$(command -v west)")")
    if [ -x "$west_python" ]; then
        PATH=$(dirname "$west_python"):$PATH
    fi
    if ! python3 -c 'import pykwalify, elftools, pytest, psutil, yaml' 2>/dev/null; then
        zephyr_missing="Python packages of Zephyr's scripts/requirements.txt"
        return 1
    fi
    python3 -c 'import websockets' 2>/dev/null || python3 -m pip install -q websockets || {
        zephyr_missing='the Python package websockets'
        return 1
    }
    if ! PATH=$("$here/rust-targets.sh"):$PATH; then
        zephyr_missing='the Rust targets of scripts/rust-targets.sh'
        return 1
    fi
    # bindgen looks for libclang under this name.
    if [ -z "${LIBCLANG_PATH:-}" ]; then
        LIBCLANG_PATH=$(dirname "$(ls /usr/lib/llvm-*/lib/libclang*.so* 2>/dev/null | tail -n 1)")
    fi
    if [ -z "${ZEPHYR_TOOLCHAIN_VARIANT:-}" ] && [ -z "${ZEPHYR_SDK_INSTALL_DIR:-}" ] &&
        [ ! -d "$HOME/.cmake/packages/Zephyr-sdk" ]; then
        # Without Zephyr's SDK: the PC's compiler, and Debian's for Arm where a board needs it.
        ZEPHYR_TOOLCHAIN_VARIANT=host
        GNUARMEMB_TOOLCHAIN_PATH=${GNUARMEMB_TOOLCHAIN_PATH:-/usr}
        export ZEPHYR_TOOLCHAIN_VARIANT GNUARMEMB_TOOLCHAIN_PATH
    fi
    export ZEPHYR_BASE PATH LIBCLANG_PATH
    zephyr_env_caches "$here"
}

# Every image compiles the same crates for its bindings, and most of the same C: caches for both,
# where they can be had, take half of the time.
zephyr_env_caches() {
    # shellcheck source=scripts/packages.sh
    . "$1/packages.sh"
    # Zephyr uses it by itself. The same build in another folder is the same.
    if provide ccache ccache 2>/dev/null; then
        CCACHE_BASEDIR=${CCACHE_BASEDIR:-$(cd "$1/.." && pwd)}
        export CCACHE_BASEDIR CCACHE_NOHASHDIR=1
    fi
    if [ -z "${RUSTC_WRAPPER:-}" ] && provide sccache sccache 2>/dev/null; then
        # Its server would hold the pipes of the build that starts it. Unused it ends by itself.
        SCCACHE_IDLE_TIMEOUT=${SCCACHE_IDLE_TIMEOUT:-1200} sccache --start-server \
            >/dev/null 2>&1 </dev/null || true
        export RUSTC_WRAPPER=sccache
    fi
}

# zephyr_env chooses the PC's compiler where Zephyr's SDK is not installed.
zephyr_env_arm() {
    [ "${ZEPHYR_TOOLCHAIN_VARIANT:-}" = host ] || return 0
    if ! command -v "${GNUARMEMB_TOOLCHAIN_PATH:=/usr}/bin/arm-none-eabi-gcc" >/dev/null; then
        zephyr_missing="Zephyr's SDK, or arm-none-eabi-gcc"
        return 1
    fi
    ZEPHYR_TOOLCHAIN_VARIANT=gnuarmemb
    export ZEPHYR_TOOLCHAIN_VARIANT GNUARMEMB_TOOLCHAIN_PATH
}

# zephyr_used LOG REGION: the bytes that an image takes of a region of memory, by the linker's report
# in the log of its build.
zephyr_used() {
    awk -v region="$2:" '
        BEGIN { unit["B"] = 1; unit["KB"] = 1024; unit["MB"] = 1048576; unit["GB"] = 1073741824 }
        $1 == region && $3 in unit { used = $2 * unit[$3] }
        END { if (used == "") exit 1; print used }' "$1"
}
