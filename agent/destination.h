/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * destination - may this agent dial it, and where does it really go? Pure
 *
 * Two checks: the requested address lies in an advertised route or in `allow`
 * and its port in theirs; and the final address (after `via`) is in no
 * forbidden range unless the local `via`, or a single-address entry, names it
 * literally. Nothing that arrives over the tunnel can widen this.
 *
 * Of several routes the longest match decides, ports included: a narrow route
 * with `ports` is not opened by a wider one. `allow` entries are tried after it,
 * each by itself. A stream names no virtual network, so networks don't matter here.
 */

#include "base/addr.h"
#include "wire/proto.h"

struct settings;

/*
 * @authority: the ":authority" of a TCP stream; NULL is a bad one. On STREAM_ERROR_NONE *@targetp
 * is the endpoint to dial, *@requestedp the canonical one that was asked for.
 * Else BAD_DESTINATION (not a literal IP and port) or FORBIDDEN; after FORBIDDEN
 * *@requestedp is filled, for the log.
 */
enum stream_error destination_decide(const struct settings *s, const char *authority,
				     struct endpoint *requestedp, struct endpoint *targetp);

/*
 * The same for UDP and ICMP echo; @requested is canonical. The port of an echo is
 * DESTINATION_NO_PORT, here and in *@targetp: a route or `allow` with `ports` doesn't serve it.
 */
#define DESTINATION_NO_PORT 0
enum stream_error destination_decide_endpoint(const struct settings *s,
					      const struct endpoint *requested,
					      struct endpoint *targetp);
