/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Both ends of the work that bench/ measures, over plain TCP:
 *
 *   bench-load serve ADDRESS PORT                          the origin; says "ready"
 *   bench-load get|put ADDRESS PORT STREAMS BYTES SECONDS  bulk; BYTES of all streams together, or
 *                                                          what went in SECONDS (0: no limit)
 *   bench-load ping ADDRESS PORT N                         N round trips of 64 bytes
 *   bench-load open ADDRESS PORT N AT_ONCE                 N streams of one byte, so many at once
 *   bench-load hold ADDRESS PORT N                         N idle streams until stdin ends
 *
 * All but `serve` print one line of JSON. Bulk is counted where it is received, in bins of 100 ms
 * from the request on, so that what lies in buffers on the way is not taken for delivered. Nothing
 * here needs a half-close: the server ends a timed "put" by itself.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	     ((size_t)256 * 1024)
#define N_BINS	     256
#define BIN_NS	     100000000
#define PING_BYTES   64
#define PING_WARM    100
#define HOLD_BATCH   64
#define STACK_BYTES  ((size_t)128 * 1024)
#define READY_EVENTS 64

enum verb { GET = 'g', PUT = 'p', PING = 'e', OPEN = 'o' };

struct request {
	uint64_t verb;
	uint64_t n_bytes;
	uint64_t limit_ns; /* of time; 0: none */
};

/* What arrived, and when. */
struct count {
	uint64_t n_bytes;
	uint64_t elapsed_ns;
	uint64_t bins[N_BINS];
};

static const uint8_t block[BLOCK];
static struct sockaddr_in target;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool send_all(int fd, const void *data, size_t n)
{
	const uint8_t *at = data;

	while (n > 0) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);

		if (done < 0)
			return false;
		at += done;
		n -= (size_t)done;
	}
	return true;
}

static bool receive_all(int fd, void *data, size_t n)
{
	return recv(fd, data, n, MSG_WAITALL) == (ssize_t)n;
}

static bool is_answered(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * Sends @request's bytes, as far as its time allows. The receiver may close before. A "put" goes on
 * until it is answered: the server's time begins later, and it must not wait for more in vain.
 */
static void pour(int fd, const struct request *request)
{
	uint64_t left = request->n_bytes, end = now_ns() + request->limit_ns;
	bool ends_here = request->limit_ns && request->verb == GET;
	bool ends_there = request->limit_ns && request->verb == PUT;

	while (left > 0 && !(ends_here && now_ns() > end) && !(ends_there && is_answered(fd))) {
		ssize_t done = send(fd, block, left < BLOCK ? left : BLOCK, MSG_NOSIGNAL);

		if (done < 0)
			return;
		left -= (uint64_t)done;
	}
}

static void drink(int fd, const struct request *request, struct count *count)
{
	uint8_t *buffer = malloc(BLOCK);
	uint64_t began = now_ns(), elapsed = 0;

	if (!buffer)
		die("malloc");
	while (count->n_bytes < request->n_bytes) {
		ssize_t done = recv(fd, buffer, BLOCK, 0);
		uint64_t bin;

		elapsed = now_ns() - began;
		if (done <= 0 || (request->limit_ns && elapsed > request->limit_ns))
			break;
		bin = elapsed / BIN_NS;
		count->n_bytes += (uint64_t)done;
		count->bins[bin < N_BINS ? bin : N_BINS - 1] += (uint64_t)done;
	}
	count->elapsed_ns = elapsed;
	free(buffer);
}

/* ---- the origin ---- */

struct job {
	int fd;
	struct request request;
};

static void echo(int fd)
{
	uint8_t message[PING_BYTES];

	while (receive_all(fd, message, sizeof(message)) && send_all(fd, message, sizeof(message)))
		;
}

/* A "put" that ends by time: the client goes on sending until it has read our answer. */
static void swallow(int fd)
{
	uint8_t buffer[4096];

	while (recv(fd, buffer, sizeof(buffer), 0) > 0)
		;
}

static void *serve_job(void *arg)
{
	struct job *job = arg;
	struct count count = {0};

	if (job->request.verb == GET) {
		pour(job->fd, &job->request);
		shutdown(job->fd, SHUT_WR);
	} else if (job->request.verb == PUT) {
		drink(job->fd, &job->request, &count);
		send_all(job->fd, &count, sizeof(count));
	} else {
		echo(job->fd);
	}
	swallow(job->fd);
	close(job->fd);
	free(job);
	return NULL;
}

static void start_thread(void *(*run)(void *), void *arg, pthread_t *threadp)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	errno = pthread_create(threadp, &attr, run, arg);
	if (errno)
		die("pthread_create");
	pthread_attr_destroy(&attr);
}

