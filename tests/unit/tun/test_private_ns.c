/* SPDX-License-Identifier: Apache-2.0 */
/* Each form: where device and listeners are, and that a SYN written to B is answered from there. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "own_namespace.h"
#include "tun/netlink_link.h"
#include "tun/private_ns.h"
#include "tun/tun_numbers.h"

#define DEADLINE_MS 60000
#define NAT_PORT    40001
#define FRAME_MAX   (TUN_HEADER_SIZE + 65535)

static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7};
static struct tun_addresses addresses;

static uint32_t sum16(const void *data, size_t n, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* A SYN from P:NAT_PORT to L:port; the address sum makes up the pseudo header. */
static void fill_syn(struct tcphdr *tcp, uint16_t port, uint32_t address_sum)
{
	*tcp = (struct tcphdr){.source = htons(NAT_PORT),
			       .dest = htons(port),
			       .seq = htonl(1000),
			       .doff = sizeof(*tcp) / 4,
			       .syn = 1,
			       .window = htons(65535)};
	tcp->check = fold(sum16(tcp, sizeof(*tcp), address_sum + IPPROTO_TCP + sizeof(*tcp)));
}

static size_t syn4(uint8_t *frame, uint16_t port)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP}};

	p.ip.tot_len = htons(sizeof(p));
	memcpy(&p.ip.saddr, addresses.peer4.bytes, 4);
	memcpy(&p.ip.daddr, addresses.local4.bytes, 4);
	p.ip.check = fold(sum16(&p.ip, sizeof(p.ip), 0));
	fill_syn(&p.tcp, port, sum16(&p.ip.saddr, 8, 0));
	memcpy(frame, &p, sizeof(p));
	return sizeof(p);
}

static size_t syn6(uint8_t *frame, uint16_t port)
{
	struct {
		struct ip6_hdr ip;
		struct tcphdr tcp;
	} p = {0};

	p.ip.ip6_flow = htonl(6u << 28);
	p.ip.ip6_plen = htons(sizeof(p.tcp));
	p.ip.ip6_nxt = IPPROTO_TCP;
	p.ip.ip6_hlim = 64;
	memcpy(&p.ip.ip6_src, addresses.peer6.bytes, 16);
	memcpy(&p.ip.ip6_dst, addresses.local6.bytes, 16);
	fill_syn(&p.tcp, port, sum16(&p.ip.ip6_src, 32, 0));
	memcpy(frame, &p, sizeof(p));
	return sizeof(p);
}

/* True for a SYN-ACK to P:NAT_PORT. */
static bool is_answer(const uint8_t *packet, size_t n)
{
	size_t offset = packet[0] >> 4 == 4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	struct tcphdr tcp;

	if (n < offset + sizeof(tcp))
		return false;
	memcpy(&tcp, packet + offset, sizeof(tcp));
	return tcp.syn && tcp.ack && tcp.dest == htons(NAT_PORT) && tcp.ack_seq == htonl(1001);
}

static void expect_answer(int fd, size_t (*build)(uint8_t *frame, uint16_t port), uint16_t port)
{
	static uint8_t frame[FRAME_MAX];
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	size_t n = build(frame + TUN_HEADER_SIZE, port);
	ssize_t n_read;

	memset(frame, 0, TUN_HEADER_SIZE);
	assert_int_equal(write(fd, frame, TUN_HEADER_SIZE + n), (ssize_t)(TUN_HEADER_SIZE + n));
	do {
		assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
		n_read = read(fd, frame, sizeof(frame));
		assert_true(n_read > TUN_HEADER_SIZE);
	} while (!is_answer(frame + TUN_HEADER_SIZE, (size_t)n_read - TUN_HEADER_SIZE));
}

static ino_t here(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

static void check_listener(int fd)
{
	char name[16] = {0};
	socklen_t n = sizeof(name) - 1;
	int on = 0;
	socklen_t n_on = sizeof(on);

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n_on), 0);
	assert_int_equal(on, 1);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
	assert_string_equal(name, "cubic");
}

