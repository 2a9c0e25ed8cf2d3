# Every target installs what it needs first (it says what and asks; YES=1 answers yes) and may be given
# CARGO_TARGET_DIR. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(CURDIR)/target
prefix := /usr
holdfast := $(CARGO_TARGET_DIR)/release/holdfast

.PHONY: help run build test check bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: build ## Build, then start the suite in evaluation mode (ARGS="--listen 127.0.0.1:9000 …")
	@exec $(holdfast) up $(ARGS)

build: ## Build every daemon, worker and the holdfast command
	@scripts/setup-dependencies run
	@cargo build --release --locked

test: ## Build, then run every test, with the real daemons end to end
	@scripts/setup-dependencies test
	@cargo build --release --locked
	@scripts/test

check: ## Formatting, lints, documentation, licences, shell scripts
	@scripts/setup-dependencies check
	@scripts/check

bench: ## Measure the figures of the design page
	@scripts/setup-dependencies test
	@cargo bench --locked --workspace

clean: ## Remove what was built (the suite's state is elsewhere and stays)
	@cargo clean