/* A request, or the end of an idle stream. */
static void serve_request(int poll, int fd)
{
	struct job *job = malloc(sizeof(*job));
	pthread_t thread;

	if (!job)
		die("malloc");
	job->fd = fd;
	if (!receive_all(fd, &job->request, sizeof(job->request))) {
		close(fd);
	} else if (job->request.verb == OPEN) {
		send_all(fd, block, 1);
	} else {
		epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL);
		start_thread(serve_job, job, &thread);
		pthread_detach(thread);
		return;
	}
	free(job);
}

static void watch(int poll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static void accept_one(int poll, int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	watch(poll, fd);
}

static _Noreturn void serve(void)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), on = 1;
	struct epoll_event ready[READY_EVENTS];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)&target, sizeof(target)) ||
	    listen(listener, 4096))
		die("listen");
	watch(poll, listener);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(poll, ready, READY_EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ready[i].data.fd == listener)
				accept_one(poll, listener);
			else
				serve_request(poll, ready[i].data.fd);
		}
	}
}

/* ---- the user ---- */

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&target, sizeof(target)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

struct stream {
	pthread_t thread;
	int fd;
	struct request request;
	struct count count;
};

static void *run_bulk(void *arg)
{
	struct stream *s = arg;

	if (!send_all(s->fd, &s->request, sizeof(s->request)))
		die("request");
	if (s->request.verb == GET) {
		drink(s->fd, &s->request, &s->count);
	} else {
		pour(s->fd, &s->request);
		if (!receive_all(s->fd, &s->count, sizeof(s->count)))
			die("answer");
	}
	if (!s->request.limit_ns && s->count.n_bytes != s->request.n_bytes)
		die("the stream ended early");
	close(s->fd);
	return NULL;
}

static void print_bulk(const struct count *sum, uint64_t elapsed_ns)
{
	uint64_t n_bins = (elapsed_ns + BIN_NS - 1) / BIN_NS;

	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"bins\": [", (unsigned long long)sum->n_bytes,
	       (double)elapsed_ns / 1e9);
	for (uint64_t i = 0; i < n_bins && i < N_BINS; i++)
		printf("%s%llu", i ? ", " : "", (unsigned long long)sum->bins[i]);
	printf("]}\n");
}

