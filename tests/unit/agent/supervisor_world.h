/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * supervisor_world - what lies below the agent's supervisor, simulated
 *
 * Clock, timer, lookups, links, edges, state file: each is a few lines here, in place of the
 * real one, and keeps books. Everything above them is the agent's own: uplinks, slots, pool,
 * advertisement, health. Links behave as agent/edge_link.h says, and as badly as it allows.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "agent/agent_private.h"
#include "agent/edge_link.h"
#include "agent/settings.h"
#include "agent/starter.h"
#include "agent/supervisor_private.h"
#include "base/err.h"
#include "base/notify.h"
#include "ctrl/ctrl_server.h"
#include "tun/netlink_addr_get.h"
#include "wire/io_loop.h"
#include "wire/proto.h"
#include "wire/tls_crypto.h"

#include "tests/unit/base/dice.h"

#define N_UPLINKS   4
#define N_EDGES	    4
#define N_ADIT	    3 /* the last edge is a stock one */
#define ROUTES_MADE 3 /* at most */

struct edge_discovery {
	bool running;
	edge_discovery_cb cb;
	void *ctx;
	unsigned int n_running_calls; /* starts while one ran */
};

enum control_step {
	STEP_DIALLING,
	STEP_SECURE,
	STEP_CONTROL,	  /* the control stream is open */
	STEP_REGISTERING, /* the call is out */
	STEP_REGISTERED,
	STEP_LEAVING, /* unregister is out */
	STEP_OVER,    /* the control stream has ended */
};

struct edge_link {
	struct list node;
	struct list of_world;
	const struct edge_link_events *events; /* NULL: closed by its owner */
	void *ctx;
	struct edge_address address;
	struct ip_addr local;
	uint32_t id;
	unsigned int index; /* of its uplink */
	unsigned int edge;
	uint32_t connect_ms;
	enum control_step step;
	bool superseded; /* a younger link of its index has registered */
	bool goaway;	 /* was sent */
	bool address_lost;
	size_t n_streams;
	uint64_t rpc_ms; /* deadline of its calls; UINT64_MAX: none is out */
	bool advertising;
	struct advertise_call call;
	const struct route_entry *routes; /* of its set */
};

/* What one edge remembers of us. */
struct sim_edge {
	uint64_t holds;		   /* generation it has the whole set of; 0: none */
	uint64_t confirmed;	   /* as its last answer said; a restart is not told */
	struct edge_link *carrier; /* that last carried a call, while it is there */
	struct edge_link *answering;
};

static struct sim {
	struct dice *dice;
	uint64_t now_ms;
	uint64_t timer_ms; /* UINT64_MAX: not armed */
	uv_timer_cb timer_cb;
	uv_timer_t *timer;
	struct edge_discovery discovery;
	struct list links;
	unsigned int n_links;
	uint32_t last_ids[N_UPLINKS];
	struct sim_edge edges[N_EDGES];
	uint64_t generation; /* of what is advertised, and its set, as last seen */
	const struct route_entry *routes;
	struct io_loop io;
	struct agent agent;
	struct settings settings;
	int v6_error; /* of each dial over IPv6, at once; 0: none */
	bool behaves; /* no new fault comes from below */
	bool stopping;
	uint64_t stopped_by_ms; /* when it is to have stopped */
	unsigned int n_stopped;
	bool in_call; /* of the supervisor's */
	struct state_file saved;
	unsigned int n_saved;
	bool changed_addresses; /* the pool has lost count of some users since */
} sim;

/* ---- clock, timer, chance ---- */

uint64_t io_loop_now_ms(const struct io_loop *loop UNUSED)
{
	return sim.now_ms;
}

uint32_t random_u32(void)
{
	return dice_u32(sim.dice);
}

void uv_ref(uv_handle_t *handle UNUSED)
{
}

int uv_timer_init(uv_loop_t *loop UNUSED, uv_timer_t *timer)
{
	sim.timer = timer;
	sim.timer_ms = UINT64_MAX;
	return 0;
}

/* Timers of agent_service.c are none of the supervisor's. */
int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t after_ms, uint64_t repeat_ms UNUSED)
{
	if (timer != sim.timer)
		return 0;
	sim.timer_ms = sim.now_ms + after_ms;
	sim.timer_cb = cb;
	return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
	DICE_CHECK(timer == sim.timer);
	sim.timer_ms = UINT64_MAX;
	return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
	cb(handle);
}

