#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For tests of `make bench PEER=`: adit behind the part of cloudflared's command line that the bench
# uses. ADIT_PROGRAM is adit. It says what it doesn't know instead of passing it over.
set -eu

fail() {
	echo "as_cloudflared.sh: $1" >&2
	exit 1
}

# The bench makes HOME a folder that it removes.
folder=$(mktemp -d -p "${HOME:?}")
{
	echo "control-socket: $folder/adit.sock"
	echo "state-directory: $folder"
	# The route is the operator's.
	printf 'allow:\n  - network: 10.116.0.4/32\n'
} >"$folder/config.yml"

[ "${1:-}" = tunnel ] || fail "the first word isn't tunnel"
shift
set -- "$@" END
edges=
while [ "$1" != END ]; do
	case $1 in
	--no-autoupdate | --no-prechecks | run) shift ;;
	--edge)
		edges="$edges${edges:+, }\"$2\""
		shift 2
		;;
	--cacert | --loglevel | --grace-period)
		printf '%s: "%s"\n' "${1#--}" "$2" >>"$folder/config.yml"
		shift 2
		;;
	--protocol)
		[ "$2" = http2 ] || fail "--protocol $2"
		shift 2
		;;
	--metrics) shift 2 ;;
	--token)
		(umask 077 && printf '%s\n' "$2" >"$folder/token")
		shift 2
		;;
	*) fail "no such option: $1" ;;
	esac
done
[ -n "$edges" ] || fail "no --edge"
[ -s "$folder/token" ] || fail "no --token"
printf 'edge: [%s]\n' "$edges" >>"$folder/config.yml"
printf 'token-file: %s/token\n' "$folder" >>"$folder/config.yml"
exec "${ADIT_PROGRAM:?}" run --config "$folder/config.yml"
