# The two commands: `make demo` and `make test`. Each installs what is missing, works as root or
# with sudo, needs no systemd, and works twice in a row.

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: help demo test test-all chaos soak bench prepare lint deny contract fuzz install clean

help:
	@echo "make demo            a payment, a printed form and a written chip in a virtual case; stays up"
	@echo "make demo ONCE=1     the same, ends after the effects; last line is JSON"
	@echo "make test            installs what is missing and runs every test"
	@echo "make test-all        the same, every byte of the fault grids, chaos and fuzzers: hours"
	@echo "make chaos           everything is killed, cut and filled up; SEED=42 PAYMENTS=2000 PRINTS=2000"
	@echo "make soak            sixteen clients for MINUTES=30: memory, descriptors, the journal's size"
	@echo "make bench           what the gateway costs against the bare thing; target/bench/summary.json"
	@echo "make lint            formatting and lints"
	@echo "make deny            licences, bans, sources, advisories of the dependencies"
	@echo "make contract        generates docs/contract from the types in proto/"
	@echo "make install         puts a build where the package will put it (docs/install.md); DESTDIR="
	@echo "make fuzz            two minutes of fuzzing per target (nightly Rust)"

prepare:
	@scripts/prepare demo

demo:
	@scripts/demo

test:
	@scripts/test

test-all:
	@scripts/test-all

chaos:
	@SEED=$(SEED) PAYMENTS=$(PAYMENTS) PRINTS=$(PRINTS) scripts/chaos

soak:
	@MINUTES=$(MINUTES) scripts/soak

bench:
	@scripts/bench

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny:
	@scripts/deny

contract:
	$(CARGO) run -q --locked -p koffer-proto --bin koffer-contract -- write

fuzz:
	@scripts/fuzz

install:
	@DESTDIR="$(DESTDIR)" BIN="$(BIN)" scripts/install

clean:
	$(CARGO) clean
