# SPDX-License-Identifier: Apache-2.0
# A thin wrapper: everything real is in CMakePresets.json, tests/ and scripts/.
PREFIX ?= /usr
DESTDIR ?=
PRESET ?= dev
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60

.PHONY: all release static test quickstart install fuzz chaos bench bench-plot docs lint format clean

all: build/$(PRESET)/build.ninja
	@cmake --build --preset $(PRESET) -j $(JOBS) $(BUILD_FLAGS)

build/%/build.ninja: CMakeLists.txt CMakePresets.json
	@cmake --preset $* --log-level=WARNING -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null

test: all
	@ctest --preset $(PRESET) -j $(JOBS) $(CTEST_FLAGS)

# These have no tests in them, so that they need neither cmocka nor python3. static: the agent alone.
release static:
	@$(MAKE) --no-print-directory all PRESET=$@

quickstart:
	@echo "Building (about a minute) ..."
	@$(MAKE) --no-print-directory all PRESET=release BUILD_FLAGS="-- --quiet"
	@scripts/quickstart.sh build/release/cmd

# Configured again, because a build folder that exists may have another PREFIX in its units.
install:
	@cmake --preset release --log-level=WARNING -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@$(MAKE) --no-print-directory release && DESTDIR=$(DESTDIR) cmake --install build/release --strip

# ROWS=regex: a part. PEER=program: beside a connector with cloudflared's command line; PEER_SSH=1: ssh -R.
bench: release static
	@cmake --build --preset release --target bench-programs -- --quiet
	@bench/run build/release --json build/bench.json $(if $(ROWS),--rows '$(value ROWS)') \
		$(if $(PEER),--peer '$(value PEER)') $(if $(PEER_SSH),--peer-ssh)

bench-plot:
	@bench/plot build/bench.json '$(or $(OUT),docs/performance)'

fuzz:
	@$(MAKE) --no-print-directory all PRESET=fuzz BUILD_FLAGS="--target fuzz-targets -- --quiet"
	@scripts/fuzz.sh build/fuzz/tests/fuzz $(FUZZ_SECONDS) $(JOBS)

chaos: all
	@tests/chaos/run build/$(PRESET) --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

docs: build/$(PRESET)/build.ninja
	@cmake --build --preset $(PRESET) --target docs
lint: all
	@scripts/lint.sh build/$(PRESET)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf build
