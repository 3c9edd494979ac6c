#!/usr/bin/env bash
# Makes sure that what the build and the tests need is here: installs it where that is allowed, else
# says exactly what to install and exits with 1. Does nothing, quickly, when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/env.sh

oldest_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# RocksDB's bindings are made with libclang, which also needs its own C headers.
has_libclang() {
    local dir
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for dir in /usr/lib/llvm-*/lib /usr/lib /usr/lib64 /usr/lib/*-linux-gnu /usr/local/lib \
        /usr/local/llvm*/lib /Library/Developer/CommandLineTools/usr/lib; do
        if compgen -G "$dir/libclang.so*" >/dev/null || compgen -G "$dir/libclang-*.so*" >/dev/null ||
            compgen -G "$dir/libclang.dylib" >/dev/null; then
            return 0
        fi
    done
    return 1
}
has_clang_headers() {
    [ "$(uname -s)" != Linux ] || command -v clang >/dev/null ||
        compgen -G "/usr/lib/llvm-*/lib/clang/*/include/stddef.h" >/dev/null ||
        compgen -G "/usr/lib*/clang/*/include/stddef.h" >/dev/null || [ -n "${LIBCLANG_PATH:-}" ]
}
has_cxx() { command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || [ -n "${CXX:-}" ]; }
has() { command -v "$1" >/dev/null; }

# Debian's names of what is missing; the build stops without the needed ones, not without the useful ones.
look() {
    needed=() useful=()
    has_libclang && has_clang_headers || needed+=(libclang-dev)
    has_cxx || needed+=(g++)
    has cc || has gcc || has clang || needed+=(gcc libc6-dev)
    has make || needed+=(make)
    has git || needed+=(git)
    has xz || needed+=(xz-utils)
    has ccache || useful+=(ccache)
}

# How to become root without a question, if there is a way.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_install() {
    has apt-get && { [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }; }
}
install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

look
if may_install; then
    if [ ${#needed[@]} -gt 0 ]; then
        echo "setup: installing ${needed[*]} ${useful[*]:-}"
        as_root apt-get update -q || true
        install "${needed[@]}" || true
    fi
    # Once per machine: asking again would cost every run a few seconds where there is no network.
    asked="${XDG_CACHE_HOME:-$HOME/.cache}/withy/asked-for-ccache"
    if [ ${#useful[@]} -gt 0 ] && [ ! -e "$asked" ]; then
        mkdir -p "${asked%/*}" && touch "$asked"
        { [ ${#needed[@]} -gt 0 ] || as_root apt-get update -q; } >/dev/null 2>&1 || true
        install "${useful[@]}" >/dev/null 2>&1 || echo "setup: going on without ${useful[*]}"
    fi
    look
fi
if [ ${#needed[@]} -gt 0 ]; then
    {
        echo "error: cannot build: missing ${needed[*]}"
        if has apt-get; then
            echo "hint: as root, run: apt-get update && apt-get install -y ${needed[*]}"
        else
            echo "hint: install libclang with its headers, a C and a C++ compiler, make, git and xz"
        fi
    } >&2
    exit 1
fi

if ! has cargo; then
    echo "error: cannot build: cargo is not installed" >&2
    echo "hint: install Rust $oldest_rust or newer, for example with rustup (https://rustup.rs)" >&2
    exit 1
fi
rust=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
if [ "$(printf '%s\n' "$oldest_rust" "$rust" | sort -V | head -n 1)" != "$oldest_rust" ]; then
    echo "error: cannot build: Rust is $rust, and $oldest_rust is the oldest that will do" >&2
    echo "hint: run: rustup update stable" >&2
    exit 1
fi
for component in rustfmt clippy; do
    tool=cargo-${component/rustfmt/fmt}
    if ! has "$tool" || ! "$tool" --version >/dev/null 2>&1; then
        has rustup && rustup component add "$component" >/dev/null 2>&1 ||
            echo "setup: $component is missing, so \`make test\` will stop there; rustup component add $component" >&2
    fi
done
