# The front door. `make demo` and `make test` work alone on a fresh Debian 12: what is missing is installed first.
#   make demo     a slow model becomes a fast one, with proof; then it learns on for half a minute, for which libtorch is
#                 installed as by make learn (TAILOR_LEARN=0 make demo: without that)
#   make test     all tests; TAILOR_PAGES=1 make test also installs what the tests of the pages in a browser need
#   make docs     writes docs/options.md again, from what --help prints
#   make compare MODEL=net.onnx OUT=folder GOALS="0.8 0.68" ARGS="--calib train.bin --eval test.bin"
#                 the exact planner beside simple rules at equal latency, as a table (scripts/compare)
#   make gallery  pages of every verb that has one, of the demonstration's network, in build/gallery; also of
#                 MODEL=net.onnx, optimized where CALIB=samples (and EVAL=labelled samples, OPTIONS="--mean ...") are given, and of
#                 networks in ANALYZE="a.onnx b.onnx"
#   make learn    installs libtorch and builds tailor-learn: train, finetune, distill, evaluate
#   make farm     installs Open MPI and builds tailor-farm with it: tuning over many machines
#   make format   clang-format on every source
#   make clean    removes the build (not the downloads in deps/)
PRESET ?= release
BUILD  := build/$(PRESET)
JOBS   ?= $(shell nproc)

.PHONY: all demo test compare gallery docs learn farm format clean ready
all: ready
	cmake --build $(BUILD) -j $(JOBS)

ready:
	@scripts/bootstrap
	@scripts/configure $(PRESET)

demo: ready
	cmake --build $(BUILD) -j $(JOBS) --target tailor tailor-demo-shapes
	scripts/demo $(BUILD)/bin
ifneq ($(TAILOR_LEARN),0)
	@printf '\nThe fast network learns on: tailor-learn is built first, with libtorch (TAILOR_LEARN=0 make demo: without that)\n'
	@$(MAKE) --no-print-directory learn
	scripts/demo-training $(BUILD)/bin
endif

test: all
	ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j $(JOBS)

compare: ready
	cmake --build $(BUILD) -j $(JOBS) --target tailor
	TAILOR=$(BUILD)/bin/tailor scripts/compare "$(MODEL)" "$(OUT)" "$(GOALS)" -- $(ARGS)

gallery: ready
	cmake --build $(BUILD) -j $(JOBS) --target tailor tailor-demo-shapes
	ANALYZE="$(ANALYZE)" OPTIONS="$(OPTIONS)" scripts/gallery $(BUILD)/bin $(MODEL) $(CALIB) $(EVAL)

docs: ready
	cmake --build $(BUILD) -j $(JOBS) --target tailor
	$(BUILD)/bin/tailor man --markdown > docs/options.md

learn:
	@TAILOR_LEARN=1 scripts/bootstrap
	@scripts/configure $(PRESET)
	cmake -DTAILOR_LEARN=ON $(BUILD)
	@grep -q 'bin/tailor-learn' $(BUILD)/build.ninja || { echo 'make learn: libtorch was not found: install libtorch-dev, or leave training out (TAILOR_LEARN=0 make demo)' >&2; exit 6; }
	cmake --build $(BUILD) -j $(JOBS) --target tailor tailor-learn

farm:
	@TAILOR_FARM=1 scripts/bootstrap
	@scripts/configure $(PRESET)
	cmake $(BUILD)
	cmake --build $(BUILD) -j $(JOBS) --target tailor tailor-farm

format:
	git ls-files '*.cpp' '*.h' | xargs clang-format -i

clean:
	rm -rf build
