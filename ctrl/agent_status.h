/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * agent_status - names in the results of the agent's control commands
 *
 * The agent writes these members and the command line reads them; the shape is the
 * contract of docs/control.md. A member that isn't known yet is left out, never null.
 * Counters are numbers of bytes or things, times say their unit in the name.
 */

/* Where the agent is found unless the config, a flag or the environment says otherwise. */
#define AGENT_CONTROL_SOCKET  "/run/adit/adit.sock"
#define AGENT_CONTROL_ENV     "ADIT_CONTROL_SOCKET"
#define AGENT_STATE_DIRECTORY "/var/lib/adit"

/* Of the unit adit@NAME.service. */
#define AGENT_INSTANCE_SOCKET(name) "/run/adit@" name "/adit.sock"
#define AGENT_INSTANCE_STATE(name)  "/var/lib/adit/" name

/*
 * Commands, besides `log-level` (ctrl/ctrl_log_level.h). `reload` and `replace` change something:
 * own uid or root.
 */
#define AGENT_COMMAND_CONNECTIONS     "connections" /* result: {"connections": [...]} */
#define AGENT_COMMAND_EVENTS	      "events"	/* result: {"events": [...]}, or a stream of them */
#define AGENT_COMMAND_RELOAD	      "reload"	/* result: {"changed": [...], "warnings": [...]} */
#define AGENT_COMMAND_REPLACE	      "replace" /* these three: docs/replace.md */
#define AGENT_COMMAND_REPLACE_CONFIRM "replace.confirm"
#define AGENT_COMMAND_REPLACE_TAKE    "replace.take"
#define AGENT_COMMAND_ROUTES	      "routes" /* result: {"routes": [...], "note": text} */
#define AGENT_COMMAND_STATUS	      "status" /* result: below, with "connections" */

/* status */
#define STATUS_TUNNEL	     "tunnel"	    /* object: id, name */
#define STATUS_TUNNEL_ID     "id"	    /* UUID */
#define STATUS_TUNNEL_NAME   "name"	    /* optional */
#define STATUS_STATE	     "state"	    /* health_name() */
#define STATUS_EXPECTED	     "expected"	    /* number of connections that makes Healthy */
#define STATUS_REGISTERED    "registered"   /* number of registered connections */
#define STATUS_SINCE	     "since"	    /* of `state`: seconds since 1970 UTC */
#define STATUS_CONNECTOR_ID  "connector_id" /* UUID of this process */
#define STATUS_VERSION	     "version"	    /* ADIT_VERSION */
#define STATUS_PID	     "pid"
#define STATUS_UPTIME_S	     "uptime_s"
#define STATUS_EDGE_FEATURES "edge_features" /* array of text; empty towards a stock edge */
#define STATUS_DRAINING	     "draining"	     /* bool: shutting down, no new streams */
#define STATUS_REPLACEMENT   "replacement"   /* pid of the process that prepares to replace it */
#define STATUS_PING	     "ping"	     /* how ICMP echo is sent: one of PING_* */
#define STATUS_LOAD	     "load"	     /* object: LOAD_* */
#define STATUS_CONNECTIONS   "connections"   /* array, one per connection index, sorted */

/* "load": what there is now, and its bound in force; 0 as a bound: none. */
#define LOAD_STREAMS	   "streams" /* TCP, UDP and ICMP echo */
#define LOAD_STREAMS_MAX   "streams_max"
#define LOAD_DIALS	   "dials" /* connections to local servers that are being made */
#define LOAD_DIALS_MAX	   "dials_max"
#define LOAD_BUFFERED	   "buffered_bytes" /* received from the edge, not yet passed on */
#define LOAD_BUFFERED_PEAK "buffered_peak_bytes"
#define LOAD_BUFFER_BUDGET "buffer_budget_bytes"
#define LOAD_WINDOWS	   "windows_bytes" /* what connections may send before they wait */
#define LOAD_WINDOWS_MAX   "window_budget_bytes"
#define LOAD_CUT	   "cut"     /* streams that used up the budget and were not read */
#define LOAD_REFUSED	   "refused" /* streams refused at one of these, since the start */

#define PING_SOCKET	 "ping-socket"
#define PING_UNAVAILABLE "unavailable" /* the host allows neither: see ping_group_range */

/* Added by `adit status --json`, also when no agent answers. */
#define STATUS_RUNNING	     "running" /* bool */
#define STATUS_NOTE	     "note"    /* text: why it isn't, or why the state is unknown */
#define STATUS_STATE_UNKNOWN "Unknown"

