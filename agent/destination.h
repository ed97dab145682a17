/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * destination - may this agent dial it, and where does it really go? Pure
 *
 * Two checks: the requested address lies in an advertised route or in `allow`
 * and its port in theirs; and the final address (after `via`) is in no
 * forbidden range unless the local `via`, or a single-address entry, names it
 * literally. Nothing that arrives over the tunnel can widen this.
 */

#include "base/addr.h"
#include "wire/proto.h"

struct settings;

/*
 * @authority: the ":authority" of a TCP stream. On STREAM_ERROR_NONE *@targetp
 * is the endpoint to dial, *@requestedp the canonical one that was asked for.
 * Else BAD_DESTINATION (not a literal IP and port) or FORBIDDEN.
 */
enum stream_error destination_decide(const struct settings *s, const char *authority,
				     struct endpoint *requestedp, struct endpoint *targetp);
