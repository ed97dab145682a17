/* SPDX-License-Identifier: Apache-2.0 */
/* A CA and its certificates, judged by the openssl command, not by the code that made them. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "wire/tls_ca.h"

struct fixture {
	char dir[64];
	char ca[96];
	char ca_key[96];
	char cert[96];
	char key[96];
	struct diag diag;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/adit-ca-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->dir);
	snprintf(f->ca_key, sizeof(f->ca_key), "%s/ca-key.pem", f->dir);
	snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->dir);
	snprintf(f->key, sizeof(f->key), "%s/key.pem", f->dir);
	diag_init(&f->diag, NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->ca);
	unlink(f->ca_key);
	unlink(f->cert);
	unlink(f->key);
	rmdir(f->dir);
	diag_deinit(&f->diag);
	free(f);
	return 0;
}

static struct tls_names names_of(const char *const *texts, size_t n)
{
	struct tls_names names = {0};

	for (size_t i = 0; i < n; i++)
		assert_int_equal(tls_names_add(&names, texts[i]), 0);
	return names;
}

static void make_both(struct fixture *f, const struct tls_names *names, int64_t now_ms)
{
	assert_int_equal(tls_ca_create(f->ca, f->ca_key, names, now_ms, &f->diag), 0);
	assert_int_equal(tls_ca_issue(f->ca, f->ca_key, f->cert, f->key, names, now_ms, &f->diag),
			 0);
}

/* The exit status of `openssl verify` on the certificate against the CA. */
static int verify(const struct fixture *f, const char *option, const char *value)
{
	char command[512];

	snprintf(command, sizeof(command), "openssl verify %s %s -CAfile %s %s >/dev/null 2>&1",
		 option, value, f->ca, f->cert);
	return system(command);
}

/* What `openssl x509` prints about @file. */
static void describe(const char *file, const char *options, char *out, size_t n_out)
{
	char command[256];
	size_t n;
	FILE *pipe;

	snprintf(command, sizeof(command), "openssl x509 -in %s -noout %s 2>&1", file, options);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(out, 1, n_out - 1, pipe);
	out[n] = '\0';
	assert_int_equal(pclose(pipe), 0);
}

