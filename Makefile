# One RocksDB build serves everything: always --release, always the default features. What is missing
# on the machine is installed by `make setup`, or named where it may not be installed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help setup build demo test check fmt fmt-check clippy it long doc bench bench-build deny

# Compiler, target directory and path are settled in one place, after the set-up.
CARGO := source scripts/env.sh && cargo
# The tests run optimised code with withy's own debug assertions on; dependencies stay as they are.
ASSERTED := --config profile.release.package.withy.debug-assertions=true
# Options of the benches: make bench BENCH="--quick --only get"
BENCH ?=

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Install or name what is missing: libclang, a C++ compiler, git, xz
	@bash scripts/setup.sh

build: setup ## Build the command line
	@$(CARGO) build --release --locked

demo: build ## Import this repository's own history and walk through the store
	@bash scripts/demo.sh

test: setup fmt-check clippy it doc bench-build ## Everything that must pass: style, lints, tests, docs, benches compiled

check: setup fmt-check clippy deny ## The quick part of test: style and lints

fmt: setup ## Format the code
	@$(CARGO) fmt

fmt-check: setup
	@$(CARGO) fmt --check

clippy: setup
	@$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@$(CARGO) clippy --release --locked --lib --no-default-features -- -D warnings

it: setup ## Unit, integration and documentation tests
	@$(CARGO) test --release --locked $(ASSERTED)

long: setup ## The tests that kill, race and compare, at their full length: some hours
	@export WITHY_LONG=1; $(CARGO) test --release --locked $(ASSERTED) --test it

doc: setup ## Build the documentation of the library
	@export RUSTDOCFLAGS="-D warnings"; $(CARGO) doc --release --locked --no-deps --lib --features fault

bench: setup ## Measure the limits against RocksDB; options in BENCH
	@$(CARGO) bench --locked --bench limits -- $(BENCH)

bench-build: setup
	@$(CARGO) bench --locked --bench limits --no-run

deny: setup
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "skipped: cargo-deny is not installed"; exit 0; }; \
	 cargo deny check
