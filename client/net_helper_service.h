/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* net_helper_service - the helper's own side: what the forked process does until its end */

#include "client/net_helper.h"

/*
 * In the child: gives up all but CAP_NET_ADMIN, answers requests on @channel until it ends, cleans
 * up. The first message is a struct net_reply with id 0: whether it could start. The exit status: 0
 * if everything could be taken back.
 */
int net_helper_service_run(int channel, const struct net_helper_config *config);
