/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/destination.h"
#include "agent/settings.h"
#include "base/compiler.h"

struct route_row {
	const char *network;
	const char *ports;
	const char *via_ip;
	uint16_t via_port;
};

static const struct route_row narrow_rows[] = {
	{"10.116.0.0/16", "", NULL, 0},
	{"10.116.0.3", "", "127.0.0.1", 2222},
	{"10.116.0.4", "22,8000-8100", "127.0.0.1", 0},
	{"10.116.0.5", "", "127.0.0.1", 0}, /* names no port: opens nothing */
	{"10.116.0.6", "", "192.0.2.7", 0},
	{"10.116.0.7", "", NULL, 2200},
	{"10.116.0.8", "443", NULL, 0},
	{"10.116.0.9", "", "fe80::1", 22},
	{"10.117.0.0/24", "22", NULL, 0},
	{"127.0.0.5", "80", NULL, 0},
	{"2001:db8::/32", "", NULL, 0},
	{"2001:db8::3", "", "::1", 2222},
	{"2001:db8::4", "", "::ffff:192.0.2.8", 0},
	{"64:ff9b::7f00:9", "", NULL, 0},
};

static const struct route_row default_rows[] = {
	{"0.0.0.0/0", "", NULL, 0},
	{"::/0", "", NULL, 0},
	{"127.0.0.0/8", "", NULL, 0},
	{"127.0.0.1", "", NULL, 0},
};

static const struct route_row allow_rows[] = {
	{"192.0.2.0/24", "22,80", NULL, 0},
	{"10.116.0.8", "8443", NULL, 0},
	{"169.254.169.254", "80", NULL, 0},
	{"0.0.0.0/1", "9", NULL, 0},
};

enum config {
	NOTHING,
	NARROW,	 /* narrow_rows and allow_rows */
	DEFAULT, /* default_rows */
	N_CONFIGS,
};

#define OK  STREAM_ERROR_NONE
#define NO  STREAM_ERROR_FORBIDDEN
#define BAD STREAM_ERROR_BAD_DESTINATION

