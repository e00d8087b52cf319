# Everything a developer types. Needs Python 3.11 or newer and make; the rest is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8080
# Besides its own, those that start and stop the program most.
BINARY_TESTS := tests/binary tests/cli/test_serve.py tests/cli/test_serve_supervised.py tests/cli/test_demo.py \
	tests/faults/test_wire_stop.py
# Programs written for Airbyte, each in an environment of its own: they do not agree on what they need.
CLIENTS := airbyte_api airflow dagster prefect pyairbyte
# What the pages expect of a machine, and what systemd needs to be talked to.
DEBIAN := ca-certificates,curl,git,iproute2,make,nginx-light,openssl,postgresql,procps,python3-venv,redis-server,systemd-sysv
LOCK := --quiet --generate-hashes --no-strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: run test coverage missing check setup format binary test-binary bench bench-against bench-cluster bench-quick \
	bench-profile bench-webhooks fairness fairness-short soak soak-short chaos full overload unauthenticated check-openapi \
	test-clients test-machine lock clean

run: .venv/run                     ## the demo: a gateway, a sandbox Airbyte and a key; PORT=8090 where 8080 is taken
	$(BIN)/gateway demo --port $(PORT)

# Half of their time the tests wait, so twice two cores. Files in their order: those that take longest have few tests,
# and xdist, which begins with those that have many, would have one worker end minutes after the others.
test: missing .venv/dev            ## all tests; those that need a missing program are skipped
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(COUNT)

# Counting makes a test a third slower. tests/conftest.py says which tests are not counted: the slow ones.
coverage:                          ## all tests with branch coverage, which has its floor; all programs must be there
	CI=true $(MAKE) test COUNT=--cov

missing:
	@$(PYTHON) -m tests.programs

check: .venv/dev                   ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: .venv/dev

format: .venv/dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

binary: build/venv/ready           ## dist/gateway, dist/gateway-dir/, what is inside and under which licences; needs gcc
	build/venv/bin/python -m PyInstaller --clean --noconfirm --log-level WARN \
		--distpath dist --workpath build/pyinstaller deploy/binary/gateway.spec

# A folder of its own: whatever is killed leaves there what it had unpacked.
test-binary: .venv/dev             ## what `make binary` made: tests of its own, and those that start the program
	folder=$$(mktemp -d) && chmod 755 $$folder && trap "rm -rf $$folder" EXIT && \
	TMPDIR=$$folder GATEWAY_PROGRAM=dist/gateway $(BIN)/python -m pytest --numprocesses 4 --dist worksteal \
		$(BINARY_TESTS)

bench: .venv/bench/ready           ## one table of ratios, in ten minutes; ROW=jobs for one row; needs wrk, nginx, npm
	$(BIN)/python -m bench $(ROW)

bench-cluster: .venv/dev             ## one, two and four gateways on PostgreSQL and Valkey, in six minutes; needs both
	$(BIN)/python -m bench.cluster

bench-against: .venv/dev           ## this checkout beside REV=e0985e6, in four minutes; ROW=jobs for one row
	$(BIN)/python -m bench.against $(or $(REV),$(error say REV=e0985e6, or another commit, tag or branch)) $(ROW)

bench-profile: .venv/bench/ready   ## a flame graph of a forwarded call: bench/flame.svg
	$(BIN)/python -m bench.flame

bench-quick: .venv/dev             ## its first three rows in under a minute; needs wrk and nginx
	$(BIN)/python -m bench.quick

bench-webhooks: .venv/dev          ## how late events reach webhooks while a tenth of them hang, in three minutes
	$(BIN)/python -m bench.webhooks

fairness: .venv/dev                ## one client's worst beside another client, in a quarter of an hour: docs/fairness.md
	$(BIN)/python -m bench.fairness

fairness-short: .venv/dev          ## the same in two minutes; counts refusals only
	$(BIN)/python -m bench.fairness --short

soak: .venv/dev                    ## ten minutes of mixed traffic with faults; many model steps and fuzzed requests
	MODEL_STEPS=20000 FUZZ_CASES=100000 CANCELLED=10000 $(BIN)/python -m pytest -q tests/faults/test_model.py \
		tests/faults/test_fuzz.py tests/faults/test_cancellation.py
	$(BIN)/python -m bench.soak

soak-short: .venv/dev              ## the same for half a minute
	$(BIN)/python -m bench.soak --short

chaos: .venv/dev                   ## fifty kills while keys are made, syncs triggered and events sent; twenty restarts
	KILLS=50 RESTARTS=20 $(BIN)/python -m pytest -q tests/faults/test_kill.py tests/faults/test_webhook_kill.py \
		tests/nginx/test_restarts.py
	$(BIN)/python -m bench.chaos

