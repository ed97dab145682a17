#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: fuzz.sh BUILD_FOLDER SECONDS [JOBS]
# Each target for that long, JOBS at a time, with its corpus and its dictionary if there is one. New
# inputs stay in the build. Prints a table: edges and features are libFuzzer's cov and ft.
set -eu

row() { # BUILD_FOLDER SECONDS TARGET
	tests=$(dirname "$0")/../tests/fuzz
	parser=${3##*/fuzz_}
	found=$1/found/$parser
	mkdir -p "$found"
	set -- "$3" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$found-"
	if [ -f "$tests/dict/$parser.dict" ]; then
		set -- "$@" -dict="$tests/dict/$parser.dict"
	fi
	if ! "$@" "$found" "$tests/corpus/$parser" >"$found.log" 2>&1; then
		echo "$parser: FAILED"
		tail -n 40 "$found.log"
		exit 1
	fi
	words=$(sed -n 's/^Dictionary: \([0-9]*\) .*/\1/p' "$found.log")
	done=$(grep -E '^#[0-9]+[[:space:]]+DONE ' "$found.log")
	runs=${done%%[!#0-9]*}
	# What the line says after each name.
	value() { echo "$done" | sed -n "s,.* $1: \([0-9]*\).*,\1,p"; }
	printf '%-20s %11s %7s %9s %7s %6s\n' "$parser" "${runs#?}" "$(value cov)" "$(value ft)" \
		"$(value corp)" "${words:--}"
}

if [ "$1" = row ]; then
	shift
	row "$@"
	exit
fi
printf '%-20s %11s %7s %9s %7s %6s\n' target runs edges features inputs words
find "$1" -maxdepth 1 -type f -perm -u+x -name 'fuzz_*' -print0 | sort -z |
	xargs -0 -n 1 -P "${3:-1}" "$0" row "$1" "$2"
