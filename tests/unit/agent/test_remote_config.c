/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/remote_config.h"
#include "base/compiler.h"
#include "base/file.h"
#include "wire/proto.h"

static const struct warp_routing local = {
	.connect_timeout_ms = 5000,
	.tcp_keep_alive_ms = 30000,
	.max_active_flows = 0,
};

struct fixture {
	struct remote_config rc;
	char answer[REMOTE_CONFIG_ANSWER_MAX];
	char note[200];
};

static int set_up(void **state)
{
	static struct fixture f;

	remote_config_init(&f.rc, &local, true);
	*state = &f;
	return 0;
}

static enum remote_config_outcome push(struct fixture *f, const char *body)
{
	return remote_config_apply(&f->rc, body, strlen(body), f->answer, f->note, sizeof(f->note));
}

static enum remote_config_outcome push_warp(struct fixture *f, const char *warp)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"version\":%d,\"config\":{\"warp-routing\":%s}}",
		 f->rc.version + 1, warp);
	return push(f, body);
}

/* ---- versions and answers ---- */

static void test_versions(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->rc.version, -1);
	assert_int_equal(push(f, "{\"version\":-1,\"config\":{}}"), REMOTE_CONFIG_OLD);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":-1,\"err\":null}");
	assert_int_equal(push(f, "{\"version\":0,\"config\":{}}"), REMOTE_CONFIG_APPLIED);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":0,\"err\":null}");
	assert_int_equal(push(f, "{\"version\":5,\"config\":{}}"), REMOTE_CONFIG_APPLIED);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":5,\"err\":null}");
	/* An old version is success whatever it holds. */
	assert_int_equal(push(f, "{\"version\":5,\"config\":7}"), REMOTE_CONFIG_OLD);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":5,\"err\":null}");
	assert_int_equal(push(f, "{\"version\":4,\"config\":{}}"), REMOTE_CONFIG_OLD);
	assert_int_equal(push(f, "{\"version\":6,\"config\":7}"), REMOTE_CONFIG_INVALID);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":5,\"err\":{}}");
	assert_int_equal(push(f, "{\"version\":2147483647,\"config\":{}}"), REMOTE_CONFIG_APPLIED);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":2147483647,\"err\":null}");
}

static void test_unreadable(void **state)
{
	static const char *const bodies[] = {
		"",
		" ",
		"{",
		"{\"version\":1,\"config\":{",
		"[]",
		"7",
		"\"x\"",
		"null",
		"{}",
		"{\"config\":{}}",
		"{\"version\":\"1\",\"config\":{}}",
		"{\"version\":1.0}",
		"{\"version\":2147483648,\"config\":{}}",
		"{\"version\":1}x",
		"{\"version\":99999999999999999999}",
		"\xff\xfe",
		"{\"version\":true}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		assert_int_equal(push(f, bodies[i]), REMOTE_CONFIG_UNREADABLE);
		assert_string_equal(f->answer, "");
		assert_string_not_equal(f->note, "");
	}
	assert_int_equal(f->rc.version, -1);
}

static void test_invalid(void **state)
{
	static const char *const bodies[] = {
		"{\"version\":1}",
		"{\"version\":1,\"config\":null}",
		"{\"version\":1,\"config\":[]}",
		"{\"version\":1,\"config\":{\"warp-routing\":3}}",
		"{\"version\":1,\"config\":{\"warp-routing\":{\"connectTimeout\":1.5}}}",
		"{\"version\":1,\"config\":{\"warp-routing\":{\"connectTimeout\":\"5s\"}}}",
		"{\"version\":1,\"config\":{\"warp-routing\":{\"connectTimeout\":-1}}}",
		"{\"version\":1,\"config\":{\"warp-routing\":{\"maxActiveFlows\":-1}}}",
		("{\"version\":1,\"config\":{\"warp-routing\":{\"connectTimeout\":9,"
		 "\"tcpKeepAlive\":[]}}}"),
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		assert_int_equal(push(f, bodies[i]), REMOTE_CONFIG_INVALID);
		assert_string_equal(f->answer, "{\"lastAppliedVersion\":-1,\"err\":{}}");
		assert_string_not_equal(f->note, "");
		/* All or nothing. */
		assert_memory_equal(&f->rc.effective, &local, sizeof(local));
	}
}

