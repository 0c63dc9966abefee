# dcos-net: container networking for Mesos, Docker and CNI hosts.
#
# Every target first installs what it needs and is missing: npm packages from package-lock.json, Debian packages from the
# lists in scripts/packages (as root; without root it says which are missing and goes on where that makes sense).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BUN := node_modules/.bin/bun
SOURCES := $(shell find bin lib kernel ipam cni cnm-driver overlay facts gossip dns l4lb -name '*.ts' 2>/dev/null)

# `make test TIER=unit TEST=lease` runs one tier, and in it only the tests whose names match.
TIER ?=
TEST ?=
# `make bench BENCH=startup RUNS=400` runs one benchmark, with more runs.
BENCH ?=
RUNS ?=
# Seconds that `make fuzz` spends on each target.
FUZZ_SECONDS ?= 60
# Hosts of `make lab-up`.
NODES ?= 3

# 3 is the status of install-packages for "missing, and can't be installed here": what then can't run says so itself.
install = scripts/install-packages $(1) || [ $$? -eq 3 ]

.PHONY: help
help: ## say what the targets do (this is the default)
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

.PHONY: npm
npm:
	@scripts/install-npm

.PHONY: build
build: npm dist/dcos-net ## build dist/dcos-net and the CNI links to it in dist/cni

dist/dcos-net: $(SOURCES) scripts/build.ts package-lock.json tsconfig.json | npm
	@$(BUN) scripts/build.ts

.PHONY: check
check: npm ## types, format, lint and the rules of the tree
	@$(call install,build)
	node_modules/.bin/tsc -p .
	node_modules/.bin/biome check --error-on-warnings
	$(BUN) --bun node_modules/mocha/bin/mocha.js --forbid-only 'test/tidy/*.test.ts'

.PHONY: test
test: npm ## run all tests; TIER=unit, TEST=pattern run a part
	@$(call install,test)
	@scripts/install-docker || [ $$? -eq 3 ]
	@$(MAKE) --no-print-directory build
	@$(BUN) scripts/test.ts $(if $(TIER),--tier '$(TIER)') $(if $(TEST),--grep '$(TEST)')

.PHONY: fuzz
fuzz: npm ## run the fuzz tests for longer; FUZZ_SECONDS=60 for each target
	@$(call install,test)
	@$(MAKE) --no-print-directory build
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(BUN) scripts/test.ts --tier fuzz $(if $(TEST),--grep '$(TEST)')

.PHONY: sim
sim: npm ## simulate a cluster with mishaps; SEED=7, SIM_NODES=30, SIM_SECONDS=60, SIM_RUNS=1
	@$(BUN) scripts/sim.ts $(if $(SEED),--seed '$(SEED)') $(if $(SIM_NODES),--nodes '$(SIM_NODES)') \
	  $(if $(SIM_SECONDS),--seconds '$(SIM_SECONDS)') $(if $(SIM_RUNS),--runs '$(SIM_RUNS)')

.PHONY: demo
demo: npm ## three hosts on this machine, containers on them, traffic between them (as root)
	@scripts/install-packages demo
	@$(MAKE) --no-print-directory build
	@$(BUN) scripts/demo.ts

.PHONY: lab-up
lab-up: npm ## bring up a cluster on this machine and leave it running; NODES=3
	@scripts/install-packages demo
	@$(MAKE) --no-print-directory build
	@dist/dcos-net lab up --nodes $(NODES)

.PHONY: lab-down
lab-down: build ## take down what lab-up brought up
	@dist/dcos-net lab down

.PHONY: bench
bench: npm ## measure ours against the reference; BENCH=name, RUNS=200 (as root)
	@scripts/install-packages bench
	@scripts/install-docker || [ $$? -eq 3 ]
	@$(MAKE) --no-print-directory build
	@$(BUN) scripts/bench.ts $(BENCH) $(if $(RUNS),--runs '$(RUNS)')

.PHONY: dist
dist: build ## pack executable, CNI links, systemd unit and manual into dist/*.tar.gz
	@$(BUN) scripts/package.ts

.PHONY: clean
clean: ## remove what was built and measured; node_modules stays
	rm -rf dist bench-results
