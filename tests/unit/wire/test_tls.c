/* SPDX-License-Identifier: Apache-2.0 */

/*
 * TLS on a socket pair: what a listener answers to a stock agent's ClientHello, byte by byte,
 * and connections of ours with each other. Other implementations judge it in
 * tests/integration.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "wire/tls.h"
#include "wire/tls_ca.h"

#define RECORD_HEADER	  5
#define RECORD_ALERT	  21
#define RECORD_HANDSHAKE  22
#define SERVER_HELLO	  2
#define ALERT_FATAL	  2
#define ALERT_VERSION	  70
#define ALERT_NO_PROTOCOL 120
#define EXT_KEY_SHARE	  51
#define SECP256R1	  0x0017
#define HELLO_MAX	  4096
/* In the golden hello: headers, version, random, session id, 13 suites, compression before it. */
#define EXTENSIONS_LEN_POS (5 + 4 + 2 + 32 + 33 + 28 + 2)

struct fixture {
	char dir[64];
	char ca[96];
	char ca_key[96];
	char cert[96];
	char key[96];
	struct tls_context *listener;
	struct tls_context *dialler;
	struct tls_context *dialler_h2;
	uint8_t hello[HELLO_MAX];
	size_t n_hello;
};

static struct fixture f;

static void read_hello(void)
{
	FILE *file = fopen(TEST_DIR "/golden/clienthello.bin", "rb");

	assert_non_null(file);
	f.n_hello = fread(f.hello, 1, sizeof(f.hello), file);
	fclose(file);
	assert_true(f.n_hello > 1000);
}

static int set_up(void **state UNUSED)
{
	struct tls_names names = {0};
	int64_t now_ms = clock_wall_ms();
	struct diag diag;

	snprintf(f.dir, sizeof(f.dir), "/tmp/adit-tls-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.ca, sizeof(f.ca), "%s/ca.pem", f.dir);
	snprintf(f.ca_key, sizeof(f.ca_key), "%s/ca-key.pem", f.dir);
	snprintf(f.cert, sizeof(f.cert), "%s/cert.pem", f.dir);
	snprintf(f.key, sizeof(f.key), "%s/key.pem", f.dir);
	diag_init(&diag, NULL);
	assert_int_equal(tls_ca_create(f.ca, f.ca_key, &names, now_ms, &diag), 0);
	assert_int_equal(tls_ca_issue(f.ca, f.ca_key, f.cert, f.key, &names, now_ms, &diag), 0);
	assert_int_equal(tls_context_new_listener(&f.listener, f.cert, f.key, &diag), 0);
	assert_int_equal(tls_context_new_dialler(&f.dialler, f.ca, false, &diag), 0);
	assert_int_equal(tls_context_new_dialler(&f.dialler_h2, f.ca, true, &diag), 0);
	diag_deinit(&diag);
	read_hello();
	return 0;
}

static int tear_down(void **state UNUSED)
{
	tls_context_free(f.listener);
	tls_context_free(f.dialler);
	tls_context_free(f.dialler_h2);
	unlink(f.ca);
	unlink(f.ca_key);
	unlink(f.cert);
	unlink(f.key);
	return rmdir(f.dir);
}

/* ---- a listener that is fed bytes ---- */

struct ear {
	int fd; /* ours */
	int peer_fd;
	struct tls_conn *tls;
	int outcome;
	const uint8_t *out;
	size_t n_out;
};

static void ear_init(struct ear *e)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*e = (struct ear){.fd = fds[0], .peer_fd = fds[1]};
	assert_int_equal(tls_conn_new_listener(&e->tls, f.listener, fds[1]), 0);
}

static void ear_feed(struct ear *e, const uint8_t *data, size_t n)
{
	assert_int_equal(write(e->fd, data, n), n);
	e->outcome = tls_handshake(e->tls);
	e->n_out = tls_output(e->tls, &e->out);
}

static void ear_deinit(struct ear *e)
{
	tls_conn_free(e->tls);
	close(e->fd);
	close(e->peer_fd);
}