static const struct {
	enum config config;
	const char *authority;
	enum stream_error verdict;
	const char *target; /* NULL: none */
} rows[] = {
	/* spellings that are not a literal IP and port */
	{NARROW, NULL, BAD, NULL},
	{NARROW, "", BAD, NULL},
	{NARROW, ":", BAD, NULL},
	{NARROW, ":22", BAD, NULL},
	{NARROW, "10.116.0.1", BAD, NULL},
	{NARROW, "10.116.0.1:", BAD, NULL},
	{NARROW, "10.116.0.1:0", BAD, NULL},
	{NARROW, "10.116.0.1:65536", BAD, NULL},
	{NARROW, "10.116.0.1:4294967318", BAD, NULL},
	{NARROW, "10.116.0.1:022", BAD, NULL},
	{NARROW, "10.116.0.1:+22", BAD, NULL},
	{NARROW, "10.116.0.1:-22", BAD, NULL},
	{NARROW, "10.116.0.1:0x16", BAD, NULL},
	{NARROW, "10.116.0.1:ssh", BAD, NULL},
	{NARROW, "10.116.0.1: 22", BAD, NULL},
	{NARROW, " 10.116.0.1:22", BAD, NULL},
	{NARROW, "10.116.0.1:22 ", BAD, NULL},
	{NARROW, "10.116.0.1:22\n", BAD, NULL},
	{NARROW, "10.116.0.1:22:22", BAD, NULL},
	{NARROW, "10.116.0.1:22/", BAD, NULL},
	{NARROW, "user@10.116.0.1:22", BAD, NULL},
	{NARROW, "10.116.1:22", BAD, NULL},
	{NARROW, "010.116.0.1:22", BAD, NULL},
	{NARROW, "0x0a.116.0.1:22", BAD, NULL},
	{NARROW, "175374337:22", BAD, NULL},
	{NARROW, "10.116.0.256:22", BAD, NULL},
	{NARROW, "10.116.0.1.:22", BAD, NULL},
	{NARROW, "[10.116.0.1]:22", BAD, NULL},
	{NARROW, "localhost:22", BAD, NULL},
	{NARROW, "ssh.example.com:22", BAD, NULL},
	{NARROW, "2001:db8::1:22", BAD, NULL},
	{NARROW, "[2001:db8::1]", BAD, NULL},
	{NARROW, "[2001:db8::1]22", BAD, NULL},
	{NARROW, "[2001:db8::1:22", BAD, NULL},
	{NARROW, "2001:db8::1]:22", BAD, NULL},
	{NARROW, "[[2001:db8::1]]:22", BAD, NULL},
	{NARROW, "[2001:db8::1%eth0]:22", BAD, NULL},
	{NARROW, "[fe80::1%25lo]:22", BAD, NULL},
	{NARROW, "[2001:db8::1]:0", BAD, NULL},
	{NARROW, "[2001:db8:::1]:22", BAD, NULL},
	{NARROW, "[]:22", BAD, NULL},
	{NARROW, "[2001:db8::12345]:22", BAD, NULL},

	/* in a route */
	{NARROW, "10.116.0.1:22", OK, "10.116.0.1:22"},
	{NARROW, "10.116.255.255:65535", OK, "10.116.255.255:65535"},
	{NARROW, "10.116.0.1:1", OK, "10.116.0.1:1"},
	{NARROW, "[::ffff:10.116.0.1]:22", OK, "10.116.0.1:22"},
	{NARROW, "[::FFFF:0a74:1]:22", OK, "10.116.0.1:22"},
	{NARROW, "[2001:DB8:0:0::0:1]:443", OK, "[2001:db8::1]:443"},
	{NARROW, "[2001:db8::10.116.0.1]:22", OK, "[2001:db8::a74:1]:22"},

	/* in none */
	{NOTHING, "10.116.0.1:22", NO, NULL},
	{NARROW, "10.115.255.255:22", NO, NULL},
	{NARROW, "10.118.0.0:22", NO, NULL},
	{NARROW, "[2001:db9::1]:22", NO, NULL},
	{NARROW, "[::ffff:10.118.0.1]:22", NO, NULL},
	{NARROW, "[64:ff9b::10.116.0.1]:22", NO, NULL},

	/* ports */
	{NARROW, "10.117.0.1:22", OK, "10.117.0.1:22"},
	{NARROW, "10.117.0.1:23", NO, NULL},
	{NARROW, "10.116.0.8:443", OK, "10.116.0.8:443"},
	{NARROW, "10.116.0.8:22", NO, NULL},		    /* the /16 around it opens nothing */
	{NARROW, "10.116.0.8:8443", OK, "10.116.0.8:8443"}, /* by `allow` */

	/* via */
	{NARROW, "10.116.0.3:22", OK, "127.0.0.1:2222"},
	{NARROW, "10.116.0.3:80", OK, "127.0.0.1:2222"},
	{NARROW, "[::ffff:10.116.0.3]:22", OK, "127.0.0.1:2222"},
	{NARROW, "10.116.0.4:22", OK, "127.0.0.1:22"},
	{NARROW, "10.116.0.4:8050", OK, "127.0.0.1:8050"},
	{NARROW, "10.116.0.4:8101", NO, NULL},
	{NARROW, "10.116.0.5:22", NO, NULL},
	{NARROW, "10.116.0.6:22", OK, "192.0.2.7:22"},
	{NARROW, "10.116.0.7:22", OK, "10.116.0.7:2200"},
	{NARROW, "10.116.0.9:1", OK, "[fe80::1]:22"},
	{NARROW, "[2001:db8::3]:22", OK, "[::1]:2222"},
	{NARROW, "[2001:db8::4]:22", OK, "192.0.2.8:22"},
	{NARROW, "127.0.0.1:2222", NO, NULL}, /* a `via` opens its target only by its route */
	{NARROW, "192.0.2.7:443", NO, NULL},

	/* allow */
	{NARROW, "192.0.2.7:22", OK, "192.0.2.7:22"},
	{NARROW, "192.0.2.7:80", OK, "192.0.2.7:80"},
	{NARROW, "192.0.2.7:81", NO, NULL},
	{NARROW, "169.254.169.254:80", OK, "169.254.169.254:80"},
	{NARROW, "169.254.169.253:80", NO, NULL},
	{NARROW, "1.2.3.4:9", OK, "1.2.3.4:9"},
	{NARROW, "127.0.0.1:9", NO, NULL},
	{NARROW, "0.0.0.0:9", NO, NULL},

	/* named literally by a single-address route */
	{NARROW, "127.0.0.5:80", OK, "127.0.0.5:80"},
	{NARROW, "127.0.0.5:81", NO, NULL},
	{NARROW, "127.0.0.6:80", NO, NULL},
	{NARROW, "[64:ff9b::127.0.0.9]:80", OK, "[64:ff9b::7f00:9]:80"},
	{DEFAULT, "127.0.0.1:80", OK, "127.0.0.1:80"},
	{DEFAULT, "[::ffff:127.0.0.1]:80", OK, "127.0.0.1:80"},

	/* default routes cover everything but the forbidden ranges */
	{DEFAULT, "8.8.8.8:53", OK, "8.8.8.8:53"},
	{DEFAULT, "[2606:4700::1]:53", OK, "[2606:4700::1]:53"},
	{DEFAULT, "0.0.0.0:22", NO, NULL},
	{DEFAULT, "0.1.2.3:22", NO, NULL},
	{DEFAULT, "127.0.0.2:22", NO, NULL},
	{DEFAULT, "127.255.255.255:22", NO, NULL},
	{DEFAULT, "169.254.169.254:80", NO, NULL},
	{DEFAULT, "224.0.0.1:22", NO, NULL},
	{DEFAULT, "239.255.255.255:22", NO, NULL},
	{DEFAULT, "240.0.0.1:22", NO, NULL},
	{DEFAULT, "255.255.255.255:22", NO, NULL},
	{DEFAULT, "[::]:22", NO, NULL},
	{DEFAULT, "[::1]:22", NO, NULL},
	{DEFAULT, "[fe80::1]:22", NO, NULL},
	{DEFAULT, "[febf::1]:22", NO, NULL},
	{DEFAULT, "[fec0::1]:22", OK, "[fec0::1]:22"},
	{DEFAULT, "[ff02::1]:22", NO, NULL},
	{DEFAULT, "[::ffff:0.0.0.0]:22", NO, NULL},
	{DEFAULT, "[::ffff:127.0.0.2]:22", NO, NULL},
	{DEFAULT, "[::ffff:169.254.169.254]:80", NO, NULL},
	{DEFAULT, "[64:ff9b::127.0.0.1]:22", NO, NULL},
	{DEFAULT, "[64:ff9b::7f00:1]:22", NO, NULL},
	{DEFAULT, "[64:ff9b::169.254.169.254]:80", NO, NULL},
	{DEFAULT, "[64:ff9b::8.8.8.8]:53", OK, "[64:ff9b::808:808]:53"},
	{DEFAULT, "[2002:7f00:1::]:22", NO, NULL},
	{DEFAULT, "[2002:7f00:1::1]:22", NO, NULL},
	{DEFAULT, "[2002:a9fe:a9fe::1]:80", NO, NULL},
	{DEFAULT, "[2002:808:808::1]:53", OK, "[2002:808:808::1]:53"},
};

