/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c-ares tells which of its sockets want what (one uv_poll each) and when it
 * wants to be called at the latest (one uv_timer).
 *
 * c-ares may answer from inside any call to it, and must not be destroyed from
 * there. So its callbacks only note the result; deliver() hands results out
 * when c-ares isn't on the stack. A callback may then start, cancel or free
 * anything. The resolver's memory goes when the last uv handle is closed.
 *
 * A channel is 74 KB and reads the system's configuration when it is made, so it lives only while
 * it has queries: a daemon asks once a day, and then the servers of that day.
 */
#include "wire/resolve.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ares.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/list.h"
#include "wire/resolve_servers.h"
#include "wire/tls_crypto.h"

#define TRIES 3

struct resolver {
	uv_loop_t *uv;
	ares_channel channel; /* NULL: nothing is asked */
	char *servers;	      /* NULL: the system's */
	unsigned int timeout_ms;
	uv_timer_t timer;
	unsigned int n_handles; /* not closed yet */
	struct list sockets;
	struct list running; /* queries that c-ares holds */
	size_t n_asked;	     /* of those and of cancelled ones that it still holds */
	struct list done;    /* answered, not delivered */
};

struct ares_socket {
	struct list node;
	uv_poll_t poll;
	struct resolver *r;
	ares_socket_t fd;
};

enum query_kind {
	QUERY_HOST,
	QUERY_SRV,
};

struct resolve_query {
	struct list node; /* in running or done; unlinked: cancelled, waits for c-ares */
	struct resolver *r;
	enum query_kind kind;
	bool answered; /* c-ares has no pointer to it any more */
	union {
		resolve_host_cb host;
		resolve_srv_cb srv;
	} cb;
	void *ctx;
	int status;
	size_t n;
	union {
		struct ip_addr ips[RESOLVE_MAX];
		struct resolve_srv srv[RESOLVE_MAX];
	} found;
};

/* ---- statuses ---- */

static const struct {
	int ares;
	int status;
} statuses[] = {
	{ARES_SUCCESS, 0},	     {ARES_ENODATA, -ENODATA},
	{ARES_ENOTFOUND, -ENOENT},   {ARES_ESERVFAIL, -EREMOTEIO},
	{ARES_ENOTIMP, -EREMOTEIO},  {ARES_EFORMERR, -EREMOTEIO},
	{ARES_EREFUSED, -EACCES},    {ARES_EBADNAME, -EINVAL},
	{ARES_EBADQUERY, -EINVAL},   {ARES_ECONNREFUSED, -ECONNREFUSED},
	{ARES_ETIMEOUT, -ETIMEDOUT}, {ARES_ENOMEM, -ENOMEM},
};

static const struct {
	int status;
	const char *text;
} texts[] = {
	{0, "found"},
	{-ENOENT, "no such name"},
	{-ENODATA, "the name exists, but has no record of that kind"},
	{-EREMOTEIO, "the name server failed"},
	{-EACCES, "the name server refused the question"},
	{-EINVAL, "not a valid name"},
	{-ECONNREFUSED,
	 "no name server gave an answer: none is there, or each of them failed or refused"},
	{-ETIMEDOUT, "the name server did not answer"},
	{-EBADMSG, "the name server's answer is broken"},
};

static int status_of(int ares_status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].ares == ares_status)
			return statuses[i].status;
	}
	return -EBADMSG;
}

const char *resolve_status_text(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return strerror(-status);
}

/* ---- the loop ---- */

static void on_handle_closed(struct resolver *r)
{
	if (--r->n_handles > 0)
		return;
	ares_library_cleanup();
	free(r->servers);
	free(r);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_handle_closed(handle->data);
}

static void on_socket_closed(uv_handle_t *handle)
{
	struct ares_socket *s = handle->data;

	on_handle_closed(s->r);
	free(s);
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct resolver *r)
{
	struct timeval tv;

	if (!list_is_empty(&r->done) || (r->channel && r->n_asked == 0)) {
		uv_timer_start(&r->timer, on_timer, 0, 0);
	} else if (r->channel && ares_timeout(r->channel, NULL, &tv)) {
		/* One more, so that the deadline has passed when the timer fires. */
		uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;

		uv_timer_start(&r->timer, on_timer, ms, 0);
	} else {
		uv_timer_stop(&r->timer);
	}
}

static void hand_out(struct resolve_query *q)
{
	if (q->kind == QUERY_HOST)
		q->cb.host(q->ctx, q->status, q->found.ips, q->n);
	else
		q->cb.srv(q->ctx, q->status, q->found.srv, q->n);
	free(q);
}

/* Not from within c-ares. Ends what it is still asked, which moves it to `done`, and its sockets.
 */
static void close_channel(struct resolver *r)
{
	if (r->channel)
		ares_destroy(steal_ptr(r->channel));
}

