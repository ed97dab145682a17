/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* config_push - one update-configuration stream: collects the body, applies it, answers */

struct h2_stream;
struct remote_config;

/*
 * Takes over the stream. @ended runs once with @ctx when the body is no longer kept; @remote
 * and @ctx must outlive that.
 */
void config_push_take(struct h2_stream *stream, struct remote_config *remote,
		      void (*ended)(void *ctx), void *ctx);
