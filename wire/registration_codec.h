/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * registration_codec - the structs of RegistrationServer in Cap'n Proto
 *
 * The put functions are rpc_fill: @value is the struct that the name says. What
 * a get function fills in may point into the message.
 */

#include "base/compiler.h"
#include "wire/capnp.h"
#include "wire/capnp_build.h"
#include "wire/registration.h"

void registration_put_request(struct capnp_out payload, const void *request);
/* NULL, or what is wrong with the request. More features than fit are dropped. */
NODISCARD const char *registration_get_request(const struct capnp_struct *params,
					       struct registration_request *reqp);

enum registration_answer {
	REGISTRATION_ACCEPTED, /* *@detailsp is filled */
	REGISTRATION_REFUSED,  /* *@errorp is filled */
	REGISTRATION_MALFORMED,
};

void registration_put_details(struct capnp_out payload, const void *details);
void registration_put_error(struct capnp_out payload, const void *error);
enum registration_answer registration_get_answer(const struct capnp_struct *results,
						 struct registration_details *detailsp,
						 struct registration_error *errorp);

/* @json: NUL-terminated text. */
void registration_put_local_config(struct capnp_out payload, const void *json);
const uint8_t *registration_get_local_config(const struct capnp_struct *params, size_t *np);
