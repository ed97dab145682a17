#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: lint.sh BUILD_FOLDER   the checks of tests/lint, then clang-tidy over the product's code
set -eu
build=$1
jobs=$(nproc)

ctest --test-dir "$build" -L lint --output-on-failure -j "$jobs"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! run-clang-tidy -quiet -j "$jobs" -p "$build" \
	'^((?!/tests/).)*/(base|routing|wire|tun|ctrl|agent|edge|client|cmd)/[^/]*\.c$' >"$log" 2>&1; then
	sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '(error|warning):' | sort -u >&2 || tail -n 20 "$log" >&2
	echo "clang-tidy: findings above" >&2
	exit 1
fi
echo "clang-tidy: nothing found"