static void bulk(enum verb verb, unsigned long n_streams, uint64_t n_bytes, double seconds)
{
	struct stream *streams = calloc(n_streams, sizeof(*streams));
	struct count sum = {0};
	uint64_t began;

	if (!streams)
		die("calloc");
	for (unsigned long i = 0; i < n_streams; i++) {
		streams[i].request =
			(struct request){verb, n_bytes / n_streams, (uint64_t)(seconds * 1e9)};
		streams[i].fd = dial();
	}
	began = now_ns();
	for (unsigned long i = 0; i < n_streams; i++)
		start_thread(run_bulk, &streams[i], &streams[i].thread);
	for (unsigned long i = 0; i < n_streams; i++) {
		pthread_join(streams[i].thread, NULL);
		sum.n_bytes += streams[i].count.n_bytes;
		for (size_t bin = 0; bin < N_BINS; bin++)
			sum.bins[bin] += streams[i].count.bins[bin];
	}
	print_bulk(&sum, now_ns() - began);
	free(streams);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void ping(unsigned long n)
{
	struct request request = {.verb = PING};
	uint64_t *times = calloc(n + PING_WARM, sizeof(*times));
	uint8_t message[PING_BYTES] = {0};
	int fd = dial();

	if (!times || !send_all(fd, &request, sizeof(request)))
		die("request");
	for (unsigned long i = 0; i < n + PING_WARM; i++) {
		uint64_t began = now_ns();

		if (!send_all(fd, message, PING_BYTES) || !receive_all(fd, message, PING_BYTES))
			die("round trip");
		times[i] = now_ns() - began;
	}
	qsort(times + PING_WARM, n, sizeof(*times), compare);
	printf("{\"p50_us\": %.2f, \"p99_us\": %.2f}\n", (double)times[PING_WARM + n / 2] / 1e3,
	       (double)times[PING_WARM + n * 99 / 100] / 1e3);
	free(times);
	close(fd);
}

static void *run_opens(void *arg)
{
	const unsigned long *n = arg;
	struct request request = {.verb = OPEN};
	uint8_t answer;

	for (unsigned long i = 0; i < *n; i++) {
		int fd = dial();

		if (!send_all(fd, &request, sizeof(request)) || !receive_all(fd, &answer, 1))
			die("new stream");
		close(fd);
	}
	return NULL;
}

static void open_streams(unsigned long n, unsigned long at_once)
{
	pthread_t *threads = calloc(at_once, sizeof(*threads));
	unsigned long each = n / at_once;
	uint64_t began = now_ns();

	if (!threads)
		die("calloc");
	for (unsigned long i = 0; i < at_once; i++)
		start_thread(run_opens, &each, &threads[i]);
	for (unsigned long i = 0; i < at_once; i++)
		pthread_join(threads[i], NULL);
	printf("{\"streams\": %lu, \"seconds\": %.6f}\n", each * at_once,
	       (double)(now_ns() - began) / 1e9);
	free(threads);
}

static void hold(unsigned long n)
{
	struct request request = {.verb = OPEN};
	int *fds = calloc(n, sizeof(*fds));
	uint8_t byte;

	if (!fds)
		die("calloc");
	for (unsigned long from = 0; from < n; from += HOLD_BATCH) {
		unsigned long to = from + HOLD_BATCH < n ? from + HOLD_BATCH : n;

		for (unsigned long i = from; i < to; i++) {
			fds[i] = dial();
			send_all(fds[i], &request, sizeof(request));
		}
		for (unsigned long i = from; i < to; i++)
			if (!receive_all(fds[i], &byte, 1))
				die("idle stream");
	}
	printf("{\"held\": %lu}\n", n);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (unsigned long i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: bench-load serve|get|put|ping|open|hold ADDRESS PORT ...; "
			"the arguments are explained in its source\n");
	exit(64);
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !*text || value == 0)
		usage();
	return value;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		usage();
	target.sin_family = AF_INET;
	target.sin_port = htons((uint16_t)number(argv[3]));
	if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1)
		usage();
	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve();
	if (argc == 7 && (!strcmp(argv[1], "get") || !strcmp(argv[1], "put")))
		bulk(argv[1][0] == 'g' ? GET : PUT, number(argv[4]), number(argv[5]),
		     atof(argv[6]));
	else if (argc == 5 && !strcmp(argv[1], "ping"))
		ping(number(argv[4]));
	else if (argc == 6 && !strcmp(argv[1], "open"))
		open_streams(number(argv[4]), number(argv[5]));
	else if (argc == 5 && !strcmp(argv[1], "hold"))
		hold(number(argv[4]));
	else
		usage();
	return 0;
}
