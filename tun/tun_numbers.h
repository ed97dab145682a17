/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tun_numbers - what marks adit's routes and rules as its own
 *
 * Everything that adit puts into the kernel's routing carries TUN_PROTOCOL and is in a table of its
 * own (or, the rule for local networks, at a priority of its own). Nothing else is ever changed.
 */

#include <stdint.h>

#define TUN_PROTOCOL	  173 /* rtm_protocol, FRA_PROTOCOL; free in iproute2's rt_protos */
#define TUN_TABLE	  44301
#define TUN_PRIORITY	  5209
#define TUN_INSTANCES_MAX 64
#define TUN_MTU		  65535
#define TUN_TABLE_MAIN	  254 /* the kernel's */

/* TCP of sockets to captured addresses: the path ends in this machine, where pacing only costs. */
#define TUN_CONGESTION "cubic"

/* One instance of `adit up`. Several live side by side, each with its own numbers. */
struct tun_numbers {
	uint32_t table;
	uint32_t priority_local; /* "lookup main suppress_prefixlength 0": local networks win */
	uint32_t priority;	 /* "lookup table", the next number */
};

/* @instance: 0..TUN_INSTANCES_MAX - 1; 0 is the usual one. */
static inline struct tun_numbers tun_numbers_of(unsigned int instance)
{
	return (struct tun_numbers){
		.table = TUN_TABLE + instance,
		.priority_local = TUN_PRIORITY + 2 * instance,
		.priority = TUN_PRIORITY + 2 * instance + 1,
	};
}
