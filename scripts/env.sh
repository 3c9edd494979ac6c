# Sourced by the Makefile and the scripts: where to build, and with what.
# Values that are already set stay.

if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
fi

# Outside the checkout, so that every checkout shares one build of RocksDB.
: "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/withy/target}"
export CARGO_TARGET_DIR PATH

# Changing the compiler rebuilds RocksDB, so this depends on what is installed and on nothing else.
if command -v ccache >/dev/null && command -v gcc >/dev/null && command -v g++ >/dev/null; then
    export CC="${CC:-ccache gcc}" CXX="${CXX:-ccache g++}"
fi
