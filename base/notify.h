/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * notify - the part of sd_notify(3) and systemd credentials that adit needs
 *
 * Without NOTIFY_SOCKET or CREDENTIALS_DIRECTORY all of it does nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Somebody listens: systemd, or who plays it. */
bool notify_is_wanted(void);

/* Sends @state (lines such as "READY=1\nSTATUS=..."). 0, also when nobody listens; or -errno. */
int notify_send(const char *state);

/*
 * Tells that the configuration is being read again, since @monotonic_us (clock_monotonic_us());
 * READY=1 ends it. As notify_send().
 */
int notify_reloading(uint64_t monotonic_us);

/* The watchdog period in ms (WATCHDOG_USEC, WATCHDOG_PID checked), or 0. Ping at half of it. */
uint64_t notify_watchdog_ms(void);

/* $CREDENTIALS_DIRECTORY/@name into @out if that file exists. True if it does. */
bool credential_path(const char *name, char *out, size_t n_out);
