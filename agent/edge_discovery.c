/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each entry of `edge:` is one lookup; an SRV entry that is answered becomes a
 * lookup of each of its targets, put in its place. When no lookup runs any more,
 * what was found is collected in the order of the list. An entry that fails
 * doesn't spoil the others. A proxy is one more lookup, ahead of them; hosts are none then.
 */
#include "agent/edge_discovery.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/edge_proxy.h"
#include "agent/settings.h"
#include "base/err.h"
#include "wire/proto.h"
#include "wire/resolve.h"

#define CLOUDFLARE  "cloudflare"
#define SRV_PREFIX  "srv:"
#define SRV_SERVICE "v2-origintunneld"
#define SRV_DOMAIN  "_tcp.argotunnel.com"
#define LOOKUPS_MAX 64
#define TEXT_MAX    512

enum lookup_kind {
	LOOKUP_HOST,
	LOOKUP_SRV,
	LOOKUP_PROXY, /* first in the list */
};

struct lookup {
	struct list node;
	struct edge_discovery *discovery;
	enum lookup_kind kind;
	char name[HOST_NAME_MAX_LEN + 1];
	char server_name[HOST_NAME_MAX_LEN + 1];
	uint16_t port;		     /* of a host */
	struct resolve_query *query; /* while it runs */
	int status;
	struct ip_addr ips[RESOLVE_MAX];
	size_t n_ips;
};

struct edge_discovery {
	struct resolver *resolver;
	const struct settings *settings;
	char region[64];
	edge_discovery_cb cb;
	void *ctx;
	struct list lookups;
	size_t n_lookups;
	size_t n_running;
};

/* What a round found, for the callback. */
struct findings {
	struct edge_address addrs[EDGE_ADDRESSES_MAX];
	size_t n;
	struct endpoint proxies[RESOLVE_MAX];
	size_t n_proxies;
	size_t n_filtered; /* of a family that isn't wanted */
	size_t n_nobodys;  /* addresses that no edge can have */
	int status;	   /* of the first failure */
	char text[TEXT_MAX];
};

static void finish(struct edge_discovery *d);

/* ---- entries ---- */

static bool fits(int n, size_t size)
{
	return n > 0 && (size_t)n < size;
}

static int parse_cloudflare(struct lookup *l, const char *region)
{
	int n = snprintf(l->name, sizeof(l->name), "_%s%s" SRV_SERVICE "." SRV_DOMAIN, region,
			 *region ? "-" : "");

	l->kind = LOOKUP_SRV;
	snprintf(l->server_name, sizeof(l->server_name), "%s", SNI_STOCK);
	return fits(n, sizeof(l->name)) ? 0 : -EINVAL;
}

/* "_adit._tcp.example.com" offers a service of example.com. */
static const char *skip_service_labels(const char *name)
{
	while (*name == '_') {
		const char *dot = strchr(name, '.');

		if (!dot)
			break;
		name = dot + 1;
	}
	return name;
}

static int parse_srv(struct lookup *l, const char *name)
{
	int n = snprintf(l->name, sizeof(l->name), "%s", name);

	l->kind = LOOKUP_SRV;
	if (!fits(n, sizeof(l->name)))
		return -EINVAL;
	snprintf(l->server_name, sizeof(l->server_name), "%s", skip_service_labels(name));
	return 0;
}

static int parse_host(struct lookup *l, const char *entry)
{
	int r = host_port_parse(entry, l->name, &l->port);

	l->kind = LOOKUP_HOST;
	if (r == 0)
		memcpy(l->server_name, l->name, sizeof(l->server_name));
	return r;
}

static int parse_entry(struct lookup *l, const char *entry, const struct edge_discovery *d)
{
	const char *server_name = d->settings->edge_server_name;
	int r;

	if (strcmp(entry, CLOUDFLARE) == 0)
		r = parse_cloudflare(l, d->region);
	else if (strncmp(entry, SRV_PREFIX, strlen(SRV_PREFIX)) == 0)
		r = parse_srv(l, entry + strlen(SRV_PREFIX));
	else
		r = parse_host(l, entry);
	if (r == 0 && server_name &&
	    !fits(snprintf(l->server_name, sizeof(l->server_name), "%s", server_name),
		  sizeof(l->server_name)))
		return -EINVAL;
	return r;
}

/* ---- lookups ---- */

static void free_lookup(struct lookup *l)
{
	list_remove(&l->node);
	resolve_cancel(l->query);
	free(l);
}

static void drop_lookups(struct edge_discovery *d)
{
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &d->lookups)
		free_lookup(list_entry(node, struct lookup, node));
	d->n_lookups = 0;
	d->n_running = 0;
}

/* The callback of finish() may free everything: nothing is touched after it. */
static void lookup_ended(struct lookup *l, int status)
{
	struct edge_discovery *d = l->discovery;

	l->query = NULL;
	l->status = status;
	if (--d->n_running == 0)
		finish(d);
}

