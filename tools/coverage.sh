#!/bin/sh
# Line coverage of the tests, those of the command line too, by file and in all, with clang's own counters. Writes build/coverage/coverage.txt.
set -eu
cd "$(dirname "$0")/.."
cmake --preset coverage
cmake --build --preset coverage
rm -rf build/coverage/profiles
LLVM_PROFILE_FILE="$PWD/build/coverage/profiles/%p.profraw" ctest --test-dir build/coverage --output-on-failure
for version in 21 20 19 18 17 16; do
  if command -v "llvm-cov-$version" >/dev/null; then break; fi
done
"llvm-profdata-$version" merge -sparse build/coverage/profiles/*.profraw -o build/coverage/all.profdata
objects="-object build/coverage/gale"  # the command line has no test of its own: cli_test.py runs the program
for test in build/coverage/tests/*_test; do objects="$objects -object $test"; done
# shellcheck disable=SC2086
"llvm-cov-$version" report $objects -instr-profile=build/coverage/all.profdata -ignore-filename-regex='(_test\.cpp|/usr/|generated)' \
  > build/coverage/coverage.txt
cat build/coverage/coverage.txt
echo "Lines covered: $(tail -1 build/coverage/coverage.txt | awk '{print $10}')"
