#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: lint.sh BUILD_FOLDER   the checks of tests/lint, then clang-tidy over the product's code
set -u
build=$1
jobs=$(nproc)
status=0

ctest --test-dir "$build" -L lint --output-on-failure -j "$jobs" || status=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if run-clang-tidy -quiet -j "$jobs" -p "$build" \
	'^((?!/tests/).)*/(base|routing|wire|tun|ctrl|agent|edge|client|cmd)/[^/]*\.c$' >"$log" 2>&1; then
	echo "clang-tidy: nothing found"
else
	sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '(error|warning):' | sort -u
	tail -n 3 "$log"
	status=1
fi
exit "$status"