overload: .venv/dev                ## what is answered at 1, 2, 4, 10 times our capacity and Airbyte's; needs wrk
	$(BIN)/python -m bench.overload

unauthenticated: .venv/dev         ## 100,000 guessed keys, 2,700 slow connections, 1,000 callers without a key
	$(BIN)/python -m bench.unauthenticated

test-machine: .venv/dev build/debian/ready ## README.md, docs/ and the image on a new Debian 12; needs root, debootstrap
	MACHINE_BASE=build/debian/root $(BIN)/python -m pytest -q tests/machine

full: .venv/dev                    ## all long checks, in two hours; the result is docs/full-run.md
	$(BIN)/python -m bench.full_run

check-openapi: .venv/dev build/openapi/ready ## what reads openapi.json finds nothing wrong with it; needs npm
	$(BIN)/python -m tests.openapi_tools

test-clients: .venv/dev $(CLIENTS:%=build/clients/%/ready) ## programs written for Airbyte against a served gateway, in four minutes; RECORD=--record
	$(BIN)/python -m tests.clients $(RECORD)

lock: .venv/dev                    ## pin the newest versions that pyproject.toml allows
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile $(LOCK) --upgrade --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --upgrade --extra cluster --constraint requirements.lock \
		--output-file requirements-cluster.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --upgrade --extra otel --constraint requirements.lock \
		--output-file requirements-otel.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --upgrade --extra dev --extra cluster --extra otel --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --upgrade --extra binary --extra cluster --allow-unsafe --constraint requirements.lock \
		--output-file requirements-binary.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --upgrade --output-file bench/requirements.txt bench/requirements.in
	$(BIN)/pip-compile $(LOCK) --upgrade --output-file tests/openapi_tools/requirements.txt \
		tests/openapi_tools/requirements.in
# PyAirbyte needs setuptools itself, which pip-compile leaves out unless told; and who needs what fills half of a lock.
# What extras need is in the lock; their names are not, for pip then wants the same package without them too.
	for client in $(CLIENTS); do $(BIN)/pip-compile $(LOCK) --strip-extras --allow-unsafe --no-annotate --upgrade \
		--output-file tests/clients/requirements/$$client.txt tests/clients/requirements/$$client.in || exit; done

# PyInstaller's bootloader is compiled from its locked source, with a file of ours that says why it cannot unpack.
build/venv/ready: requirements-binary.lock deploy/binary/unpacking_room.c
	$(PYTHON) -m venv --clear build/venv
	build/venv/bin/pip install --quiet --disable-pip-version-check -r requirements-binary.lock
	rm -rf build/bootloader && mkdir build/bootloader
	sed -n '/^pyinstaller==/,/[^\\]$$/p' requirements-binary.lock >build/bootloader/source.lock
	build/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary pyinstaller \
		--require-hashes --dest build/bootloader -r build/bootloader/source.lock
	tar xzf build/bootloader/pyinstaller-*.tar.gz -C build/bootloader --strip-components 1
	cp deploy/binary/unpacking_room.c build/bootloader/bootloader/src/
	cd build/bootloader/bootloader && ../../venv/bin/python waf all >build.log
	cp -r build/bootloader/PyInstaller/bootloader/Linux-* build/venv/lib/python3*/site-packages/PyInstaller/bootloader/
	touch $@

build/openapi/ready: tests/openapi_tools/requirements.txt tests/openapi_tools/package-lock.json
	mkdir -p build/openapi
	$(PYTHON) -m venv --clear build/openapi/venv
	build/openapi/venv/bin/pip install --quiet --disable-pip-version-check -r tests/openapi_tools/requirements.txt
	cp tests/openapi_tools/package.json tests/openapi_tools/package-lock.json build/openapi/
	npm ci --prefix build/openapi --no-audit --no-fund --loglevel error
	touch $@

# The authorities are this machine's: who reads along on its way to the package index does so on the new one's.
build/debian/ready:
	rm -rf build/debian && mkdir -p build/debian
	debootstrap --variant=minbase --include=$(DEBIAN) bookworm build/debian/root >build/debian/log
	cp /etc/ssl/certs/ca-certificates.crt build/debian/root/etc/ssl/certs/
	printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >build/debian/root/etc/pip.conf
	touch $@

build/clients/%/ready: tests/clients/requirements/%.txt
	$(PYTHON) -m venv --clear build/clients/$*
	build/clients/$*/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

clean:
	rm -rf .venv build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/bench/ready: .venv/dev bench/requirements.txt bench/fastify/package-lock.json
	$(PYTHON) -m venv .venv/bench
	.venv/bench/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	npm ci --prefix bench/fastify --no-audit --no-fund --loglevel error
	touch $@

.venv/run: .venv/bin/pip requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

.venv/dev: .venv/run requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	touch $@
