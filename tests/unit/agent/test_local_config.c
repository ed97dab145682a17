/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/local_config.h"
#include "agent/settings.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/file.h"

/* Whatever is the operator's own business carries a mark. */
static const char yaml[] =
	"edge: mark-edge.example:7844\n"
	"tunnel: mark-tunnel\n"
	"cacert: /mark-path/ca.pem\n"
	"credentials-file: /mark-path/credentials.json\n"
	"control-socket: /mark-path/adit.sock\n"
	"state-directory: /mark-path/state\n"
	"loglevel: warn\n"
	"virtual-networks:\n"
	"  - name: mark-network\n"
	"    comment: mark-comment\n"
	"routes:\n"
	"  - network: 10.116.0.3/32\n"
	"    via: 203.0.113.77:2277\n"
	"    virtual-network: mark-network\n"
	"    comment: mark-comment\n"
	"  - network: 10.117.0.0/16\n"
	"allow:\n  - network: 198.51.100.88/32\n"
	"warp-routing: {connectTimeout: 7s, maxActiveFlows: 11, tcpKeepAlive: 13s}\n";

static const char *const secrets[] = {
	"mark", "203.0.113.77", "2277",	       "198.51.100.88", "10.116.", "10.117.",
	"via",	"allow",	"credentials", ".sock",		"/",
};

static char *format(const char *text)
{
	char path[] = "/tmp/adit-test-XXXXXX";
	struct settings *s;
	struct diag diag;
	char *json;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(file_replace(path, 0600, text, strlen(text)), 0);
	diag_init(&diag, "f");
	if (settings_load(&s, path, NULL, &diag) != 0) {
		diag_print(&diag);
		fail();
	}
	diag_deinit(&diag);
	unlink(path);
	json = local_config_format(s);
	settings_free(s);
	return json;
}

static void test_stock_shape(void **state)
{
	CLEANUP(free) char *text = format(yaml);

	(void)state;
	assert_string_equal(text, "{\"__configuration_flags\":{\"protocol\":\"http2\","
				  "\"loglevel\":\"warn\"},"
				  "\"ingress\":[{\"service\":\"http_status:503\"}],"
				  "\"warp-routing\":{\"connectTimeout\":7,\"maxActiveFlows\":11,"
				  "\"tcpKeepAlive\":13}}");
}

/* The service's "http_status:503" has no slash: any slash would be a path's. */
static void test_nothing_of_ours(void **state)
{
	CLEANUP(free) char *text = format(yaml);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		if (strstr(text, secrets[i]))
			fail_msg("'%s' in %s", secrets[i], text);
}

/* Only members that stock has. */
static void test_members(void **state)
{
	static const char *const known[] = {"__configuration_flags", "ingress", "warp-routing",
					    "originRequest"};
	CLEANUP(free) char *text = format("edge: localhost:7844\n");
	json_t *root = json_loads(text, 0, NULL);
	const char *key;
	json_t *value;

	(void)state;
	assert_non_null(root);
	json_object_foreach(root, key, value)
	{
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			found |= !strcmp(key, known[i]);
		if (!found)
			fail_msg("'%s' is not of the stock shape", key);
	}
	json_decref(root);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock_shape),
		cmocka_unit_test(test_nothing_of_ours),
		cmocka_unit_test(test_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
