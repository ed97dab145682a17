/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/fault.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/err.h"
#include "tests/fault/fault_private.h"

const bool fault_never;
const bool *fault_others = &fault_never;

static _Thread_local const bool *thread_counts;
static _Thread_local unsigned int infallible; /* depth */
static enum fault_kind armed_kind;
static _Atomic uint64_t n_left; /* calls up to and with the one that fails; 0: none */
static const char *_Atomic struck = "";

void fault_set_thread(const bool *countsp)
{
	thread_counts = countsp;
}

void fault_arm(enum fault_kind kind, uint64_t n)
{
	armed_kind = kind;
	n_left = n;
}

bool fault_disarm(void)
{
	return atomic_exchange(&n_left, 0) == 0;
}

const char *fault_name(void)
{
	return struck;
}

const char *fault_kind_name(enum fault_kind kind)
{
	static const char *const names[FAULT_KIND_N] = {
		[FAULT_MEMORY] = "memory",
		[FAULT_UV] = "libuv",
		[FAULT_SOCKET] = "sockets",
		[FAULT_FILE] = "files",
	};

	return names[kind];
}

bool fault_strikes(enum fault_kind kind, const char *name)
{
	uint64_t n = n_left;

	if (n == 0 || kind != armed_kind || infallible ||
	    !*(thread_counts ? thread_counts : fault_others))
		return false;
	while (n > 0 && !atomic_compare_exchange_weak(&n_left, &n, n - 1))
		;
	if (n != 1)
		return false;
	struck = name;
	return true;
}

/* ---- what aborts by design ---- */

void *__real_xzalloc(size_t size);
void *__wrap_xzalloc(size_t size);
void *__wrap_xzalloc(size_t size)
{
	void *p;

	infallible++;
	p = __real_xzalloc(size);
	infallible--;
	return p;
}

struct schema;

/* Of few and fixed values; what it allocates is as small as xnew()'s. */
void __real_schema_set_fallbacks(const struct schema *s, void *base);
void __wrap_schema_set_fallbacks(const struct schema *s, void *base);
void __wrap_schema_set_fallbacks(const struct schema *s, void *base)
{
	infallible++;
	__real_schema_set_fallbacks(s, base);
	infallible--;
}

char *__real_xstrdup(const char *s);
char *__wrap_xstrdup(const char *s);
char *__wrap_xstrdup(const char *s)
{
	char *copy;

	infallible++;
	copy = __real_xstrdup(s);
	infallible--;
	return copy;
}
