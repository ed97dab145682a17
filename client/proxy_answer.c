/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy_answer.h"

#include "base/compiler.h"

/*
 * Never 407: what the edge thinks of our token is nothing that the proxy's client could answer
 * with a password.
 */
static const struct {
	enum client_exit why;
	enum socks_reply socks;
	unsigned int http;
} rows[] = {
	{CLIENT_EXIT_OK, SOCKS_REPLY_OK, 200},
	{CLIENT_EXIT_INTERNAL, SOCKS_REPLY_FAILURE, 500},
	{CLIENT_EXIT_NO_ROUTE, SOCKS_REPLY_NETWORK_UNREACHABLE, 502},
	{CLIENT_EXIT_NO_NETWORK, SOCKS_REPLY_NOT_ALLOWED, 403},
	{CLIENT_EXIT_NOT_GRANTED, SOCKS_REPLY_NOT_ALLOWED, 403},
	{CLIENT_EXIT_CONNECTOR_DOWN, SOCKS_REPLY_NETWORK_UNREACHABLE, 503},
	{CLIENT_EXIT_REFUSED, SOCKS_REPLY_REFUSED, 502},
	{CLIENT_EXIT_TIMEOUT, SOCKS_REPLY_TTL_EXPIRED, 504},
	{CLIENT_EXIT_UNREACHABLE, SOCKS_REPLY_HOST_UNREACHABLE, 502},
	{CLIENT_EXIT_FORBIDDEN, SOCKS_REPLY_NOT_ALLOWED, 403},
	{CLIENT_EXIT_LIMIT, SOCKS_REPLY_FAILURE, 503},
	{CLIENT_EXIT_UNAUTHENTICATED, SOCKS_REPLY_FAILURE, 502},
	{CLIENT_EXIT_CERTIFICATE, SOCKS_REPLY_FAILURE, 502},
	{CLIENT_EXIT_EDGE, SOCKS_REPLY_FAILURE, 502},
	{CLIENT_EXIT_NAME, SOCKS_REPLY_HOST_UNREACHABLE, 502},
	{CLIENT_EXIT_CUT, SOCKS_REPLY_FAILURE, 502},
	{CLIENT_EXIT_EDGE_FAULT, SOCKS_REPLY_FAILURE, 502},
};

enum socks_reply proxy_answer_socks(enum client_exit why)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].why == why)
			return rows[i].socks;
	}
	return SOCKS_REPLY_FAILURE;
}

unsigned int proxy_answer_http(enum client_exit why)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].why == why)
			return rows[i].http;
	}
	return 500;
}
