/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * private_ns - device B and the listeners, in a network namespace that only this process holds
 *
 * Device A captures in the user's namespace. What is read from A is rewritten to P:nat -> L:lport
 * and written to B; answers are read from B and written to A. So a firewall of the user's namespace
 * sees outgoing connections only, no listener is visible there, and the descriptor tells the
 * direction. Inside, B has the addresses L, and everything else is routed to B: any P will do, also
 * several.
 *
 * P is to be routed to A in every form: ICMP errors from P come by way of A, and strict rp_filter
 * would drop them otherwise.
 *
 * A namespace needs CAP_SYS_ADMIN, or a child in a user namespace of its own. Where neither is
 * allowed the listeners are on L in the user's namespace and B is A: the one-device form, which a
 * firewall that drops new inbound connections breaks.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "tun/tun_addresses.h"
#include "tun/tun_device.h"
#include "tun/tun_listeners.h"

enum private_ns_form {
	PRIVATE_NS_OWN,	       /* made by this process */
	PRIVATE_NS_CHILD,      /* made by a child in a user namespace */
	PRIVATE_NS_ONE_DEVICE, /* none: listeners in the user's namespace */
};

struct private_ns {
	enum private_ns_form form;
	struct tun_device device; /* B; its fd is -1 in the one-device form */
	struct tun_listeners listeners;
};

#define PRIVATE_NS_NONE                                                                            \
	{                                                                                          \
		.device = TUN_DEVICE_NONE, .listeners = TUN_LISTENERS_NONE                         \
	}

/*
 * Tries the forms in their order. @port: of the listeners, 0 for a free one. While the process has
 * one thread. In the one-device form A must have its addresses by now. 0 or -errno. @d, may be
 * NULL: errors; after success a warning that says why it is the one-device form.
 */
int private_ns_open(struct private_ns *nsp, const struct tun_addresses *addresses, uint16_t port,
		    struct diag *d);
/* One form only: 0 or -errno. */
int private_ns_open_form(struct private_ns *nsp, enum private_ns_form form,
			 const struct tun_addresses *addresses, uint16_t port, struct diag *d);
void private_ns_close(struct private_ns *ns);

const char *private_ns_form_name(enum private_ns_form form);
