/* SPDX-License-Identifier: Apache-2.0 */
/* The device with system calls that fail as some kernels and containers do, and the real one. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "own_namespace.h"
#include "tun/netlink_link.h"
#include "tun/netlink_route.h"
#include "tun/tun_device.h"
#include "tun/tun_numbers.h"

#define ALL_OFFLOADS  (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6)
#define CORE_OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)

/* What the pretended kernel refuses, and what it was asked. */
static struct {
	int open_errno;
	int make_errno;
	unsigned int known_offloads;
	int offload_errno;
	unsigned int flags;
	int header;
	unsigned int n_offload_calls;
} kernel;

static bool tun_is_there;

static int pretend_open(const char *path)
{
	assert_string_equal(path, "/dev/net/tun");
	errno = kernel.open_errno;
	return kernel.open_errno ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int fail_with(int error)
{
	errno = error;
	return error ? -1 : 0;
}

static int pretend_make(struct ifreq *request)
{
	kernel.flags = (unsigned short)request->ifr_flags;
	if (strcmp(request->ifr_name, "adit%d") == 0)
		strcpy(request->ifr_name, "adit7");
	return fail_with(kernel.make_errno);
}

static int pretend_offload(unsigned int offloads)
{
	kernel.n_offload_calls++;
	return fail_with(offloads & ~kernel.known_offloads ? kernel.offload_errno : 0);
}

static int pretend_control(int fd, unsigned long request, void *argument)
{
	assert_true(fd >= 0);
	switch (request) {
	case TUNSETIFF:
		return pretend_make(argument);
	case TUNSETVNETHDRSZ:
		kernel.header = *(int *)argument;
		return 0;
	case TUNSETOFFLOAD:
		return pretend_offload((unsigned int)(uintptr_t)argument);
	case SIOCGIFINDEX:
		((struct ifreq *)argument)->ifr_ifindex = 42;
		return 0;
	default:
		fail_msg("unexpected request %lx", request);
		return -1;
	}
}

static const struct tun_device_calls pretended = {pretend_open, pretend_control};

static int reset(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.known_offloads = ALL_OFFLOADS;
	kernel.offload_errno = EINVAL;
	return 0;
}

static void test_new_kernel(void **state)
{
	struct tun_device device;

	(void)state;
	assert_int_equal(tun_device_open_with(&pretended, &device, "adit%d", NULL), 0);
	assert_int_equal(kernel.flags, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(kernel.header, 10);
	assert_string_equal(device.name, "adit7");
	assert_int_equal(device.index, 42);
	assert_int_equal(device.offloads, ALL_OFFLOADS);
	assert_true(tun_device_has_uso(&device));
	assert_int_equal(kernel.n_offload_calls, 1);
	tun_device_close(&device);
	assert_int_equal(device.fd, -1);
	tun_device_close(&device);
}

static void test_kernel_without_uso(void **state)
{
	struct tun_device device;

	(void)state;
	kernel.known_offloads = CORE_OFFLOADS;
	assert_int_equal(tun_device_open_with(&pretended, &device, "adit%d", NULL), 0);
	assert_int_equal(device.offloads, CORE_OFFLOADS);
	assert_false(tun_device_has_uso(&device));
	assert_int_equal(kernel.n_offload_calls, 2);
	tun_device_close(&device);
}

static void test_kernel_without_any(void **state)
{
	struct tun_device device;

	(void)state;
	kernel.known_offloads = 0;
	assert_int_equal(tun_device_open_with(&pretended, &device, "adit%d", NULL), 0);
	assert_int_equal(device.offloads, 0);
	tun_device_close(&device);
}

/* Any other refusal isn't taken for an old kernel. */
static void test_other_refusal_of_offloads(void **state)
{
	struct tun_device device;

	(void)state;
	kernel.known_offloads = 0;
	kernel.offload_errno = EBADFD;
	assert_int_equal(tun_device_open_with(&pretended, &device, "adit%d", NULL), -EBADFD);
	assert_int_equal(kernel.n_offload_calls, 1);
}

static const struct {
	int open_errno;
	int make_errno;
	const char *name;
	int result;
	const char *text;
} failures[] = {
	{ENOENT, 0, "adit%d", -ENOENT, "modprobe tun"},
	{EACCES, 0, "adit%d", -EACCES, "mode 0666"},
	{EPERM, 0, "adit%d", -EPERM, "DeviceAllow=/dev/net/tun rw"},
	{EMFILE, 0, "adit%d", -EMFILE, "/dev/net/tun: Too many open files"},
	{0, EPERM, "adit%d", -EPERM, "CAP_NET_ADMIN is needed"},
	{0, EBUSY, "corp0", -EBUSY, "TUN device corp0: making it: Device or resource busy"},
	{0, 0, "a-name-that-is-too-long", -ENAMETOOLONG, "a-name-that-is-too-long"},
};

static void test_failures_say_what_to_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct tun_device device;
		struct diag d;

		diag_init(&d, NULL);
		kernel.open_errno = failures[i].open_errno;
		kernel.make_errno = failures[i].make_errno;
		assert_int_equal(tun_device_open_with(&pretended, &device, failures[i].name, &d),
				 failures[i].result);
		assert_int_equal(d.n_errors, 1);
		if (!strstr(d.items[0].text, failures[i].text))
			fail_msg("\"%s\" isn't in: %s", failures[i].text, d.items[0].text);
		diag_deinit(&d);
	}
}

