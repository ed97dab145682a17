#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sourced by quickstart.sh: numbered steps, background programs, waiting, and a way out that shows
# the step that failed with the last lines of each log. Makes $dir, a folder that goes at the end.
dir=$(mktemp -d "${TMPDIR:-/tmp}/adit-quickstart.XXXXXX")
step=preparation
step_number=0
pids=

say() { printf '%s\n' "$*"; }
quote() { sed 's/^\(..*\)/      \1/'; }

begin() {
	step=$1
	step_number=$((step_number + 1))
	printf '  %d  %-34s' "$step_number" "$step"
}

done_with() { printf '%s\n' "${1:-ok}"; }

fail() {
	printf '\n\nFailed at step %d, %s: %s\n' "$step_number" "$step" "$*"
	for log in "$dir"/*.log; do
		[ -s "$log" ] || continue
		printf '\nLast lines of %s:\n' "${log##*/}"
		tail -n 8 "$log" | quote
	done
	exit 1
}

clean_up() {
	status=$?
	# A second Ctrl-C must not leave half of it behind.
	trap - EXIT
	trap '' HUP INT TERM
	# Agent first, so that it can say goodbye to the edge.
	for pid in $pids; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
	exit "$status"
}

interrupted() {
	printf '\n\nInterrupted at step %d, %s; cleaning up.\n' "$step_number" "$step"
	exit 130
}
trap clean_up EXIT
trap interrupted HUP INT TERM

# launch NAME COMMAND...: in the background, output to NAME.log, stopped in reverse order.
launch() {
	name=$1
	shift
	if [ -n "${KEEP:-}" ]; then
		setsid "$@" >"$dir/$name.log" 2>&1 </dev/null &
	else
		"$@" >"$dir/$name.log" 2>&1 </dev/null &
	fi
	pid=$!
	pids="$pid $pids"
}

# wait_for SECONDS COMMAND...: until it succeeds; gives up early when the last launched died.
wait_for() {
	tries=$(($1 * 20))
	shift
	until "$@" >"$dir/last" 2>&1; do
		tries=$((tries - 1))
		kill -0 "$pid" 2>/dev/null || fail "$name has ended"
		[ "$tries" -gt 0 ] || fail "waited in vain for: $*"
		sleep 0.05
	done
}

# Below the ports that connections are given; ten apart, for another quickstart that starts now.
free_port() {
	port=$((20000 + $$ % 1000 * 10))
	while grep -qi ":$(printf '%04X' "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null ||
		[ "$port" = "${1:-}" ]; do
		port=$((port + 1))
	done
	echo "$port"
}