static void test_size(void **state)
{
	struct fixture *f = *state;
	static char body[CONFIG_BODY_MAX + 1];
	int n = snprintf(body, sizeof(body), "{\"version\":1,\"config\":{}}");

	memset(body + n, ' ', sizeof(body) - (size_t)n);
	assert_int_equal(remote_config_apply(&f->rc, body, CONFIG_BODY_MAX + 1, f->answer, f->note,
					     sizeof(f->note)),
			 REMOTE_CONFIG_UNREADABLE);
	assert_int_equal(remote_config_apply(&f->rc, body, CONFIG_BODY_MAX, f->answer, f->note,
					     sizeof(f->note)),
			 REMOTE_CONFIG_APPLIED);
}

/* Depth 2 is the config object itself. */
static void nest(char *body, size_t n_body, unsigned int n)
{
	snprintf(body, n_body,
		 "{\"version\":1,\"config\":{\"x\":\"]]}}\\\"[[[[[[[[[[[[[[[[[[\",\"y\":");
	for (unsigned int i = 0; i < n; i++)
		strcat(body, "[");
	for (unsigned int i = 0; i < n; i++)
		strcat(body, "]");
	strcat(body, "}}");
}

static void test_depth(void **state)
{
	struct fixture *f = *state;
	char body[512];

	nest(body, sizeof(body), REMOTE_CONFIG_DEPTH_MAX - 1);
	assert_int_equal(push(f, body), REMOTE_CONFIG_UNREADABLE);
	assert_string_equal(f->note, "nested too deep");
	nest(body, sizeof(body), REMOTE_CONFIG_DEPTH_MAX - 2);
	assert_int_equal(push(f, body), REMOTE_CONFIG_APPLIED);
	assert_string_equal(f->note, "x, y");
}

static void test_unserved_keys(void **state)
{
	struct fixture *f = *state;
	char note[8];

	assert_int_equal(push(f, "{\"version\":1,\"config\":{\"ingress\":[],\"warp-routing\":"
				 "{\"enabled\":true,\"other\":1},\"originRequest\":{}}}"),
			 REMOTE_CONFIG_APPLIED);
	assert_string_equal(f->note, "ingress, originRequest, warp-routing.other");
	assert_int_equal(push_warp(f, "null"), REMOTE_CONFIG_APPLIED);
	assert_string_equal(f->note, "");
	assert_int_equal(remote_config_apply(&f->rc, "{\"version\":9,\"config\":{\"ingress\":0}}",
					     36, f->answer, note, sizeof(note)),
			 REMOTE_CONFIG_APPLIED);
	assert_string_equal(note, "ingress");
}

static void test_off(void **state)
{
	struct fixture *f = *state;

	remote_config_init(&f->rc, &local, false);
	assert_int_equal(push_warp(f, "{\"connectTimeout\":9}"), REMOTE_CONFIG_INVALID);
	assert_string_equal(f->answer, "{\"lastAppliedVersion\":-1,\"err\":{}}");
	assert_string_equal(f->note, "remote-config is off");
	assert_memory_equal(&f->rc.effective, &local, sizeof(local));
}

/* ---- bounds ---- */

static const struct {
	const char *warp;
	struct warp_routing effective;
} bounds[] = {
	{"{}", {5000, 30000, 100}},
	{"{\"connectTimeout\":10,\"tcpKeepAlive\":60,\"maxActiveFlows\":7}", {10000, 60000, 7}},
	{"{\"connectTimeout\":0,\"tcpKeepAlive\":0,\"maxActiveFlows\":0}", {1000, 30000, 100}},
	{"{\"connectTimeout\":1,\"tcpKeepAlive\":1,\"maxActiveFlows\":1}", {1000, 10000, 1}},
	{"{\"connectTimeout\":60,\"tcpKeepAlive\":7200,\"maxActiveFlows\":100}",
	 {60000, 7200000, 100}},
	{"{\"connectTimeout\":61,\"tcpKeepAlive\":7201,\"maxActiveFlows\":101}",
	 {60000, 7200000, 100}},
	{"{\"connectTimeout\":9223372036854775807,\"tcpKeepAlive\":9223372036854775807,"
	 "\"maxActiveFlows\":9223372036854775807}",
	 {60000, 7200000, 100}},
	{"{\"connectTimeout\":null}", {5000, 30000, 100}},
};

