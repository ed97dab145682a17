/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What bytes cost when nothing but TLS is between them and the wire: the baseline of bench/.
 *
 *   bench-relay coalesced|plain dial ADDRESS PORT TO_ADDRESS TO_PORT CA
 *   bench-relay coalesced|plain accept ADDRESS PORT TO_ADDRESS TO_PORT CERTIFICATE KEY
 *
 * `dial` takes TCP and dials TLS, `accept` takes TLS and dials TCP; one behind the other carries
 * what a client, an edge and an agent carry. Says "ready" once it listens.
 *
 * coalesced: reads 64 KiB, encrypts it as four records into a memory BIO, one send(); the other way
 *            reads 128 KiB ahead and writes what that held in one piece.
 * plain:     16 KiB at a time, SSL_write() and SSL_read() on the socket: what a relay does that
 *            nobody has tuned.
 *
 * A thread per connection that waits for either side to be readable. Writes wait for room, so bulk
 * both ways at once could stall a pair; the measurements send one way at a time.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD	   ((size_t)16 * 1024)
#define OUT_BYTES  (4 * RECORD)
#define READ_AHEAD ((size_t)128 * 1024)

static bool coalesced, dials_tls;
static struct sockaddr_in target;
static SSL_CTX *ctx;

struct pair {
	int tcp, net;
	SSL *ssl;
	BIO *out; /* coalesced: ciphertext that wasn't sent yet */
	uint8_t buffer[READ_AHEAD];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench-relay: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	poll(&p, 1, -1);
}

static bool send_all(int fd, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, data, n, MSG_NOSIGNAL);

		if (done < 0 && errno != EAGAIN)
			return false;
		if (done < 0) {
			wait_for(fd, POLLOUT);
			continue;
		}
		data += done;
		n -= (size_t)done;
	}
	return true;
}

/* ---- towards TLS ---- */

static bool flush(struct pair *p)
{
	char *data;
	long n = BIO_get_mem_data(p->out, &data);
	bool ok = send_all(p->net, (const uint8_t *)data, (size_t)n);

	(void)BIO_reset(p->out);
	return ok;
}

static bool encrypt(struct pair *p, size_t n)
{
	for (;;) {
		int done;

		ERR_clear_error();
		done = SSL_write(p->ssl, p->buffer, (int)n);
		if (done > 0)
			return p->out ? flush(p) : true;
		if (SSL_get_error(p->ssl, done) != SSL_ERROR_WANT_WRITE)
			return false;
		wait_for(p->net, POLLOUT);
	}
}

static bool tcp_to_tls(struct pair *p)
{
	ssize_t n = recv(p->tcp, p->buffer, coalesced ? OUT_BYTES : RECORD, 0);

	if (n < 0)
		return errno == EAGAIN;
	if (n > 0)
		return encrypt(p, (size_t)n);
	SSL_shutdown(p->ssl);
	if (p->out)
		flush(p);
	return false;
}

/* ---- from TLS ---- */

/* Bytes that are decrypted, as many as are there and fit; 0: none yet, -1: the end. */
static ssize_t decrypt(struct pair *p)
{
	size_t room = coalesced ? sizeof(p->buffer) : RECORD, n = 0;

	while (n < room) {
		int done, why;

		ERR_clear_error();
		done = SSL_read(p->ssl, p->buffer + n, (int)(room - n));
		if (done > 0) {
			n += (size_t)done;
			if (!coalesced)
				break;
			continue;
		}
		why = SSL_get_error(p->ssl, done);
		if (why == SSL_ERROR_WANT_READ)
			break;
		return n ? (ssize_t)n : -1;
	}
	return (ssize_t)n;
}

static bool tls_to_tcp(struct pair *p)
{
	for (;;) {
		ssize_t n = decrypt(p);

		if (n <= 0)
			return n == 0;
		if (!send_all(p->tcp, p->buffer, (size_t)n))
			return false;
		/* What is in OpenSSL's buffer doesn't make the socket readable. */
		if (!SSL_has_pending(p->ssl))
			return true;
	}
}