static void on_host(void *ctx, int status, const struct ip_addr *ips, size_t n)
{
	struct lookup *l = ctx;

	memcpy(l->ips, ips, n * sizeof(*ips));
	l->n_ips = n;
	lookup_ended(l, status);
}

static void on_srv(void *ctx, int status, const struct resolve_srv *srv, size_t n);

/* The proxy resolves it. */
static bool is_for_proxy(const struct lookup *l)
{
	return l->kind == LOOKUP_HOST && l->discovery->settings->edge_proxy;
}

static int start_lookup(struct lookup *l)
{
	struct resolver *resolver = l->discovery->resolver;
	int r;

	if (is_for_proxy(l))
		return 0;
	r = l->kind == LOOKUP_SRV ? resolve_srv(resolver, l->name, on_srv, l, &l->query)
				  : resolve_host(resolver, l->name, on_host, l, &l->query);

	if (r == 0)
		l->discovery->n_running++;
	return r;
}

/* A target takes its place behind @at, and the SRV entry's server name. */
static struct lookup *add_target(struct lookup *srv_lookup, struct list *at,
				 const struct resolve_srv *srv)
{
	struct lookup *l = xnew(struct lookup);

	l->discovery = srv_lookup->discovery;
	l->kind = LOOKUP_HOST;
	l->port = srv->port;
	memcpy(l->name, srv->target, sizeof(l->name));
	memcpy(l->server_name, srv_lookup->server_name, sizeof(l->server_name));
	list_append(at->next, &l->node);
	l->discovery->n_lookups++;
	l->status = start_lookup(l);
	return l;
}

static void on_srv(void *ctx, int status, const struct resolve_srv *srv, size_t n)
{
	struct lookup *l = ctx;
	struct list *at = &l->node;

	for (size_t i = 0; i < n && l->discovery->n_lookups < LOOKUPS_MAX; i++)
		at = &add_target(l, at, &srv[i])->node;
	lookup_ended(l, status);
}

/* ---- the end of a round ---- */

static int wanted_family(const struct settings *s)
{
	const char *version = s->edge_ip_version;

	if (s->edge_bind_address.family)
		return s->edge_bind_address.family;
	if (version && strcmp(version, "4") == 0)
		return AF_INET;
	return version && strcmp(version, "6") == 0 ? AF_INET6 : 0;
}

static bool is_known(const struct findings *f, const struct edge_address *address)
{
	for (size_t i = 0; i < f->n; i++) {
		if (edge_address_equal(&f->addrs[i], address))
			return true;
	}
	return false;
}

static void add_text(struct findings *f, const char *name, const char *text)
{
	size_t used = strlen(f->text);

	snprintf(f->text + used, sizeof(f->text) - used, "%s%s%s%s", used ? "; " : "", name,
		 *name ? ": " : "", text);
}

/*
 * "0.0.0.0" is how name servers that block a name lie, and the kernel would take it for this
 * host; multicast and broadcast have no TCP.
 */
static bool is_nobodys(const struct ip_addr *ip)
{
	static const uint8_t zero[sizeof(ip->bytes)];

	if (ip->family == AF_INET)
		return ip->bytes[0] == 0 || ip->bytes[0] >= 224;
	return ip->bytes[0] == 0xff || memcmp(ip->bytes, zero, sizeof(zero)) == 0;
}

static void note_nobodys(struct findings *f, const struct lookup *l, const struct ip_addr *ip)
{
	char text[IP_TEXT_MAX + 64], address[IP_TEXT_MAX];
	struct ip_addr literal;

	f->n_nobodys++;
	if (ip_parse(l->name, &literal) == 0) {
		add_text(f, l->name, "no server can be reached at this address");
		return;
	}
	snprintf(text, sizeof(text), "the name server says %s, which is no edge's address",
		 ip_format(ip, address));
	add_text(f, l->name, text);
}

static void add_address(struct findings *f, const struct edge_address *address)
{
	if (f->n < EDGE_ADDRESSES_MAX && !is_known(f, address))
		f->addrs[f->n++] = *address;
}

/* What is dialled: the edge, or the proxy. False: nobody's, or not of the family that is wanted. */
static bool is_wanted(struct findings *f, const struct lookup *l, const struct ip_addr *ip,
		      int family)
{
	if (is_nobodys(ip)) {
		note_nobodys(f, l, ip);
		return false;
	}
	if (family && ip->family != family) {
		f->n_filtered++;
		return false;
	}
	return true;
}

static void add_proxies(struct findings *f, const struct lookup *l, int family)
{
	for (size_t i = 0; i < l->n_ips; i++) {
		struct endpoint ep = {.ip = ip_canonical(&l->ips[i]), .port = l->port};

		if (is_wanted(f, l, &ep.ip, family))
			f->proxies[f->n_proxies++] = ep;
	}
}

static void add_direct(struct findings *f, const struct lookup *l, int family)
{
	struct edge_address a = {.ep = {.port = l->port}};

	memcpy(a.server_name, l->server_name, sizeof(a.server_name));
	for (size_t i = 0; i < l->n_ips; i++) {
		a.ep.ip = ip_canonical(&l->ips[i]);
		if (is_wanted(f, l, &a.ep.ip, family))
			add_address(f, &a);
	}
}

