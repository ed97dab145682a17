/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stub name server of `adit up`, and how programs come to ask it: by systemd-resolved, which
 * the helper tells, or by a line that the user adds. /etc/resolv.conf is nobody's to edit.
 */

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/log.h"
#include "client/dns_stub.h"
#include "client/up_private.h"

int up_dns_open(struct up *u)
{
	const struct up_settings *s = u->settings;
	const struct dns_stub_options opt = {
		.loop = u->loop.io,
		.keeper = u->keeper,
		.token = u->credentials->token,
		.forwards = s->dns,
		.n_forwards = s->n_dns,
		.network_of = up_routes_network_of,
	};

	return s->n_dns > 0 ? dns_stub_new(&u->dns.stub, &opt, u) : 0;
}

/* Where there is no systemd-resolved to be told. */
static void tell_lines(const struct up *u)
{
	char ip[IP_TEXT_MAX], line[HOST_NAME_MAX_LEN + IP_TEXT_MAX + 16];

	ip_format(&u->host.addresses.peer4, ip);
	for (size_t i = 0; i < u->settings->n_dns; i++) {
		snprintf(line, sizeof(line), "server=/%s/%s", u->settings->dns[i].domain, ip);
		log_info("with dnsmasq add to its configuration", log_text("line", line));
	}
	snprintf(line, sizeof(line), "nameserver %s", ip);
	log_info("without a local name server add as the first one to /etc/resolv.conf",
		 log_text("line", line));
}

static void on_done(void *ctx, int result, const char *text)
{
	struct up *u = ctx;

	u->dns.is_wired = result == 0;
	if (u->is_stopping)
		return;
	if (result == 0) {
		log_info("names are asked through the tunnel",
			 log_int("domains", (int64_t)u->settings->n_dns),
			 log_text("wired_by", "resolvectl"));
		return;
	}
	log_warn("private names are not looked up yet",
		 log_text("reason", text[0] ? text : strerror(-result)));
	tell_lines(u);
}

void up_dns_wire(struct up *u)
{
	const char *domains[UP_DNS_FORWARDS_MAX];
	size_t n = u->settings->n_dns;
	int r;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		domains[i] = u->settings->dns[i].domain;
	/* The helper takes fewer than the stub does. */
	r = net_helper_dns_set(u->host.helper, domains, n, on_done, u);
	if (r < 0)
		on_done(u, r, r == -EINVAL ? "too many or too long domains for resolvectl" : "");
}

void up_dns_close(struct up *u)
{
	dns_stub_free(u->dns.stub);
	u->dns.stub = NULL;
}

struct json_t *up_dns_json(const struct up *u)
{
	char ip[IP_TEXT_MAX];
	json_t *dns;

	if (!u->dns.stub)
		return json_null();
	dns = dns_stub_json(u->dns.stub);
	json_object_set_new(dns, "server", json_string(ip_format(&u->host.addresses.peer4, ip)));
	json_object_set_new(dns, "wired_by", json_string(u->dns.is_wired ? "resolvectl" : "none"));
	return dns;
}