static unsigned int number(const uint8_t *p, unsigned int n_bytes)
{
	unsigned int value = 0;

	while (n_bytes-- > 0)
		value = value << 8 | *p++;
	return value;
}

/* The data of an extension of the ServerHello at @hello (its handshake header). */
static const uint8_t *find_extension(const uint8_t *hello, unsigned int type)
{
	const uint8_t *p = hello + 4 + 2 + 32;
	const uint8_t *end;

	p += 1 + *p + 2 + 1;
	end = p + 2 + number(p, 2);
	for (p += 2; p < end; p += 4 + number(p + 2, 2)) {
		if (number(p, 2) == type)
			return p + 4;
	}
	return NULL;
}

static void assert_retry_for_p256(const struct ear *e)
{
	static const uint8_t retry_random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
						 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
						 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
						 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
	const uint8_t *hello = e->out + RECORD_HEADER;

	assert_int_equal(e->outcome, TLS_E_AGAIN);
	assert_true(e->n_out > RECORD_HEADER + 40);
	assert_int_equal(e->out[0], RECORD_HANDSHAKE);
	assert_int_equal(hello[0], SERVER_HELLO);
	assert_memory_equal(hello + 6, retry_random, sizeof(retry_random));
	assert_non_null(find_extension(hello, EXT_KEY_SHARE));
	assert_int_equal(number(find_extension(hello, EXT_KEY_SHARE), 2), SECP256R1);
	/* Besides it a change_cipher_spec at the most. */
	for (size_t i = 0; i < e->n_out; i += RECORD_HEADER + number(e->out + i + 3, 2))
		assert_int_not_equal(e->out[i], RECORD_ALERT);
}

static void assert_alert(const struct ear *e, uint8_t alert)
{
	assert_int_equal(e->outcome, TLS_E_FAILED);
	assert_int_equal(e->n_out, RECORD_HEADER + 2);
	assert_int_equal(e->out[0], RECORD_ALERT);
	assert_int_equal(e->out[RECORD_HEADER], ALERT_FATAL);
	assert_int_equal(e->out[RECORD_HEADER + 1], alert);
	assert_string_not_equal(tls_conn_error_text(e->tls), "");
	assert_false(tls_conn_is_cert_error(e->tls));
}

static void a_stock_hello_is_asked_for_p256(void **state UNUSED)
{
	struct ear e;

	ear_init(&e);
	ear_feed(&e, f.hello, f.n_hello);
	assert_retry_for_p256(&e);
	ear_deinit(&e);
}

static void a_hello_may_come_in_two_pieces_cut_anywhere(void **state UNUSED)
{
	struct ear e;

	for (size_t cut = 1; cut < f.n_hello; cut += 7) {
		ear_init(&e);
		ear_feed(&e, f.hello, cut);
		assert_int_equal(e.outcome, TLS_E_AGAIN);
		assert_int_equal(e.n_out, 0);
		ear_feed(&e, f.hello + cut, f.n_hello - cut);
		assert_retry_for_p256(&e);
		ear_deinit(&e);
	}
}

static void add_to(uint8_t *p, unsigned int n_bytes, size_t n)
{
	size_t value = number(p, n_bytes) + n;

	while (n_bytes-- > 0) {
		p[n_bytes] = (uint8_t)value;
		value >>= 8;
	}
}

/* The golden hello with one more extension. */
static size_t with_extension(uint8_t out[HELLO_MAX], const uint8_t *extension, size_t n)
{
	memcpy(out, f.hello, f.n_hello);
	memcpy(out + f.n_hello, extension, n);
	add_to(out + 3, 2, n);
	add_to(out + RECORD_HEADER + 1, 3, n);
	add_to(out + EXTENSIONS_LEN_POS, 2, n);
	return f.n_hello + n;
}

