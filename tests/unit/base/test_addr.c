/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/compiler.h"

/* @canonical NULL: refused. */
static const struct {
	const char *text;
	const char *canonical;
} ips[] = {
	{"0.0.0.0", "0.0.0.0"},
	{"127.0.0.1", "127.0.0.1"},
	{"255.255.255.255", "255.255.255.255"},
	{"10.116.0.3", "10.116.0.3"},
	{"::", "::"},
	{"::1", "::1"},
	{"1::", "1::"},
	{"2001:DB8::A", "2001:db8::a"},
	{"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
	{"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
	{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
	{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
	{"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
	{"::ffff:102:304", "::ffff:1.2.3.4"},
	{"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
	{"fe80::1", "fe80::1"},
	{"", NULL},
	{" 1.2.3.4", NULL},
	{"1.2.3.4 ", NULL},
	{"1.2.3.4\n", NULL},
	{"1.2.3", NULL},
	{"1.2.3.", NULL},
	{".1.2.3", NULL},
	{"1.2.3.4.5", NULL},
	{"1..3.4", NULL},
	{"256.0.0.1", NULL},
	{"01.2.3.4", NULL},
	{"0177.0.0.1", NULL},
	{"127.1", NULL},
	{"2130706433", NULL},
	{"0x7f.0.0.1", NULL},
	{"+1.2.3.4", NULL},
	{"1.2.3.-4", NULL},
	{"1.2.3.4/32", NULL},
	{"localhost", NULL},
	{":", NULL},
	{":::", NULL},
	{"1::2::3", NULL},
	{"1:2:3:4:5:6:7", NULL},
	{"1:2:3:4:5:6:7:8:9", NULL},
	{"12345::", NULL},
	{"g::1", NULL},
	{"fe80::1%eth0", NULL},
	{"fe80::1%1", NULL},
	{"[::1]", NULL},
	{"::ffff:1.2.3", NULL},
	{"::ffff:01.2.3.4", NULL},
	{"::1/128", NULL},
	{"::1 ", NULL},
};

static void test_ip_spellings(void **state)
{
	char text[IP_TEXT_MAX];
	struct ip_addr ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ips); i++) {
		int r = ip_parse(ips[i].text, &ip);

		if ((r == 0) != (ips[i].canonical != NULL))
			fail_msg("'%s' gave %d", ips[i].text, r);
		if (r == 0)
			assert_string_equal(ip_format(&ip, text), ips[i].canonical);
		else
			assert_int_equal(r, -EINVAL);
	}
}

static const struct {
	const char *text;
	const char *canonical;
} endpoints[] = {
	{"1.2.3.4:22", "1.2.3.4:22"},
	{"1.2.3.4:1", "1.2.3.4:1"},
	{"1.2.3.4:65535", "1.2.3.4:65535"},
	{"[::1]:22", "[::1]:22"},
	{"[::FFFF:1.2.3.4]:22", "[::ffff:1.2.3.4]:22"},
	{"1.2.3.4", NULL},
	{"1.2.3.4:", NULL},
	{"1.2.3.4:0", NULL},
	{"1.2.3.4:022", NULL},
	{"1.2.3.4:65536", NULL},
	{"1.2.3.4:99999", NULL},
	{"1.2.3.4:100000", NULL},
	{"1.2.3.4:4294967318", NULL},
	{"1.2.3.4:+22", NULL},
	{"1.2.3.4:-22", NULL},
	{"1.2.3.4: 22", NULL},
	{"1.2.3.4:22 ", NULL},
	{"1.2.3.4:0x16", NULL},
	{"[1.2.3.4]:22", NULL},
	{"::1:22", NULL},
	{"[::1]", NULL},
	{"[::1]22", NULL},
	{"[::1:22", NULL},
	{"::1]:22", NULL},
	{"[]:22", NULL},
	{":22", NULL},
	{"", NULL},
	{"host:22", NULL},
	{"[fe80::1%lo]:22", NULL},
	{"[[::1]]:22", NULL},
};

static void test_endpoint_spellings(void **state)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint ep;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
		int r = endpoint_parse(endpoints[i].text, &ep);

		if ((r == 0) != (endpoints[i].canonical != NULL))
			fail_msg("'%s' gave %d", endpoints[i].text, r);
		if (r == 0)
			assert_string_equal(endpoint_format(&ep, text), endpoints[i].canonical);
	}
}

static const struct {
	const char *text;
	const char *host;
} hosts[] = {
	{"h2.cftunnel.com:7844", "h2.cftunnel.com"},
	{"edge:7844", "edge"},
	{"EDGE-1.example.:443", "EDGE-1.example."},
	{"1.2.3.4:443", "1.2.3.4"},
	{"[2001:db8::1]:443", "2001:db8::1"},
	{"3com.example:443", "3com.example"},
	{"1.2.3.4.example:443", "1.2.3.4.example"},
	{"edge", NULL},
	{"edge:0", NULL},
	{"edge:https", NULL},
	{"-edge:443", NULL},
	{"edge-:443", NULL},
	{"a..b:443", NULL},
	{".a:443", NULL},
	{".:443", NULL},
	{"a_b:443", NULL},
	{"a b:443", NULL},
	{"a/b:443", NULL},
	{"user@edge:443", NULL},
	{"127.1:443", NULL},
	{"2130706433:443", NULL},
	{"0x7f000001:443", NULL},
	{"0177.0.0.1:443", NULL},
	{"1.2.3.256:443", NULL},
	{"1.2.3.4.:443", NULL},
	{"2001:db8::1:443", NULL},
	{"[edge]:443", NULL},
	{"[1.2.3.4]:443", NULL},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b:443", NULL},
};

static void test_host_spellings(void **state)
{
	char host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		int r = host_port_parse(hosts[i].text, host, &port);

		if ((r == 0) != (hosts[i].host != NULL))
			fail_msg("'%s' gave %d", hosts[i].text, r);
		if (r == 0)
			assert_string_equal(host, hosts[i].host);
	}
}

static void test_longest_host(void **state)
{
	char text[HOST_NAME_MAX_LEN + 8], host[HOST_NAME_MAX_LEN + 1];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < HOST_NAME_MAX_LEN; i++)
		text[i] = i % 50 == 49 ? '.' : 'a';
	memcpy(text + HOST_NAME_MAX_LEN, ":22", 4);
	assert_int_equal(host_port_parse(text, host, &port), 0);
	assert_int_equal(strlen(host), HOST_NAME_MAX_LEN);
	memcpy(text + HOST_NAME_MAX_LEN, "a:22", 5);
	assert_int_equal(host_port_parse(text, host, &port), -EINVAL);
}

