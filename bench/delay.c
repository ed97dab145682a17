/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A long, thin or bad path in user space, for kernels without netem:
 *
 *   delay [--seed N] [--mtu N] [--device NAME] [--both LIMITS] [--right LIMITS] [--left LIMITS]
 *         LEFT_NETNS LEFT_ADDRESS RIGHT_NETNS RIGHT_ADDRESS
 *
 * Makes a TUN device in each of two network namespaces (paths such as /proc/PID/ns/net or
 * /run/netns/NAME), gives each its address and a host route to the other's, says "ready" and
 * carries packets between them until it is ended. LIMITS, for the direction towards that side, are
 * comma-separated:
 *
 *   delay=MS      one way
 *   rate=MBIT     of the bottleneck; 0: none
 *   queue=BYTES   what may wait for the bottleneck; more is dropped, as at the tail of a router's
 *   loss=P        probability that a packet is lost, 0..1
 *   reorder=P     probability that a packet is `extra` late, so that later ones overtake it
 *   extra=MS
 *
 * A packet leaves the bottleneck when those before it have left and its own bytes have gone at the
 * rate; it arrives a delay later. A heap ordered by arrival (and by number, for equal times) holds
 * what is on its way: at most `queue` and what the rate puts on the line in that delay, so memory
 * is bounded; without a rate MAX_PACKETS is the bound. What happens to the n-th packet of a
 * direction depends on the seed alone.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define MAX_PACKETS 65536
#define PACKET_MAX  65536
#define BURST	    64
#define NS_PER_MS   1000000ull
#define NEVER	    UINT64_MAX

struct limits {
	double delay_ms, rate_mbit, queue_bytes, loss, reorder, extra_ms;
};

struct packet {
	uint64_t due_ns, number;
	size_t n_bytes;
	uint8_t bytes[];
};

/* One direction: out of @from, into @to. */
struct line {
	struct limits limits;
	int from, to;
	uint64_t random;
	uint64_t free_ns; /* when the bottleneck will have sent what it has */
	uint64_t n_taken, n_dropped, n_lost;
	struct packet *heap[MAX_PACKETS];
	size_t n_heap;
};

/* The settings of LIMITS, by name. */
static const struct {
	const char *name;
	size_t offset;
} settings[] = {
	{"delay", offsetof(struct limits, delay_ms)},
	{"rate", offsetof(struct limits, rate_mbit)},
	{"queue", offsetof(struct limits, queue_bytes)},
	{"loss", offsetof(struct limits, loss)},
	{"reorder", offsetof(struct limits, reorder)},
	{"extra", offsetof(struct limits, extra_ms)},
};

static struct line to_left, to_right;
static int mtu = 1500;
static char device[IFNAMSIZ] = "delay0";

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void wrong(const char *what, const char *why)
{
	fprintf(stderr, "delay: %s: %s\n", what, why);
	exit(64);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- chance: splitmix64, a stream per direction ---- */

static double chance(struct line *line)
{
	uint64_t z = line->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return (double)(z >> 11) / 9007199254740992.0;
}

/* ---- what is on its way ---- */

static bool before(const struct packet *a, const struct packet *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->number < b->number);
}

static void heap_push(struct line *line, struct packet *packet)
{
	size_t i = line->n_heap++;

	while (i > 0 && before(packet, line->heap[(i - 1) / 2])) {
		line->heap[i] = line->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	line->heap[i] = packet;
}

static struct packet *heap_pop(struct line *line)
{
	struct packet *first = line->heap[0], *last = line->heap[--line->n_heap];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= line->n_heap)
			break;
		if (child + 1 < line->n_heap && before(line->heap[child + 1], line->heap[child]))
			child++;
		if (!before(line->heap[child], last))
			break;
		line->heap[i] = line->heap[child];
		i = child;
	}
	line->heap[i] = last;
	return first;
}

/* ---- one packet ---- */

/* When it has left the bottleneck, or NEVER when the queue is full. */
static uint64_t depart(struct line *line, size_t n_bytes, uint64_t now)
{
	const struct limits *l = &line->limits;
	uint64_t began = line->free_ns > now ? line->free_ns : now;

	if (l->rate_mbit <= 0)
		return now;
	if ((double)(began - now) * l->rate_mbit / 8000 + (double)n_bytes > l->queue_bytes)
		return NEVER;
	line->free_ns = began + (uint64_t)((double)n_bytes * 8000 / l->rate_mbit);
	return line->free_ns;
}

static void take(struct line *line, const uint8_t *bytes, size_t n_bytes, uint64_t now)
{
	bool lost = chance(line) < line->limits.loss;
	bool late = chance(line) < line->limits.reorder;
	uint64_t left = line->n_heap < MAX_PACKETS ? depart(line, n_bytes, now) : NEVER;
	double ms = line->limits.delay_ms + (late ? line->limits.extra_ms : 0);
	struct packet *packet;

	line->n_taken++;
	line->n_lost += lost;
	line->n_dropped += left == NEVER;
	if (lost || left == NEVER)
		return;
	packet = malloc(sizeof(*packet) + n_bytes);
	if (!packet)
		die("malloc");
	packet->due_ns = left + (uint64_t)(ms * NS_PER_MS);
	packet->number = line->n_taken;
	packet->n_bytes = n_bytes;
	memcpy(packet->bytes, bytes, n_bytes);
	heap_push(line, packet);
}