static void alpn_is_h2_or_none(void **state UNUSED)
{
	static const uint8_t http1[] = {0,   16,  0,   11,  0,	 9,   8,  'h',
					't', 't', 'p', '/', '1', '.', '1'};
	static const uint8_t both[] = {0,   16,	 0,   14,  0,	12,  8, 'h', 't',
				       't', 'p', '/', '1', '.', '1', 2, 'h', '2'};
	uint8_t hello[HELLO_MAX];
	struct ear e;

	ear_init(&e);
	ear_feed(&e, hello, with_extension(hello, both, sizeof(both)));
	assert_retry_for_p256(&e);
	ear_deinit(&e);
	ear_init(&e);
	ear_feed(&e, hello, with_extension(hello, http1, sizeof(http1)));
	assert_alert(&e, ALERT_NO_PROTOCOL);
	ear_deinit(&e);
}

/* supported_versions, "04 0304 0303" in the golden hello, becomes TLS 1.1 and 1.0. */
static void old_versions_are_refused(void **state UNUSED)
{
	static const uint8_t versions[] = {0, 43, 0, 5, 4, 3, 4, 3, 3};
	uint8_t hello[HELLO_MAX];
	uint8_t *at;
	struct ear e;

	memcpy(hello, f.hello, f.n_hello);
	at = memmem(hello, f.n_hello, versions, sizeof(versions));
	assert_non_null(at);
	at[6] = 2;
	at[8] = 1;
	ear_init(&e);
	ear_feed(&e, hello, f.n_hello);
	assert_alert(&e, ALERT_VERSION);
	ear_deinit(&e);
}

/* ---- two of ours ---- */

struct side {
	int fd;
	struct tls_conn *tls;
	int outcome;
};

struct duo {
	struct side dialler;
	struct side listener;
};

/* Sends what TLS has; returns how much that was. */
static size_t push(struct side *s)
{
	const uint8_t *data;
	size_t n = tls_output(s->tls, &data);

	if (n > 0) {
		assert_int_equal(write(s->fd, data, n), n);
		tls_output_sent(s->tls, n);
	}
	return n;
}

static void duo_init(struct duo *d, struct tls_context *dialler)
{
	int big = 1 << 20;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	*d = (struct duo){.dialler = {.fd = fds[0]}, .listener = {.fd = fds[1]}};
	assert_int_equal(tls_conn_new_dialler(&d->dialler.tls, dialler, fds[0], "localhost"), 0);
	assert_int_equal(tls_conn_new_listener(&d->listener.tls, f.listener, fds[1]), 0);
	d->dialler.outcome = TLS_E_AGAIN;
	d->listener.outcome = TLS_E_AGAIN;
	for (unsigned int i = 0; i < 10 && (d->dialler.outcome || d->listener.outcome); i++) {
		d->dialler.outcome = tls_handshake(d->dialler.tls);
		(void)push(&d->dialler);
		d->listener.outcome = tls_handshake(d->listener.tls);
		/* Done, it has nothing to add: a ticket would be here. */
		if (push(&d->listener) > 0)
			assert_int_equal(d->listener.outcome, TLS_E_AGAIN);
	}
	assert_int_equal(d->dialler.outcome, 0);
	assert_int_equal(d->listener.outcome, 0);
}

static void duo_deinit(struct duo *d)
{
	tls_conn_free(d->dialler.tls);
	tls_conn_free(d->listener.tls);
	close(d->dialler.fd);
	close(d->listener.fd);
}

static void alpn_is_agreed_on_when_offered(void **state UNUSED)
{
	struct duo d;

	duo_init(&d, f.dialler);
	assert_null(tls_alpn(d.listener.tls));
	duo_deinit(&d);
	duo_init(&d, f.dialler_h2);
	assert_string_equal(tls_alpn(d.listener.tls), "h2");
	assert_string_equal(tls_alpn(d.dialler.tls), "h2");
	duo_deinit(&d);
}

static void the_largest_write_goes_through(void **state UNUSED)
{
	static uint8_t sent[TLS_WRITE_MAX];
	static uint8_t got[TLS_WRITE_MAX + 1];
	struct duo d;
	size_t n;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 7);
	duo_init(&d, f.dialler);
	assert_int_equal(tls_write(d.dialler.tls, sent, sizeof(sent)), 0);
	(void)push(&d.dialler);
	/* All of it is there, and then nothing. */
	assert_int_equal(tls_read(d.listener.tls, got, sizeof(got), &n), TLS_E_AGAIN);
	assert_int_equal(n, sizeof(sent));
	assert_memory_equal(got, sent, sizeof(sent));
	assert_false(tls_has_input(d.listener.tls));
	duo_deinit(&d);
}

