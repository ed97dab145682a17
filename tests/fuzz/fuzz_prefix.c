/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses, endpoints, prefixes and ports as text. What is accepted, printed and read again is
 * the same value in the same text, so that no spelling of a destination has two readings.
 */

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "routing/forbidden.h"
#include "routing/ports.h"
#include "routing/prefix.h"
#include "tests/fuzz/require.h"

#define TEXT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_ip(const char *text)
{
	char printed[IP_TEXT_MAX];
	struct ip_addr again;
	struct ip_addr ip;

	if (ip_parse(text, &ip) != 0)
		return;
	require(!strpbrk(text, "%/[] \t\n"));
	require(ip_parse(ip_format(&ip, printed), &again) == 0 && ip_equal(&ip, &again));
	again = ip_canonical(&ip);
	ip = ip_canonical(&again);
	require(ip_equal(&ip, &again));
	/* Loopback is forbidden in every spelling. */
	require(!ip_is_loopback(&ip) || forbidden_range(&ip));
}

static void try_endpoint(const char *text)
{
	char printed[ENDPOINT_TEXT_MAX];
	char host[HOST_NAME_MAX_LEN + 1];
	struct endpoint again;
	struct endpoint ep;
	struct ip_addr ip;
	uint16_t port;

	if (host_port_parse(text, host, &port) == 0)
		require(port != 0 && host[0] && strlen(host) < strlen(text));
	if (endpoint_parse(text, &ep) != 0)
		return;
	require(endpoint_parse(endpoint_format(&ep, printed), &again) == 0);
	require(endpoint_equal(&ep, &again));
	/* The other reader of the same text agrees. */
	require(host_port_parse(text, host, &port) == 0 && port == ep.port);
	require(ip_parse(host, &ip) == 0 && ip_equal(&ip, &ep.ip));
}

static void try_prefix(const char *text)
{
	char printed[PREFIX_TEXT_MAX];
	struct prefix again;
	struct prefix single;
	struct prefix p;
	int r = prefix_parse(text, &p);

	if (r != 0 && r != PREFIX_E_HOST_BITS)
		return;
	require(p.bits <= ip_bits(&p.ip));
	require(prefix_parse(prefix_format(&p, printed), &again) == 0 && prefix_equal(&p, &again));
	require(prefix_contains_ip(&p, &p.ip) && prefix_contains(&p, &p));
	single = prefix_of_ip(&p.ip);
	require(prefix_is_single(&single) && prefix_contains(&p, &single));
	require(prefix_contains(&single, &p) == prefix_equal(&p, &single));
	require(prefix_compare(&p, &again) == 0);
	/* A prefix in a forbidden range holds no address outside. */
	require(!forbidden_prefix(&p) || forbidden_range(&p.ip));
}

static void try_ports(const char *text)
{
	char printed[PORTS_TEXT_MAX];
	char twice[PORTS_TEXT_MAX];
	struct ports again;
	struct ports p;

	if (ports_parse(text, &p) != 0)
		return;
	require(p.n <= PORTS_RANGES_MAX);
	require(ports_parse(ports_format(&p, printed), &again) == 0);
	require(strcmp(printed, ports_format(&again, twice)) == 0);
	for (size_t i = 0; i < p.n; i++) {
		require(p.ranges[i].first <= p.ranges[i].last);
		require(i == 0 || p.ranges[i - 1].last < p.ranges[i].first);
		require(ports_contain(&again, p.ranges[i].first));
		require(ports_contain(&again, p.ranges[i].last));
	}
	for (unsigned int port = 1; port <= UINT16_MAX; port += 97)
		require(ports_contain(&p, (uint16_t)port) == ports_contain(&again, (uint16_t)port));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char text[TEXT_MAX];

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	try_ip(text);
	try_endpoint(text);
	try_prefix(text);
	try_ports(text);
	return 0;
}
