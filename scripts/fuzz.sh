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
	mkdir -p "$build/found/$parser"
	echo "== $parser, $seconds s"
	"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
		-verbosity=0 -artifact_prefix="$build/found/" "$build/found/$parser" "$corpus/$parser"
done
