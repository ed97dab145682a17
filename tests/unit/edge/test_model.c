/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model on a real database in a temporary folder: changes, authentication, expiry, the
 * rules of advertisement, and that a restart gives the same tables.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/diag.h"
#include "edge/decide.h"
#include "edge/model.h"
#include "model_world.h"
#include "wire/tls_crypto.h"

#define HOUR_MS (3600ll * 1000)

/* ---- events ---- */

static void note_secret_gone(void *ctx, const struct uuid *tunnel, const char *id)
{
	(void)tunnel;
	(void)id;
	((struct fixture *)ctx)->n_secret_gone++;
}

static void note_tunnel_gone(void *ctx, const struct uuid *tunnel)
{
	(void)tunnel;
	((struct fixture *)ctx)->n_tunnel_gone++;
}

static void note_token_gone(void *ctx, const struct uuid *client, const char *id)
{
	(void)client;
	(void)id;
	((struct fixture *)ctx)->n_token_gone++;
}

static void note_access_changed(void *ctx, const struct uuid *client)
{
	(void)client;
	((struct fixture *)ctx)->n_access_changed++;
}

static void note_policies_changed(void *ctx)
{
	((struct fixture *)ctx)->n_policies_changed++;
}

static const struct edge_model_events events = {
	.on_secret_gone = note_secret_gone,
	.on_tunnel_gone = note_tunnel_gone,
	.on_token_gone = note_token_gone,
	.on_access_changed = note_access_changed,
	.on_policies_changed = note_policies_changed,
};

static int set_up(void **state)
{
	struct fixture *f = fixture_new(&events);

	f->may_fail = true;
	*state = f;
	return 0;
}

static void add_route(struct fixture *f, const char *prefix, uint8_t tunnel)
{
	PUT(f, STORE_ROUTE, store_text(vnet_id(f, "")), store_text(prefix),
	    store_text(id_text(tunnel)), store_text(""), store_int(NOW_MS));
}

static void add_secret(struct fixture *f, uint8_t tunnel, const char *id, const char *secret,
		       int64_t expires_ms)
{
	uint8_t digest[SHA256_BYTES];

	sha256(secret, strlen(secret), digest);
	PUT(f, STORE_TUNNEL_SECRET, store_text(id_text(tunnel)), store_text(id),
	    store_blob(digest, sizeof(digest)), store_int(NOW_MS), store_int(expires_ms));
}

/* ---- advertising ---- */

static struct route_entry entry(const char *network, const char *vnet)
{
	struct route_entry e = {0};

	snprintf(e.network, sizeof(e.network), "%s", network);
	snprintf(e.virtual_network, sizeof(e.virtual_network), "%s", vnet);
	return e;
}

/* One whole set of @n networks in the default virtual network; the reply is returned. */
static struct route_reply advertise(struct fixture *f, uint8_t tunnel, uint8_t connector,
				    uint8_t instance, const char *const *networks, size_t n)
{
	struct uuid t = id_of(tunnel);
	struct uuid c = id_of(connector);
	struct route_entry routes[16];
	struct route_call call = {.instance_id = id_of(instance), .generation = 1, .last = true};
	struct route_reply reply = {0};

	for (size_t i = 0; i < n; i++)
		routes[i] = entry(networks[i], "");
	call.part.routes = routes;
	call.part.n_routes = n;
	call.hash[0] = (uint8_t)n;
	assert_int_equal(edge_connector_up(f->m, &t, &c, f->now_ms), 0);
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), 0);
	assert_int_equal(reply.n_verdicts, n);
	return reply;
}

/* The verdict on one network alone: "" or the reason. */
static const char *verdict(struct fixture *f, uint8_t tunnel, const char *network)
{
	static char reason[ROUTE_REASON_MAX];
	struct route_reply reply =
		advertise(f, tunnel, tunnel, tunnel, (const char *const[]){network}, 1);

	assert_int_equal(reply.verdicts[0].accepted, reply.verdicts[0].reason[0] == '\0');
	snprintf(reason, sizeof(reason), "%s", reply.verdicts[0].reason);
	return reason;
}

