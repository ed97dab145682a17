/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* prefix_codec - struct prefix as a value of configuration files: "10.0.0.0/8", "10.0.0.1" */

#include "base/schema.h"

/* Any prefix. Host bits are refused with the prefix that was meant. */
extern const struct schema_codec prefix_codec;

/* The parse() of prefix_codec, for codecs that refuse more. */
int prefix_codec_parse(const char *text, void *field, char *why);
/* The format(): "" for family 0. */
void prefix_codec_format(const void *field, char *out);
