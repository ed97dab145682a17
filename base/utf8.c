/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "base/compiler.h"

struct rune_range {
	uint32_t first;
	uint32_t last;
};

/* Controls, invisible formatting, bidirectional overrides, separators, non-characters. */
static const struct rune_range unprintable[] = {
	{0x0000, 0x001f},      {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c},
	{0x180e, 0x180e},      {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
	{0xfeff, 0xfeff},      {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0xe0fff},
	{0xf0000, UINT32_MAX},
};

static const struct rune_range combining[] = {
	{0x0300, 0x036f}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
	{0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

static const struct rune_range wide[] = {
	{0x1100, 0x115f},   {0x2e80, 0x303e},	{0x3041, 0xa4cf},   {0xac00, 0xd7a3},
	{0xf900, 0xfaff},   {0xfe30, 0xfe6f},	{0xff00, 0xff60},   {0xffe0, 0xffe6},
	{0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

static bool is_in(uint32_t rune, const struct rune_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rune >= ranges[i].first && rune <= ranges[i].last)
			return true;
	return false;
}

/* Length by the first byte, 0 when none starts with it; *@runep gets its payload bits. */
static size_t lead_length(uint8_t lead, uint32_t *runep)
{
	*runep = lead;
	if (lead < 0x80)
		return 1;
	*runep = lead & 0x1f;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	*runep = lead & 0x0f;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	*runep = lead & 0x07;
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t utf8_next(const char *s, size_t n, uint32_t *runep)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t rune;
	size_t length = lead_length((uint8_t)s[0], &rune);

	*runep = UTF8_INVALID;
	if (length == 0 || length > n)
		return 1;
	for (size_t i = 1; i < length; i++) {
		uint8_t c = (uint8_t)s[i];

		if ((c & 0xc0) != 0x80)
			return 1;
		rune = rune << 6 | (c & 0x3f);
	}
	/* Overlong forms, surrogates and what lies beyond Unicode. */
	if (rune < least[length] || (rune >= 0xd800 && rune <= 0xdfff) || rune > 0x10ffff)
		return 1;
	*runep = rune;
	return length;
}

bool utf8_is_printable(uint32_t rune)
{
	return !is_in(rune, unprintable, ARRAY_SIZE(unprintable));
}

unsigned int utf8_width(uint32_t rune)
{
	if (is_in(rune, combining, ARRAY_SIZE(combining)))
		return 0;
	return is_in(rune, wide, ARRAY_SIZE(wide)) ? 2 : 1;
}