static void down(struct fixture *f, uint8_t tunnel, uint8_t connector)
{
	struct uuid t = id_of(tunnel);
	struct uuid c = id_of(connector);

	edge_connector_down(f->m, &t, &c, f->now_ms);
}

static const struct route *match(struct fixture *f, const char *address)
{
	const struct vnet *v = vnet_table_default(edge_model_vnets(f->m));
	struct ip_addr ip;

	assert_int_equal(ip_parse(address, &ip), 0);
	return route_table_match(edge_model_routes(f->m), &v->id, &ip);
}

static uint8_t owner(struct fixture *f, const char *address)
{
	const struct route *r = match(f, address);

	return r ? r->tunnel.bytes[0] : 0;
}

static size_t n_serving(struct fixture *f, const char *address)
{
	struct uuid connectors[EDGE_CONNECTORS_MAX];
	const struct route *r = match(f, address);

	return r ? edge_route_connectors(f->m, r, connectors) : 0;
}

/* ---- tests ---- */

static void a_new_database_has_its_basics(void **state)
{
	struct fixture *f = *state;
	char tag[EDGE_ACCOUNT_TAG_MAX];
	struct uuid vnet = vnet_table_default(edge_model_vnets(f->m))->id;

	assert_int_equal(strlen(edge_model_account_tag(f->m)), 32);
	memcpy(tag, edge_model_account_tag(f->m), sizeof(tag));
	restart(f);
	assert_string_equal(edge_model_account_tag(f->m), tag);
	assert_true(uuid_equal(&vnet_table_default(edge_model_vnets(f->m))->id, &vnet));
}

static int auth(struct fixture *f, uint8_t tunnel, const char *tag, const char *secret,
		char key_id[EDGE_KEY_ID_MAX])
{
	const struct edge_tunnel *t;
	struct uuid id = id_of(tunnel);

	return edge_auth_tunnel(f->m, tag, &id, (const uint8_t *)secret, strlen(secret), f->now_ms,
				&t, key_id);
}

