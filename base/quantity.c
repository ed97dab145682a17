/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quantity.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = {
	{"ns", 1},	 {"us", 1000},	    {"\xc2\xb5s", 1000}, /* micro sign, as Go prints it */
	{"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},	 {"h", 3600000000000},
};

static const struct unit size_units[] = {
	{"", 1}, {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30},
};

static int parse_digits(const char **textp, uint64_t *valuep)
{
	const char *p = *textp;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	}
	if (p == *textp)
		return -EINVAL;
	*textp = p;
	*valuep = v;
	return 0;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *name,
				    size_t n_name)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(units[i].name) == n_name && memcmp(units[i].name, name, n_name) == 0)
			return &units[i];
	}
	return NULL;
}

/* The value of ".125" as nanoseconds when 1 is @factor of them; the rest below 1 ns is lost. */
static uint64_t parse_fraction(const char **textp, uint64_t factor)
{
	uint64_t sum = 0;

	for (; **textp >= '0' && **textp <= '9'; (*textp)++) {
		factor /= 10;
		sum += factor * (uint64_t)(**textp - '0');
	}
	return sum;
}

/* One "1.5s"; the fraction needs the unit behind it, so it is read twice. */
static int parse_part(const char **textp, uint64_t *nsp)
{
	const char *p = *textp, *fraction = NULL;
	const struct unit *unit;
	uint64_t whole;
	size_t n_unit;
	int r = parse_digits(&p, &whole);

	if (r < 0)
		return r;
	if (*p == '.') {
		fraction = ++p;
		p += strspn(p, "0123456789");
	}
	n_unit = strcspn(p, ".0123456789");
	unit = find_unit(time_units, ARRAY_SIZE(time_units), p, n_unit);
	if (!unit)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, unit->factor, nsp))
		return -ERANGE;
	if (fraction && __builtin_add_overflow(*nsp, parse_fraction(&fraction, unit->factor), nsp))
		return -ERANGE;
	*textp = p + n_unit;
	return 0;
}

int duration_parse(const char *text, uint64_t *msp)
{
	uint64_t sum = 0, ns;

	if (strcmp(text, "0") == 0) {
		*msp = 0;
		return 0;
	}
	do {
		int r = parse_part(&text, &ns);

		if (r < 0)
			return r;
		if (__builtin_add_overflow(sum, ns, &sum) || sum > INT64_MAX)
			return -ERANGE;
	} while (*text);
	*msp = sum / 1000000 + (sum % 1000000 ? 1 : 0);
	return 0;
}

const char *duration_format(uint64_t ms, char out[QUANTITY_TEXT_MAX])
{
	static const struct unit steps[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	size_t used = 0;

	snprintf(out, QUANTITY_TEXT_MAX, "0s");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (ms < steps[i].factor)
			continue;
		used += (size_t)snprintf(out + used, QUANTITY_TEXT_MAX - used, "%llu%s",
					 (unsigned long long)(ms / steps[i].factor), steps[i].name);
		ms %= steps[i].factor;
	}
	return out;
}

int size_parse(const char *text, uint64_t *bytesp)
{
	const struct unit *unit;
	uint64_t n;
	int r = parse_digits(&text, &n);

	if (r < 0)
		return r;
	text += strspn(text, " ");
	unit = find_unit(size_units, ARRAY_SIZE(size_units), text, strlen(text));
	if (!unit)
		return -EINVAL;
	return __builtin_mul_overflow(n, unit->factor, bytesp) ? -ERANGE : 0;
}

const char *size_format(uint64_t bytes, char out[QUANTITY_TEXT_MAX])
{
	const struct unit *unit = &size_units[0];

	for (size_t i = 1; bytes && i < ARRAY_SIZE(size_units); i++) {
		if (bytes % size_units[i].factor == 0)
			unit = &size_units[i];
	}
	snprintf(out, QUANTITY_TEXT_MAX, "%llu%s", (unsigned long long)(bytes / unit->factor),
		 unit->factor == 1 ? "" : unit->name);
	return out;
}