static struct settings configs[N_CONFIGS];
static struct route_setting narrow[ARRAY_SIZE(narrow_rows)];
static struct route_setting defaults[ARRAY_SIZE(default_rows)];
static struct allow_setting allows[ARRAY_SIZE(allow_rows)];

static void fill_route(struct route_setting *r, const struct route_row *row)
{
	assert_int_equal(prefix_parse(row->network, &r->network), 0);
	assert_int_equal(ports_parse(row->ports, &r->ports), 0);
	r->has_via = row->via_ip || row->via_port;
	r->via.port = row->via_port;
	if (row->via_ip)
		assert_int_equal(ip_parse(row->via_ip, &r->via.ip), 0);
}

static int fill_configs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(narrow_rows); i++)
		fill_route(&narrow[i], &narrow_rows[i]);
	for (size_t i = 0; i < ARRAY_SIZE(default_rows); i++)
		fill_route(&defaults[i], &default_rows[i]);
	for (size_t i = 0; i < ARRAY_SIZE(allow_rows); i++) {
		assert_int_equal(prefix_parse(allow_rows[i].network, &allows[i].network), 0);
		assert_int_equal(ports_parse(allow_rows[i].ports, &allows[i].ports), 0);
	}
	configs[NARROW].routes = narrow;
	configs[NARROW].n_routes = ARRAY_SIZE(narrow);
	configs[NARROW].allows = allows;
	configs[NARROW].n_allows = ARRAY_SIZE(allows);
	configs[DEFAULT].routes = defaults;
	configs[DEFAULT].n_routes = ARRAY_SIZE(defaults);
	return 0;
}