static void secrets_open_until_revoked_or_expired(void **state)
{
	struct fixture *f = *state;
	const char *tag = edge_model_account_tag(f->m);
	char key[EDGE_KEY_ID_MAX];

	add_tunnel(f, 1, "one");
	add_secret(f, 1, "aa", "first", 0);
	add_secret(f, 1, "bb", "second", NOW_MS + HOUR_MS);
	assert_int_equal(auth(f, 1, tag, "first", key), 0);
	assert_string_equal(key, "aa");
	assert_int_equal(auth(f, 1, tag, "second", key), 0);
	assert_string_equal(key, "bb");
	assert_int_equal(auth(f, 1, tag, "third", key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(auth(f, 1, tag, "", key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(auth(f, 1, "other", "first", key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(auth(f, 2, tag, "first", key), EDGE_AUTH_E_REFUSED);

	f->now_ms += HOUR_MS;
	assert_int_equal(auth(f, 1, tag, "second", key), EDGE_AUTH_E_REFUSED);
	edge_model_tick(f->m, f->now_ms);
	assert_int_equal(f->n_secret_gone, 1);
	DELETE(f, STORE_TUNNEL_SECRET, 2, store_text(id_text(1)), store_text("aa"));
	assert_int_equal(f->n_secret_gone, 2);
	assert_int_equal(auth(f, 1, tag, "first", key), EDGE_AUTH_E_REFUSED);
	restart(f);
	assert_int_equal(edge_model_tunnel_find(f->m, "one")->n_keys, 0);
}

static void client_tokens(void **state)
{
	struct fixture *f = *state;
	const struct edge_client *c = NULL;
	char key[EDGE_KEY_ID_MAX];
	uint8_t digest[SHA256_BYTES];

	sha256("secret", 6, digest);
	PUT(f, STORE_CLIENT, store_text(id_text(9)), store_text("alice"), store_text(""),
	    store_int(1), store_int(0));
	PUT(f, STORE_CLIENT_TOKEN, store_text(id_text(9)), store_text("ab12"),
	    store_blob(digest, sizeof(digest)), store_int(1));
	assert_int_equal(edge_auth_client(f->m, "adit_ab12.secret", &c, key), 0);
	assert_string_equal(c->name, "alice");
	assert_string_equal(key, "ab12");
	assert_int_equal(edge_auth_client(f->m, "adit_ab12.Secret", &c, key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(edge_auth_client(f->m, "adit_ab1.secret", &c, key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(edge_auth_client(f->m, "adit_ab12", &c, key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(edge_auth_client(f->m, "adit_.", &c, key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(edge_auth_client(f->m, "", &c, key), EDGE_AUTH_E_REFUSED);
	assert_int_equal(edge_auth_client(f->m, "ab12.secret", &c, key), EDGE_AUTH_E_REFUSED);
	DELETE(f, STORE_CLIENT_TOKEN, 1, store_text(id_text(9)));
	assert_int_equal(f->n_token_gone, 1);
	assert_int_equal(edge_auth_client(f->m, "adit_ab12.secret", &c, key), EDGE_AUTH_E_REFUSED);
}

/* Tunnel 1 has 10/8 granted and in force; tunnel 2 gets the grants of each row and asks. */
static void advertisement_rules(void **state)
{
	static const struct {
		const char *grant;
		bool override;
		const char *network;
		const char *verdict; /* "" accepted */
	} cases[] = {
		{NULL, false, "172.16.0.0/12",
		 "not granted: adit-edge grant add two 172.16.0.0/12"},
		{"172.16.0.0/12", false, "172.16.0.0/12", ""},
		{"172.16.0.0/12", false, "172.16.5.0/24", ""},
		{"172.16.0.0/12", false, "172.16.5.1", ""},
		{"172.16.0.0/12", false, "172.0.0.0/8",
		 "not granted: adit-edge grant add two 172.0.0.0/8"},
		{"10.0.0.0/8", false, "10.0.0.0/8", "owned by tunnel one"},
		{"10.0.0.0/8", true, "10.0.0.0/8", "owned by tunnel one"},
		{"10.0.0.0/8", false, "10.1.0.0/16",
		 "inside tunnel one's 10.0.0.0/8: adit-edge grant add two 10.1.0.0/16 --override"},
		{"10.1.0.0/16", false, "10.1.0.0/16",
		 "inside tunnel one's 10.0.0.0/8: adit-edge grant add two 10.1.0.0/16 --override"},
		{"10.1.0.0/16", true, "10.1.0.0/16", ""},
		{"0.0.0.0/0", false, "8.0.0.0/5",
		 "around tunnel one's 10.0.0.0/8: adit-edge grant add two 8.0.0.0/5"},
		{"8.0.0.0/5", false, "8.0.0.0/5", ""},
		{"0.0.0.0/0", true, "8.0.0.0/5", ""},
		{"0.0.0.0/0", false, "0.0.0.0/0", ""},
		{"0.0.0.0/0", false, "127.0.0.0/8",
		 "loopback: only single addresses of that range can be advertised"},
		{"0.0.0.0/0", false, "127.0.0.1/32", ""},
		{"0.0.0.0/0", false, "192.168.1.1/24",
		 "has host bits set: 192.168.1.0/24 is meant"},
		{"0.0.0.0/0", false, "192.168.1.0/33", "not ADDRESS/BITS, as in 10.0.0.0/8"},
		{"0.0.0.0/0", false, "example.org", "not ADDRESS/BITS, as in 10.0.0.0/8"},
		{"0.0.0.0/0", false, "", "not ADDRESS/BITS, as in 10.0.0.0/8"},
		{"::/0", false, "2001:db8::/32", ""},
		{"0.0.0.0/0", false, "2001:db8::/32",
		 "not granted: adit-edge grant add two 2001:db8::/32"},
	};
	struct fixture *f = *state;

	add_tunnel(f, 1, "one");
	add_tunnel(f, 2, "two");
	grant(f, 1, "10.0.0.0/8", false);
	assert_string_equal(verdict(f, 1, "10.0.0.0/8"), "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].grant)
			grant(f, 2, cases[i].grant, cases[i].override);
		assert_string_equal(verdict(f, 2, cases[i].network), cases[i].verdict);
		assert_int_equal(owner(f, "10.200.0.1"), 1);
		advertise(f, 2, 2, 2, NULL, 0);
		if (cases[i].grant)
			ungrant(f, 2, cases[i].grant);
	}
}

static void sets_replace_and_replicas_share(void **state)
{
	struct fixture *f = *state;

	add_tunnel(f, 1, "one");
	grant(f, 1, "10.0.0.0/8", false);
	advertise(f, 1, 11, 1, (const char *const[]){"10.1.0.0/16", "10.2.0.0/16"}, 2);
	advertise(f, 1, 12, 2, (const char *const[]){"10.1.0.0/16"}, 1);
	assert_int_equal(n_serving(f, "10.1.0.1"), 2);
	assert_int_equal(n_serving(f, "10.2.0.1"), 1);
	advertise(f, 1, 11, 1, (const char *const[]){"10.3.0.0/16"}, 1);
	assert_int_equal(n_serving(f, "10.1.0.1"), 1);
	assert_null(match(f, "10.2.0.1"));
	assert_int_equal(n_serving(f, "10.3.0.1"), 1);
	/* The operator's route is served by any connector. */
	add_route(f, "10.9.0.0/16", 1);
	assert_int_equal(n_serving(f, "10.9.0.1"), 2);
	assert_int_equal(edge_model_n_operator_routes(f->m), 1);
}

static void gone_sets_are_held_and_replaced_by_instance(void **state)
{
	struct fixture *f = *state;

	add_tunnel(f, 1, "one");
	grant(f, 1, "10.0.0.0/8", false);
	advertise(f, 1, 11, 1, (const char *const[]){"10.1.0.0/16"}, 1);
	advertise(f, 1, 12, 2, (const char *const[]){"10.2.0.0/16"}, 1);
	down(f, 1, 11);
	down(f, 1, 12);
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	assert_int_equal(n_serving(f, "10.1.0.1"), 0);
	/* Instance 1 comes back as process 13 with another set: 11's goes, 12's stays. */
	advertise(f, 1, 13, 1, (const char *const[]){"10.3.0.0/16"}, 1);
	assert_null(match(f, "10.1.0.1"));
	assert_int_equal(owner(f, "10.2.0.1"), 1);
	/* Two live processes with one instance keep their own; the second's set is no restart of
	 * it. */
	advertise(f, 1, 14, 1, (const char *const[]){"10.4.0.0/16"}, 1);
	assert_int_equal(n_serving(f, "10.3.0.1"), 1);
	down(f, 1, 13);
	advertise(f, 1, 14, 1, (const char *const[]){"10.5.0.0/16"}, 1);
	assert_int_equal(owner(f, "10.3.0.1"), 1);
	/* Held sets end with their time. */
	f->now_ms += EDGE_ROUTE_HOLD_MS;
	edge_model_tick(f->m, f->now_ms);
	assert_null(match(f, "10.2.0.1"));
	assert_null(match(f, "10.3.0.1"));
	assert_int_equal(n_serving(f, "10.5.0.1"), 1);
}

static void restart_keeps_the_table(void **state)
{
	struct fixture *f = *state;
	struct uuid t = id_of(1);
	struct uuid c = id_of(11);
	struct route_call hash = {.hash = {2}, .hash_only = true};
	struct route_reply reply;

	add_tunnel(f, 1, "one");
	grant(f, 1, "10.0.0.0/8", false);
	advertise(f, 1, 11, 1, (const char *const[]){"10.1.0.0/16", "172.16.0.0/12"}, 2);
	restart(f);
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	assert_int_equal(n_serving(f, "10.1.0.1"), 0);
	assert_true(edge_model_tunnel_find(f->m, "one")->seen_ms > 0);
	/* The same process is back: its set lives again, and its hash is known with all verdicts.
	 */
	assert_int_equal(edge_connector_up(f->m, &t, &c, f->now_ms), 0);
	assert_int_equal(n_serving(f, "10.1.0.1"), 1);
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &hash, &reply), 0);
	assert_false(reply.send_all);
	assert_int_equal(reply.n_verdicts, 2);
	assert_true(reply.verdicts[0].accepted);
	assert_false(reply.verdicts[1].accepted);
	hash.hash[0] = 7;
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &hash, &reply), 0);
	assert_true(reply.send_all);
	/* The hold goes on over a restart and ends. */
	restart(f);
	restart(f);
	f->now_ms += EDGE_ROUTE_HOLD_MS;
	edge_model_tick(f->m, f->now_ms);
	assert_null(match(f, "10.1.0.1"));
	restart(f);
	assert_null(match(f, "10.1.0.1"));
}

static void sets_come_in_parts(void **state)
{
	struct fixture *f = *state;
	struct uuid t = id_of(1);
	struct uuid c = id_of(11);
	struct route_entry first = entry("10.1.0.0/16", "");
	struct route_entry second = entry("10.2.0.0/16", "lab");
	struct vnet_entry lab = {.name = "lab"};
	struct route_call call = {.generation = 5, .instance_id = id_of(1)};
	struct route_reply reply;

	add_tunnel(f, 1, "one");
	grant(f, 1, "10.0.0.0/8", false);
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), EDGE_ADVERT_E_UNKNOWN);
	assert_int_equal(edge_connector_up(f->m, &t, &c, f->now_ms), 0);
	call.part = (struct route_set){.routes = &first, .n_routes = 1};
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), 0);
	assert_int_equal(reply.n_verdicts, 1);
	assert_true(reply.verdicts[0].accepted);
	assert_null(match(f, "10.1.0.1"));
	call.part =
		(struct route_set){.vnets = &lab, .n_vnets = 1, .routes = &second, .n_routes = 1};
	call.last = true;
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), 0);
	assert_int_equal(reply.n_verdicts, 2);
	assert_string_equal(reply.verdicts[0].reason,
			    "not granted: adit-edge grant add one --network-name lab");
	assert_string_equal(reply.verdicts[1].reason,
			    "no virtual network lab: adit-edge vnet add lab");
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	/* Granted by name, the network is made, and the entry is judged again. */
	PUT(f, STORE_TUNNEL_NETWORK, store_text(id_text(1)), store_text("lab"));
	assert_non_null(vnet_table_by_name(edge_model_vnets(f->m), "lab"));
	/* A part of a newer generation throws away what was collected. */
	call.last = false;
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), 0);
	call.generation = 6;
	call.last = true;
	call.part = (struct route_set){.routes = &first, .n_routes = 1};
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), 0);
	call.hash_only = true;
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), 0);
	assert_int_equal(reply.n_verdicts, 1);
	restart(f);
	assert_non_null(vnet_table_by_name(edge_model_vnets(f->m), "lab"));
}

