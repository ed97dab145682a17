/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bulk over one TCP connection, for bench/up.py:
 *
 *     bench-bulk serve ADDRESS PORT             answers whoever asks, one after another
 *     bench-bulk get|put ADDRESS PORT BYTES     prints the seconds that it took
 *
 * A request is a letter and a count of 8 bytes. After a "put" the server says one byte when it has
 * all, so that what lies in buffers on the way is not taken for delivered.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	      ((size_t)256 * 1024)
#define REQUEST_BYTES (1 + sizeof(uint64_t))

static uint8_t block[BLOCK];

static void die(const char *what)
{
	fprintf(stderr, "bench-bulk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_bytes(int fd, uint64_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, block, n < BLOCK ? n : BLOCK, MSG_NOSIGNAL);

		if (done < 0)
			die("send");
		n -= (uint64_t)done;
	}
}

static void receive_bytes(int fd, uint64_t n)
{
	while (n > 0) {
		ssize_t done = recv(fd, block, n < BLOCK ? n : BLOCK, 0);

		if (done <= 0)
			die("recv");
		n -= (uint64_t)done;
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

static void answer(int fd)
{
	uint8_t request[REQUEST_BYTES];
	uint64_t n;

	if (recv(fd, request, sizeof(request), MSG_WAITALL) != (ssize_t)sizeof(request))
		return;
	memcpy(&n, request + 1, sizeof(n));
	if (request[0] == 'g') {
		send_bytes(fd, n);
	} else {
		receive_bytes(fd, n);
		send_bytes(fd, 1);
	}
}

static void serve(const struct sockaddr_in *sin)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)sin, sizeof(*sin)) < 0 || listen(listener, 16))
		die("listen");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		answer(fd);
		close(fd);
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ask(char letter, const struct sockaddr_in *sin, uint64_t n)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint8_t request[REQUEST_BYTES] = {(uint8_t)letter};
	double began = seconds();

	memcpy(request + 1, &n, sizeof(n));
	if (connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) < 0)
		die("connect");
	if (send(fd, request, sizeof(request), 0) != (ssize_t)sizeof(request))
		die("send");
	if (letter == 'g') {
		receive_bytes(fd, n);
	} else {
		send_bytes(fd, n);
		receive_bytes(fd, 1);
	}
	printf("%.6f\n", seconds() - began);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in sin;

	if (argc < 4 || !strchr("sgp", argv[1][0]) || (argv[1][0] != 's' && argc < 5)) {
		fprintf(stderr, "usage: bench-bulk serve|get|put ADDRESS PORT [BYTES]\n");
		return 64;
	}
	sin = address_of(argv[2], argv[3]);
	if (argv[1][0] == 's')
		serve(&sin);
	ask(argv[1][0], &sin, strtoull(argv[4], NULL, 10));
	return 0;
}
