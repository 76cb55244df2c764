# Everything a developer runs. `make` alone lists the targets.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin
# Programs run from where cargo puts them: the whole workspace is built at once, because building one
# package alone would choose other dependency features and compile RocksDB's C++ a second time.
# What starts our programs is told that they are fresh (tests/src/rig/process.rs).
export WATCHHOUSE_PROGRAMS_BUILT := 1
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/debug
# Small programs that ours run as children: a workspace of its own, built into the same folder.
EXPORT := --manifest-path controller/export/Cargo.toml --target-dir $(TARGET)

.PHONY: help setup build demo test histories bench corpus lint fmt clean-demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## see that this machine has what the build needs, install Debian packages that are missing
	@tests/rig/setup.sh

build: setup ## build every program
	cargo build --workspace --bins
	cargo build $(EXPORT) --bins

demo: build ## record, request, release and verify footage of a small force; KEEP=1 leaves it running
	$(BIN)/demo $(if $(KEEP),--keep)

test: build ## every test; the programs are built first because the tests run them
	cargo test --workspace --no-fail-fast
	cargo test $(EXPORT) --no-fail-fast

histories: ## 10 000 random histories of a site, with power cuts and failing discs; SEED=n replays one
	WATCHHOUSE_HISTORIES=$(or $(COUNT),10000) $(if $(SEED),WATCHHOUSE_SEED=$(SEED)) \
		cargo test -p edge-agent --lib store::tests::histories

bench: build ## measure; NAME=x selects one
	$(BIN)/bench $(NAME)

corpus: build ## write the corpus of damaged bundles to target/corpus; both verifiers judge it
	rm -rf target/corpus
	$(BIN)/corpus target/corpus
	node tests/interop/corpus.mjs target/corpus

lint: setup ## formatting, clippy, dependencies, documentation
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path controller/export/Cargo.toml
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy $(EXPORT) --all-targets -- -D warnings
	PATH="$(HOME)/.cache/watchhouse/tools/bin:$$PATH" cargo deny --log-level error check bans licenses sources
	PATH="$(HOME)/.cache/watchhouse/tools/bin:$$PATH" cargo deny --log-level error \
		--manifest-path controller/export/Cargo.toml --config $(CURDIR)/deny.toml check bans licenses sources
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

fmt: ## format the Rust code
	cargo fmt --all

clean-demo: ## remove what the demo wrote
	rm -rf target/demo