static void too_many_entries_are_refused(void **state)
{
	struct fixture *f = *state;
	struct uuid t = id_of(1);
	struct uuid c = id_of(11);
	struct route_entry routes[ROUTES_PER_CALL];
	struct route_call call = {.generation = 1};
	struct route_reply reply;
	int r = 0;

	add_tunnel(f, 1, "one");
	assert_int_equal(edge_connector_up(f->m, &t, &c, f->now_ms), 0);
	for (size_t i = 0; i < ROUTES_PER_CALL; i++)
		routes[i] = entry("10.0.0.0/8", "");
	call.part = (struct route_set){.routes = routes, .n_routes = ROUTES_PER_CALL};
	for (size_t i = 0; i < ROUTES_MAX / ROUTES_PER_CALL; i++) {
		assert_int_equal(r, 0);
		r = edge_advertise(f->m, &t, &c, 1, &call, &reply);
	}
	assert_int_equal(r, 0);
	assert_int_equal(edge_advertise(f->m, &t, &c, 1, &call, &reply), EDGE_ADVERT_E_TOO_MANY);
}

static void verdicts_follow_grants_and_routes(void **state)
{
	struct fixture *f = *state;

	add_tunnel(f, 1, "one");
	add_tunnel(f, 2, "two");
	grant(f, 1, "10.0.0.0/8", false);
	grant(f, 2, "10.0.0.0/8", false);
	advertise(f, 1, 1, 1, (const char *const[]){"10.1.0.0/16"}, 1);
	assert_string_equal(verdict(f, 2, "10.1.0.0/16"), "owned by tunnel one");
	/* The grant goes: the route goes, and the other tunnel's is taken. */
	ungrant(f, 1, "10.0.0.0/8");
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	/* What is in force stays when the former owner may again. */
	grant(f, 1, "10.0.0.0/8", false);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	/* The operator's routes may overlap, and take the same prefix. */
	add_route(f, "10.1.2.0/24", 1);
	assert_int_equal(owner(f, "10.1.2.1"), 1);
	assert_int_equal(owner(f, "10.1.3.1"), 2);
	add_route(f, "10.1.0.0/16", 1);
	assert_int_equal(owner(f, "10.1.3.1"), 1);
	DELETE(f, STORE_TUNNEL, 1, store_text(id_text(1)));
	assert_int_equal(f->n_tunnel_gone, 1);
	assert_int_equal(edge_model_n_operator_routes(f->m), 0);
	assert_int_equal(owner(f, "10.1.2.1"), 2);
}

