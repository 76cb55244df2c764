# Everything a developer runs. `make` alone lists the targets.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin
# Programs run from where cargo puts them: the whole workspace is built at once, because building one
# package alone would choose other dependency features and compile RocksDB's C++ a second time.
# What starts our programs is told that they are fresh (tests/src/rig/process.rs).
export WATCHHOUSE_PROGRAMS_BUILT := 1
BIN := $(or $(CARGO_TARGET_DIR),target)/debug

.PHONY: help setup build demo test bench lint fmt clean-demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## see that this machine has what the build needs, install Debian packages that are missing
	@tests/rig/setup.sh

build: setup ## build every program
	cargo build --workspace --bins

demo: build ## record, request, release and verify footage of a small force; KEEP=1 leaves it running
	$(BIN)/demo $(if $(KEEP),--keep)

test: build ## every test; the programs are built first because the tests run them
	cargo test --workspace --no-fail-fast

bench: build ## measure; NAME=x selects one
	$(BIN)/bench $(NAME)

lint: setup ## formatting, clippy, dependencies, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	PATH="$(HOME)/.cache/watchhouse/tools/bin:$$PATH" cargo deny --log-level error check bans licenses sources
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

fmt: ## format the Rust code
	cargo fmt --all

clean-demo: ## remove what the demo wrote
	rm -rf target/demo
