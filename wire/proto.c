/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/proto.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"

static const struct stream_error_info infos[STREAM_ERROR_N] = {
	[STREAM_ERROR_NONE] = {"none", "200", "200", "no error"},
	[STREAM_ERROR_REFUSED] = {"refused", "502", "502", "the target refused the connection"},
	[STREAM_ERROR_TIMEOUT] = {"timeout", "504", "502", "the target did not answer in time"},
	[STREAM_ERROR_UNREACHABLE] = {"unreachable", "502", "502",
				      "the connector can't reach the target"},
	[STREAM_ERROR_FORBIDDEN] = {"forbidden", "403", "502",
				    "the connector does not serve this destination"},
	[STREAM_ERROR_LIMIT] = {"limit", "503", "503", "a configured limit is reached"},
	[STREAM_ERROR_DRAINING] = {"draining", "503", "503", "the connector is shutting down"},
	[STREAM_ERROR_BAD_DESTINATION] = {"bad-destination", "400", "502",
					  "the destination is not a literal IP address and port"},
	[STREAM_ERROR_NO_ROUTE] = {"no-route", "404", "502", "no route covers the destination"},
	[STREAM_ERROR_NOT_GRANTED] = {"not-granted", "403", "502",
				      "this client may not reach the destination"},
	[STREAM_ERROR_CONNECTOR_DOWN] = {"connector-down", "503", "502",
					 "the connector of the route is not connected"},
	[STREAM_ERROR_NO_NETWORK] = {"no-network", "404", "502", "no such virtual network"},
	[STREAM_ERROR_UNAUTHENTICATED] = {"unauthenticated", "407", "502",
					  "the token is missing, unknown or revoked"},
	[STREAM_ERROR_UNSUPPORTED] = {"unsupported", "502", "502",
				      "this kind of stream is not served"},
	[STREAM_ERROR_PING_UNAVAILABLE] = {"ping-unavailable", "403", "502",
					   "the connector's host doesn't let it send ICMP echo "
					   "(net.ipv4.ping_group_range)"},
	[STREAM_ERROR_INTERNAL] = {"internal", "502", "502", "internal error"},
};

static const struct {
	int error;
	enum stream_error e;
} by_errno[] = {
	{-ECONNREFUSED, STREAM_ERROR_REFUSED},
	{-ECONNRESET, STREAM_ERROR_REFUSED},
	{-ETIMEDOUT, STREAM_ERROR_TIMEOUT},
	{-ENETUNREACH, STREAM_ERROR_UNREACHABLE},
	{-EHOSTUNREACH, STREAM_ERROR_UNREACHABLE},
	{-ENETDOWN, STREAM_ERROR_UNREACHABLE},
	{-EHOSTDOWN, STREAM_ERROR_UNREACHABLE},
	{-EADDRNOTAVAIL, STREAM_ERROR_UNREACHABLE},
	{-EACCES, STREAM_ERROR_UNREACHABLE},
	{-EPERM, STREAM_ERROR_UNREACHABLE},
	{-EMFILE, STREAM_ERROR_LIMIT},
	{-ENFILE, STREAM_ERROR_LIMIT},
	{-ENOBUFS, STREAM_ERROR_LIMIT},
	{-ENOMEM, STREAM_ERROR_LIMIT},
};

const struct stream_error_info *stream_error_info(enum stream_error e)
{
	return &infos[e];
}

enum stream_error stream_error_parse(const char *name)
{
	if (!name)
		return STREAM_ERROR_NONE;
	for (size_t i = STREAM_ERROR_NONE + 1; i < STREAM_ERROR_N; i++) {
		if (!strcmp(infos[i].name, name))
			return (enum stream_error)i;
	}
	return STREAM_ERROR_INTERNAL;
}

enum stream_error stream_error_of_errno(int r)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_errno); i++) {
		if (by_errno[i].error == r)
			return by_errno[i].e;
	}
	return STREAM_ERROR_INTERNAL;
}
