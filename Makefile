# Cellblock: `make run` hosts the examples, `make test` runs the tests.  `make help` lists the rest.
#
# Every step leaves a stamp in the environment that it changed, so what is done is not done again.

BIND ?= 127.0.0.1:8080
DATA_DIR ?= .cellblock

IMAGE ?= localhost/cellblock:latest

VENV := .venv
STAMP := $(VENV)/.stamp
BENCH_VENV := .venv-bench
LOCKS := deploy/locks
UV = $(VENV)/bin/uv
# What is installed is the lock and nothing else; a build from source uses what its own lock names.
INSTALL = $(UV) pip install --no-progress --compile-bytecode --no-deps \
	--build-constraints supervisor/runtimes/locks/build.txt

# Without bytecode the first start takes seconds; a foreign PYTHONPATH has no business here.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV
# uv reads none of pip's variables, but machines are set up with them.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif
# uv's patience with one silent connection, seconds.
export UV_HTTP_TIMEOUT ?= 120

.PHONY: help setup run test test-vm test-unit image test-image proof check lint bench locks clean

help:
	@echo 'make run     install what is missing, then serve examples/ on $(BIND)'
	@echo 'make test    install what the tests need, then lint, type-check and test'
	@echo 'make proof   the long proofs: thousands of kills, floods and rounds (ARGS=... goes to pytest)'
	@echo 'make test-vm run the escape tests under another kernel, in qemu (ARGS=... goes to tests/vm/run)'
	@echo 'make test-unit   use the unit on Debian 12 and 13 that systemd booted, in podman and qemu; part of make proof'
	@echo 'make image   build the container image $(IMAGE) with podman (BASE=... names another Debian 12)'
	@echo 'make test-image  serve from that image, rootful and as ROOTLESS_USER; part of make proof'
	@echo 'make setup   make the command $(VENV)/bin/cellblock and the runtimes'
	@echo 'make check   lint and unit tests: the quick round before a commit'
	@echo 'make lint    format, rules of the source, types'
	@echo 'make bench   measure against peers (ARGS=... goes to bench/run)'
	@echo 'make locks   resolve all dependencies anew, to their latest releases'
	@echo 'make clean   remove environments and caches; what was deployed stays in $(DATA_DIR)'

setup: $(STAMP)/server $(STAMP)/system $(STAMP)/runtimes

run: setup
	@exec $(VENV)/bin/cellblock serve --data-dir $(DATA_DIR) --bind $(BIND) --examples examples

test: setup $(STAMP)/test lint
	@$(VENV)/bin/python tests/run $(ARGS)

# What a promise rests on is tried by a faster test in `make test`; these try it many times over.
proof: setup $(STAMP)/test $(STAMP)/machines image
	$(VENV)/bin/python -m pytest -m proof $(ARGS)

image:
	@deploy/image $(IMAGE)

# docs/containers.md has the date of its last run.
test-image: setup $(STAMP)/test image
	IMAGE=$(IMAGE) $(VENV)/bin/python -m pytest -m proof tests/contract/test_image.py $(ARGS)

# docs/systemd.md has the date of its last run.
test-unit: setup $(STAMP)/test $(STAMP)/machines
	$(VENV)/bin/python -m pytest -m 'proof or not proof' tests/contract/test_systemd_unit.py $(ARGS)

# Debian's kernel has cgroup v2 and Landlock, which the machine at hand may lack; also without root.
test-vm: setup $(STAMP)/test $(STAMP)/vm
	@$(VENV)/bin/python tests/vm/run $(ARGS)

check: setup $(STAMP)/test lint
	@$(VENV)/bin/python tests/run unit $(ARGS)

lint: $(STAMP)/test
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check . || { echo 'run: $(VENV)/bin/ruff format .' >&2; exit 1; }
	@$(VENV)/bin/mypy --no-error-summary & types=$$!; \
	$(VENV)/bin/python -m pytest --quiet --no-header tests/contract/house; rules=$$?; \
	wait $$types && exit $$rules

bench: setup $(STAMP)/bench
	$(VENV)/bin/python bench/run $(ARGS)

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP)/python: deploy/python $(LOCKS)/uv.txt
	@deploy/python $(VENV)
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/server: $(STAMP)/python $(LOCKS)/server.txt pyproject.toml
	@echo 'installing the server' >&2
	@$(INSTALL) --quiet --python $(VENV)/bin/python --require-hashes -r $(LOCKS)/server.txt
	@$(INSTALL) --quiet --python $(VENV)/bin/python --config-setting editable_mode=compat --editable .
	@$(VENV)/bin/python -m compileall -q supervisor worker function seccomp
	@touch $@

# pyodbc, which the 3.10 page promises, loads a system library.  Without it all else works.
$(STAMP)/system: $(STAMP)/python
	@deploy/debian libodbc2 || true
	@touch $@

$(STAMP)/runtimes: $(STAMP)/server $(wildcard supervisor/runtimes/locks/*.txt) supervisor/runtimes/font_cache.py \
		| $(STAMP)/system
	@$(VENV)/bin/cellblock runtimes install
	@touch $@

$(STAMP)/test: $(STAMP)/server $(LOCKS)/test.txt
	@echo 'installing what the tests need' >&2
	@$(INSTALL) --quiet --python $(VENV)/bin/python --require-hashes -r $(LOCKS)/test.txt
	@deploy/debian curl python3-seccomp strace || true
	@deploy/debian golang-go nginx-light nodejs || true
	@deploy/debian chromium mosquitto || true
	@deploy/debian postgresql linux-libc-dev || true
	@touch $@

$(STAMP)/vm: $(STAMP)/python
	@deploy/debian qemu-system-x86 busybox-static
	@touch $@

# What is missing of these is a proof that is skipped by name.
$(STAMP)/machines: $(STAMP)/python
	@deploy/debian debootstrap podman runc qemu-system-x86 busybox-static || true
	@touch $@

# The peer pins another gunicorn than ours: an environment of its own.
$(STAMP)/bench: $(STAMP)/server $(LOCKS)/bench.txt
	@deploy/debian wrk
	@deploy/debian bubblewrap runsc || true
	@$(UV) venv --quiet --clear --python $(VENV)/bin/python $(BENCH_VENV)
	@$(INSTALL) --quiet --python $(BENCH_VENV)/bin/python --require-hashes -r $(LOCKS)/bench.txt
	@touch $@

# --universal: one lock for every Python and machine; no index is named, an installer uses its own.
COMPILE = $(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
	--no-header --no-annotate
locks: $(STAMP)/python
	cd supervisor/runtimes/locks && for list in build lean full; do \
		$(abspath $(UV)) $(wordlist 2,99,$(COMPILE)) --python-version 3.9 -o $$list.txt $$list.in || exit 1; done
	$(COMPILE) --python-version 3.11 -o $(LOCKS)/server.txt pyproject.toml
	$(COMPILE) --python-version 3.11 --extra test -c $(LOCKS)/server.txt -o $(LOCKS)/test.txt pyproject.toml
	echo uv | $(COMPILE) --python-version 3.11 -c $(LOCKS)/server.txt -o $(LOCKS)/uv.txt -
	$(COMPILE) --python-version 3.11 -o $(LOCKS)/bench.txt $(LOCKS)/bench.in