static void a_read_of_less_leaves_the_rest_inside(void **state UNUSED)
{
	uint8_t got[100];
	struct duo d;
	size_t n;

	duo_init(&d, f.dialler);
	assert_int_equal(tls_write(d.dialler.tls, (const uint8_t *)"0123456789", 10), 0);
	(void)push(&d.dialler);
	assert_int_equal(tls_read(d.listener.tls, got, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_true(tls_has_input(d.listener.tls));
	assert_int_equal(tls_read(d.listener.tls, got, sizeof(got), &n), TLS_E_AGAIN);
	assert_int_equal(n, 6);
	assert_memory_equal(got, "456789", 6);
	duo_deinit(&d);
}

static void bytes_and_end_come_in_one_read(void **state UNUSED)
{
	uint8_t got[100];
	struct duo d;
	size_t n;

	duo_init(&d, f.dialler);
	assert_int_equal(tls_write(d.dialler.tls, (const uint8_t *)"last", 4), 0);
	tls_shutdown(d.dialler.tls);
	(void)push(&d.dialler);
	assert_int_equal(tls_read(d.listener.tls, got, sizeof(got), &n), TLS_E_EOF);
	assert_int_equal(n, 4);
	assert_int_equal(tls_read(d.listener.tls, got, sizeof(got), &n), TLS_E_EOF);
	assert_int_equal(n, 0);
	duo_deinit(&d);
}

static void one_connection_s_error_is_not_anothers(void **state UNUSED)
{
	static const uint8_t bad[RECORD_HEADER + 32] = {0x17, 3, 3, 0, 32, 'b', 'a', 'd'};
	uint8_t got[100];
	struct duo broken;
	struct duo fine;
	size_t n;

	duo_init(&broken, f.dialler);
	duo_init(&fine, f.dialler);
	assert_int_equal(write(broken.dialler.fd, bad, sizeof(bad)), sizeof(bad));
	assert_int_equal(tls_read(broken.listener.tls, got, sizeof(got), &n), TLS_E_FAILED);
	assert_int_equal(tls_read(fine.listener.tls, got, sizeof(got), &n), TLS_E_AGAIN);
	assert_int_equal(tls_write(fine.dialler.tls, (const uint8_t *)"x", 1), 0);
	duo_deinit(&broken);
	duo_deinit(&fine);
}

static void bad_files_are_named(void **state UNUSED)
{
	struct tls_context *ctx = NULL;
	struct diag diag;
	char text[500];

	diag_init(&diag, NULL);
	assert_true(tls_context_new_listener(&ctx, "/nonexistent.pem", f.key, &diag) < 0);
	assert_true(tls_context_new_listener(&ctx, f.cert, "/nonexistent.pem", &diag) < 0);
	assert_true(tls_context_new_listener(&ctx, f.cert, f.ca_key, &diag) < 0);
	assert_true(tls_context_new_dialler(&ctx, f.key, false, &diag) < 0);
	assert_true(tls_context_new_dialler_pem(&ctx, "no PEM", false, &diag) < 0);
	assert_null(ctx);
	assert_int_equal(diag.n_items, 5);
	diag_format(&diag, text, sizeof(text));
	assert_non_null(strstr(text, "/nonexistent.pem: can't read the certificate"));
	diag_deinit(&diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stock_hello_is_asked_for_p256),
		cmocka_unit_test(a_hello_may_come_in_two_pieces_cut_anywhere),
		cmocka_unit_test(alpn_is_h2_or_none),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(alpn_is_agreed_on_when_offered),
		cmocka_unit_test(the_largest_write_goes_through),
		cmocka_unit_test(a_read_of_less_leaves_the_rest_inside),
		cmocka_unit_test(bytes_and_end_come_in_one_read),
		cmocka_unit_test(one_connection_s_error_is_not_anothers),
		cmocka_unit_test(bad_files_are_named),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
