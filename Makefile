# Every target sets itself up: nothing but Python 3.11 or newer and make is needed.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Tests start hundreds of processes; each would compile all that it imports anew.
export PYTHONDONTWRITEBYTECODE :=
READY := $(VENV)/.ready
OURS := sdk console control_plane data-sharing/data_sharing deployment_units provisioner simulation

.PHONY: help setup demo demo-decisions demo-directory compiled pure wheel test test-compiled test-slow attacks test-etcd-versions test-ghz chart-test image image-lock image-test faults fuzz check proto bench millions clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

setup: $(READY)  ## .venv with everything, `homeport` in .venv/bin

$(READY): pyproject.toml sdk/pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Homeport needs Python 3.11 or newer; install it or call make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable ./sdk --editable '.[local,dev]'
	@# On all processors, what is ours as well; some packages hold templates that are no Python.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib $(OURS) || true
	@touch $@

demo: $(READY)  ## provision 20,000 real addresses on a local stack and draw where they went
	@$(BIN)/python -m console.demo.provisioning

demo-decisions: $(READY)  ## a morning in which feeds change plans and sandboxed applications follow; FEEDS=nats: a worker is killed in it
	@$(BIN)/python -m console.demo.decisions $(if $(FEEDS),--feeds $(FEEDS))

demo-directory: $(READY)  ## people who find and reach each other by name, over two units; fails where it is not so
	@$(BIN)/python -m console.demo.directory

# Files in the order of their names, not of their numbers of tests: real servers, a minute for a few
# tests, would come last, and one worker wait for the other.
test: $(READY)  ## the whole test suite, a file of tests at a time on each of two workers
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow and not faults and not attacks'

compiled: $(READY)  ## the hot modules as extensions beside their sources; needs a C compiler, a minute or two
	@$(BIN)/python packaging/compiled/build.py

pure: $(READY)  ## back to the sources
	@$(BIN)/python packaging/compiled/build.py --remove

wheel: $(READY)  ## the server's wheel for this Linux and Python, compiled, into dist/
	@HOMEPORT_COMPILED=1 $(BIN)/python -m hatchling build -t wheel

test-compiled: compiled  ## the whole test suite on compiled modules, which stay: `make pure` removes them
	@$(MAKE) --no-print-directory test

test-slow: $(READY)  ## the minutes-long tests: 100,000 clients on three servers, and their like
	@$(BIN)/python -m pytest -m slow

test-etcd-versions: $(READY)  ## builds etcd 3.6 and 3.7 with Go, once, and runs the store's tests on each
	@programs=$$($(BIN)/python -m tests.support.go_programs etcd) || exit 1; \
	for program in $$programs; do \
	  echo "$$program"; \
	  ETCD_BIN=$$program $(BIN)/python -m pytest tests/control_plane/store tests/console/local || exit 1; \
	done
	@$(BIN)/python -m pytest tests/end_to_end/test_up.py

test-ghz: $(READY)  ## builds ghz with Go, once, and has it call a server by reflection
	@$(BIN)/python -m tests.support.go_programs ghz
	@$(BIN)/python -m pytest tests/end_to_end/test_ghz.py

chart-test: $(READY)  ## builds Helm 3 and 4 and a Kubernetes control plane with Go, once, and runs the charts there
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[chart]'
	@$(BIN)/python -m tests.support.go_programs helm etcd-3.6.16 kube-apiserver kube-controller-manager kube-scheduler
	@$(BIN)/python -m tests.support.kube.namespace $(BIN)/python -m pytest -vv -p no:cacheprovider tests/chart

image: $(READY)  ## the container image, with buildah or podman; HOMEPORT_BASE names its base
	@$(BIN)/python packaging/image/build.py

image-lock: $(READY)  ## the locks of the image anew, from pyproject.toml and constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/python packaging/image/lock.py

# Without a registry of images: its base is made of Debian's packages (root, buildah, podman, runc, mmdebstrap).
image-test: $(READY)  ## builds the image twice on a Debian of its own, and runs it and the charts' pods; minutes
	@$(BIN)/python -m tests.support.go_programs etcd-3.6.16 || echo "without etcd the charts' pods are not tried" >&2
	@HOMEPORT_IMAGE_TEST=1 $(BIN)/python -m pytest -vv -rs --capture=no -p no:cacheprovider tests/image

FAULTS := tests/faults/results/latest.json
faults: $(READY)  ## every fault scenario, judged; writes the table of docs/reliability.md
	@rm -f $(FAULTS)
	@HOMEPORT_FAULTS_RESULTS=$(FAULTS) $(BIN)/python -m pytest tests/faults -m 'faults or not faults' --deselect tests/faults/test_table.py
	@$(BIN)/python -m tests.faults.table $(FAULTS)
	@$(BIN)/python -m pytest tests/faults/test_table.py

ATTACKS := tests/attacks/results/latest.json
attacks: $(READY)  ## every attack, with a steady probe beside it; writes the table of docs/security.md
	@rm -f $(ATTACKS)
	@HOMEPORT_ATTACKS_RESULTS=$(ATTACKS) $(BIN)/python -m pytest -p no:cacheprovider tests/attacks -m attacks
	@$(BIN)/python -m tests.attacks.table $(ATTACKS)

fuzz: $(READY)  ## 20,000 made-up calls of every method, and over HTTP; HOMEPORT_FUZZ_SEED=2 for others
	@HOMEPORT_FUZZ_CALLS=$${HOMEPORT_FUZZ_CALLS:-20000} $(BIN)/python -m pytest -v -p no:cacheprovider -n 2 --dist loadgroup tests/fuzz

check: $(READY)  ## format, lint, types, import contracts, proto lint, breaking changes and drift
	@$(BIN)/python .ci/check.py

proto: $(READY)  ## regenerate sdk/homeport/api, and the table of who may call what, from proto/
	@$(BIN)/python proto/generate.py
	@$(BIN)/python proto/access_table.py
	@$(BIN)/python proto/openapi.py

bench: $(READY)  ## ceilings and ratios, into bench/results/latest.json
	@$(BIN)/python -m bench

# 10,000,000: make millions USERS=10000000 NEW=2000000 RATE=1000
millions: $(READY)  ## USERS, of them NEW one by one at RATE a second, against etcd 3.6 (Go): what a stack takes then
	@program=$$($(BIN)/python -m tests.support.go_programs etcd-3.6.16) || exit 1; mkdir -p build; \
	ETCD_BIN=$$program $(BIN)/python -m bench.millions --users $(or $(USERS),1000000) $(if $(NEW),--new $(NEW)) \
	    --rate $(or $(RATE),500) --folder build/millions --output build/millions.json --report build/millions.html

clean:  ## remove what make made
	rm -rf build/compiled build/wheel homeport_server__mypyc*.so
	find control_plane provisioner simulation data-sharing/data_sharing -name '*.so' -delete
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
