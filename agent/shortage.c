/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/shortage.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

void shortage_note(struct shortage *s, int r, uint64_t now_ms)
{
	if (r != -EMFILE && r != -ENFILE)
		return;
	if (s->said_ms && now_ms - s->said_ms < SHORTAGE_QUIET_MS)
		return;
	s->said_ms = now_ms ? now_ms : 1;
	log_warn("new streams are refused: no descriptor is left for them",
		 log_text("reason", strerror(-r)),
		 log_text("hint", r == -EMFILE ? "LimitNOFILE= of the service, ulimit -n"
					       : "sysctl fs.file-max"));
}
