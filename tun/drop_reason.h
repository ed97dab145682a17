/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * drop_reason - why a packet goes no further: one list for parsing and for the engine
 *
 * Everything that is dropped is counted under one of these; nothing is logged per packet.
 */

#define DROP_REASONS(X)                                                                            \
	X(NONE, "none")                                                                            \
	/* not a packet */                                                                         \
	X(SHORT, "frame too short")                                                                \
	X(VERSION, "neither IPv4 nor IPv6")                                                        \
	X(HEADER, "bad header")                                                                    \
	X(LENGTH, "bad length")                                                                    \
	X(CHECKSUM, "bad checksum")                                                                \
	X(OFFLOAD, "bad offload header")                                                           \
	/* never carried, ignored without noise */                                                 \
	X(FRAGMENT, "fragment")                                                                    \
	X(EXTENSION, "IPv6 extension header")                                                      \
	X(MULTICAST, "multicast")                                                                  \
	X(BROADCAST, "broadcast")                                                                  \
	X(SOURCE, "impossible source address")                                                     \
	X(TRANSPORT, "other transport protocol")                                                   \
	X(ICMP, "ICMP other than an echo request")                                                 \
	/* not now, not from there */                                                              \
	X(FAMILY, "address family not configured")                                                 \
	X(FOREIGN, "source address not local")                                                     \
	X(NO_FLOW, "no such flow")                                                                 \
	X(HELD_AGAIN, "SYN sent again while held")                                                 \
	X(HELD_LIMIT, "too many connections wait for an answer")                                   \
	X(GAVE_UP, "given up while held")                                                          \
	X(FLOW_LIMIT, "too many flows")                                                            \
	X(TOO_LARGE, "too large for one packet")

#define DROP_REASON_ENUM(name, text) DROP_##name,
enum drop_reason { DROP_REASONS(DROP_REASON_ENUM) DROP_N };
#undef DROP_REASON_ENUM

/* For people: "fragment", ... */
const char *drop_reason_text(enum drop_reason reason);
