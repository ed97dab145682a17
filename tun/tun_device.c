/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/tun_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NODE "/dev/net/tun"

static int open_node(const char *path)
{
	return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static int control(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

static const struct tun_device_calls system_calls = {open_node, control};

static const struct {
	int error;
	const char *advice;
} node_advice[] = {
	{ENOENT, "the tun module isn't there: modprobe tun, or give the container the device"},
	{ENODEV, "the tun module isn't there: modprobe tun"},
	{ENXIO, "the tun module isn't there: modprobe tun"},
	{EACCES, "this user may not open it: it is mode 0666 with udev's usual rule"},
	{EPERM, "the container or unit doesn't allow it: DeviceAllow=/dev/net/tun rw"},
};

static int say_node(struct diag *d, int error)
{
	const char *advice = "";

	for (size_t i = 0; i < sizeof(node_advice) / sizeof(node_advice[0]); i++)
		if (node_advice[i].error == error)
			advice = node_advice[i].advice;
	diag_add(d, DIAG_ERROR, 0, "%s: %s%s%s", NODE, strerror(error), *advice ? ": " : "",
		 advice);
	return err_trace(-error);
}

static int say_device(struct diag *d, const char *pattern, const char *what, int error)
{
	const char *advice = "";

	if (error == EPERM)
		advice = ": CAP_NET_ADMIN is needed";
	else if (error == EBUSY)
		advice = ": another program has a device of that name";
	diag_add(d, DIAG_ERROR, 0, "TUN device %s: %s: %s%s", pattern, what, strerror(error),
		 advice);
	return err_trace(-error);
}

static int make(const struct tun_device_calls *calls, struct tun_device *device,
		const char *pattern, struct diag *d)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int header = TUN_HEADER_SIZE;

	if (strlen(pattern) >= sizeof(request.ifr_name))
		return say_device(d, pattern, "name", ENAMETOOLONG);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", pattern);
	if (calls->control(device->fd, TUNSETIFF, &request) < 0)
		return say_device(d, pattern, "making it", errno);
	memcpy(device->name, request.ifr_name, sizeof(device->name));
	device->name[sizeof(device->name) - 1] = '\0';
	if (calls->control(device->fd, TUNSETVNETHDRSZ, &header) < 0)
		return say_device(d, device->name, "setting its header", errno);
	return 0;
}

/*
 * The argument is the value itself, not a pointer to it. A kernel before 6.2 refuses all of a set
 * that has USO in it; without any offload the device still works, at a price.
 */
static int set_offloads(const struct tun_device_calls *calls, struct tun_device *device,
			struct diag *d)
{
	static const unsigned int sets[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		0,
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		void *argument = (void *)(uintptr_t)sets[i];

		if (calls->control(device->fd, TUNSETOFFLOAD, argument) == 0) {
			device->offloads = sets[i];
			return 0;
		}
		if (errno != EINVAL)
			break;
	}
	return say_device(d, device->name, "setting its offloads", errno);
}

/* Of the name in the namespace where the device was made a moment ago: this thread's. */
static int find_index(const struct tun_device_calls *calls, struct tun_device *device,
		      struct diag *d)
{
	CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	if (fd < 0)
		return say_device(d, device->name, "socket", errno);
	memcpy(request.ifr_name, device->name, sizeof(request.ifr_name));
	if (calls->control(fd, SIOCGIFINDEX, &request) < 0)
		return say_device(d, device->name, "finding its index", errno);
	device->index = (unsigned int)request.ifr_ifindex;
	return 0;
}

int tun_device_open_with(const struct tun_device_calls *calls, struct tun_device *devicep,
			 const char *pattern, struct diag *d)
{
	struct tun_device device = TUN_DEVICE_NONE;
	int r;

	device.fd = calls->open_node(NODE);
	if (device.fd < 0)
		return say_node(d, errno);
	r = make(calls, &device, pattern, d);
	if (r == 0)
		r = set_offloads(calls, &device, d);
	if (r == 0)
		r = find_index(calls, &device, d);
	if (r < 0) {
		tun_device_close(&device);
		return r;
	}
	*devicep = device;
	return 0;
}

int tun_device_open(struct tun_device *devicep, const char *pattern, struct diag *d)
{
	return tun_device_open_with(&system_calls, devicep, pattern, d);
}

void tun_device_close(struct tun_device *device)
{
	device->fd = close_fd(device->fd);
}