static void test_bounds(void **state)
{
	const struct warp_routing limited = {5000, 30000, 100};
	struct fixture *f = *state;

	remote_config_rebase(&f->rc, &limited, true);
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		assert_int_equal(push_warp(f, bounds[i].warp), REMOTE_CONFIG_APPLIED);
		assert_memory_equal(&f->rc.effective, &bounds[i].effective,
				    sizeof(struct warp_routing));
	}
}

static void test_unlimited_locally(void **state)
{
	const struct warp_routing patient = {90000, 0, 0};
	struct fixture *f = *state;

	remote_config_rebase(&f->rc, &patient, true);
	assert_int_equal(push_warp(f, "{\"connectTimeout\":100,\"maxActiveFlows\":5000000000}"),
			 REMOTE_CONFIG_APPLIED);
	assert_int_equal(f->rc.effective.connect_timeout_ms, 90000);
	assert_int_equal(f->rc.effective.tcp_keep_alive_ms, 0);
	assert_int_equal(f->rc.effective.max_active_flows, UINT32_MAX);
}

static void test_reload(void **state)
{
	struct warp_routing next = {7000, 15000, 50};
	struct fixture *f = *state;

	assert_int_equal(push_warp(f, "{\"connectTimeout\":10,\"maxActiveFlows\":80}"),
			 REMOTE_CONFIG_APPLIED);
	assert_int_equal(f->rc.effective.max_active_flows, 80);
	remote_config_rebase(&f->rc, &next, true);
	assert_int_equal(f->rc.effective.connect_timeout_ms, 10000);
	assert_int_equal(f->rc.effective.tcp_keep_alive_ms, 15000);
	assert_int_equal(f->rc.effective.max_active_flows, 50);
	remote_config_rebase(&f->rc, &next, false);
	assert_memory_equal(&f->rc.effective, &next, sizeof(next));
	remote_config_rebase(&f->rc, &next, true);
	assert_int_equal(f->rc.effective.connect_timeout_ms, 10000);
	assert_int_equal(f->rc.version, 0);
}

/* ---- what stock answered, captured ---- */

static void check_golden(struct fixture *f, const char *put, const char *answer)
{
	json_t *stock = json_loads(answer, JSON_DISABLE_EOF_CHECK, NULL);
	const char *body = json_string_value(json_object_get(stock, "body"));
	const char *headers = json_string_value(json_object_get(stock, "headers"));
	enum remote_config_outcome outcome;

	assert_true(body && headers);
	/* Each capture starts with version 1, at a process of its own. */
	if (strstr(put, "\"version\":1,"))
		remote_config_init(&f->rc, &local, true);
	/* Stock refuses rules that adit doesn't serve and only reports. */
	if (!strstr(body, "\"err\":{}")) {
		outcome = push(f, put);
		assert_string_equal(f->answer, body);
		assert_int_equal(outcome == REMOTE_CONFIG_UNREADABLE,
				 strstr(headers, "\"502\"") != NULL);
	}
	json_decref(stock);
}

static void test_golden(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;
	size_t n_text;
	char *text;

	assert_int_equal(
		file_read(TEST_DIR "/golden/remote/config-responses.txt", 1 << 20, &text, &n_text),
		0);
	for (char *put = strstr(text, "PUT "); put;) {
		char *answer = strchr(put, '\n');

		assert_non_null(answer);
		*answer++ = '\0';
		check_golden(f, put + 4, answer);
		put = strstr(answer, "PUT ");
		n++;
	}
	free(text);
	assert_int_equal(n, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_versions, set_up),
		cmocka_unit_test_setup(test_unreadable, set_up),
		cmocka_unit_test_setup(test_invalid, set_up),
		cmocka_unit_test_setup(test_size, set_up),
		cmocka_unit_test_setup(test_depth, set_up),
		cmocka_unit_test_setup(test_unserved_keys, set_up),
		cmocka_unit_test_setup(test_off, set_up),
		cmocka_unit_test_setup(test_bounds, set_up),
		cmocka_unit_test_setup(test_unlimited_locally, set_up),
		cmocka_unit_test_setup(test_reload, set_up),
		cmocka_unit_test_setup(test_golden, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