static void test_spellings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct endpoint requested = {0};
		struct endpoint target = {0};
		char text[ENDPOINT_TEXT_MAX] = "";
		enum stream_error verdict = destination_decide(
			&configs[rows[i].config], rows[i].authority, &requested, &target);

		if (target.ip.family)
			endpoint_format(&target, text);
		if (verdict != rows[i].verdict ||
		    strcmp(text, rows[i].target ? rows[i].target : ""))
			fail_msg("row %zu, \"%s\": verdict %d, target \"%s\"", i,
				 rows[i].authority ? rows[i].authority : "(none)", (int)verdict,
				 text);
	}
}

/* An echo has no port: where ports are listed it isn't served, and of `via` only the address
 * counts. */
static void test_echo(void **state)
{
	static const struct {
		enum config config;
		const char *ip;
		enum stream_error verdict;
		const char *target;
	} echos[] = {
		{NARROW, "10.116.0.1", OK, "10.116.0.1"},
		{NARROW, "10.116.0.3", OK, "127.0.0.1"},
		{NARROW, "10.116.0.4", NO, NULL}, /* ports */
		{NARROW, "10.116.0.5", NO, NULL}, /* opens nothing */
		{NARROW, "10.116.0.6", OK, "192.0.2.7"},
		{NARROW, "10.116.0.7", OK, "10.116.0.7"},
		{NARROW, "10.116.0.9", OK, "fe80::1"},
		{NARROW, "10.117.0.1", NO, NULL},      /* ports */
		{NARROW, "192.0.2.7", NO, NULL},       /* allow with ports */
		{NARROW, "169.254.169.254", NO, NULL}, /* the same */
		{NARROW, "2001:db8::3", OK, "::1"},
		{NARROW, "10.118.0.1", NO, NULL},
		{NOTHING, "10.116.0.1", NO, NULL},
		{DEFAULT, "8.8.8.8", OK, "8.8.8.8"},
		{DEFAULT, "127.0.0.1", OK, "127.0.0.1"},
		{DEFAULT, "127.0.0.2", NO, NULL},
		{DEFAULT, "255.255.255.255", NO, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(echos); i++) {
		struct endpoint requested = {.port = DESTINATION_NO_PORT};
		struct endpoint target = {.port = 9};
		char text[IP_TEXT_MAX];

		assert_int_equal(ip_parse(echos[i].ip, &requested.ip), 0);
		assert_int_equal(
			destination_decide_endpoint(&configs[echos[i].config], &requested, &target),
			echos[i].verdict);
		if (echos[i].verdict != OK)
			continue;
		assert_string_equal(ip_format(&target.ip, text), echos[i].target);
		assert_int_equal(target.port, DESTINATION_NO_PORT);
	}
}

/* What the log shows is the canonical address that was asked for, also when it's refused. */
static void test_requested(void **state)
{
	struct endpoint requested;
	struct endpoint target;
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	assert_int_equal(
		destination_decide(&configs[NARROW], "[::ffff:10.116.0.3]:22", &requested, &target),
		OK);
	assert_string_equal(endpoint_format(&requested, text), "10.116.0.3:22");
	assert_int_equal(
		destination_decide(&configs[NARROW], "[::ffff:127.0.0.1]:22", &requested, &target),
		NO);
	assert_string_equal(endpoint_format(&requested, text), "127.0.0.1:22");
}

/* A `via` on a network (the configuration check refuses it) opens nothing. */
static void test_via_on_network(void **state)
{
	struct route_setting r = {.has_via = true, .via = {.port = 22}};
	struct settings s = {.routes = &r, .n_routes = 1};
	struct endpoint requested;
	struct endpoint target;

	(void)state;
	assert_int_equal(prefix_parse("10.0.0.0/8", &r.network), 0);
	assert_int_equal(destination_decide(&s, "10.0.0.1:22", &requested, &target), NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_requested),
		cmocka_unit_test(test_via_on_network),
	};

	return cmocka_run_group_tests(tests, fill_configs, NULL);
}