static void the_chain_verifies_for_each_name(void **state)
{
	static const char *const good_hosts[] = {"h2.cftunnel.com", "probe.cftunnel.com",
						 "quic.cftunnel.com", "localhost",
						 "edge.example.org"};
	static const char *const good_ips[] = {"127.0.0.1", "::1", "192.0.2.7"};
	struct fixture *f = *state;
	struct tls_names names =
		names_of((const char *const[]){"edge.example.org", "192.0.2.7"}, 2);

	make_both(f, &names, clock_wall_ms());
	assert_int_equal(verify(f, "-x509_strict", "-purpose sslserver"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(good_hosts); i++) {
		assert_int_equal(verify(f, "-verify_hostname", good_hosts[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good_ips); i++) {
		assert_int_equal(verify(f, "-verify_ip", good_ips[i]), 0);
	}
	assert_int_not_equal(verify(f, "-verify_hostname", "evil.example.org"), 0);
}

static void extensions_and_dates(void **state)
{
	static const char *const ca_has[] = {
		"CA:TRUE, pathlen:0",  "X509v3 Name Constraints: critical",
		"DNS:h2.cftunnel.com", "IP:127.0.0.1/255.255.255.255",
		"Certificate Sign",    "ASN1 OID: prime256v1",
	};
	static const char *const cert_has[] = {
		"CA:FALSE",
		"TLS Web Server Authentication",
		"DNS:probe.cftunnel.com",
		"IP Address:127.0.0.1",
		"ASN1 OID: prime256v1",
	};
	struct fixture *f = *state;
	struct tls_names names = {0};
	int64_t now_ms = clock_wall_ms();
	int64_t end_ms = 0;
	struct stat st;
	char text[8192];

	make_both(f, &names, now_ms);
	describe(f->ca, "-text", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(ca_has); i++)
		assert_non_null(strstr(text, ca_has[i]));
	describe(f->cert, "-text", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(cert_has); i++)
		assert_non_null(strstr(text, cert_has[i]));
	assert_int_equal(tls_cert_read(f->cert, &names, &end_ms, &f->diag), 0);
	assert_int_equal(end_ms / 1000, now_ms / 1000 + 365ll * 86400);
	assert_int_equal(names.n_dns, 4);
	assert_int_equal(names.n_ips, 2);
	assert_int_equal(tls_cert_read(f->ca, &names, &end_ms, &f->diag), 0);
	assert_int_equal(end_ms / 1000, now_ms / 1000 + 3650ll * 86400);
	assert_int_equal(stat(f->key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(f->ca_key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void names_outside_the_constraints_are_refused(void **state)
{
	struct fixture *f = *state;
	struct tls_names names = names_of((const char *const[]){"*.example.org"}, 1);
	struct tls_names inside = names_of((const char *const[]){"a.example.org"}, 1);
	struct tls_names outside = names_of((const char *const[]){"example.net"}, 1);
	struct tls_names other_ip = names_of((const char *const[]){"192.0.2.1"}, 1);
	int64_t now_ms = clock_wall_ms();
	char before[4096], after[4096];

	make_both(f, &names, now_ms);
	describe(f->cert, "-serial", before, sizeof(before));
	assert_int_equal(
		tls_ca_issue(f->ca, f->ca_key, f->cert, f->key, &outside, now_ms, &f->diag),
		-EPERM);
	assert_int_equal(
		tls_ca_issue(f->ca, f->ca_key, f->cert, f->key, &other_ip, now_ms, &f->diag),
		-EPERM);
	assert_non_null(strstr(f->diag.items[0].text, "new CA"));
	describe(f->cert, "-serial", after, sizeof(after));
	assert_string_equal(before, after);
	assert_int_equal(tls_ca_issue(f->ca, f->ca_key, f->cert, f->key, &inside, now_ms, &f->diag),
			 0);
	assert_int_equal(verify(f, "-verify_hostname", "a.example.org"), 0);
}

static void nothing_is_overwritten_by_create(void **state)
{
	struct fixture *f = *state;
	struct tls_names names = {0};

	make_both(f, &names, clock_wall_ms());
	assert_int_equal(tls_ca_create(f->ca, f->ca_key, &names, clock_wall_ms(), &f->diag),
			 -EEXIST);
	unlink(f->ca);
	assert_int_equal(tls_ca_create(f->ca, f->ca_key, &names, clock_wall_ms(), &f->diag),
			 -EEXIST);
	assert_int_equal(
		tls_ca_issue(f->ca, f->ca_key, f->cert, f->key, &names, clock_wall_ms(), &f->diag),
		-ENOENT);
}

static void an_expired_certificate_is_expired(void **state)
{
	struct fixture *f = *state;
	struct tls_names names = {0};
	int64_t long_ago = clock_wall_ms() - 400ll * 86400 * 1000;

	make_both(f, &names, long_ago);
	assert_int_not_equal(verify(f, "", ""), 0);
	assert_int_equal(
		tls_ca_issue(f->ca, f->ca_key, f->cert, f->key, &names, clock_wall_ms(), &f->diag),
		0);
	assert_int_equal(verify(f, "", ""), 0);
}

static void odd_names_are_refused(void **state)
{
	static const char *const bad[] = {"",  "a b", "a,DNS:b", "http://x",
					  "*", "*.",  "a/b",	 "a:1"};
	struct tls_names names = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(tls_names_add(&names, bad[i]), -EINVAL);
	assert_int_equal(tls_names_add(&names, "Edge.example.org"), 0);
	assert_int_equal(tls_names_add(&names, "edge.Example.org"), -EEXIST);
	assert_int_equal(tls_names_add(&names, "::1"), 0);
	assert_int_equal(tls_names_add(&names, "0:0::1"), -EEXIST);
}

#define CA_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CA_TEST(the_chain_verifies_for_each_name),
		CA_TEST(extensions_and_dates),
		CA_TEST(names_outside_the_constraints_are_refused),
		CA_TEST(nothing_is_overwritten_by_create),
		CA_TEST(an_expired_certificate_is_expired),
		cmocka_unit_test(odd_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
