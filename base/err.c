/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int err_note(int r, const char *file, int line, const char *func)
{
	int saved = errno;

	if (r < 0 && log_is_enabled(LOG_LEVEL_DEBUG))
		log_debug("error passed", log_text("reason", strerror(-r)), log_text("func", func),
			  log_text("file", file), log_int("line", line));
	errno = saved;
	return r;
}

void *xzalloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

char *xstrdup(const char *s)
{
	char *copy;

	if (!s)
		return NULL;
	copy = strdup(s);
	if (!copy)
		abort();
	return copy;
}
