/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tun_device - a TUN device: opened, named, with the offloads that the kernel has
 *
 * Packets are read and written with a struct virtio_net_hdr of 10 bytes in front. The device isn't
 * persistent: it goes with its descriptor. netlink_device_set_up() gives it addresses.
 */

#include <net/if.h>
#include <stdbool.h>

#include "base/diag.h"

#define TUN_HEADER_SIZE 10 /* struct virtio_net_hdr, in front of each packet */

/* In Linux since 6.2, in Debian 12's headers not yet. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tun_device {
	int fd;		       /* owned; -1: none. Non-blocking, close-on-exec */
	unsigned int index;    /* of the interface, in the namespace it was opened in */
	unsigned int offloads; /* TUN_F_*: what the kernel accepted */
	char name[IF_NAMESIZE];
};

#define TUN_DEVICE_NONE                                                                            \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* The system calls, which tests replace; each returns -1 with errno, as the real ones do. */
struct tun_device_calls {
	int (*open_node)(const char *path);
	int (*control)(int fd, unsigned long request, void *argument);
};

/*
 * Opens /dev/net/tun in the calling thread's network namespace and makes a device there.
 * @pattern: "adit%d" (the kernel picks the number) or a name. Needs CAP_NET_ADMIN over the
 * namespace. @d, may be NULL: what is missing, and what to do. 0 or -errno: -ENOENT (no
 * /dev/net/tun), -EACCES or -EPERM (may not), -EBUSY (the name is taken), ...
 */
int tun_device_open(struct tun_device *devicep, const char *pattern, struct diag *d);
int tun_device_open_with(const struct tun_device_calls *calls, struct tun_device *devicep,
			 const char *pattern, struct diag *d);

/* The device vanishes, unless somebody else holds its descriptor. Accepts a closed one. */
void tun_device_close(struct tun_device *device);

/* True where UDP comes in frames of several datagrams (USO), which the reader has to cut. */
static inline bool tun_device_has_uso(const struct tun_device *device)
{
	return device->offloads & (TUN_F_USO4 | TUN_F_USO6);
}
