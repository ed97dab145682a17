#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: quickstart.sh BIN_FOLDER
#
# Real ssh through a real tunnel on this machine: a throw-away sshd, an edge and an agent on
# loopback, all of it in one temporary folder and gone at the end. KEEP=1 leaves it running.
set -eu
bin=$(cd "$1" && pwd)
PATH=$PATH:/usr/sbin:/sbin

# The one place where the address is written; the route, its `via` and ssh all take it from here.
host=10.116.0.3
network=10.116.0.0/16	# what the tunnel may advertise and the user may reach

# shellcheck source=scripts/steps.sh
. "$(dirname "$0")/steps.sh"
user=$(id -un)
agent_flags="--socket $dir/agent/adit.sock --state-directory $dir/agent"
edge_flags="--socket $dir/edge/edge.sock"

# adit and adit-edge with this demo's sockets.
adit() {
	command=$1
	shift
	# The flags are words without spaces of their own: splitting is meant.
	# shellcheck disable=SC2086
	"$bin/adit" "$command" $agent_flags "$@"
}
edge() {
	# shellcheck disable=SC2086
	"$bin/adit-edge" "$@" $edge_flags
}

state_is() { adit status | grep -q "$1"; }

# Where an account has no password ("!"), sshd takes even a key only if PAM is asked. PAM in turn
# wants root, and only root can read this.
needs_pam() {
	case $(getent shadow "$user") in
	"$user:!"*) echo yes ;;
	*) echo no ;;
	esac
}

start_sshd() {
	[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
	mkdir "$dir/sshd"
	ssh-keygen -q -t ed25519 -N '' -C adit-quickstart -f "$dir/sshd/host_key"
	ssh-keygen -q -t ed25519 -N '' -C adit-quickstart -f "$dir/sshd/user_key"
	cat >"$dir/sshd/config" <<-END
		ListenAddress 127.0.0.1:$ssh_port
		HostKey $dir/sshd/host_key
		AuthorizedKeysFile $dir/sshd/user_key.pub
		AllowUsers $user
		PidFile none
		StrictModes no
		UsePAM $(needs_pam)
		PasswordAuthentication no
		PermitRootLogin prohibit-password
		Subsystem sftp internal-sftp
	END
	launch sshd "$(command -v sshd)" -D -e -f "$dir/sshd/config"
	wait_for 10 grep -q 'Server listening' "$dir/sshd.log"
}

start_edge() {
	"$bin/adit-edge" init --state-directory "$dir/edge" --ip 127.0.0.1 >"$dir/edge-init.log" 2>&1 ||
		fail "adit-edge init"
	cat >"$dir/edge.yml" <<-END
		listen: 127.0.0.1:$edge_port
		state-directory: $dir/edge
		control-socket: $dir/edge/edge.sock
	END
	launch edge "$bin/adit-edge" run --config "$dir/edge.yml"
	wait_for 10 edge status
}

# Default deny, so two grants: what the tunnel may advertise, what the user may reach.
allow() {
	edge tunnel create demo --credentials-file "$dir/tunnel.json"
	edge grant add demo "$network"
	edge client add "$user" --output "$dir/client.json" --edge "127.0.0.1:$edge_port"
	edge client grant add "$user" "$network" --ports 22
}

start_agent() {
	mkdir "$dir/agent"
	cat >"$dir/config.yml" <<-END
		tunnel: demo
		edge: 127.0.0.1:$edge_port
		cacert: $dir/edge/ca.pem
		credentials-file: $dir/tunnel.json
		control-socket: $dir/agent/adit.sock
		state-directory: $dir/agent
		routes:
		  - network: $host/32
		    via: 127.0.0.1:$ssh_port
		    comment: the demo's sshd
	END
	launch agent "$bin/adit" run --config "$dir/config.yml"
	wait_for 20 state_is Healthy
}

write_ssh_config() {
	printf '%s %s\n' "$host" "$(cut -d' ' -f1,2 "$dir/sshd/host_key.pub")" >"$dir/known_hosts"
	cat >"$dir/ssh_config" <<-END
		Host $host
		    User $user
		    IdentityFile $dir/sshd/user_key
		    IdentitiesOnly yes
		    UserKnownHostsFile $dir/known_hosts
		    BatchMode yes
		    LogLevel ERROR
		    ProxyCommand $bin/adit connect --credentials $dir/client.json %h %p
	END
}

# copy FROM TO: scp, then compare; prints the rate.
copy() {
	began=$(date +%s%N)
	scp -q -F "$dir/ssh_config" "$1" "$2" >"$dir/scp.log" 2>&1 || fail "scp $1 $2"
	ended=$(date +%s%N)
	[ "$(sha256sum <"$dir/sent")" = "$(sha256sum <"$3")" ] || fail "the SHA-256 sums differ"
	done_with "same SHA-256, $((64 * 1000000000 / (ended - began + 1))) MiB/s"
}

say "adit: real ssh through a tunnel, on this machine's loopback only"
say
ssh_port=$(free_port)
edge_port=$(free_port "$ssh_port")

begin "sshd, throw-away"
start_sshd
done_with "127.0.0.1:$ssh_port"

begin "adit-edge"
start_edge
done_with "127.0.0.1:$edge_port"

begin "tunnel, user and their grants"
allow >"$dir/admin.log" 2>&1 || fail "an adit-edge command"
done_with "tunnel demo may advertise $network, $user may reach port 22 of it"

begin "adit run, until Healthy"
start_agent
done_with "advertises $host/32 as 127.0.0.1:$ssh_port"

say
say "  \$ adit status"
adit status | quote
say "  \$ adit routes"
adit routes | quote
say

begin "ssh $host uname"
write_ssh_config
answer=$(ssh -F "$dir/ssh_config" "$host" 'uname -s && echo "$SSH_CONNECTION"' 2>"$dir/ssh.log") ||
	fail "ssh"
done_with "$(echo "$answer" | head -n 1), from the sshd on port ${answer##* }"

head -c 67108864 /dev/urandom >"$dir/sent"
begin "scp 64 MiB to it"
copy "$dir/sent" "$host:$dir/received" "$dir/received"
begin "scp 64 MiB from it"
copy "$host:$dir/received" "$dir/returned" "$dir/returned"

begin "cut one of four connections"
id=$(edge connections | awk '$2 == "agent" { print $1; exit }')
edge connection close "$id" --hold 3s >"$dir/close.log" 2>&1 || fail "adit-edge connection close"
wait_for 10 state_is Degraded
done_with "$(adit status | head -n 1)"
begin "wait for it to come back"
wait_for 30 state_is Healthy
done_with "$(adit status | head -n 1)"
say

if [ -n "${KEEP:-}" ]; then
	trap - EXIT HUP INT TERM
	say "Left running. Try:"
	say "  $bin/adit status $agent_flags"
	say "  $bin/adit-edge connections $edge_flags"
	say "  ssh -F $dir/ssh_config $host"
	say "  tail -f $dir/agent.log"
	say "Stop it:"
	say "  kill $pids; rm -r $dir"
else
	say "All of it worked; cleaning up. KEEP=1 ./quickstart leaves it running."
fi