static void add_through_proxy(struct findings *f, const struct lookup *l)
{
	struct edge_address a = {.ep = {.port = l->port}};

	memcpy(a.server_name, l->server_name, sizeof(a.server_name));
	if (ip_parse(l->name, &a.ep.ip) == 0)
		a.ep.ip = ip_canonical(&a.ep.ip);
	else
		memcpy(a.host, l->name, sizeof(a.host));
	for (size_t i = 0; i < f->n_proxies; i++) {
		a.proxy = f->proxies[i];
		add_address(f, &a);
	}
}

static void add_found(struct findings *f, const struct lookup *l, int family)
{
	if (l->kind == LOOKUP_PROXY)
		add_proxies(f, l, family);
	else if (is_for_proxy(l))
		add_through_proxy(f, l);
	else
		add_direct(f, l, family);
}

static void add_failure(struct findings *f, const struct lookup *l)
{
	static const char *const kinds[] = {
		[LOOKUP_HOST] = "",
		[LOOKUP_SRV] = " (SRV)",
		[LOOKUP_PROXY] = " (edge-proxy)",
	};
	char name[HOST_NAME_MAX_LEN + sizeof(" (edge-proxy)")];

	if (f->status == 0)
		f->status = l->status;
	snprintf(name, sizeof(name), "%s%s", l->name, kinds[l->kind]);
	add_text(f, name, resolve_status_text(l->status));
}

static void collect(const struct edge_discovery *d, struct findings *f)
{
	int family = wanted_family(d->settings);
	struct list *node;

	list_for_each (node, &d->lookups) {
		const struct lookup *l = list_entry(node, struct lookup, node);

		if (l->status < 0)
			add_failure(f, l);
		add_found(f, l, family);
	}
	if (f->n == 0 && f->n_filtered + f->n_nobodys > 0)
		f->status = -EADDRNOTAVAIL;
	if (f->n == 0 && f->n_filtered > 0)
		add_text(f, "",
			 "only addresses of the family that edge-ip-version or "
			 "edge-bind-address rules out");
}

static void finish(struct edge_discovery *d)
{
	CLEANUP(free) struct findings *f = xnew(struct findings);
	edge_discovery_cb cb = d->cb;
	void *ctx = d->ctx;

	collect(d, f);
	drop_lookups(d);
	cb(ctx, f->n > 0 ? 0 : f->status, f->addrs, f->n, f->text);
}

/* ---- life ---- */

static int add_proxy(struct edge_discovery *d)
{
	struct edge_proxy proxy;
	struct lookup *l;

	if (!d->settings->edge_proxy)
		return 0;
	if (edge_proxy_parse(d->settings->edge_proxy, &proxy) < 0)
		return -EINVAL;
	l = xnew(struct lookup);
	l->discovery = d;
	l->kind = LOOKUP_PROXY;
	memcpy(l->name, proxy.host, sizeof(l->name));
	l->port = proxy.port;
	list_append(&d->lookups, &l->node);
	return 0;
}

static int add_entries(struct edge_discovery *d)
{
	if (add_proxy(d) < 0)
		return -EINVAL;
	for (size_t i = 0; i < d->settings->n_edges && d->n_lookups < LOOKUPS_MAX; i++) {
		struct lookup *l = xnew(struct lookup);

		l->discovery = d;
		list_append(&d->lookups, &l->node);
		d->n_lookups++;
		if (parse_entry(l, d->settings->edges[i], d) < 0)
			return -EINVAL;
	}
	return d->n_lookups ? 0 : -EINVAL;
}

int edge_discovery_new(struct edge_discovery **dp, struct resolver *resolver,
		       const struct settings *settings, const char *region)
{
	struct edge_discovery *d = xnew(struct edge_discovery);
	int r;

	d->resolver = resolver;
	d->settings = settings;
	list_init(&d->lookups);
	snprintf(d->region, sizeof(d->region), "%s", region);
	r = strlen(region) < sizeof(d->region) ? add_entries(d) : -EINVAL;
	drop_lookups(d);
	if (r < 0) {
		free(d);
		return err_trace(r);
	}
	*dp = d;
	return 0;
}

void edge_discovery_free(struct edge_discovery *d)
{
	if (!d)
		return;
	drop_lookups(d);
	free(d);
}

int edge_discovery_start(struct edge_discovery *d, edge_discovery_cb cb, void *ctx)
{
	struct list *node;
	int r;

	if (d->n_running > 0)
		return 0;
	d->cb = cb;
	d->ctx = ctx;
	r = add_entries(d);
	list_for_each (node, &d->lookups) {
		if (r == 0)
			r = start_lookup(list_entry(node, struct lookup, node));
	}
	if (r < 0)
		drop_lookups(d);
	return r < 0 ? err_trace(r) : 0;
}