static void test_real_device(void **state)
{
	struct tun_device device;
	struct tun_device second;
	unsigned int index;

	(void)state;
	if (!tun_is_there)
		skip();
	assert_int_equal(tun_device_open(&device, "adit%d", NULL), 0);
	assert_string_equal(device.name, "adit0");
	assert_int_equal(device.index, if_nametoindex("adit0"));
	assert_int_equal(fcntl(device.fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(device.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(device.offloads & CORE_OFFLOADS, CORE_OFFLOADS);
	assert_int_equal(tun_device_open(&second, "adit0", NULL), -EBUSY);
	assert_int_equal(tun_device_open(&second, "adit%d", NULL), 0);
	assert_string_equal(second.name, "adit1");
	tun_device_close(&second);
	index = device.index;
	tun_device_close(&device);
	assert_int_equal(if_nametoindex("adit0"), 0);
	assert_int_not_equal(index, 0);
}

/* Set down and up again, the routes are gone; deleted, reading says so. */
static void test_what_an_administrator_does(void **state)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct netlink_route route = {.kind = NETLINK_ROUTE_DEVICE, .table = TUN_TABLE};
	struct tun_device device;
	struct ip_addr ip;
	char packet[2048];

	(void)state;
	if (!tun_is_there)
		skip();
	assert_int_equal(tun_device_open(&device, "adit%d", NULL), 0);
	assert_int_equal(netlink_open(&nl), 0);
	assert_int_equal(ip_parse("100.96.0.1", &ip), 0);
	assert_int_equal(prefix_parse("10.0.0.0/8", &route.prefix), 0);
	route.index = device.index;
	assert_int_equal(netlink_device_set_up(nl, device.index, TUN_MTU, &ip, 1), 0);
	assert_int_equal(netlink_route_add(nl, &route), 0);
	assert_int_equal(shell("ip link set adit0 down; ip link set adit0 up"), 0);
	assert_string_equal(shell_text("ip route show table 44301"), "");
	/* The same call puts it back. */
	assert_int_equal(netlink_route_add(nl, &route), 0);
	assert_int_equal(shell("ip link del adit0"), 0);
	while (read(device.fd, packet, sizeof(packet)) >= 0)
		;
	assert_int_equal(errno, EBADFD);
	assert_string_equal(shell_text("ip route show table 44301"), "");
	tun_device_close(&device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_new_kernel, reset),
		cmocka_unit_test_setup(test_kernel_without_uso, reset),
		cmocka_unit_test_setup(test_kernel_without_any, reset),
		cmocka_unit_test_setup(test_other_refusal_of_offloads, reset),
		cmocka_unit_test_setup(test_failures_say_what_to_do, reset),
		cmocka_unit_test(test_real_device),
		cmocka_unit_test(test_what_an_administrator_does),
	};

	tun_is_there = own_namespace_enter(NULL, 0) == 0 && has_tun();
	if (!tun_is_there && own_namespace_missing("tun") != SKIPPED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
