/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One message, read along a path that the input names (struct, list element, bytes),
 * by the decoders of all our structs, and by the splitter in two pieces: what the
 * splitter calls a message must open as one.
 */

#include <stdlib.h>
#include <string.h>

#include "wire/capnp.h"
#include "wire/registration_codec.h"
#include "wire/route_codec.h"

#define MESSAGE_MAX (64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile uint64_t sink;

static void read_bytes(const struct capnp_struct *s, uint32_t index)
{
	size_t n;
	const uint8_t *data = capnp_get_data(s, index, &n);
	uint32_t cap;

	for (size_t i = 0; i < n; i++)
		sink += data[i];
	sink += strlen(capnp_get_text(s, index));
	sink += capnp_get_cap(s, index, &cap);
}

static void walk(const uint8_t *bytes, size_t n, const uint8_t *path, size_t n_path)
{
	struct capnp_message m;
	struct capnp_struct s;

	if (capnp_message_open(&m, bytes, n))
		return;
	s = capnp_message_root(&m);
	for (size_t i = 0; i < n_path && !capnp_struct_is_null(&s); i++) {
		uint32_t index = path[i] & 7;
		struct capnp_list list;

		sink += capnp_get_uint(&s, path[i] & 0x38, 8) + capnp_get_bool(&s, path[i]);
		if (path[i] & 0x80) {
			list = capnp_get_list(&s, index);
			s = capnp_list_get(&list, path[i] >> 3 & 15);
		} else if (path[i] & 0x40) {
			read_bytes(&s, index);
			return;
		} else {
			s = capnp_get_struct(&s, index);
		}
	}
}

static void decode(const uint8_t *bytes, size_t n)
{
	struct registration_request req;
	struct registration_details details;
	struct registration_error error;
	struct route_verdict verdicts[4];
	struct capnp_message m;
	struct capnp_struct root;
	struct route_call call;
	bool send_all;

	if (capnp_message_open(&m, bytes, n))
		return;
	root = capnp_message_root(&m);
	sink += !registration_get_request(&root, &req);
	sink += registration_get_answer(&root, &details, &error);
	sink += !route_get_reply(&root, verdicts, 4, &send_all);
	sink += !route_get_call(&root, &call);
	route_set_deinit(&call.part);
}

static void split(const uint8_t *data, size_t n, size_t cut)
{
	struct capnp_splitter sp;
	const uint8_t *msg, *at = data;
	size_t n_msg, left = cut;

	capnp_splitter_init(&sp, MESSAGE_MAX);
	while (capnp_splitter_next(&sp, &at, &left, &msg, &n_msg) == CAPNP_COMPLETE)
		sink += n_msg;
	left = n - cut;
	at = data + cut;
	while (capnp_splitter_next(&sp, &at, &left, &msg, &n_msg) == CAPNP_COMPLETE) {
		struct capnp_message m;

		if (capnp_message_open(&m, msg, n_msg))
			abort();
	}
	capnp_splitter_deinit(&sp);
}

/* Input: one byte for the length of the path, the path, the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t n_path = n ? data[0] & 31 : 0;

	if (n < 1 + n_path || n > MESSAGE_MAX)
		return 0;
	walk(data + 1 + n_path, n - 1 - n_path, data + 1, n_path);
	decode(data + 1 + n_path, n - 1 - n_path);
	split(data + 1 + n_path, n - 1 - n_path, (n - 1 - n_path) / 2);
	return 0;
}
