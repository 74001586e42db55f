# The two commands of the README, and the ones developers use. Each does its own set-up; apt is skipped when nothing is missing.
.PHONY: run test build setup test-arm coverage format clean

run: build
	@build/release/gale run -m demo

test: build/release/build.ninja
	@cmake --build --preset release
	@ctest --test-dir build/release --output-on-failure

build: build/release/build.ninja
	@cmake --build --preset release --target gale

setup:
	@tools/setup.sh

build/release/build.ninja: setup
	@test -f $@ || cmake --preset release

# The op tests, cross-compiled for armv8-a and run under qemu.
test-arm:
	@tools/setup.sh arm
	@tools/test_arm.sh

# Line coverage of every test.
coverage: setup
	@tools/coverage.sh

format: setup
	@tools/format.sh --fix

clean:
	rm -rf build