/* One element of "connections". */
#define CONNECTION_INDEX      "index"
#define CONNECTION_EDGE	      "edge"	 /* endpoint text */
#define CONNECTION_LOCATION   "location" /* as the edge said at registration */
#define CONNECTION_STATE      "state"	 /* text of the uplink's state, "registered" when up */
#define CONNECTION_SINCE_S    "since_s"	 /* seconds in that state */
#define CONNECTION_RTT_US     "rtt_us"	 /* last PING's round trip */
#define CONNECTION_STREAMS    "streams"	 /* open now */
#define CONNECTION_BYTES_IN   "bytes_in" /* from the edge, since process start */
#define CONNECTION_BYTES_OUT  "bytes_out"
#define CONNECTION_SUSPECT    "suspect"	   /* bool: a PING is overdue */
#define CONNECTION_LAST_ERROR "last_error" /* text; left out when there was none */

/* routes; besides, at top level: */
#define ROUTES_ROUTES "routes" /* array in the order of the config */
#define ROUTES_NOTE   "note"   /* text for people, e.g. why nothing can be advertised; optional */

/* One element of "routes". */
#define ROUTE_NETWORK	      "network"		/* prefix text */
#define ROUTE_VIRTUAL_NETWORK "virtual_network" /* name or UUID */
#define ROUTE_COMMENT	      "comment"
#define ROUTE_VIA	      "via"	  /* endpoint or address text */
#define ROUTE_PORTS	      "ports"	  /* text: "22,8000-8100" */
#define ROUTE_STATE	      "state"	  /* one of ROUTE_STATE_* */
#define ROUTE_REASON	      "reason"	  /* why refused or pending, in the edge's words */
#define ROUTE_INTERFACE	      "interface" /* by which this host reaches the network */
#define ROUTE_SOURCE	      "source"	  /* address that it would use */

#define ROUTE_REACHABLE "reachable" /* bool: this host has a route to it */

#define ROUTE_STATE_ACCEPTED "accepted"
#define ROUTE_STATE_REFUSED  "refused"
#define ROUTE_STATE_PENDING  "pending"	/* not sent or not answered yet */
#define ROUTE_STATE_OPERATOR "operator" /* the edge's operator has to make it (stock edge) */

/* events: arguments, all optional; without `follow` the answer has what there is. */
#define EVENTS_SINCE  "since"  /* number: only what came after this event */
#define EVENTS_FOLLOW "follow" /* bool: a stream that ends when the client leaves */
#define EVENTS_EVENTS "events" /* array, oldest first */

/* An event. */
#define EVENT_SEQ     "seq"	/* 1, 2, ... since the start of the process */
#define EVENT_TIME_MS "time_ms" /* milliseconds since 1970 UTC */
#define EVENT_KIND    "kind"	/* one of the following */
#define EVENT_FIELDS  "fields"	/* object of numbers and texts, by kind: docs/control.md */

#define EVENT_STARTED	   "started"
#define EVENT_STOPPING	   "stopping"
#define EVENT_HEALTH	   "health"
#define EVENT_CONNECTION   "connection"
#define EVENT_REGISTERED   "registered"
#define EVENT_REFUSED	   "registration-refused"
#define EVENT_ROUTES	   "routes"
#define EVENT_ROUTE	   "route-refused"
#define EVENT_ROUTES_FAIL  "routes-failed"
#define EVENT_PATH	   "route-path"
#define EVENT_RELOAD	   "reload"
#define EVENT_RELOAD_FAIL  "reload-failed"
#define EVENT_LOG_LEVEL	   "log-level"
#define EVENT_NETWORK	   "network"
#define EVENT_REMOTE	   "remote-config"
#define EVENT_REPLACEMENT  "replacement"
#define EVENT_MISSED	   "missed" /* not an event: so many are not there any more */
#define EVENT_MISSED_COUNT "count"

/* reload; a refused one is an error with code AGENT_ERROR_CONFIG and the findings as text. */
#define RELOAD_CHANGED	"changed"  /* array of text: the keys that took effect */
#define RELOAD_WARNINGS "warnings" /* array of text: "file:line: key: reason" */

#define AGENT_ERROR_CONFIG "invalid"

/* replace: arguments of the new agent, and what the old one answers. */
#define REPLACE_TUNNEL_ID    "tunnel_id"       /* both: UUID */
#define REPLACE_CONNECTOR_ID "connector_id"    /* both: UUID of the process */
#define REPLACE_PID	     "pid"	       /* both */
#define REPLACE_INSTANCE_ID  "instance_id"     /* of the state file: the new one goes on under it */
#define REPLACE_EVER	     "ever_registered" /* bool, likewise */
#define REPLACE_NOTIFIES     "notifies"	       /* bool: systemd runs it */
#define REPLACE_WATCHDOG_MS  "watchdog_ms"     /* that systemd expects; 0: none */

/* The event's "step". */
#define REPLACEMENT_STEP    "step"
#define REPLACEMENT_CLAIMED "claimed" /* a process prepares to replace us */
#define REPLACEMENT_LEFT    "left"    /* it has gone before it did */
#define REPLACEMENT_DONE    "done"    /* we have replaced the process */
