#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes sure that a Rust toolchain can build for bare-metal targets.
#
#   scripts/rust-targets.sh [TARGET...]
#
# Without arguments: every target that this project's Zephyr boards need.
#
# On success the only line on stdout is a folder to put first in PATH, in which cargo, rustc,
# rustdoc and clippy belong to one toolchain that has all the targets:
#
#   PATH="$(scripts/rust-targets.sh thumbv7em-none-eabihf):$PATH" && export PATH
#
# Everything else goes to stderr. Tried in turn:
#   1. the rustc that PATH finds, when it has the targets;
#   2. rustup, which downloads them;
#   3. Debian's packages rustc-web, cargo-web, rust-web-src and rust-web-clippy. Debian ships no
#      bare-metal target, so core, alloc and compiler_builtins are built from its rust-web-src and
#      installed beside the compiler. Needs root, unless this was already done.

set -euo pipefail

MSRV_MINOR=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml")
DEBIAN_PACKAGES=(rustc-web cargo-web rust-web-src rust-web-clippy)
RUSTUP_TIMEOUT_S=180

if [ $# -eq 0 ]; then
	set -- x86_64-unknown-none thumbv7em-none-eabi thumbv7em-none-eabihf
fi
targets=("$@")

say() { echo "rust-targets: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

# has_targets RUSTC: the toolchain of RUSTC is new enough, has cargo and clippy, and every target.
has_targets() {
	local minor libdir target tool sysroot
	minor=$("$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
	[ "${minor:-0}" -ge "$MSRV_MINOR" ] || return 1
	sysroot=$("$1" --print sysroot)
	for tool in cargo rustc cargo-clippy clippy-driver; do
		[ -x "$sysroot/bin/$tool" ] || return 1
	done
	for target in "${targets[@]}"; do
		libdir=$("$1" --print target-libdir --target "$target" 2>/dev/null) || return 1
		compgen -G "$libdir/libcore-*.rlib" >/dev/null || return 1
		compgen -G "$libdir/libcompiler_builtins-*.rlib" >/dev/null || return 1
	done
}

# The compiler's build and the revision of its source package: rlibs of another one do not load.
debian_stamp() {
	/usr/bin/rustc -vV
	dpkg-query -W -f '${Package} ${Version}\n' rustc-web rust-web-src
}

debian_target_is_current() {
	local root=/usr/lib/rustlib/$1
	[ -f "$root/built-by" ] && [ "$(cat "$root/built-by")" = "$stamp" ] &&
		compgen -G "$root/lib/libcore-*.rlib" >/dev/null
}

# build_debian_target TARGET: builds an empty crate with its own core, and keeps the core.
build_debian_target() {
	local target=$1 root=/usr/lib/rustlib/$1 library=/usr/lib/rustlib/src/rust/library work deps lib
	[ "$(id -u)" -eq 0 ] ||
		fail "root is needed once, to install $target into $root: run this script as root"
	say "building core, alloc and compiler_builtins for $target (about half a minute)"
	work=$(mktemp -d)
	mkdir -p "$work/src"
	printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$work/Cargo.toml"
	echo '#![no_std]' >"$work/src/lib.rs"
	# Without bitcode in the rlibs an application cannot use fat LTO.
	# The target folder is named because the caller's environment may name another one.
	(cd "$work" && env -u CARGO_ENCODED_RUSTFLAGS RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
		RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/target" \
		/usr/bin/cargo build --release --target "$target" \
		--config 'source.crates-io.replace-with="vendor"' \
		--config "source.vendor.directory=\"$library/vendor\"" \
		-Zbuild-std=core,alloc,compiler_builtins \
		-Zbuild-std-features=compiler-builtins-mem >&2) ||
		{
			rm -rf "$work"
			fail "building core for $target failed, see above"
		}
	deps=$work/target/$target/release/deps
	rm -rf "$root"
	mkdir -p "$root/lib"
	for lib in core alloc compiler_builtins; do
		cp "$deps/lib$lib-"*.rlib "$root/lib/"
	done
	echo "$stamp" >"$root/built-by"
	rm -rf "$work"
}

debian() {
	local missing=() package target bin tool
	command -v dpkg-query >/dev/null || return 1
	for package in "${DEBIAN_PACKAGES[@]}"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	if [ ${#missing[@]} -gt 0 ]; then
		[ "$(id -u)" -eq 0 ] || fail "install these packages as root: ${missing[*]}"
		say "installing ${missing[*]}"
		{ apt-get update -q && apt-get install -yq --no-install-recommends "${missing[@]}"; } >&2 ||
			return 1
	fi
	stamp=$(debian_stamp)
	for target in "${targets[@]}"; do
		debian_target_is_current "$target" || build_debian_target "$target"
	done
	has_targets /usr/bin/rustc || return 1
	# Not /usr/bin itself: first in PATH, it would shadow a virtual environment's python.
	bin=${XDG_CACHE_HOME:-$HOME/.cache}/zephyr-websocket/rust/bin
	mkdir -p "$bin"
	for tool in cargo rustc rustdoc cargo-clippy clippy-driver; do
		ln -sfn "/usr/bin/$tool" "$bin/$tool"
	done
	echo "$bin"
}

if command -v rustc >/dev/null && has_targets "$(command -v rustc)"; then
	sysroot=$(rustc --print sysroot)
	# A distribution's compiler has been stamped by this script; see whether it is still the same.
	if [ "$sysroot" != /usr ]; then
		echo "$sysroot/bin"
		exit 0
	fi
fi
if command -v rustup >/dev/null && command -v rustc >/dev/null; then
	say "asking rustup for ${targets[*]}"
	if timeout "$RUSTUP_TIMEOUT_S" rustup target add "${targets[@]}" >&2 &&
		has_targets "$(command -v rustc)"; then
		echo "$(rustc --print sysroot)/bin"
		exit 0
	fi
	say "rustup could not provide them, trying Debian's compiler"
fi
debian && exit 0
fail "no Rust toolchain (1.$MSRV_MINOR or later, with cargo and clippy) for ${targets[*]}: run" \
	"'rustup target add ${targets[*]}', or install Debian's ${DEBIAN_PACKAGES[*]} and run this as root"