/* ---- the world outside of the agent ---- */

void sha256(const void *data UNUSED, size_t n UNUSED, uint8_t out[SHA256_BYTES])
{
	memset(out, 0, SHA256_BYTES);
}

int notify_send(const char *text UNUSED)
{
	return 0;
}

void starter_tell(int *fdp UNUSED, int exit_code UNUSED)
{
}

int notify_reloading(uint64_t now_us UNUSED)
{
	return 0;
}

uint64_t notify_watchdog_ms(void)
{
	return 0;
}

int state_file_save(const char *directory UNUSED, const struct state_file *state)
{
	sim.saved = *state;
	sim.n_saved++;
	return sim.behaves || dice_percent(sim.dice, 90) ? 0 : -ENOSPC;
}

int state_file_load_or_new(const char *directory UNUSED, struct state_file *statep,
			   char why[STATE_FILE_WHY_MAX] UNUSED)
{
	*statep = (struct state_file){.state = HEALTH_INACTIVE};
	return 0;
}

void ctrl_server_sweep(struct ctrl_server *s UNUSED, uint64_t now_ms UNUSED)
{
}

unsigned int origins_relieve(struct origins *o UNUSED, struct pressure *p UNUSED)
{
	return 0;
}

void origins_tidy(struct origins *o UNUSED)
{
}

void agent_tell(struct agent *a UNUSED, const char *kind, const struct log_field *fields)
{
	DICE_CHECK(*kind);
	for (; fields->key; fields++)
		DICE_CHECK(*fields->key);
}

int edge_discovery_start(struct edge_discovery *d, edge_discovery_cb cb, void *ctx)
{
	DICE_CHECK(!sim.stopping);
	d->n_running_calls += d->running;
	if (!sim.behaves && !d->running && dice_percent(sim.dice, 10))
		return -EMFILE;
	d->running = true;
	d->cb = cb;
	d->ctx = ctx;
	return 0;
}

static inline struct edge_link *link_with_local(const struct ip_addr *ip)
{
	struct list *pos;

	list_for_each (pos, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (el->events && !memcmp(&el->local, ip, sizeof(*ip)))
			return el;
	}
	return NULL;
}

/* The kernel may not tell. */
int netlink_address_exists(const struct ip_addr *ip, bool *existsp)
{
	struct edge_link *el = link_with_local(ip);

	DICE_CHECK(el);
	*existsp = !el->address_lost;
	return sim.behaves || dice_percent(sim.dice, 90) ? 0 : -ENOBUFS;
}

/* ---- links, as their owner sees them ---- */

static inline void free_link(struct edge_link *el)
{
	if (sim.edges[el->edge].answering == el)
		sim.edges[el->edge].answering = NULL;
	if (sim.edges[el->edge].carrier == el)
		sim.edges[el->edge].carrier = NULL;
	list_remove(&el->node);
	list_remove(&el->of_world);
	sim.n_links--;
	free(el);
}

int edge_link_dial(struct edge_link **elp, const struct edge_link_options *opt,
		   const struct edge_address *address, uint32_t id,
		   const struct edge_link_events *events, void *ctx)
{
	const struct slot *slot = ctx;
	struct edge_link *el;

	DICE_CHECK(!sim.stopping && id > sim.last_ids[slot->index]);
	sim.last_ids[slot->index] = id;
	if (!sim.behaves && dice_percent(sim.dice, 10))
		return -ENETUNREACH;
	if (address->ep.ip.family == AF_INET6 && sim.v6_error)
		return sim.v6_error;
	el = xnew(struct edge_link);
	list_init(&el->node);
	list_init(&el->of_world);
	list_append(&sim.links, &el->of_world);
	el->events = events;
	el->ctx = ctx;
	el->address = *address;
	el->id = id;
	el->index = slot->index;
	el->edge = address->ep.port - 1;
	el->connect_ms = opt->connect_ms;
	el->local = (struct ip_addr){.family = AF_INET, .bytes = {127, (uint8_t)el->index}};
	memcpy(el->local.bytes + 2, &id, 2);
	el->rpc_ms = UINT64_MAX;
	DICE_CHECK(++sim.n_links <= 2 * N_UPLINKS * UPLINK_LINKS_MAX);
	*elp = el;
	return 0;
}