static struct ip_addr ip_of(const char *text)
{
	struct ip_addr ip;

	assert_int_equal(ip_parse(text, &ip), 0);
	return ip;
}

static void test_mapped(void **state)
{
	static const uint8_t bytes[16] = {[10] = 0xff, 0xff, 1, 2, 3, 4};
	struct ip_addr v4 = ip_of("1.2.3.4"), mapped = ip_of("::ffff:1.2.3.4");
	struct ip_addr other = ip_of("::fffe:1.2.3.4"), canonical = ip_canonical(&mapped);
	uint8_t out[16];

	(void)state;
	assert_true(ip_equal(&canonical, &v4));
	assert_false(ip_equal(&mapped, &v4));
	canonical = ip_canonical(&other);
	assert_true(ip_equal(&canonical, &other));
	ip_to_mapped(&v4, out);
	assert_memory_equal(out, bytes, 16);
	ip_to_mapped(&mapped, out);
	assert_memory_equal(out, bytes, 16);
}

static void test_order(void **state)
{
	struct ip_addr none = {0}, low = ip_of("1.2.3.4"), high = ip_of("1.2.3.5");
	struct ip_addr six = ip_of("::1");
	char text[IP_TEXT_MAX];

	(void)state;
	assert_true(ip_compare(&low, &high) < 0);
	assert_true(ip_compare(&six, &high) > 0);
	assert_true(ip_compare(&none, &low) < 0);
	assert_true(ip_equal(&none, &none));
	assert_int_equal(ip_bits(&none), 0);
	assert_int_equal(ip_bits(&low), 32);
	assert_int_equal(ip_bits(&six), 128);
	assert_string_equal(ip_format(&none, text), "none");
}

static void test_sockaddr(void **state)
{
	static const char *const texts[] = {"1.2.3.4:22", "[2001:db8::7]:65535"};
	struct sockaddr_storage ss;
	struct endpoint ep, back;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(endpoint_parse(texts[i], &ep), 0);
		assert_int_equal(endpoint_to_sockaddr(&ep, &ss),
				 i ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, &back), 0);
		assert_true(endpoint_equal(&ep, &back));
	}
	ss.ss_family = AF_UNIX;
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, &back), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip_spellings),
		cmocka_unit_test(test_host_spellings),
		cmocka_unit_test(test_endpoint_spellings),
		cmocka_unit_test(test_longest_host),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_sockaddr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
