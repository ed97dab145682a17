/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* agent_private - the owner object; shared by agent.c and its agent_*.c, nobody else */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/advertise.h"
#include "agent/agent.h"
#include "agent/credentials.h"
#include "agent/datagram_origins.h"
#include "agent/dispatch.h"
#include "agent/edge_discovery.h"
#include "agent/edge_proxy.h"
#include "agent/events.h"
#include "agent/handover.h"
#include "agent/origin.h"
#include "agent/remote_config.h"
#include "agent/supervisor.h"
#include "agent/takeover.h"
#include "base/compiler.h"
#include "base/health.h"
#include "base/list.h"
#include "base/quota.h"
#include "base/uuid.h"
#include "ctrl/state_file.h"
#include "tun/netlink.h"
#include "wire/pressure.h"
#include "wire/registration.h"

struct ctrl_conn;
struct ctrl_request;
struct ctrl_server;
struct ctrl_socket;
struct ctrl_talk;
struct diag;
struct io_loop;
struct json_t; /* jansson's */
struct netlink_watch;
struct resolver;
struct tls_context;

enum agent_phase {
	AGENT_PHASE_RUNNING,
	AGENT_PHASE_DRAINING,
	AGENT_PHASE_LEAVING,
};

/* What systemd, monitoring and the state file are told; agent_service.c. */
struct agent_service {
	struct state_file file;
	enum health health;
	unsigned int n_registered;
	int64_t since_s; /* of the health, 1970 UTC */
	uint64_t started_ms;
	bool ready;	      /* READY=1 was sent */
	bool tells_pid;	      /* MAINPID goes with it: systemd started another process */
	uint64_t watchdog_ms; /* 0: none */
	bool told;	      /* the first state was */
	uv_timer_t ready_timer;
	uv_timer_t watchdog;
	uv_timer_t sweep; /* of idle control clients, of memory after a peak, of stalled streams */
	bool save_failed; /* and was logged */
	struct pressure pressure;
	uint64_t n_cut; /* streams that held the buffer budget for too long */
	struct quota cuts_told;
};

/* agent_routes.c */
struct agent_routes {
	struct advertise *advertise;
	uint64_t first_ms; /* when the first connection was there; 0: not yet */
	bool begun;	   /* the first set may go */
	bool told_stock;   /* that routes are the operator's there */
};

/* agent_events.c */
struct agent_feed {
	struct events *events;
	struct list followers;
	unsigned int n_followers;
};

/* agent_takeover.c: the agent that we replace. */
struct agent_takeover {
	struct takeover machine;
	struct ctrl_talk *talk; /* with the old agent; NULL: there is none */
	int *fds;		/* that came with the answer at hand */
	int64_t pid;		/* the old agent's; 0: not known yet */
	char missing[64 + UPLINK_REASON_MAX];
};

/* agent_handover.c: the agent that replaces us. */
struct agent_handover {
	struct handover machine;
	struct ctrl_conn *conn; /* of the claim that counts; NULL: there is none */
	uint64_t withdrawn_ms;	/* when our routes are gone at the latest; 0: they stay */
};

/* Each asks the kernel: routes after these are listed without interface and source. */
#define ROUTES_LOOKED_UP_MAX 256

/* How this host reaches a route's network. */
struct agent_path {
	bool reachable;
	struct netlink_path path;
};

/* agent_network.c */
struct agent_network {
	struct netlink_watch *watch; /* NULL: the kernel refused */
	struct agent_path *paths;    /* of the first routes, as last seen */
	size_t n_paths;
};

struct agent {
	const struct agent_options *opt;
	enum agent_phase phase;
	int exit_code;
	/*
	 * Control socket, state file and systemd are ours. Not while we prepare to replace another
	 * agent, and not after we were replaced.
	 */
	bool in_charge;
	bool cut_short; /* LEAVING took too long */
	uv_loop_t uv;
	bool has_loop; /* and my handles are initialised */
	struct io_loop *loop;
	struct settings *boot; /* as started: what can't change without a restart */
	struct settings *live; /* as reloaded; may be the same */
	struct credentials credentials;
	struct edge_proxy proxy; /* host "": none */
	struct uuid connector_id;
	char arch[32];
	char feature[32]; /* "adit/1;connections=4" */
	struct registration_request identity;
	struct tls_context *tls;
	struct resolver *resolver;
	struct edge_discovery *discovery;
	struct origins *origins;
	struct datagram_origins *datagrams;
	struct remote_config remote;
	struct dispatch *dispatch;
	struct supervisor *supervisor;
	struct ctrl_server *ctrl;
	struct agent_feed feed;
	struct agent_network network;
	struct agent_routes routes;
	struct agent_service service;
	int starter_fd; /* of the options, until it was told; -1 */
	struct agent_takeover takeover;
	struct agent_handover handover;
	struct list reloads; /* the first is being read, the others wait */
	uv_signal_t signals[3];
	uv_timer_t last_timer; /* bounds DRAINING and LEAVING */
};

/* ---- agent.c ---- */

/* Drain: end when the last stream has, within the grace period. Only while RUNNING. */
void agent_drain(struct agent *a);
/* From a signal: drain; the second time, leave. */
void agent_stop(struct agent *a);
/* Leave at once with @exit_code. */
void agent_leave(struct agent *a, int exit_code);
/* From the supervisor, as its last event. */
void agent_stopped(struct agent *a);

