/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reply.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"

const char *reply_date(int64_t wall_ms, char out[REPLY_DATE_MAX])
{
	/* Not strftime(): its names follow the locale. */
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t seconds = wall_ms / (int64_t)MSEC_PER_SEC;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(out, REPLY_DATE_MAX, "%s, %02u %s %04u %02u:%02u:%02u GMT",
		 days[(unsigned int)tm.tm_wday % 7], (unsigned int)tm.tm_mday % 100,
		 months[(unsigned int)tm.tm_mon % 12], (unsigned int)(tm.tm_year + 1900) % 10000,
		 (unsigned int)tm.tm_hour % 100, (unsigned int)tm.tm_min % 100,
		 (unsigned int)tm.tm_sec % 100);
	return out;
}

static const char *date_now(char out[REPLY_DATE_MAX])
{
	return reply_date(clock_wall_ms(), out);
}

int reply_control(struct h2_stream *stream)
{
	char date[REPLY_DATE_MAX];
	const struct h2_header head[] = {
		{.name = ":status", .value = "200"},
		{.name = "content-type", .value = "application/octet-stream"},
		{.name = "date", .value = date_now(date)},
	};

	return h2_stream_respond(stream, head, ARRAY_SIZE(head), false);
}

int reply_accept(struct h2_stream *stream)
{
	char date[REPLY_DATE_MAX];
	const struct h2_header head[] = {
		{.name = ":status", .value = "200"},
		{.name = HDR_RESPONSE_HEADERS, .value = ""},
		{.name = HDR_RESPONSE_META, .value = META_ORIGIN},
		{.name = "date", .value = date_now(date)},
	};

	return h2_stream_respond(stream, head, ARRAY_SIZE(head), false);
}

int reply_datagrams(struct h2_stream *stream)
{
	char date[REPLY_DATE_MAX];
	const struct h2_header head[] = {
		{.name = ":status", .value = "200"},
		{.name = HDR_CAPSULE_PROTOCOL, .value = CAPSULE_PROTOCOL_ON},
		{.name = HDR_RESPONSE_META, .value = META_ORIGIN},
		{.name = "date", .value = date_now(date)},
	};

	return h2_stream_respond(stream, head, ARRAY_SIZE(head), false);
}

static int refuse(struct h2_stream *stream, const char *status, const char *meta,
		  enum stream_error why)
{
	char date[REPLY_DATE_MAX];
	const struct h2_header head[] = {
		{.name = ":status", .value = status},
		{.name = HDR_RESPONSE_META, .value = meta},
		{.name = HDR_ADIT_ERROR, .value = stream_error_info(why)->name},
		{.name = "content-length", .value = "0"},
		{.name = "date", .value = date_now(date)},
	};
	int r = h2_stream_respond(stream, head, ARRAY_SIZE(head), true);

	if (r < 0)
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
	return r;
}

int reply_refuse(struct h2_stream *stream, enum stream_error why)
{
	return refuse(stream, stream_error_info(why)->agent_status, META_AGENT, why);
}

int reply_flow_limited(struct h2_stream *stream)
{
	return refuse(stream, "502", META_FLOW_LIMITED, STREAM_ERROR_LIMIT);
}

int reply_config(struct h2_stream *stream, size_t n_body)
{
	char date[REPLY_DATE_MAX];
	char length[24];
	const struct h2_header head[] = {
		{.name = ":status", .value = "200"},
		{.name = "content-type", .value = "text/plain; charset=utf-8"},
		{.name = "content-length", .value = length},
		{.name = "date", .value = date_now(date)},
	};

	snprintf(length, sizeof(length), "%zu", n_body);
	return h2_stream_respond(stream, head, ARRAY_SIZE(head), false);
}
