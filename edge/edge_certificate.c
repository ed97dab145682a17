/* SPDX-License-Identifier: Apache-2.0 */

/* A renewed certificate is used for new links; the running ones keep theirs. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/log.h"
#include "edge/edge_private.h"
#include "wire/tls.h"
#include "wire/tls_ca.h"

#define CHECK_EVERY_MS 60000
#define DAY_MS	       (24LL * 3600 * 1000)
#define WARN_BEFORE_MS (30 * DAY_MS)

static int64_t mtime_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
				    : 0;
}

/* Before `adit-edge init`: say what to do, not what OpenSSL thinks of it. */
static bool is_missing(const struct edge_settings *s, struct diag *diag)
{
	if (access(s->certificate_file, F_OK) == 0 || errno != ENOENT)
		return false;
	diag_add(diag, DIAG_ERROR, 0,
		 "%s: no certificate yet: make one with adit-edge init --state-directory %s "
		 "--name HOST",
		 s->certificate_file, s->state_dir);
	return true;
}

/* Links and group bits are left to the administrator: certbot and ssl-cert use both. */
static bool is_exposed(const char *key_file, struct diag *diag)
{
	struct stat st;

	if (stat(key_file, &st) < 0 || !(st.st_mode & S_IRWXO))
		return false;
	diag_add(diag, DIAG_ERROR, 0, "%s: open to everybody (mode %04o); run: chmod o= '%s'",
		 key_file, (unsigned int)(st.st_mode & 07777), key_file);
	return true;
}

int edge_certificate_load(struct edge *e, const struct edge_settings *settings, struct diag *diag)
{
	struct edge_certificate now = {.mtime_ns = mtime_of(settings->certificate_file)};
	struct tls_names names = {0};
	struct tls_context *ctx;
	int r;

	if (is_missing(settings, diag))
		return -ENOENT;
	if (is_exposed(settings->key_file, diag))
		return -EPERM;
	r = tls_context_new_listener(&ctx, settings->certificate_file, settings->key_file, diag);
	if (r < 0)
		return r;
	if (tls_cert_read(settings->certificate_file, &names, &now.not_after_ms, NULL) < 0)
		now.not_after_ms = INT64_MAX;
	tls_context_free(e->tls);
	e->tls = ctx;
	now.checked_ms = clock_boot_ms();
	e->certificate = now;
	return 0;
}

static void take_renewed(struct edge *e)
{
	char why[EDGE_RELOAD_WHY_MAX];
	struct diag diag;

	diag_init(&diag, NULL);
	if (edge_certificate_load(e, e->settings, &diag) == 0) {
		log_info("certificate reloaded");
	} else {
		diag_format(&diag, why, sizeof(why));
		log_error("certificate not reloaded: the old one stays in use",
			  log_text("reason", why));
	}
	diag_deinit(&diag);
}

static void warn_of_end(struct edge *e, uint64_t now_ms)
{
	struct edge_certificate *c = &e->certificate;
	int64_t left_ms = c->not_after_ms - clock_wall_ms();

	if (left_ms >= WARN_BEFORE_MS || (c->warned_ms && now_ms - c->warned_ms < DAY_MS))
		return;
	c->warned_ms = now_ms;
	if (left_ms > 0)
		log_warn("the edge's certificate ends soon: adit-edge cert renew",
			 log_int("days", left_ms / DAY_MS));
	else
		log_error("the edge's certificate has ended, nobody can connect: "
			  "adit-edge cert renew");
}

void edge_certificate_check(struct edge *e, uint64_t now_ms)
{
	warn_of_end(e, now_ms);
	if (now_ms - e->certificate.checked_ms < CHECK_EVERY_MS)
		return;
	e->certificate.checked_ms = now_ms;
	if (mtime_of(e->settings->certificate_file) != e->certificate.mtime_ns)
		take_renewed(e);
}
