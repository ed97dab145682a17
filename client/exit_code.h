/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * exit_code - how `adit connect` ended, as exit status and in words
 *
 * The numbers are part of the interface (docs/connect.md): scripts match on them.
 */

#include <stddef.h>

#include "wire/link.h"
#include "wire/proto.h"

enum client_exit {
	CLIENT_EXIT_OK = 0,
	CLIENT_EXIT_INTERNAL = 1,
	CLIENT_EXIT_NO_ROUTE = 10,
	CLIENT_EXIT_NO_NETWORK = 11,
	CLIENT_EXIT_NOT_GRANTED = 12,
	CLIENT_EXIT_CONNECTOR_DOWN = 13,
	CLIENT_EXIT_REFUSED = 14,
	CLIENT_EXIT_TIMEOUT = 15,
	CLIENT_EXIT_UNREACHABLE = 16,
	CLIENT_EXIT_FORBIDDEN = 17,
	CLIENT_EXIT_LIMIT = 18,
	CLIENT_EXIT_UNAUTHENTICATED = 19,
	CLIENT_EXIT_CERTIFICATE = 20,
	CLIENT_EXIT_EDGE = 21,
	CLIENT_EXIT_NAME = 22,
	CLIENT_EXIT_CUT = 23,
	CLIENT_EXIT_EDGE_FAULT = 24,
	CLIENT_EXIT_USAGE = 64,
	CLIENT_EXIT_CREDENTIALS = 78,
	CLIENT_EXIT_SIGNAL = 128, /* plus the number of the signal that ended it */
};

/* What an exit status says, for --help and docs; NULL for a number that isn't one of them. */
const char *client_exit_text(int code);

/* " 10  no route covers the destination" for all of them, one a line. Cut at @n_out. */
void client_exit_list(char *out, size_t n_out);

/* From the edge's answer. @e is not STREAM_ERROR_NONE. */
enum client_exit client_exit_of_stream_error(enum stream_error e);

/* Why no link to the edge came up or stayed up. */
enum client_exit client_exit_of_link_end(enum link_end why);
