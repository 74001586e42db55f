#!/bin/sh
# Cross-compiles the rooms up to kernels and the cache for armv8-a with Debian's compiler and runs their tests under qemu-user.
# usage: tools/test_arm.sh [--all]
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/arm/include
# fmt and nlohmann-json are headers here: only those two, so that no other header of the host is seen.
ln -sfn /usr/include/fmt build/arm/include/fmt
ln -sfn /usr/include/nlohmann build/arm/include/nlohmann
cmake -S cmake/arm -B build/arm -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_CROSSCOMPILING_EMULATOR="qemu-aarch64;-L;/usr/aarch64-linux-gnu"
cmake --build build/arm
# One test is two thirds of all the time under qemu: attention in every chunking, with several threads, on both sets. Emulated threads
# that spin for each other make it minutes on a busy machine, so it runs with --all only; the natively built sets run it always.
if [ "${1:-}" != --all ]; then export GTEST_FILTER=-KvCache.BitIdentityChunksThreadsAndSets; fi
ctest --test-dir build/arm --output-on-failure
