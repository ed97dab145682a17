/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * route_codec - RouteAdvertiser's structs in Cap'n Proto (wire/adit.capnp)
 *
 * The put functions are rpc_fill: @value is the struct that the name says.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "wire/capnp.h"
#include "wire/capnp_build.h"
#include "wire/route_msg.h"

void route_put_call(struct capnp_out payload, const void *call);
/*
 * Fills *@callp; its part is freed with route_set_deinit(), also after a failure.
 * NULL, or what is wrong; tested before anything is allocated.
 */
NODISCARD const char *route_get_call(const struct capnp_struct *params, struct route_call *callp);

void route_put_reply(struct capnp_out payload, const void *reply);
/* Verdicts in a reply: none when the edge only confirms a hash. */
size_t route_count_verdicts(const struct capnp_struct *results);
/*
 * Reads @n verdicts into @verdicts, or *@send_allp. NULL, or what is wrong: another
 * number of verdicts.
 */
NODISCARD const char *route_get_reply(const struct capnp_struct *results,
				      struct route_verdict *verdicts, size_t n, bool *send_allp);
