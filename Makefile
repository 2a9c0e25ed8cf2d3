# `make` alone lists the targets. Those that build install what they need first: they say what, and ask (YES=1 answers
# yes). CARGO_TARGET_DIR is respected.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(CURDIR)/target
programs = $(CARGO_TARGET_DIR)/release
version = $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: help run build test check fuzz bench bench-scanners keys image image-test vm vm-test install clean

# Where images and virtual machines are made.
images = $(CARGO_TARGET_DIR)/image

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

run: build ## Build, then start the suite in evaluation mode (ARGS="--listen 127.0.0.1:9000")
	@exec $(programs)/holdfast up $(ARGS)

build: ## Build every program
	@scripts/setup-dependencies run
	@cargo build --release --locked

test: ## Build, then run every test, with the real daemons end to end
	@scripts/setup-dependencies test
	@cargo build --release --locked
	@scripts/test

check: ## Formatting, lints, documentation, licences, shell scripts
	@scripts/setup-dependencies check
	@scripts/check

fuzz: ## Fuzz the parsers (ARGS="--seconds 600 --only pickle"); fails if one breaks or takes more memory than it may
	@scripts/setup-dependencies fuzz
	@scripts/fuzz $(ARGS)

bench: ## Measure the figures of the design, each beside what it is compared with
	@scripts/setup-dependencies test
	@cargo build --release --locked
	@cargo bench --locked --workspace --no-fail-fast --bench '*'

bench-scanners: ## Compare with other scanners of model files (ARGS="--size 512MiB"); writes docs/comparison.md
	@scripts/setup-dependencies scanners
	@scripts/bench-scanners $(ARGS)

keys: ## Make the owner's keys, which sign the appliance (HOLDFAST_KEYS=DIR; kept if they are there)
	@scripts/setup-dependencies image
	@scripts/keys

image: keys ## Build the appliance's image (DISTRIBUTION=debian; Fedora otherwise; as root)
	@cargo build --release --locked
	@scripts/image $(programs) $(images)/release

vm: keys ## Boot the appliance in a virtual machine, its page at http://127.0.0.1:8480 (ARGS="--port 9000")
	@cargo build --release --locked
	@[[ -e $(images)/vm/holdfast_$(version).raw ]] || scripts/image --profile vm $(programs) $(images)/vm
	@exec scripts/vm $(ARGS) $(images)/vm/holdfast_$(version).raw

image-test: ## Build the image with Debian's packages and try its root as a container, in seconds once it is built (as root)
	@scripts/setup-dependencies image
	@cargo build --release --locked
	@scripts/vm-test $(programs) $(images)/test container

vm-test: ## The same, then boot it in virtual machines and attack it (as root; ARGS="NAME…": only those tests)
	@scripts/setup-dependencies image
	@cargo build --release --locked
	@scripts/vm-test $(programs) $(images)/test $(ARGS)

install: ## Copy what was built to where the systemd units look for it, below DESTDIR
	@scripts/install $(programs) "$(DESTDIR)"

clean: ## Remove what was built (the suite's state is elsewhere and stays)
	@cargo clean
