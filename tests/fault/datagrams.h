/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* datagrams - a UDP flow of the client's to the echo */

#include <stdbool.h>

/*
 * Opens a flow and sends until a datagram has come back, the flow is over, or patience is at its
 * end: one may be lost. The flow is gone when this returns. True: one came back, whole.
 */
bool datagrams_play(void);
