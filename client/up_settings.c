/* SPDX-License-Identifier: Apache-2.0 */
#include "client/up_settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/err.h"
#include "client/up_settings_rows.h"
#include "tun/tun_addresses.h"

/* Shared address space (RFC 6598) that we take single addresses from. */
static const struct prefix own_addresses = PREFIX_V4(100, 96, 12);

struct up_settings *up_settings_free(struct up_settings *s)
{
	if (s)
		schema_deinit(&up_settings_schema, s);
	free(s);
	return NULL;
}

/* ---- flags ---- */

static void set_texts(struct up_settings *s, const struct up_overrides *o, struct diag *diag)
{
	const struct {
		const char *key, *text, *flag;
	} given[] = {
		{"credentials-file", o->credentials_file, "--credentials"},
		{"resolver", o->resolver, "--resolver"},
		{"loglevel", o->log_level, "--loglevel"},
		{"runtime-directory", o->runtime_dir, "--runtime-directory"},
		{"instance", o->instance, "--instance"},
		{"user", o->user, "--user"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		schema_set(&up_settings_schema, s, given[i].key, given[i].text, given[i].flag,
			   diag);
}

static void set_lists(struct up_settings *s, const struct up_overrides *o, struct diag *diag)
{
	const struct {
		const char *key;
		const char *const *texts;
		size_t n;
		const char *flag;
	} given[] = {
		{"edge", o->edges, o->n_edges, "--edge"},
		{"virtual-networks", o->networks, o->n_networks, "--virtual-network"},
		{"include", o->includes, o->n_includes, "--include"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		schema_set_list(&up_settings_schema, s, given[i].key, given[i].texts, given[i].n,
				given[i].flag, diag);
}

static void set_excludes(struct up_settings *s, const struct up_overrides *o, struct diag *diag)
{
	if (o->n_excludes == 0)
		return;
	schema_set(&up_settings_schema, s, "mode", "exclude", "--exclude", diag);
	if (o->n_excludes == 1 && strcmp(o->excludes[0], "default") == 0)
		return;
	schema_set_list(&up_settings_schema, s, "exclude", o->excludes, o->n_excludes, "--exclude",
			diag);
}

/* ---- what only shows when all values are there ---- */

static void check_addresses(const struct up_settings *s, struct diag *diag)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < s->n_addresses; i++) {
		const struct prefix *p = &s->addresses[i];

		if (i > 0 && p->ip.family == s->addresses[0].ip.family)
			diag_add(diag, DIAG_ERROR, 0, "addresses: one network per family");
		if (p->ip.family == AF_INET && !prefix_contains(&own_addresses, p))
			diag_add(diag, DIAG_ERROR, 0, "addresses: %s is not out of 100.96.0.0/12",
				 prefix_format(p, text));
	}
}

/* A bad network among them is check_addresses()'s to tell. */
static struct tun_addresses own(const struct up_settings *s)
{
	static const uint8_t unknown[TUN_ULA_ID_SIZE]; /* is drawn later, and can't be meant */
	struct tun_addresses a = tun_addresses_default(s->instance, unknown);

	for (size_t i = 0; i < s->n_addresses; i++)
		(void)tun_addresses_configure(&a, &s->addresses[i], NULL);
	return a;
}

static void check_servers(const struct up_settings *s, const struct up_dns_forward *forward,
			  struct diag *diag)
{
	const struct tun_addresses a = own(s);
	const struct ip_addr *const ips[] = {&a.local4, &a.peer4, &a.local6, &a.peer6};
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < forward->n_servers; i++) {
		const struct ip_addr *ip = &forward->servers[i].ip;

		for (size_t k = 0; k < ARRAY_SIZE(ips); k++) {
			if (ip_equal(ip, ips[k]))
				diag_add(diag, DIAG_ERROR, forward->line,
					 "dns: servers: %s is an address of adit up itself; name a "
					 "server behind the tunnel",
					 ip_format(ip, text));
		}
	}
}

static void check_dns(struct up_settings *s, struct diag *diag)
{
	for (size_t i = 0; i < s->n_dns; i++) {
		struct up_dns_forward *forward = &s->dns[i];

		for (char *c = forward->domain; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(s->dns[k].domain, forward->domain) == 0)
				diag_add(diag, DIAG_ERROR, forward->line,
					 "dns: domain: %s is there twice; give one entry all of "
					 "its servers",
					 forward->domain);
		}
		check_servers(s, forward, diag);
	}
}

static void check(struct up_settings *s, struct diag *diag)
{
	check_addresses(s, diag);
	if (s->mode == UP_MODE_INCLUDE && s->n_excludes > 0)
		diag_add(diag, DIAG_ERROR, 0,
			 "exclude: only means something with \"mode: exclude\"");
	check_dns(s, diag);
}

int up_socket_path(const char *runtime_dir, uint32_t instance, char out[UP_SOCKET_PATH_MAX])
{
	int n = snprintf(out, UP_SOCKET_PATH_MAX, "%s/%u/up.sock", runtime_dir, instance);

	return n < UP_SOCKET_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int up_settings_load(struct up_settings **sp, const char *path,
		     const struct up_overrides *overrides, struct diag *diag)
{
	CLEANUP(up_settings_free) struct up_settings *s = xnew(struct up_settings);
	size_t n_before = diag->n_errors;

	schema_set_fallbacks(&up_settings_schema, s);
	if (path && schema_load_file(&up_settings_schema, s, path, diag) < 0)
		return -EINVAL;
	set_texts(s, overrides, diag);
	set_lists(s, overrides, diag);
	set_excludes(s, overrides, diag);
	check(s, diag);
	diag_sort(diag);
	if (diag->n_errors > n_before)
		return -EINVAL;
	*sp = steal_ptr(s);
	return 0;
}

void up_settings_write_reference(FILE *out)
{
	schema_write_reference(&up_settings_schema, "client.yml", out);
}
