/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/registration_codec.h"

#include <netinet/in.h>
#include <string.h>

#include "wire/peer_text.h"

/* ConnectionResponse */
enum response_tag {
	RESPONSE_ERROR = 0,
	RESPONSE_DETAILS = 1,
};

static void put_uuid(struct capnp_out s, uint16_t index, const struct uuid *u)
{
	capnp_put_data(s, index, u->bytes, sizeof(u->bytes));
}

static bool get_uuid(const struct capnp_struct *s, uint32_t index, struct uuid *up)
{
	size_t n;
	const uint8_t *data = capnp_get_data(s, index, &n);

	if (n != sizeof(up->bytes))
		return false;
	memcpy(up->bytes, data, n);
	return true;
}

static bool get_safe_text(const struct capnp_struct *s, uint32_t index, const char **textp)
{
	*textp = capnp_get_text(s, index);
	return strlen(*textp) < REG_TEXT_MAX && peer_text_is_safe(*textp);
}

static void put_client(struct capnp_out options, const struct registration_request *r)
{
	struct capnp_out client = capnp_new_struct(options, 0, 0, 4);

	put_uuid(client, 0, &r->client_id);
	capnp_put_text_list(client, 1, r->features, r->n_features);
	capnp_put_text(client, 2, r->version);
	capnp_put_text(client, 3, r->arch);
}

/* Always the 16-byte form, as stock. */
static void put_ip(struct capnp_out options, const struct ip_addr *ip)
{
	uint8_t bytes[16];

	if (!ip->family)
		return;
	ip_to_mapped(ip, bytes);
	capnp_put_data(options, 1, bytes, sizeof(bytes));
}

static void put_options(struct capnp_out params, const struct registration_request *r)
{
	struct capnp_out options = capnp_new_struct(params, 2, 1, 2);

	put_client(options, r);
	put_ip(options, &r->origin_local_ip);
	capnp_put_bool(options, 0, r->replace_existing);
	capnp_put_uint(options, 1, 1, r->compression_quality);
	capnp_put_uint(options, 2, 1, r->n_previous_attempts);
}

void registration_put_request(struct capnp_out payload, const void *request)
{
	const struct registration_request *r = request;
	struct capnp_out params = capnp_new_struct(payload, 0, 1, 3);
	struct capnp_out auth = capnp_new_struct(params, 0, 0, 2);

	capnp_put_uint(params, 0, 1, r->conn_index);
	capnp_put_text(auth, 0, r->account_tag);
	capnp_put_data(auth, 1, r->secret, r->n_secret);
	put_uuid(params, 1, &r->tunnel_id);
	put_options(params, r);
}

static struct ip_addr get_ip(const struct capnp_struct *options)
{
	struct ip_addr ip = {0};
	size_t n;
	const uint8_t *data = capnp_get_data(options, 1, &n);

	if (n != 4 && n != 16)
		return ip;
	ip.family = n == 4 ? AF_INET : AF_INET6;
	memcpy(ip.bytes, data, n);
	return ip_canonical(&ip);
}

static bool get_features(const struct capnp_struct *client, struct registration_request *r)
{
	struct capnp_list list = capnp_get_list(client, 1);
	struct capnp_struct element;

	for (uint32_t i = 0; i < list.n && i < REG_FEATURES_MAX; i++) {
		element = capnp_list_get(&list, i);
		if (!get_safe_text(&element, 0, &r->features[r->n_features++]))
			return false;
	}
	return true;
}

static const char *get_client(const struct capnp_struct *options, struct registration_request *r)
{
	struct capnp_struct client = capnp_get_struct(options, 0);

	if (!get_uuid(&client, 0, &r->client_id))
		return "clientId is not 16 bytes";
	if (!get_features(&client, r))
		return "features: not text, or too long";
	if (!get_safe_text(&client, 2, &r->version))
		return "version: not text, or too long";
	if (!get_safe_text(&client, 3, &r->arch))
		return "arch: not text, or too long";
	return NULL;
}

