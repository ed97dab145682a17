/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proto - names and numbers of the tunnel protocol: the single list
 *
 * "stock" is cloudflared 2026.8.2; docs/protocol.md explains each.
 */

/* Request headers that decide what a stream is; first match wins, in this order. */
#define HDR_UPGRADE	  "cf-cloudflared-proxy-connection-upgrade"
#define UPGRADE_CONFIG	  "update-configuration"
#define UPGRADE_WEBSOCKET "websocket"
#define UPGRADE_CONTROL	  "control-stream"
#define HDR_PROXY_SRC	  "cf-cloudflared-proxy-src"

#define HDR_RESPONSE_META    "cf-cloudflared-response-meta"
#define HDR_RESPONSE_HEADERS "cf-cloudflared-response-headers"
#define META_ORIGIN	     "{\"src\":\"origin\"}"
#define META_AGENT	     "{\"src\":\"cloudflared\"}"
#define META_FLOW_LIMITED    "{\"src\":\"cloudflared\",\"flow_rate_limited\":true}"

/* What adit adds; stock peers ignore all of it. */
#define HDR_ADIT_EDGE	    "adit-edge" /* "1[;feature...]" on the control stream's request */
#define ADIT_EDGE_VERSION   "1"
#define FEATURE_ADIT	    "adit/1"	 /* in ClientInfo.features; ";connections=N" may follow */
#define HDR_ADIT_ERROR	    "adit-error" /* why a stream was refused: enum stream_error */
#define HDR_VIRTUAL_NETWORK "adit-virtual-network" /* on a client's CONNECT; name or id */

/* RFC 9297 3.4: on the request and the response of a datagram stream. */
#define HDR_CAPSULE_PROTOCOL "capsule-protocol"
#define CAPSULE_PROTOCOL_ON  "?1"

#define PATH_ROUTES "/adit/v1/routes" /* a client's GET: what it can reach, live */

#define SNI_STOCK    "h2.cftunnel.com"
#define SNI_PRECHECK "probe.cftunnel.com"
#define ALPN_H2	     "h2"

/* Cap'n Proto interface ids. */
#define IFACE_REGISTRATION  0xf71695ec7fe85497ULL
#define METHOD_REGISTER	    0
#define METHOD_UNREGISTER   1
#define METHOD_LOCAL_CONFIG 2
#define IFACE_ROUTES	    0xad17a0d1e5c0f5b1ULL /* RouteAdvertiser in wire/adit.capnp */
#define METHOD_ADVERTISE    0

/* Deadlines of connection set-up, in ms. */
#define TCP_CONNECT_MS	  15000
#define TLS_HANDSHAKE_MS  15000
#define H2_PREFACE_MS	  10000 /* until the peer's SETTINGS */
#define CONTROL_STREAM_MS 15000
#define RPC_MS		  5000

/* Limits on what a peer may send. */
#define RPC_MESSAGE_MAX (256 * 1024) /* one control message, bytes */
#define CONFIG_BODY_MAX (256 * 1024)
#define HEADER_LIST_MAX (64 * 1024)
#define ROUTES_MAX	16384 /* entries in one advertised set */
#define ROUTES_PER_CALL 256

/*
 * Why a stream was refused, as the value of adit-error. The list is shared by
 * agent, edge and client; stream_error_info() has name, HTTP status and text.
 */
enum stream_error {
	STREAM_ERROR_NONE,
	STREAM_ERROR_REFUSED,	       /* the target refused the connection */
	STREAM_ERROR_TIMEOUT,	       /* the target did not answer in time */
	STREAM_ERROR_UNREACHABLE,      /* no route to the target from the agent */
	STREAM_ERROR_FORBIDDEN,	       /* the agent does not serve this destination */
	STREAM_ERROR_LIMIT,	       /* a configured limit is reached */
	STREAM_ERROR_DRAINING,	       /* agent or edge is shutting down */
	STREAM_ERROR_BAD_DESTINATION,  /* not a literal IP and port */
	STREAM_ERROR_NO_ROUTE,	       /* no route covers the destination */
	STREAM_ERROR_NOT_GRANTED,      /* the client may not reach it */
	STREAM_ERROR_CONNECTOR_DOWN,   /* a route exists, its connector is not there */
	STREAM_ERROR_NO_NETWORK,       /* no such virtual network */
	STREAM_ERROR_UNAUTHENTICATED,  /* token missing, unknown or revoked */
	STREAM_ERROR_UNSUPPORTED,      /* a stream kind that this peer doesn't serve */
	STREAM_ERROR_PING_UNAVAILABLE, /* the agent's host lets it send no ICMP echo */
	STREAM_ERROR_INTERNAL,
	STREAM_ERROR_N,
};

struct stream_error_info {
	const char *name;	  /* header value */
	const char *status;	  /* ":status" towards a client of the edge */
	const char *agent_status; /* ":status" from an agent: 502 or 503 */
	const char *text;	  /* for people */
};

/* @e must be below STREAM_ERROR_N. */
const struct stream_error_info *stream_error_info(enum stream_error e);
/* From a header value; STREAM_ERROR_INTERNAL for an unknown one, NONE for NULL. */
enum stream_error stream_error_parse(const char *name);
/* From the negative errno of a failed connect(). */
enum stream_error stream_error_of_errno(int r);