static void a_refused_commit_changes_nothing(void **state)
{
	struct fixture *f = *state;

	/* No such tunnel: the database's foreign key refuses. */
	PUT(f, STORE_TUNNEL_GRANT, store_text(id_text(5)), store_text(vnet_id(f, "")),
	    store_text("10.0.0.0/8"), store_int(0));
	assert_non_null(strstr(f->failure, "nothing was changed"));
	add_tunnel(f, 5, "five");
	assert_string_equal(f->failure, "");
	assert_int_equal(edge_model_tunnel_find(f->m, "five")->n_grants, 0);
}

/* ---- decide ---- */

static void decisions(void **state)
{
	static const struct {
		const char *client;
		const char *network;
		const char *destination;
		enum stream_error reason;
	} cases[] = {
		{"none", "", "10.1.0.1:22", STREAM_ERROR_NOT_GRANTED},
		{"none", "nowhere", "10.1.0.1:22", STREAM_ERROR_NOT_GRANTED},
		{"none", "", "192.0.2.1:22", STREAM_ERROR_NOT_GRANTED},
		{"some", "", "10.1.0.1:22", STREAM_ERROR_NONE},
		{"some", "default", "10.1.0.1:22", STREAM_ERROR_NONE},
		{"some", NULL, "10.1.0.1:22", STREAM_ERROR_NONE},
		{"some", "", "[::ffff:10.1.0.1]:22", STREAM_ERROR_NONE},
		{"some", "", "10.1.0.1:80", STREAM_ERROR_NOT_GRANTED},
		{"some", "nowhere", "10.1.0.1:22", STREAM_ERROR_NO_NETWORK},
		{"some", "lab", "10.1.0.1:22", STREAM_ERROR_NOT_GRANTED},
		{"some", "", "10.2.0.1:22", STREAM_ERROR_CONNECTOR_DOWN},
		{"some", "", "10.3.0.1:22", STREAM_ERROR_NO_ROUTE},
		{"some", "", "192.0.2.1:22", STREAM_ERROR_NOT_GRANTED},
		{"all", "", "10.1.0.1:80", STREAM_ERROR_NONE},
		{"all", "", "192.0.2.1:1", STREAM_ERROR_NONE},
		{"all", "", "127.0.0.1:22", STREAM_ERROR_NOT_GRANTED},
		{"all", "", "[::ffff:127.0.0.1]:22", STREAM_ERROR_NOT_GRANTED},
		{"all", "", "169.254.169.254:80", STREAM_ERROR_NOT_GRANTED},
		{"all", "", "127.0.0.2:22", STREAM_ERROR_NONE},
		{"all", "", "127.0.0.3:22", STREAM_ERROR_NO_ROUTE},
		{"all", "", "[2001:db8::1]:22", STREAM_ERROR_NOT_GRANTED},
		{"revoked", "", "10.1.0.1:22", STREAM_ERROR_NOT_GRANTED},
	};
	static const struct {
		uint8_t client;
		const char *prefix;
		const char *ports;
	} grants[] = {
		{2, "10.0.0.0/8", "22"}, {3, "0.0.0.0/0", ""},	{3, "127.0.0.2/32", ""},
		{3, "127.0.0.3/32", ""}, {4, "10.0.0.0/8", ""},
	};
	static const char *const clients[] = {"none", "some", "all", "revoked"};
	struct fixture *f = *state;

	for (uint8_t i = 0; i < ARRAY_SIZE(clients); i++)
		PUT(f, STORE_CLIENT, store_text(id_text((uint8_t)(i + 1))), store_text(clients[i]),
		    store_text(""), store_int(1), store_int(i == 3));
	for (size_t i = 0; i < ARRAY_SIZE(grants); i++)
		PUT(f, STORE_CLIENT_GRANT, store_text(id_text(grants[i].client)),
		    store_text(vnet_id(f, "")), store_text(grants[i].prefix),
		    store_text(grants[i].ports), store_text("*"));
	PUT(f, STORE_VNET, store_text(id_text(77)), store_text("lab"), store_text(""),
	    store_int(0));
	add_tunnel(f, 1, "one");
	add_tunnel(f, 2, "two");
	grant(f, 1, "0.0.0.0/0", true);
	grant(f, 2, "0.0.0.0/0", true);
	advertise(
		f, 1, 11, 1,
		(const char *const[]){"10.1.0.0/16", "192.0.2.0/24", "127.0.0.2/32", "126.0.0.0/7"},
		4);
	advertise(f, 2, 22, 2, (const char *const[]){"10.2.0.0/16"}, 1);
	down(f, 2, 22);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct edge_client *c = edge_model_client_find(f->m, cases[i].client);
		struct decision d;
		struct endpoint ep;

		assert_int_equal(endpoint_parse(cases[i].destination, &ep), 0);
		assert_int_equal(decide(f->m, c, cases[i].network, &ep, TRANSPORT_TCP, &d),
				 cases[i].reason);
		assert_int_equal(d.reason, cases[i].reason);
		assert_int_equal(d.n_connectors, cases[i].reason == STREAM_ERROR_NONE);
	}
}

