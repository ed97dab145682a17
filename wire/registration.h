/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * registration - the structs of RegistrationServer, as values
 *
 * Layouts: docs/protocol.md, "Registration". Text members point into the message that was
 * decoded or to the caller's own, as each function says.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/uuid.h"

#define REG_FEATURES_MAX 32
#define REG_TEXT_MAX	 256 /* each text: account tag, version, arch, feature, location */
#define REG_SECRET_MAX	 1024

struct registration_request {
	const char *account_tag;
	const uint8_t *secret;
	size_t n_secret;
	struct uuid tunnel_id;
	uint8_t conn_index;
	struct uuid client_id; /* of the process: the connector id */
	const char *features[REG_FEATURES_MAX];
	size_t n_features;
	const char *version;
	const char *arch;
	struct ip_addr origin_local_ip; /* family 0: not sent */
	bool replace_existing;
	uint8_t compression_quality;
	uint8_t n_previous_attempts;
};

struct registration_details {
	struct uuid connection_id;
	char location[REG_TEXT_MAX];
	bool remotely_managed;
};

struct registration_error {
	char cause[REG_TEXT_MAX];
	int64_t retry_after_ns;
	bool should_retry;
};

#define REG_CAUSE_DUPLICATE "EDUPCONN"

bool registration_has_feature(const struct registration_request *r, const char *feature);

/* True if it is an adit agent: feature "adit/1", parameters after ";" allowed. */
bool registration_is_adit(const struct registration_request *r);

/*
 * How many connections this process means to keep, by an adit agent's "connections=N"
 * parameter (1..255), else @otherwise.
 */
unsigned int registration_expected_connections(const struct registration_request *r,
					       unsigned int otherwise);
