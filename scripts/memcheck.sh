#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: memcheck.sh BUILD_FOLDER [JOBS] [PATTERN]
# Each unit test once under valgrind's memcheck: invalid and uninitialised reads, and memory that
# nobody can reach any more. Random schedules are played SCHEDULES times (100) instead of 100,000.
set -eu
export ADIT_TEST_SCHEDULES="${SCHEDULES:-100}"

# What can't be itself under valgrind. These become another user, or count their descriptors, and
# capget() is known to it with half of its answer, and a filter would refuse valgrind's own calls:
left_out='client_net_helper base_privileges base_syscall_filter ctrl_ctrl_peer'
# These want what takes part of a second to take no more; it takes thirty times as long:
left_out="$left_out tun_netlink_watch wire_buffer_bound wire_link_hangs"

run() { # TEST
	log=$1.memcheck
	name=${1##*/unit_}
	case " $left_out " in *" $name "*) echo "$name: left out" && return ;; esac
	code=0
	timeout 300 valgrind -q --error-exitcode=99 --leak-check=full \
		--show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
		--log-file="$log" "$1" >"$log.out" 2>&1 || code=$?
	case $code in
	0) [ ! -s "$log" ] && return ;;
	77) echo "$name: skipped, as without valgrind" && return ;;
	99) ;;
	*) tail -n 20 "$log.out" ;;
	esac
	cat "$log"
	echo "$name: FAILED ($code)"
	exit 1
}

if [ "$1" = run ]; then
	run "$2"
	exit
fi
tests=$(find "$1/tests" -maxdepth 1 -type f -perm -u+x -name "unit_*${3:-}*" | sort)
[ -n "$tests" ] || { echo "no unit test in $1/tests: build it first" && exit 1; }
result=clean
echo "$tests" | xargs -n 1 -P "${2:-1}" "$0" run || result=FAILED
echo "$(echo "$tests" | wc -l) tests under memcheck: $result"
[ "$result" = clean ]