static void take_burst(struct line *line)
{
	static uint8_t bytes[PACKET_MAX];

	for (int i = 0; i < BURST; i++) {
		ssize_t n = read(line->from, bytes, sizeof(bytes));

		if (n <= 0)
			return;
		/* What a kernel says in IPv6 on a new device comes at times of its own. */
		if (bytes[0] >> 4 != 4)
			continue;
		take(line, bytes, (size_t)n, now_ns());
	}
}

static void deliver(struct line *line, uint64_t now)
{
	while (line->n_heap && line->heap[0]->due_ns <= now) {
		struct packet *packet = heap_pop(line);

		/* A device that is full drops, as a network card does. */
		if (write(line->to, packet->bytes, packet->n_bytes) < 0)
			line->n_dropped++;
		free(packet);
	}
}

static struct timespec until_next(uint64_t now)
{
	uint64_t left = to_left.n_heap ? to_left.heap[0]->due_ns : NEVER;
	uint64_t right = to_right.n_heap ? to_right.heap[0]->due_ns : NEVER;
	uint64_t next = left < right ? left : right;
	uint64_t wait = next == NEVER ? 3600000000000ull : next > now ? next - now : 0;

	return (struct timespec){.tv_sec = (time_t)(wait / 1000000000),
				 .tv_nsec = (long)(wait % 1000000000)};
}

static _Noreturn void carry(void)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = to_right.from, .events = POLLIN},
				       {.fd = to_left.from, .events = POLLIN}};
		struct timespec wait = until_next(now_ns());

		if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			take_burst(&to_right);
		if (fds[1].revents)
			take_burst(&to_left);
		deliver(&to_right, now_ns());
		deliver(&to_left, now_ns());
	}
}

/* ---- devices ---- */

static struct sockaddr address_of(const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr address;

	if (inet_pton(AF_INET, text, &sin.sin_addr) != 1)
		wrong(text, "not an IPv4 address");
	memcpy(&address, &sin, sizeof(address));
	return address;
}

static void set_up(const char *address, const char *other)
{
	struct ifreq request = {0};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = device};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	request.ifr_addr = address_of(address);
	if (ioctl(fd, SIOCSIFADDR, &request))
		die(address);
	request.ifr_addr = address_of("255.255.255.255");
	if (ioctl(fd, SIOCSIFNETMASK, &request))
		die("netmask");
	request.ifr_mtu = mtu;
	if (ioctl(fd, SIOCSIFMTU, &request))
		die("MTU");
	/* The kernel's own queue must not be the one that drops. */
	request.ifr_qlen = 10000;
	if (ioctl(fd, SIOCSIFTXQLEN, &request))
		die("queue length");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		die("up");
	route.rt_dst = address_of(other);
	route.rt_genmask = address_of("255.255.255.255");
	if (ioctl(fd, SIOCADDRT, &route))
		die("route");
	close(fd);
}

/* A device in another namespace; this process stays there, which no one minds. */
static int make_device(const char *netns, const char *address, const char *other)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		die(netns);
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("/dev/net/tun");
	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request))
		die(device);
	set_up(address, other);
	return fd;
}

/* ---- the command line ---- */

static void set(struct limits *limits, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		char *end;
		double number = strtod(value, &end);

		if (strcmp(settings[i].name, name) != 0)
			continue;
		if (*end || end == value || number < 0)
			wrong(value, "not a number of 0 or more");
		memcpy((char *)limits + settings[i].offset, &number, sizeof(number));
		return;
	}
	wrong(name, "no such limit: delay, rate, queue, loss, reorder, extra");
}

static void parse(struct limits *limits, char *text)
{
	char *rest = text, *item;

	while ((item = strsep(&rest, ","))) {
		char *equals = strchr(item, '=');

		if (!equals)
			wrong(item, "not NAME=VALUE");
		*equals = '\0';
		set(limits, item, equals + 1);
	}
}

static void parse_both(char *text)
{
	char *copy = strdup(text);

	if (!copy)
		die("strdup");
	parse(&to_left.limits, text);
	parse(&to_right.limits, copy);
	free(copy);
}

static uint64_t parse_number(const char *text, uint64_t max)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*end || end == text || value > max)
		wrong(text, "not a number in range");
	return value;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"mtu", required_argument, NULL, 'm'},
		{"device", required_argument, NULL, 'd'},
		{"both", required_argument, NULL, 'b'},
		{"right", required_argument, NULL, 'r'},
		{"left", required_argument, NULL, 'l'},
		{0},
	};
	uint64_t seed = 1;
	int c;

	to_left.limits.queue_bytes = to_right.limits.queue_bytes = 1 << 20;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = parse_number(optarg, UINT64_MAX);
			break;
		case 'm':
			mtu = (int)parse_number(optarg, PACKET_MAX - 1);
			break;
		case 'd':
			if (strlen(optarg) >= sizeof(device))
				wrong(optarg, "too long for a device");
			strcpy(device, optarg);
			break;
		case 'b':
			parse_both(optarg);
			break;
		case 'r':
			parse(&to_right.limits, optarg);
			break;
		case 'l':
			parse(&to_left.limits, optarg);
			break;
		default:
			exit(64);
		}
	}
	to_left.random = seed * 2;
	to_right.random = seed * 2 + 1;
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	argv += optind;
	if (argc - optind != 4)
		wrong("usage", "delay [OPTIONS] LEFT_NETNS LEFT_ADDRESS RIGHT_NETNS RIGHT_ADDRESS");
	to_right.from = to_left.to = make_device(argv[0], argv[1], argv[3]);
	to_left.from = to_right.to = make_device(argv[2], argv[3], argv[1]);
	printf("ready\n");
	fflush(stdout);
	carry();
}