static void put_grant(struct fixture *f, const char *ports, const char *protocols)
{
	PUT(f, STORE_CLIENT_GRANT, store_text(id_text(9)), store_text(vnet_id(f, "")),
	    store_text("10.0.0.0/8"), store_text(ports), store_text(protocols));
}

static void changed_grants_are_told(void **state)
{
	struct fixture *f = *state;
	const struct client_grant *g;

	PUT(f, STORE_CLIENT, store_text(id_text(9)), store_text("alice"), store_text(""),
	    store_int(1), store_int(0));
	put_grant(f, "22", "tcp");
	assert_int_equal(f->n_access_changed, 1);
	put_grant(f, "22", "tcp,icmp");
	assert_int_equal(f->n_access_changed, 2);
	restart(f);
	assert_int_equal(edge_model_client_find(f->m, "alice")->n_grants, 1);
	g = &edge_model_client_find(f->m, "alice")->grants[0];
	assert_true(transports_name(g->transports, TRANSPORT_ICMP));
	assert_false(transports_contain(g->transports, TRANSPORT_UDP));
	DELETE(f, STORE_CLIENT_GRANT, 3, store_text(id_text(9)), store_text(vnet_id(f, "")),
	       store_text("10.0.0.0/8"));
	assert_int_equal(f->n_access_changed, 3);
	restart(f);
	assert_int_equal(edge_model_client_find(f->m, "alice")->n_grants, 0);
}

