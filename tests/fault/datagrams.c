/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/datagrams.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "client/datagram_flow.h"
#include "tests/fault/site.h"

#define LINK_MS		 60000
#define ROUND_MS	 1000
#define ROUNDS		 30
#define DESTINATION_PORT 22

static const uint8_t hello[] = "hello";

static struct {
	bool came_back;
	bool is_over;
} flow;

static void on_open(void *ctx UNUSED, struct datagram_flow *f UNUSED)
{
}

static void on_datagram(void *ctx UNUSED, struct datagram_flow *f UNUSED, const uint8_t *data,
			size_t n)
{
	if (n != sizeof(hello) || memcmp(data, hello, n) != 0)
		site_fail("another datagram came back");
	flow.came_back = true;
}

static void on_icmp_error(void *ctx UNUSED, struct datagram_flow *f UNUSED, uint8_t type UNUSED,
			  uint8_t code UNUSED)
{
}

static void on_end(void *ctx UNUSED, struct datagram_flow *f UNUSED,
		   const struct datagram_flow_end *end UNUSED)
{
	if (flow.is_over)
		site_fail("a flow ended twice");
	flow.is_over = true;
}

static const struct datagram_flow_events events = {
	.on_open = on_open,
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

static struct h2_session *session_of(void *ctx UNUSED)
{
	return site_session();
}

static bool is_done(void)
{
	return flow.came_back || flow.is_over;
}

bool datagrams_play(void)
{
	const struct datagram_flow_options opt = {
		.loop = site_io(),
		.kind = DATAGRAM_UDP,
		.target = {{AF_INET, {10, 116, 0, 3}}, DESTINATION_PORT},
		.token = site_token(),
		.session = session_of,
	};
	struct datagram_flow *f;

	if (!site_until(site_is_linked, LINK_MS))
		return false;
	memset(&flow, 0, sizeof(flow));
	f = datagram_flow_new(&opt, &events, NULL);
	for (unsigned int i = 0; i < ROUNDS && !is_done(); i++) {
		(void)datagram_flow_send(f, hello, sizeof(hello));
		(void)site_until(is_done, ROUND_MS);
	}
	datagram_flow_free(f);
	/* What it leaves goes with the next turns. */
	for (unsigned int i = 0; i < 20; i++)
		site_turn();
	return flow.came_back;
}
