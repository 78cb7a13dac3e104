# Thin: the work is in Cargo and in xtask/. Needs a Rust toolchain, cc and make.
CARGO ?= cargo
CARGO_TARGET_DIR ?= target
RUN_DIR ?= run
ROUNDS ?= 1000
RUNS ?= 1000
SECONDS_EACH ?= 600

export CARGO_TARGET_DIR
# The binary's place, absolute or below this directory.
PLI := $(CARGO_TARGET_DIR)/release/pli

.PHONY: help run build test test-clients bench bench-store bench-imap crash faults model fuzz

help:
	@echo 'make run    build, make ./$(RUN_DIR) on first use, and serve until Ctrl-C'
	@echo 'make test   every check and test (cargo xtask ci)'
	@echo 'make test-clients  Thunderbird, Roundcube and clients that fetch, as root the first time: they are installed'
	@echo 'make bench  the figures: benches/results/DATE.json and .md'
	@echo 'make bench-store  the same of the store by itself: benches/results/store-DATE.json and .md'
	@echo 'make bench-imap  IMAP beside Dovecot, as root: benches/results/imap-DATE.json and .md'
	@echo 'make crash ROUNDS=1000   kill -9 and restart, that many times'
	@echo 'make faults ROUNDS=1000  the same, and the store on a disk that fails in every way'
	@echo 'make model RUNS=1000     sessions at random on a mailbox, each told the truth, that many seeds'
	@echo 'make fuzz SECONDS_EACH=600   the parsers of outside bytes, that long each'

build:
	$(CARGO) build --release --locked --package pli

run: build
	@if test -f $(RUN_DIR)/pli.toml; then \
		echo 'Going on with the data in $(RUN_DIR): configuration $(RUN_DIR)/pli.toml, CA $(RUN_DIR)/tls/ca.pem.'; \
		echo 'Passwords were shown once. A new one: $(PLI) account passwd ADDRESS --config $(RUN_DIR)/pli.toml'; \
	else $(PLI) quickstart --dir $(RUN_DIR) \
		--domain example.org --hostname mail.example.org \
		--listen 127.0.0.1 --port-offset 10000; fi
	@exec $(PLI) serve --config $(RUN_DIR)/pli.toml

test:
	$(CARGO) xtask ci

test-clients:
	$(CARGO) xtask test-clients

bench: build
	benches/run.sh

bench-store:
	benches/store.sh

bench-imap:
	benches/imap.sh

crash:
	PLI_CRASH_ROUNDS=$(ROUNDS) $(CARGO) xtask crash

# For each round twenty cases of the model and ten of power failures, and every failure at every call.
faults: crash
	PLI_SWEEP=all PLI_MODEL_CASES=$$(($(ROUNDS) * 20)) PLI_CRASH_CASES=$$(($(ROUNDS) * 10)) \
		$(CARGO) test --locked --package pli-store --test sweep --test model --test crash -- --nocapture
	$(CARGO) test --locked --package pli-tests --test faults --test formats -- --nocapture

# A tenth as many runs in which all act at once.
model:
	PLI_SESSION_RUNS=$(RUNS) $(CARGO) test --locked --package pli-imap --test model -- --nocapture
	PLI_SESSION_RUNS=$$((($(RUNS) + 9) / 10)) $(CARGO) test --locked --package pli-imap --test numbers -- --nocapture

fuzz:
	PLI_FUZZ_SECONDS=$(SECONDS_EACH) $(CARGO) xtask fuzz
