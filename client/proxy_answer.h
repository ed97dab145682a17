/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* proxy_answer - what a proxy's client is told of how its request went: a table */

#include <stdint.h>

#include "client/exit_code.h"
#include "wire/socks_proto.h"

/* For every enum client_exit; one that isn't about a request is a general failure. */
enum socks_reply proxy_answer_socks(enum client_exit why);
/* The status of an HTTP response: 200, 403, 500, 502, 503 or 504. */
unsigned int proxy_answer_http(enum client_exit why);