/* Silent from now on; its memory goes at the end of the turn. */
void edge_link_close(struct edge_link *el)
{
	DICE_CHECK(el->events);
	el->events = NULL;
	list_remove(&el->node);
	if (sim.edges[el->edge].answering == el)
		sim.edges[el->edge].answering = NULL;
}

void edge_link_register(struct edge_link *el, struct registration_request *req, uint64_t now_ms)
{
	struct list *pos;

	DICE_CHECK(el->events && el->step == STEP_CONTROL && req->conn_index == el->index);
	list_for_each (pos, &sim.links) {
		struct edge_link *other = list_entry(pos, struct edge_link, of_world);

		DICE_CHECK(!other->events || other->index != el->index ||
			   other->step != STEP_REGISTERING);
	}
	el->step = STEP_REGISTERING;
	el->rpc_ms = now_ms + RPC_MS;
}

/* @young is registered: what its index had before isn't the one that counts any more. */
static void supersede(const struct edge_link *young)
{
	struct list *pos;

	list_for_each (pos, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (el->index == young->index && el != young && el->step == STEP_REGISTERED)
			el->superseded = true;
	}
}

void edge_link_drain(struct edge_link *el)
{
	DICE_CHECK(!sim.stopping && el->events && el->step == STEP_REGISTERED && el->superseded);
}

void edge_link_unregister(struct edge_link *el, uint32_t timeout_ms, uint64_t now_ms)
{
	DICE_CHECK(sim.stopping && el->events && !el->superseded);
	DICE_CHECK(el->step == STEP_REGISTERED && now_ms + timeout_ms <= sim.stopped_by_ms);
	el->step = STEP_LEAVING;
	el->rpc_ms = now_ms + timeout_ms;
}

void edge_link_push_config(struct edge_link *el UNUSED, const char *json UNUSED,
			   uint64_t now_ms UNUSED)
{
	fail();
}

void edge_link_probe(struct edge_link *el)
{
	DICE_CHECK(el->events);
}

uint64_t edge_link_deadline_ms(const struct edge_link *el)
{
	return el->rpc_ms;
}

uint32_t edge_link_id(const struct edge_link *el)
{
	return el->id;
}

const struct edge_address *edge_link_address(const struct edge_link *el)
{
	return &el->address;
}

const struct ip_addr *edge_link_local_ip(const struct edge_link *el)
{
	return &el->local;
}

bool edge_link_is_idle(const struct edge_link *el)
{
	DICE_CHECK(el->events);
	return el->n_streams == 0;
}

bool edge_link_is_adit(const struct edge_link *el)
{
	return el->edge < N_ADIT;
}

const char *edge_link_features(const struct edge_link *el)
{
	static const char *const features[N_EDGES] = {"id=one", "datagrams;id=two;x", "", ""};

	return features[el->edge];
}

const char *edge_link_location(const struct edge_link *el UNUSED)
{
	return "here";
}

void edge_link_get_stats(const struct edge_link *el, struct link_stats *out)
{
	*out = (struct link_stats){.bytes_in = 1, .bytes_out = 2, .n_streams = el->n_streams};
}

struct list *edge_link_node(struct edge_link *el)
{
	return &el->node;
}

struct edge_link *edge_link_of_node(struct list *node)
{
	return list_entry(node, struct edge_link, node);
}

/* ---- the books ---- */

static inline bool is_registered(const struct edge_link *el)
{
	return el->events && el->step == STEP_REGISTERED && !el->superseded;
}

static inline unsigned int count_registered_indices(void)
{
	bool has[N_UPLINKS] = {false};
	unsigned int n = 0;
	struct list *pos;

	list_for_each (pos, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (is_registered(el) && !has[el->index]) {
			has[el->index] = true;
			n++;
		}
	}
	return n;
}

static inline unsigned int count_links(bool (*counts)(const struct edge_link *el, const void *arg),
				       const void *arg)
{
	unsigned int n = 0;
	struct list *pos;

	list_for_each (pos, &sim.links)
		n += counts(list_entry(pos, struct edge_link, of_world), arg);
	return n;
}
