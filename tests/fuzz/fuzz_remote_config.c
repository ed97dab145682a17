/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/remote_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct warp_routing local = {5000, 30000, 100};
	struct remote_config rc;
	char answer[REMOTE_CONFIG_ANSWER_MAX];
	char note[64];

	remote_config_init(&rc, &local, true);
	if (remote_config_apply(&rc, data, n, answer, note, sizeof(note)) != REMOTE_CONFIG_APPLIED)
		return 0;
	/* No push leaves the bounds. */
	if (rc.effective.connect_timeout_ms < 1000 || rc.effective.connect_timeout_ms > 60000 ||
	    rc.effective.tcp_keep_alive_ms < 10000 || rc.effective.tcp_keep_alive_ms > 7200000 ||
	    rc.effective.max_active_flows < 1 || rc.effective.max_active_flows > 100)
		abort();
	return 0;
}
