#!/bin/sh
# Installs what Gale needs to build on Debian 12 or Ubuntu 24.04. Does nothing, and needs no rights, when nothing is missing.
# usage: tools/setup.sh [arm]      arm: also the cross compiler and emulator of `make test-arm`
set -eu

packages="cmake ninja-build ccache g++ pkg-config python3 git
  libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libsimdjson-dev libpcre2-dev libedit-dev libxxhash-dev libyaml-cpp-dev
  libcurl4-openssl-dev libssl-dev
  libgtest-dev libgmock-dev libbenchmark-dev"
if [ "${1:-}" = arm ]; then packages="$packages g++-aarch64-linux-gnu qemu-user googletest"; fi

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -q '^installed$'; }

# The newest clang the distribution has, with its sanitizer runtime, formatter and coverage tools.
clang=""
for version in 21 20 19 18 17 16; do
  if installed "clang-$version"; then clang=$version; break; fi
done
if [ -z "$clang" ]; then
  for version in 21 20 19 18 17 16; do
    if apt-cache show "clang-$version" >/dev/null 2>&1; then clang=$version; break; fi
  done
fi

missing() {
  for package in $packages ${clang:+clang-$clang clang-format-$clang libclang-rt-$clang-dev llvm-$clang}; do
    installed "$package" || printf '%s ' "$package"
  done
}

todo=$(missing)
if [ -z "$todo" ] && [ -n "$clang" ]; then exit 0; fi

if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo"; fi
echo "Installing packages: ${todo:-clang}"
$as_root apt-get update -qq
if [ -z "$clang" ]; then
  for version in 21 20 19 18 17 16; do
    if apt-cache show "clang-$version" >/dev/null 2>&1; then clang=$version; break; fi
  done
fi
[ -n "$clang" ] || { echo "error: this distribution has no clang of version 16 or newer" >&2; exit 1; }
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing)