static void put_policy(struct fixture *f, int id, int position, const char *name)
{
	PUT(f, STORE_POLICY, store_text(id_text((uint8_t)id)), store_int(position),
	    store_text(name), store_text("block"), store_text("alice"), store_text("*@b.c"),
	    store_text(vnet_id(f, "")), store_text("10.0.0.0/8"), store_text("22,80-90"),
	    store_text("tcp"), store_int(5));
}

static void check_policies(const struct fixture *f, const char *first, const char *second)
{
	assert_int_equal(edge_model_n_policies(f->m), 2);
	assert_string_equal(edge_model_policy_at(f->m, 0)->name, first);
	assert_string_equal(edge_model_policy_at(f->m, 1)->name, second);
}

static void policies_are_kept_in_order(void **state)
{
	struct fixture *f = *state;
	const struct policy *p;

	put_policy(f, 9, 2, "late");
	put_policy(f, 8, 1, "early");
	check_policies(f, "early", "late");
	assert_int_equal(f->n_policies_changed, 2);
	restart(f);
	check_policies(f, "early", "late");
	put_policy(f, 8, 3, "early");
	check_policies(f, "late", "early");
	p = edge_model_policy_find(f->m, "early");
	assert_int_equal(p->action, POLICY_ACTION_BLOCK);
	assert_string_equal(p->client, "alice");
	assert_string_equal(p->email, "*@b.c");
	assert_false(uuid_is_nil(&p->vnet));
	assert_int_equal(p->prefix.bits, 8);
	assert_int_equal(p->ports.n, 2);
	assert_true(transports_name(p->transports, TRANSPORT_TCP));
	DELETE(f, STORE_POLICY, 1, store_text(id_text(9)));
	assert_null(edge_model_policy_find(f->m, "late"));
	assert_ptr_equal(edge_model_policy_find(f->m, id_text(8)), edge_model_policy_at(f->m, 0));
	assert_int_equal(f->n_policies_changed, 4);
}

#define MODEL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MODEL_TEST(a_new_database_has_its_basics),
		MODEL_TEST(secrets_open_until_revoked_or_expired),
		MODEL_TEST(client_tokens),
		MODEL_TEST(advertisement_rules),
		MODEL_TEST(sets_replace_and_replicas_share),
		MODEL_TEST(gone_sets_are_held_and_replaced_by_instance),
		MODEL_TEST(restart_keeps_the_table),
		MODEL_TEST(sets_come_in_parts),
		MODEL_TEST(too_many_entries_are_refused),
		MODEL_TEST(verdicts_follow_grants_and_routes),
		MODEL_TEST(a_refused_commit_changes_nothing),
		MODEL_TEST(decisions),
		MODEL_TEST(changed_grants_are_told),
		MODEL_TEST(policies_are_kept_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
