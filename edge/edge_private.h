/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* edge_private - what the files of the running edge share; nobody else */

#include "edge/edge.h"

struct json_t; /* jansson's */

#define EDGE_WINDOW_BYTES (1024 * 1024) /* a link's at its start, per stream and in all */

/* ---- edge.c ---- */

void edge_signal_cb(uv_signal_t *signal, int number);
void edge_tick_cb(uv_timer_t *timer);
/* At the start and after a reload. */
void edge_tell_ready(struct edge *e);

/* ---- edge_setup.c ---- */

/* Makes everything, the listener last; @diag says why not. */
NODISCARD enum edge_exit edge_set_up(struct edge *e, struct diag *diag);
/* The last step of setting up, before there is a second thread: edge_confine.c. 0 or -errno. */
NODISCARD int edge_confine(struct edge *e, struct diag *diag);
/* Frees what edge_set_up() made, whether it succeeded or not, and the settings. */
void edge_tear_down(struct edge *e);
/* The bound on buffered bytes that @settings make. */
void edge_set_budget(struct edge *e, const struct edge_settings *settings);

/* ---- edge_access.c: what the model tells ---- */

extern const struct edge_model_events edge_access_events;

/* Opens what @settings say, *@logp NULL for off. 0, or -errno with @diag. */
NODISCARD int edge_access_log_open(const struct edge_settings *settings, struct access_log **logp,
				   struct diag *diag);

/* ---- edge_certificate.c ---- */

/* Takes the certificate of @settings; on failure the old one stays. 0, or -errno with @diag. */
NODISCARD int edge_certificate_load(struct edge *e, const struct edge_settings *settings,
				    struct diag *diag);
/* From the tick: takes a renewed one, warns of one that ends soon. */
void edge_certificate_check(struct edge *e, uint64_t now_ms);

/* ---- edge_reload.c ---- */

/*
 * Reads the settings again; running streams go on. 0; -EINVAL (nothing changed), -ESHUTDOWN:
 * @why (EDGE_RELOAD_WHY_MAX bytes) says what is wrong. *@resultp (may be NULL): {"changed": [...],
 * "warnings": [...]}, a new reference.
 */
int edge_reload(struct edge *e, struct json_t **resultp, char *why);
