/* SPDX-License-Identifier: Apache-2.0 */
#include "client/exit_code.h"

#include <stdio.h>

#include "base/compiler.h"

static const struct {
	int code;
	const char *text;
} rows[] = {
	{CLIENT_EXIT_OK, "both sides ended"},
	{CLIENT_EXIT_INTERNAL, "a local error"},
	{CLIENT_EXIT_NO_ROUTE, "no route covers the destination"},
	{CLIENT_EXIT_NO_NETWORK, "no such virtual network"},
	{CLIENT_EXIT_NOT_GRANTED, "you may not reach the destination"},
	{CLIENT_EXIT_CONNECTOR_DOWN, "the route's connector is not connected or shuts down"},
	{CLIENT_EXIT_REFUSED, "the target refused the connection"},
	{CLIENT_EXIT_TIMEOUT, "the target did not answer in time"},
	{CLIENT_EXIT_UNREACHABLE, "the connector can't reach the target"},
	{CLIENT_EXIT_FORBIDDEN, "the connector does not serve the destination"},
	{CLIENT_EXIT_LIMIT, "a limit of the edge or the connector is reached"},
	{CLIENT_EXIT_UNAUTHENTICATED, "the token is unknown or revoked"},
	{CLIENT_EXIT_CERTIFICATE, "the edge's certificate is not valid"},
	{CLIENT_EXIT_EDGE, "no edge could be reached"},
	{CLIENT_EXIT_NAME, "the host name could not be resolved"},
	{CLIENT_EXIT_CUT, "the connection was cut while it was in use"},
	{CLIENT_EXIT_EDGE_FAULT, "the edge or the connector failed"},
	{CLIENT_EXIT_USAGE, "the command line is wrong"},
	{CLIENT_EXIT_CREDENTIALS, "the credentials file is missing, unsafe or broken"},
};

static const enum client_exit of_stream_error[STREAM_ERROR_N] = {
	[STREAM_ERROR_NONE] = CLIENT_EXIT_OK,
	[STREAM_ERROR_REFUSED] = CLIENT_EXIT_REFUSED,
	[STREAM_ERROR_TIMEOUT] = CLIENT_EXIT_TIMEOUT,
	[STREAM_ERROR_UNREACHABLE] = CLIENT_EXIT_UNREACHABLE,
	[STREAM_ERROR_FORBIDDEN] = CLIENT_EXIT_FORBIDDEN,
	[STREAM_ERROR_LIMIT] = CLIENT_EXIT_LIMIT,
	[STREAM_ERROR_DRAINING] = CLIENT_EXIT_CONNECTOR_DOWN,
	[STREAM_ERROR_BAD_DESTINATION] = CLIENT_EXIT_EDGE_FAULT,
	[STREAM_ERROR_NO_ROUTE] = CLIENT_EXIT_NO_ROUTE,
	[STREAM_ERROR_NOT_GRANTED] = CLIENT_EXIT_NOT_GRANTED,
	[STREAM_ERROR_CONNECTOR_DOWN] = CLIENT_EXIT_CONNECTOR_DOWN,
	[STREAM_ERROR_NO_NETWORK] = CLIENT_EXIT_NO_NETWORK,
	[STREAM_ERROR_UNAUTHENTICATED] = CLIENT_EXIT_UNAUTHENTICATED,
	[STREAM_ERROR_UNSUPPORTED] = CLIENT_EXIT_EDGE_FAULT,
	[STREAM_ERROR_PING_UNAVAILABLE] = CLIENT_EXIT_FORBIDDEN,
	[STREAM_ERROR_INTERNAL] = CLIENT_EXIT_EDGE_FAULT,
};

const char *client_exit_text(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].code == code)
			return rows[i].text;
	}
	return NULL;
}

void client_exit_list(char *out, size_t n_out)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(rows) && used < n_out; i++)
		used += (size_t)snprintf(out + used, n_out - used, "%s%3d  %s", i ? "\n" : "",
					 rows[i].code, rows[i].text);
	if (used < n_out)
		snprintf(out + used, n_out - used, "\n128+N  ended by signal N");
}

enum client_exit client_exit_of_stream_error(enum stream_error e)
{
	return of_stream_error[e];
}

enum client_exit client_exit_of_link_end(enum link_end why)
{
	switch (why) {
	case LINK_END_CERTIFICATE:
		return CLIENT_EXIT_CERTIFICATE;
	case LINK_END_LIMIT:
	case LINK_END_INTERNAL:
		return CLIENT_EXIT_INTERNAL;
	case LINK_END_LOCAL:
	case LINK_END_CONNECT:
	case LINK_END_PROXY:
	case LINK_END_TLS:
	case LINK_END_TIMEOUT:
	case LINK_END_PEER_CLOSED:
	case LINK_END_PROTOCOL:
	case LINK_END_DEAD:
	case LINK_END_N:
		break;
	}
	return CLIENT_EXIT_EDGE;
}