static void carry(struct pair *p)
{
	struct pollfd fds[] = {{.fd = p->tcp, .events = POLLIN}, {.fd = p->net, .events = POLLIN}};
	/* The first bytes may have come with the handshake's last ones. */
	bool going = tls_to_tcp(p);

	while (going && poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			going = tcp_to_tls(p);
		if (going && fds[1].revents)
			going = tls_to_tcp(p);
	}
}

/* ---- connections ---- */

static void prepare(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static bool shake_hands(struct pair *p)
{
	p->ssl = SSL_new(ctx);
	if (!p->ssl || !SSL_set_fd(p->ssl, p->net))
		return false;
	if ((dials_tls ? SSL_connect(p->ssl) : SSL_accept(p->ssl)) != 1)
		return false;
	if (coalesced) {
		p->out = BIO_new(BIO_s_mem());
		SSL_set0_wbio(p->ssl, p->out);
	}
	prepare(p->net);
	prepare(p->tcp);
	return true;
}

static void *serve_pair(void *arg)
{
	struct pair *p = arg;
	int accepted = dials_tls ? p->tcp : p->net;
	int dialled = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(dialled, (const struct sockaddr *)&target, sizeof(target)))
		die("connect");
	p->tcp = dials_tls ? accepted : dialled;
	p->net = dials_tls ? dialled : accepted;
	if (shake_hands(p))
		carry(p);
	SSL_free(p->ssl);
	close(p->tcp);
	close(p->net);
	free(p);
	return NULL;
}

static void start_pair(int fd)
{
	struct pair *p = calloc(1, sizeof(*p));
	pthread_t thread;

	if (!p)
		die("calloc");
	p->tcp = p->net = fd;
	errno = pthread_create(&thread, NULL, serve_pair, p);
	if (errno)
		die("pthread_create");
	pthread_detach(thread);
}

static void make_context(char **files)
{
	ctx = SSL_CTX_new(dials_tls ? TLS_client_method() : TLS_server_method());
	if (!ctx || !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"))
		die("TLS");
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	if (coalesced) {
		SSL_CTX_set_read_ahead(ctx, 1);
		SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	}
	if (dials_tls) {
		if (SSL_CTX_load_verify_locations(ctx, files[0], NULL) != 1)
			die(files[0]);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	} else if (SSL_CTX_use_certificate_chain_file(ctx, files[0]) != 1 ||
		   SSL_CTX_use_PrivateKey_file(ctx, files[1], SSL_FILETYPE_PEM) != 1) {
		die(files[0]);
	}
}

static struct sockaddr_in address_of(const char *ip, const char *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};

	sin.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET, ip, &sin.sin_addr) != 1) {
		errno = EINVAL;
		die(ip);
	}
	return sin;
}

static int listen_on(const struct sockaddr_in *sin)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)sin, sizeof(*sin)) || listen(listener, 1024))
		die("listen");
	return listener;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sin;
	int listener;

	if (argc > 2) {
		coalesced = !strcmp(argv[1], "coalesced");
		dials_tls = !strcmp(argv[2], "dial");
	}
	if (argc != (dials_tls ? 8 : 9) || (!coalesced && strcmp(argv[1], "plain") != 0) ||
	    (!dials_tls && strcmp(argv[2], "accept") != 0)) {
		fprintf(stderr, "usage: bench-relay coalesced|plain dial ADDRESS PORT TO_ADDRESS "
				"TO_PORT CA\n"
				"       bench-relay coalesced|plain accept ADDRESS PORT TO_ADDRESS "
				"TO_PORT CERTIFICATE KEY\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	sin = address_of(argv[3], argv[4]);
	target = address_of(argv[5], argv[6]);
	make_context(argv + 7);
	listener = listen_on(&sin);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		start_pair(fd);
	}
}