/*
 * A callback may free the resolver: that empties the list, and the memory stays
 * for now. Answers that callbacks cause wait for the next turn, so that this ends.
 */
static void deliver(struct resolver *r)
{
	struct list *node;
	size_t n = 0;

	list_for_each (node, &r->done)
		n++;
	while (n-- > 0 && (node = list_pop(&r->done)))
		hand_out(list_entry(node, struct resolve_query, node));
	if (r->n_asked == 0)
		close_channel(r);
	arm_timer(r);
}

static void on_timer(uv_timer_t *timer)
{
	struct resolver *r = timer->data;

	if (r->channel)
		ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	deliver(r);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
	struct ares_socket *s = poll->data;
	struct resolver *r = s->r;
	ares_socket_t fd = s->fd;

	/* On an error c-ares finds it by reading and writing. */
	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	ares_process_fd(r->channel, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
			events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
	deliver(r);
}

static struct ares_socket *find_socket(struct resolver *r, ares_socket_t fd)
{
	struct list *node;

	list_for_each (node, &r->sockets) {
		struct ares_socket *s = list_entry(node, struct ares_socket, node);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static void close_socket(struct ares_socket *s)
{
	list_remove(&s->node);
	uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static struct ares_socket *watch_socket(struct resolver *r, ares_socket_t fd)
{
	struct ares_socket *s = xnew(struct ares_socket);

	s->r = r;
	s->fd = fd;
	if (uv_poll_init(r->uv, &s->poll, fd) < 0) {
		/* Unwatched: the query ends by its time-out. */
		free(s);
		return NULL;
	}
	s->poll.data = s;
	r->n_handles++;
	list_append(&r->sockets, &s->node);
	return s;
}

/* c-ares: watch @fd so from now on. Neither: it is about to be closed. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = data;
	struct ares_socket *s = find_socket(r, fd);

	if (!readable && !writable) {
		if (s)
			close_socket(s);
		return;
	}
	if (!s)
		s = watch_socket(r, fd);
	if (s)
		uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
			      on_socket_ready);
}

/* ---- set-up ---- */

static int open_channel(struct resolver *r)
{
	char dns_only[] = "b";
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES,
		.timeout = (int)r->timeout_ms,
		.tries = TRIES,
		.lookups = dns_only,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	int result;

	if (r->channel)
		return 0;
	if (r->servers)
		mask |= ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS;
	result = status_of(ares_init_options(&r->channel, &options, mask));
	if (result < 0)
		r->channel = NULL;
	else if (r->servers)
		result = resolve_servers_set(r->channel, r->servers);
	return result;
}

int resolver_new(struct resolver **rp, uv_loop_t *uv, const char *servers, unsigned int timeout_ms)
{
	struct resolver *r;
	int result = servers ? resolve_servers_check(servers) : 0;

	if (result < 0)
		return err_trace(result);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return err_trace(-ENOMEM);
	r = xnew(struct resolver);
	r->uv = uv;
	r->servers = servers ? xstrdup(servers) : NULL;
	r->timeout_ms = timeout_ms;
	list_init(&r->running);
	list_init(&r->done);
	list_init(&r->sockets);
	uv_timer_init(uv, &r->timer);
	r->timer.data = r;
	r->n_handles = 1;
	*rp = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	struct list *node;

	if (!r)
		return;
	close_channel(r);
	while ((node = list_pop(&r->done)))
		free(list_entry(node, struct resolve_query, node));
	while ((node = list_pop(&r->sockets)))
		close_socket(list_entry(node, struct ares_socket, node));
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

/* ---- queries ---- */

static struct resolve_query *new_query(struct resolver *r, enum query_kind kind, void *ctx)
{
	struct resolve_query *q = xnew(struct resolve_query);

	q->r = r;
	q->kind = kind;
	q->ctx = ctx;
	list_append(&r->running, &q->node);
	return q;
}

/* The end of c-ares' interest in @q: to be delivered, or freed when it was cancelled. */
static void finish(struct resolve_query *q, int status)
{
	if (!list_is_linked(&q->node)) {
		free(q);
		return;
	}
	list_remove(&q->node);
	q->answered = true;
	q->status = status;
	list_append(&q->r->done, &q->node);
}

/* True when c-ares may be asked for @q; otherwise that has been its answer. */
static bool may_ask(struct resolve_query *q)
{
	int result = open_channel(q->r);

	if (result < 0)
		finish(q, result);
	else
		q->r->n_asked++;
	return result == 0;
}

static bool has_ip(const struct resolve_query *q, const struct ip_addr *ip)
{
	for (size_t i = 0; i < q->n; i++) {
		if (ip_equal(&q->found.ips[i], ip))
			return true;
	}
	return false;
}

static void add_ip(struct resolve_query *q, const struct sockaddr *sa)
{
	struct endpoint ep;

	if (q->n == RESOLVE_MAX || endpoint_from_sockaddr(sa, &ep) < 0 || has_ip(q, &ep.ip))
		return;
	q->found.ips[q->n++] = ep.ip;
}

static void on_host_answer(void *arg, int ares_status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve_query *q = arg;
	int status = status_of(ares_status);

	(void)timeouts;
	q->r->n_asked--;
	if (status == 0 && info) {
		for (struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
			add_ip(q, node->ai_addr);
	}
	ares_freeaddrinfo(info);
	if (status == 0 && q->n == 0)
		status = -ENODATA;
	finish(q, status);
}

static bool is_in_hosts_file(struct resolver *r, const char *name)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct hostent *host;

	/* Servers of the user's own are asked, and nothing else. */
	if (r->servers || open_channel(r) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if (ares_gethostbyname_file(r->channel, name, families[i], &host) == ARES_SUCCESS) {
			ares_free_hostent(host);
			return true;
		}
	}
	return false;
}

/* RFC 6761 6.3: what localhost is, no name server is asked; a bare system has no hosts file. */
static bool is_loopback_name(struct resolver *r, const char *name)
{
	size_t n = strlen(name);
	size_t n_suffix = strlen(".localhost");

	if (strcasecmp(name, "localhost") != 0 &&
	    (n <= n_suffix || strcasecmp(name + n - n_suffix, ".localhost") != 0))
		return false;
	return !is_in_hosts_file(r, name);
}

static void answer_loopback(struct resolve_query *q)
{
	(void)ip_parse("127.0.0.1", &q->found.ips[q->n++]);
	(void)ip_parse("::1", &q->found.ips[q->n++]);
	finish(q, 0);
}

int resolve_host(struct resolver *r, const char *name, resolve_host_cb cb, void *ctx,
		 struct resolve_query **queryp)
{
	const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC};
	struct resolve_query *q;

	if (strlen(name) > HOST_NAME_MAX_LEN)
		return -EINVAL;
	q = new_query(r, QUERY_HOST, ctx);
	q->cb.host = cb;
	*queryp = q;
	if (ip_parse(name, &q->found.ips[0]) == 0) {
		q->n = 1;
		finish(q, 0);
	} else if (is_loopback_name(r, name)) {
		answer_loopback(q);
	} else if (may_ask(q)) {
		ares_getaddrinfo(r->channel, name, NULL, &hints, on_host_answer, q);
	}
	arm_timer(r);
	return 0;
}

/* A target of "." says that the service is not offered (RFC 2782). */
static void add_srv(struct resolve_query *q, const struct ares_srv_reply *reply)
{
	size_t n = strlen(reply->host);
	struct resolve_srv *srv;

	if (q->n == RESOLVE_MAX || n == 0 || n > HOST_NAME_MAX_LEN || reply->port == 0 ||
	    strcmp(reply->host, ".") == 0)
		return;
	srv = &q->found.srv[q->n++];
	memcpy(srv->target, reply->host, n + 1);
	srv->port = reply->port;
	srv->priority = reply->priority;
	srv->weight = reply->weight;
}

static int take_srv(struct resolve_query *q, const unsigned char *answer, int n)
{
	struct ares_srv_reply *replies = NULL;
	uint32_t randoms[RESOLVE_MAX];
	int status = status_of(ares_parse_srv_reply(answer, n, &replies));

	if (status < 0)
		return status;
	for (struct ares_srv_reply *reply = replies; reply; reply = reply->next)
		add_srv(q, reply);
	ares_free_data(replies);
	if (q->n == 0)
		return -ENODATA;
	random_bytes(randoms, sizeof(randoms));
	resolve_srv_order(q->found.srv, q->n, randoms);
	return 0;
}

static void on_srv_answer(void *arg, int ares_status, int timeouts, unsigned char *answer, int n)
{
	struct resolve_query *q = arg;
	int status = status_of(ares_status);

	(void)timeouts;
	q->r->n_asked--;
	finish(q, status == 0 ? take_srv(q, answer, n) : status);
}

int resolve_srv(struct resolver *r, const char *name, resolve_srv_cb cb, void *ctx,
		struct resolve_query **queryp)
{
	struct resolve_query *q;

	if (strlen(name) > HOST_NAME_MAX_LEN)
		return -EINVAL;
	q = new_query(r, QUERY_SRV, ctx);
	q->cb.srv = cb;
	*queryp = q;
	if (may_ask(q))
		ares_query(r->channel, name, ns_c_in, ns_t_srv, on_srv_answer, q);
	arm_timer(r);
	return 0;
}

void resolve_cancel(struct resolve_query *q)
{
	if (!q)
		return;
	list_remove(&q->node);
	/* c-ares can't drop a single query: while it holds it, finish() frees it. */
	if (q->answered)
		free(q);
}
