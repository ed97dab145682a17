#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: fuzz.sh BUILD_FOLDER SECONDS   each target for that long; new inputs stay in the build
set -eu
build=$1
seconds=$2
corpus=$(dirname "$0")/../tests/fuzz/corpus

for target in "$build"/fuzz_*; do
	[ -x "$target" ] || continue
	parser=${target##*/fuzz_}
	found=$build/found/$parser
	mkdir -p "$found"
	printf '%-20s' "$parser"
	if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$build/found/$parser-" "$found" "$corpus/$parser" \
		>"$found.log" 2>&1; then
		tail -n 40 "$found.log"
		exit 1
	fi
	sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\).*/\1 runs in \2 s, nothing found/p' "$found.log"
done
