#!/bin/sh
# Checks the format of every C++ file git knows, or of those named; --fix rewrites them.
# usage: tools/format.sh [--fix] [FILE...]
set -eu
cd "$(dirname "$0")/.."
for version in 21 20 19 18 17 16; do
  if command -v "clang-format-$version" >/dev/null; then tool=clang-format-$version; break; fi
done
: "${tool:?no clang-format of version 16 or newer; run tools/setup.sh}"
mode="--dry-run --Werror"
if [ "${1:-}" = --fix ]; then
  mode=-i
  shift
fi
if [ $# -gt 0 ]; then exec "$tool" $mode "$@"; fi
git ls-files --cached --others --exclude-standard '*.h' '*.cpp' | xargs "$tool" $mode