/* ---- agent_setup.c ---- */

/* Builds everything up to (not including) the first dial. 0 or an exit code, reported. */
int agent_set_up(struct agent *a);
/* The last step of setting up, before there is a second thread: agent_confine.c. */
int agent_confine(struct agent *a);
/* Stops what would keep the loop running: signals, timers, control socket, lookups. */
void agent_let_go(struct agent *a);
/* Of a half-built one, too. The loop is run dry here. */
void agent_tear_down(struct agent *a);

/* ---- agent_service.c ---- */

/* Reads the state file (a.k.a. who were we). 0 or an exit code, reported. */
int agent_service_load(struct agent *a);
void agent_service_start(struct agent *a);
/* Tells whoever should know when the health has changed. */
void agent_service_update(struct agent *a);
void agent_service_reloading(void);
void agent_service_reloaded(struct agent *a);
void agent_service_stopping(struct agent *a);
/* The control socket is ours now: tells systemd who we are, READY=1 included if we are. */
void agent_service_announce(struct agent *a);
/* And nobody else's any more: the state file, too. */
void agent_service_take_charge(struct agent *a);
/* Another process is the agent now. */
void agent_service_lay_down(struct agent *a);
/* The same; systemd is told that @pid is the agent again, if it was told that we are. */
void agent_service_hand_back(struct agent *a, int64_t pid);
/* Tells systemd that @pid is the agent, whoever of the two says so. */
void agent_service_say_main(int64_t pid);
/* Leaves the state file as a stopped agent's. */
void agent_service_end(struct agent *a);

/* ---- agent_events.c ---- */

void agent_feed_open(struct agent *a);
/* After the loop has closed all clients. */
void agent_feed_close(struct agent *a);
/* As events_add(), and tells who follows. */
void agent_tell(struct agent *a, const char *kind, const struct log_field *fields);
#define agent_event(a, kind, ...)                                                                  \
	agent_tell(a, kind, (const struct log_field[]){__VA_ARGS__, LOG_END})
/* The control command. */
void agent_run_events(void *ctx, struct ctrl_request *req, const struct json_t *args);

/* ---- agent_network.c ---- */

/* False: the kernel did not tell. */
bool agent_network_look_up(const struct route_setting *route, struct agent_path *out);
/* Takes the routes of a->live, as they are now. */
void agent_network_load(struct agent *a);
void agent_network_start(struct agent *a);
void agent_network_stop(struct agent *a);
void agent_network_free(struct agent *a);

/* ---- agent_routes.c ---- */

/* What @s has edges told, to be freed with route_set_deinit(). Touches nothing else. 0 or -ENOMEM.
 */
NODISCARD int agent_routes_build(const struct settings *s, struct route_set *setp);
/* Takes the routes of a->live. 0 or -ENOMEM. */
NODISCARD int agent_routes_load(struct agent *a);
/* Edges are told that nothing leads to us any more. */
void agent_routes_withdraw(struct agent *a);
/* Sends what is due; returns when to call again. */
uint64_t agent_routes_settle(struct agent *a, uint64_t now_ms);
void agent_routes_answered(struct agent *a, uint64_t link, uint64_t generation,
			   const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			   const char *failed);

/* ---- agent_reload.c ---- */

struct ctrl_request;

/*
 * Reads the config again, off the loop; when it is sound it comes in force, else nothing changes
 * and the log says why. @req (NULL: nobody asked) is answered then. Only while RUNNING.
 */
void agent_reload(struct agent *a, struct ctrl_request *req);
/* One line per finding. */
void agent_log_findings(const struct diag *diag);
/* What stock agents tell their edge about themselves, from a->live. */
void agent_set_local_config(struct agent *a);

/* ---- agent_ctrl.c ---- */

/* Opens the control socket, or finds the agent to replace. 0 or an exit code, reported. */
int agent_ctrl_open(struct agent *a);
/* As ctrl_server_new() and ctrl_server_adopt(). */
int agent_ctrl_listen(struct agent *a);
int agent_ctrl_adopt(struct agent *a, struct ctrl_socket *name);

/* ---- agent_takeover.c ---- */

/* Reaches the agent that runs. 0, also when there is none; or an exit code, reported. */
int agent_takeover_find(struct agent *a);
/* The first dial; after the old agent's consent, if there is one. */
void agent_takeover_start(struct agent *a);
/* Returns when to call again. */
uint64_t agent_takeover_settle(struct agent *a, uint64_t now_ms);
/* We stop, whatever has come of it. */
void agent_takeover_end(struct agent *a);

/* ---- agent_handover.c ---- */

/* The control commands. */
void agent_run_replace(void *ctx, struct ctrl_request *req, const struct json_t *args);
void agent_run_replace_take(void *ctx, struct ctrl_request *req, const struct json_t *args);
void agent_run_replace_confirm(void *ctx, struct ctrl_request *req, const struct json_t *args);
/* Closes the control socket; the file stays if another process has it already. */
void agent_handover_close(struct agent *a);
/* Returns when to call again. */
uint64_t agent_handover_settle(struct agent *a, uint64_t now_ms);
