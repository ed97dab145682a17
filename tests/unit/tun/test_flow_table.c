/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/compiler.h"
#include "tun/flow_table.h"
#include "tun/nat.h"

static const uint8_t seed[FLOW_SEED_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static const struct flow_limits small = {
	.n_tcp = 4,
	.n_udp = 3,
	.n_echo = 2,
	.n_held = 3,
	.nat_port_first = 5000,
	.nat_port_last = 5004,
	.time_ms = {30, 1000, 60, 210, 10, 25},
};

static struct flow_key key_of(uint8_t transport, bool is_v6, unsigned int id, uint16_t dport)
{
	struct flow_key key = {.is_v6 = is_v6, .transport = transport, .dport = dport};

	key.src[0] = 10;
	key.dst[0] = 11;
	key.dst[3] = (uint8_t)(id >> 16);
	key.sport = (uint16_t)id;
	return key;
}

static struct nat_flow *add(struct flow_table *t, uint8_t transport, unsigned int id, uint64_t now)
{
	struct flow_key key = key_of(transport, false, id, 80);
	struct nat_flow *f = NULL;

	assert_int_equal(flow_table_add(t, &key, now, &f), 0);
	assert_ptr_equal(flow_table_find(t, &key), f);
	return f;
}

static void end(struct flow_table *t, struct nat_flow *f)
{
	flow_set_state(t, f, FLOW_STATE_FREE, 0);
}

/* The vectors of the SipHash paper's authors, for whole words. */
static void test_siphash(void **state)
{
	const uint64_t words[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

	(void)state;
	assert_true(flow_hash(seed, words, 0) == 0x726fdb47dd0e0e31);
	assert_true(flow_hash(seed, words, 1) == 0x93f5f5799a932462);
	assert_true(flow_hash(seed, words, 2) == 0x3f2acc7f57c29bdb);
}

static void test_limits_must_make_sense(void **state)
{
	struct flow_limits bad[7];
	struct flow_table *t = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = small;
	bad[0].nat_port_first = 0;
	bad[1].nat_port_last = 4999;
	bad[2].n_tcp = 6; /* of 5 ports */
	bad[3].n_udp = (1u << 20) + 1;
	bad[4].n_echo = 0;
	bad[5].n_held = 0;
	bad[6].time_ms[FLOW_QUEUE_ECHO] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(flow_table_new(&t, &bad[i], seed), -EINVAL);
	assert_null(t);
}

static void test_keys_differ_in_every_field(void **state)
{
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	struct flow_key base = key_of(IPPROTO_TCP, false, 1, 80);
	struct flow_key others[7];
	struct nat_flow *f;

	(void)state;
	assert_int_equal(flow_table_new(&t, &small, seed), 0);
	assert_int_equal(flow_table_add(t, &base, 0, &f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = base;
	others[0].src[3] ^= 1;
	others[1].dst[0] ^= 1;
	others[2].sport ^= 1;
	others[3].dport ^= 1;
	others[4].is_v6 = 1;
	others[5].transport = IPPROTO_UDP;
	others[6].src[15] ^= 1;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_null(flow_table_find(t, &others[i]));
	assert_ptr_equal(flow_table_find(t, &base), f);
}

static void test_ports_are_reused_oldest_first(void **state)
{
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	struct nat_flow *a, *b, *c;

	(void)state;
	assert_int_equal(flow_table_new(&t, &small, seed), 0);
	a = add(t, IPPROTO_TCP, 1, 0);
	b = add(t, IPPROTO_TCP, 2, 0);
	c = add(t, IPPROTO_TCP, 3, 0);
	assert_int_equal(a->nat_port, 5000);
	assert_int_equal(b->nat_port, 5001);
	assert_int_equal(c->nat_port, 5002);
	assert_ptr_equal(flow_table_find_port(t, false, 5001), b);
	assert_null(flow_table_find_port(t, true, 5001));
	assert_null(flow_table_find_port(t, false, 5003));
	assert_null(flow_table_find_port(t, false, 4999));
	assert_null(flow_table_find_port(t, false, 65535));
	end(t, b);
	end(t, a);
	assert_null(flow_table_find_port(t, false, 5001));
	/* 5003 and 5004 were never used, then 5001 was given back before 5000. */
	assert_int_equal((a = add(t, IPPROTO_TCP, 4, 0))->nat_port, 5003);
	assert_int_equal((b = add(t, IPPROTO_TCP, 5, 0))->nat_port, 5004);
	end(t, a);
	assert_int_equal(add(t, IPPROTO_TCP, 6, 0)->nat_port, 5001);
	end(t, b);
	assert_int_equal(add(t, IPPROTO_TCP, 7, 0)->nat_port, 5000);
}

static void test_port_wrap(void **state)
{
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	uint16_t last = 0;

	(void)state;
	assert_int_equal(flow_table_new(&t, &small, seed), 0);
	for (unsigned int i = 0; i < 200; i++) {
		struct nat_flow *f = add(t, IPPROTO_TCP, i, 0);

		assert_int_equal(f->nat_port, 5000 + i % 5);
		assert_int_not_equal(f->nat_port, last);
		last = f->nat_port;
		end(t, f);
	}
}

static void test_limits(void **state)
{
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	struct flow_key key = key_of(IPPROTO_TCP, false, 99, 80);
	struct nat_flow *f;

	(void)state;
	assert_int_equal(flow_table_new(&t, &small, seed), 0);
	for (unsigned int i = 0; i < 3; i++)
		add(t, IPPROTO_TCP, i, 0);
	assert_int_equal(flow_table_add(t, &key, 0, &f), FLOW_E_HELD);
	f = flow_table_find_port(t, false, 5000);
	flow_set_state(t, f, FLOW_STATE_ACTIVE, 0);
	add(t, IPPROTO_TCP, 3, 0);
	flow_set_state(t, flow_table_find_port(t, false, 5001), FLOW_STATE_ACTIVE, 0);
	assert_int_equal(flow_table_add(t, &key, 0, &f), FLOW_E_LIMIT);
	key.is_v6 = 1; /* the other family has ports of its own */
	assert_int_equal(flow_table_add(t, &key, 0, &f), 0);
	assert_int_equal(f->nat_port, 5000);
	for (unsigned int i = 0; i < 3; i++)
		add(t, IPPROTO_UDP, i, 0);
	key = key_of(IPPROTO_UDP, true, 1, 80); /* both families share these */
	assert_int_equal(flow_table_add(t, &key, 0, &f), FLOW_E_LIMIT);
	add(t, IPPROTO_ICMP, 1, 0);
	add(t, IPPROTO_ICMP, 2, 0);
	key = key_of(IPPROTO_ICMP, false, 3, 0);
	assert_int_equal(flow_table_add(t, &key, 0, &f), FLOW_E_LIMIT);
	assert_int_equal(flow_table_count(t, FLOW_STATE_HELD), 3);
	assert_int_equal(flow_table_count(t, FLOW_STATE_ACTIVE), 2);
	assert_int_equal(flow_table_count(t, FLOW_STATE_OPEN), 5);
}

static void test_deadlines(void **state)
{
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	struct flow_key dns = key_of(IPPROTO_UDP, false, 1, 53);
	struct nat_flow *held, *tcp, *udp, *f;

	(void)state;
	assert_int_equal(flow_table_new(&t, &small, seed), 0);
	assert_true(flow_table_next_deadline(t) == UINT64_MAX);
	held = add(t, IPPROTO_TCP, 1, 100);
	flow_touch(t, held, 120); /* HELD counts from the first SYN */
	assert_true(flow_table_next_deadline(t) == 130);
	assert_null(flow_table_expired(t, 129));
	assert_ptr_equal(flow_table_expired(t, 130), held);
	flow_set_state(t, held, FLOW_STATE_FREE, 130);
	tcp = add(t, IPPROTO_TCP, 2, 200);
	flow_set_state(t, tcp, FLOW_STATE_ACTIVE, 200);
	udp = add(t, IPPROTO_UDP, 3, 200);
	assert_int_equal(flow_table_add(t, &dns, 200, &f), 0);
	assert_true(f->deadline_ms == 210);
	assert_true(udp->deadline_ms == 410);
	assert_true(tcp->deadline_ms == 1200);
	flow_touch(t, f, 205);
	assert_true(flow_table_next_deadline(t) == 215);
	flow_set_state(t, f, FLOW_STATE_FREE, 0);
	flow_set_state(t, tcp, FLOW_STATE_CLOSING, 250);
	assert_true(tcp->deadline_ms == 1250);
	flow_set_state(t, tcp, FLOW_STATE_CLOSED, 300);
	assert_true(tcp->deadline_ms == 360);
	f = add(t, IPPROTO_UDP, 4, 300);
	flow_touch(t, udp, 301);
	assert_ptr_equal(flow_table_oldest(t, FLOW_QUEUE_UDP), f);
}

/* What nat.h promises about memory: at most this much per flow, and it is reserved at once. */
static void test_memory(void **state)
{
	struct nat_config c;
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	size_t n_flows;

	(void)state;
	nat_config_init(&c);
	assert_true(sizeof(struct nat_flow) <= 112);
	assert_int_equal(flow_table_new(&t, &c.limits, seed), 0);
	n_flows = 2 * (size_t)c.limits.n_tcp + c.limits.n_udp + c.limits.n_echo;
	assert_true(flow_table_bytes(t) <= n_flows * (112 + 8) + 2 * 6 * 65536);
	assert_true(c.limits.n_udp >= 10000);
}

/* As many as the table is made for, all found, none mistaken. */
static void test_full(void **state)
{
	struct nat_config c;
	struct flow_table *t CLEANUP(flow_table_free) = NULL;

	(void)state;
	nat_config_init(&c);
	c.limits.n_held = 1u << 20;
	assert_int_equal(flow_table_new(&t, &c.limits, seed), 0);
	for (unsigned int i = 0; i < c.limits.n_tcp; i++)
		add(t, IPPROTO_TCP, i, i);
	for (unsigned int i = 0; i < c.limits.n_udp; i++)
		add(t, IPPROTO_UDP, i, i);
	for (unsigned int port = 1024; port <= 65535; port++)
		assert_int_equal(flow_table_find_port(t, false, (uint16_t)port)->nat_port, port);
	for (unsigned int i = 0; i < c.limits.n_tcp; i++) {
		struct flow_key key = key_of(IPPROTO_TCP, false, i, 80);
		struct nat_flow *f = flow_table_find(t, &key);

		assert_memory_equal(&f->key, &key, sizeof(key));
		end(t, f);
	}
	assert_int_equal(flow_table_count(t, FLOW_STATE_HELD), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_limits_must_make_sense),
		cmocka_unit_test(test_keys_differ_in_every_field),
		cmocka_unit_test(test_ports_are_reused_oldest_first),
		cmocka_unit_test(test_port_wrap),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
