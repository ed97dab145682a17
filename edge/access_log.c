/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/log.h"

#define FILE_MODE 0640

struct access_log {
	char *path;
	int fd;
	bool is_cut;	 /* the last line isn't whole: the next one starts with a line feed */
	bool is_failing; /* said so, and not yet that it works again */
	uint64_t n_lost;
};

/* ---- life ---- */

static int open_file(const char *path)
{
	int fd =
		open(path,
		     O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
		     FILE_MODE);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -ENOTSUP;
	if (r == 0)
		return fd;
	close_fd(fd);
	return r;
}

static const char *explain(int r)
{
	switch (r) {
	case -ELOOP:
		return "it is a symbolic link: name the file itself";
	case -ENOTSUP:
	case -ENXIO:
	case -EISDIR:
		return "it is no regular file";
	case -ENOENT:
		return "its folder is missing: make it, or set another path";
	case -EACCES:
		return "permission denied; in a folder that is new to a running edge only after a "
		       "restart";
	default:
		return strerror(-r);
	}
}

int access_log_open(struct access_log **logp, const char *path, struct diag *diag)
{
	int fd = open_file(path);
	struct access_log *log;

	if (fd < 0) {
		diag_add(diag, DIAG_ERROR, 0, "access-log: %s: %s", path, explain(fd));
		return err_trace(fd);
	}
	log = xnew(struct access_log);
	log->path = xstrdup(path);
	log->fd = fd;
	*logp = log;
	return 0;
}

struct access_log *access_log_close(struct access_log *log)
{
	if (log) {
		close_fd(log->fd);
		free(log->path);
		free(log);
	}
	return NULL;
}

uint64_t access_log_n_lost(const struct access_log *log)
{
	return log->n_lost;
}

/* ---- lines ---- */

/* What a client sent need not be UTF-8, and JSON can't hold anything else. */
static json_t *any_text(const char *text)
{
	CLEANUP(free) char *copy = NULL;
	json_t *value;

	if (!text)
		return json_null();
	value = json_string(text);
	if (value)
		return value;
	copy = xstrdup(text);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}

static json_t *pack_line(const struct access_line *l)
{
	char time[CLOCK_TEXT_MAX];

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}",
			 "time", clock_format_wall(l->time_ms, time), "event",
			 l->is_end ? "ended" : "refused", "client", any_text(l->client), "target",
			 any_text(l->target), "protocol", any_text(l->protocol), "virtual_network",
			 any_text(l->network), "tunnel", any_text(l->tunnel), "layer",
			 any_text(l->layer), "rule", any_text(l->rule), "policy",
			 any_text(l->policy), "bytes_up", (json_int_t)l->up_bytes, "bytes_down",
			 (json_int_t)l->down_bytes, "duration_ms", (json_int_t)l->duration_ms,
			 "result", any_text(l->result));
}

/* "\n{...}\n"; the first line feed only ends a cut line. NULL when there is no memory. */
static char *format(const struct access_line *l, size_t *np)
{
	json_t *value = pack_line(l);
	size_t n = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENSURE_ASCII);
	char *text = n > 0 ? malloc(n + 2) : NULL;

	if (text) {
		text[0] = '\n';
		(void)json_dumpb(value, text + 1, n, JSON_COMPACT | JSON_ENSURE_ASCII);
		text[n + 1] = '\n';
		*np = n + 2;
	}
	json_decref(value);
	return text;
}

static void note_lost(struct access_log *log, int r)
{
	log->n_lost++;
	if (log->is_failing)
		return;
	log->is_failing = true;
	log_error("access log can't be written, lines are lost", log_text("file", log->path),
		  log_text("reason", strerror(-r)));
}

static void note_written(struct access_log *log)
{
	if (!log->is_failing)
		return;
	log->is_failing = false;
	log_warn("access log is written again", log_text("file", log->path),
		 log_int("lost", (int64_t)log->n_lost));
}

void access_log_write(struct access_log *log, const struct access_line *line)
{
	CLEANUP(free) char *text = NULL;
	size_t skip, n;
	ssize_t done;

	if (!log)
		return;
	text = format(line, &n);
	if (!text) {
		note_lost(log, -ENOMEM);
		return;
	}
	skip = log->is_cut ? 0 : 1;
	do
		done = write(log->fd, text + skip, n - skip);
	while (done < 0 && errno == EINTR);
	if (done == (ssize_t)(n - skip)) {
		log->is_cut = false;
		note_written(log);
		return;
	}
	/* Of nothing but the line feed, nothing is left behind. */
	if (done > 0)
		log->is_cut = (size_t)done + skip > 1;
	note_lost(log, done < 0 ? -errno : -ENOSPC);
}