static void test_two_devices(void **state)
{
	enum private_ns_form form = *(enum private_ns_form *)*state;
	struct private_ns ns = PRIVATE_NS_NONE;
	ino_t before = here();
	struct diag d;

	diag_init(&d, NULL);
	if (private_ns_open_form(&ns, form, &addresses, 0, &d) < 0)
		fail_msg("%s", d.n_items ? d.items[0].text : "no reason");
	diag_deinit(&d);
	assert_int_equal(ns.form, form);
	assert_true(here() == before);
	/* Nothing to be seen here. */
	assert_string_equal(shell_text("ip -o link | grep -v ' lo:'"), "");
	assert_string_equal(shell_text("tail -q -n +2 /proc/net/tcp /proc/net/tcp6"), "");
	check_listener(ns.listeners.fd4);
	check_listener(ns.listeners.fd6);
	assert_int_not_equal(ns.listeners.port, 0);
	assert_int_not_equal(ns.device.index, 0);
	expect_answer(ns.device.fd, syn4, ns.listeners.port);
	expect_answer(ns.device.fd, syn6, ns.listeners.port);
	private_ns_close(&ns);
	private_ns_close(&ns);
}

static void test_fixed_port_and_one_family(void **state)
{
	struct tun_addresses only4 = addresses;
	struct private_ns ns = PRIVATE_NS_NONE;

	(void)state;
	only4.local6.family = 0;
	assert_int_equal(private_ns_open(&ns, &only4, 7777, NULL), 0);
	assert_int_equal(ns.listeners.port, 7777);
	assert_int_equal(ns.listeners.fd6, -1);
	expect_answer(ns.device.fd, syn4, 7777);
	private_ns_close(&ns);
}

static void test_one_device(void **state)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct ip_addr ips[] = {addresses.local4, addresses.local6};
	struct private_ns ns = PRIVATE_NS_NONE;
	struct tun_device a;

	(void)state;
	assert_int_equal(tun_device_open(&a, "adit%d", NULL), 0);
	assert_int_equal(netlink_open(&nl), 0);
	assert_int_equal(netlink_device_set_up(nl, a.index, TUN_MTU, ips, 2), 0);
	assert_int_equal(private_ns_open_form(&ns, PRIVATE_NS_ONE_DEVICE, &addresses, 0, NULL), 0);
	assert_int_equal(ns.device.fd, -1);
	check_listener(ns.listeners.fd4);
	/* The caller's routes to P. */
	assert_int_equal(shell("ip route add 100.96.0.2 dev adit0"), 0);
	assert_int_equal(shell("ip -6 route add fd01:203:405:607::2 dev adit0"), 0);
	expect_answer(a.fd, syn4, ns.listeners.port);
	expect_answer(a.fd, syn6, ns.listeners.port);
	private_ns_close(&ns);
	tun_device_close(&a);
}

/* In a user namespace whose limit, not the machine's, is 0. Returns the line that failed, or 0. */
static int without_namespaces(void)
{
	struct private_ns ns = PRIVATE_NS_NONE;
	struct diag d;

	if (become_root() < 0 ||
	    shell("ip link set lo up; ip addr add 100.96.0.1/32 dev lo;"
		  "ip addr add fd01:203:405:607::1/128 dev lo nodad") < 0 ||
	    write_text("/proc/sys/user/max_net_namespaces", "0") < 0)
		return SKIPPED;
	diag_init(&d, NULL);
	if (private_ns_open(&ns, &addresses, 0, &d) < 0 || ns.form != PRIVATE_NS_ONE_DEVICE)
		return 1;
	/* Why not one's own, why not a child's, and what it means. */
	if (d.n_errors || d.n_items != 3 ||
	    !strstr(d.items[0].text, "a private network namespace: No space left") ||
	    !strstr(d.items[1].text, "max_net_namespaces is 0"))
		return 2;
	diag_deinit(&d);
	private_ns_close(&ns);
	return 0;
}

/* The user learns why the one-device form is used. */
static void test_reason_for_one_device(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(without_namespaces());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	static enum private_ns_form own = PRIVATE_NS_OWN;
	static enum private_ns_form child = PRIVATE_NS_CHILD;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_two_devices, &own),
		cmocka_unit_test_prestate(test_two_devices, &child),
		cmocka_unit_test(test_fixed_port_and_one_family),
		cmocka_unit_test(test_one_device),
		cmocka_unit_test(test_reason_for_one_device),
	};

	if (own_namespace_enter(NULL, 0) < 0)
		return own_namespace_missing("netns");
	if (!has_tun())
		return own_namespace_missing("tun");
	addresses = tun_addresses_default(0, id);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
