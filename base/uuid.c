/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct uuid uuid_random(void)
{
	struct uuid u;

	/* Up to 256 bytes come whole once the kernel's pool is ready; EINTR is before that. */
	while (getrandom(u.bytes, sizeof(u.bytes), 0) != (ssize_t)sizeof(u.bytes))
		if (errno != EINTR)
			abort();
	u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | 0x40);
	u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80);
	return u;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A hyphen stands before these bytes. */
static bool is_group_start(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

int uuid_parse(const char *text, struct uuid *uuidp)
{
	struct uuid u;

	if (strnlen(text, UUID_TEXT_MAX) != UUID_TEXT_MAX - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(u.bytes); i++) {
		int high, low;

		if (is_group_start(i) && *text++ != '-')
			return -EINVAL;
		high = hex_digit(*text++);
		low = hex_digit(*text++);
		if (high < 0 || low < 0)
			return -EINVAL;
		u.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*uuidp = u;
	return 0;
}

const char *uuid_format(const struct uuid *u, char out[UUID_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out;

	for (size_t i = 0; i < sizeof(u->bytes); i++) {
		if (is_group_start(i))
			*p++ = '-';
		*p++ = digits[u->bytes[i] >> 4];
		*p++ = digits[u->bytes[i] & 0x0f];
	}
	*p = '\0';
	return out;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool uuid_is_nil(const struct uuid *u)
{
	static const struct uuid nil;

	return uuid_equal(u, &nil);
}