static const char *get_auth(const struct capnp_struct *params, struct registration_request *r)
{
	struct capnp_struct auth = capnp_get_struct(params, 0);

	if (!get_safe_text(&auth, 0, &r->account_tag))
		return "accountTag: not text, or too long";
	r->secret = capnp_get_data(&auth, 1, &r->n_secret);
	if (r->n_secret > REG_SECRET_MAX)
		return "tunnelSecret is too long";
	return NULL;
}

const char *registration_get_request(const struct capnp_struct *params,
				     struct registration_request *reqp)
{
	struct capnp_struct options = capnp_get_struct(params, 2);
	const char *wrong;

	*reqp = (struct registration_request){
		.conn_index = (uint8_t)capnp_get_uint(params, 0, 1),
		.origin_local_ip = get_ip(&options),
		.replace_existing = capnp_get_bool(&options, 0),
		.compression_quality = (uint8_t)capnp_get_uint(&options, 1, 1),
		.n_previous_attempts = (uint8_t)capnp_get_uint(&options, 2, 1),
	};
	if (!get_uuid(params, 1, &reqp->tunnel_id))
		return "tunnelId is not 16 bytes";
	wrong = get_auth(params, reqp);
	return wrong ? wrong : get_client(&options, reqp);
}

static struct capnp_out put_response(struct capnp_out payload, enum response_tag tag,
				     uint16_t n_data, uint16_t n_ptrs)
{
	struct capnp_out results = capnp_new_struct(payload, 0, 0, 1);
	struct capnp_out response = capnp_new_struct(results, 0, 1, 1);

	capnp_put_uint(response, 0, 2, tag);
	return capnp_new_struct(response, 0, n_data, n_ptrs);
}

void registration_put_details(struct capnp_out payload, const void *details)
{
	const struct registration_details *d = details;
	struct capnp_out out = put_response(payload, RESPONSE_DETAILS, 1, 2);

	put_uuid(out, 0, &d->connection_id);
	capnp_put_text(out, 1, d->location);
	capnp_put_bool(out, 0, d->remotely_managed);
}

void registration_put_error(struct capnp_out payload, const void *error)
{
	const struct registration_error *e = error;
	struct capnp_out out = put_response(payload, RESPONSE_ERROR, 2, 1);

	capnp_put_text(out, 0, e->cause);
	capnp_put_uint(out, 0, 8, (uint64_t)e->retry_after_ns);
	capnp_put_bool(out, 64, e->should_retry);
}

static enum registration_answer get_details(const struct capnp_struct *s,
					    struct registration_details *dp)
{
	*dp = (struct registration_details){.remotely_managed = capnp_get_bool(s, 0)};
	peer_text_copy(dp->location, sizeof(dp->location), capnp_get_text(s, 1));
	return get_uuid(s, 0, &dp->connection_id) ? REGISTRATION_ACCEPTED : REGISTRATION_MALFORMED;
}

static enum registration_answer get_error(const struct capnp_struct *s,
					  struct registration_error *ep)
{
	*ep = (struct registration_error){
		.retry_after_ns = (int64_t)capnp_get_uint(s, 0, 8),
		.should_retry = capnp_get_bool(s, 64),
	};
	peer_text_copy(ep->cause, sizeof(ep->cause), capnp_get_text(s, 0));
	return REGISTRATION_REFUSED;
}

enum registration_answer registration_get_answer(const struct capnp_struct *results,
						 struct registration_details *detailsp,
						 struct registration_error *errorp)
{
	struct capnp_struct response = capnp_get_struct(results, 0);
	struct capnp_struct body = capnp_get_struct(&response, 0);

	if (capnp_struct_is_null(&body))
		return REGISTRATION_MALFORMED;
	switch (capnp_get_uint(&response, 0, 2)) {
	case RESPONSE_ERROR:
		return get_error(&body, errorp);
	case RESPONSE_DETAILS:
		return get_details(&body, detailsp);
	default:
		return REGISTRATION_MALFORMED;
	}
}

void registration_put_local_config(struct capnp_out payload, const void *json)
{
	const char *text = json;

	capnp_put_data(capnp_new_struct(payload, 0, 0, 1), 0, text, strlen(text));
}

const uint8_t *registration_get_local_config(const struct capnp_struct *params, size_t *np)
{
	return capnp_get_data(params, 0, np);
}
