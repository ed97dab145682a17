/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_server.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "ctrl/ctrl_private.h"

#define SWEEP_MS 10000

void ctrl_server_drop_handle(struct ctrl_server *s)
{
	if (--s->n_handles == 0)
		free(s);
}

static void server_close_cb(uv_handle_t *handle)
{
	ctrl_server_drop_handle(handle->data);
}

static void server_connection_cb(uv_stream_t *listener, int status)
{
	if (status == 0)
		ctrl_conn_accept(listener->data);
	else
		log_warn("control socket: accept failed", log_text("reason", uv_strerror(status)));
}

void ctrl_server_sweep(struct ctrl_server *s, uint64_t now_ms)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &s->conns)
		ctrl_conn_sweep(pos, now_ms);
}

static void server_sweep_cb(uv_timer_t *timer)
{
	ctrl_server_sweep(timer->data, uv_now(timer->loop));
}

static int start(struct ctrl_server *s, uv_loop_t *uv)
{
	int r;

	uv_pipe_init(uv, &s->listener, 0);
	uv_timer_init(uv, &s->sweeper);
	s->listener.data = s;
	s->sweeper.data = s;
	s->n_handles = 2;
	r = uv_pipe_open(&s->listener, s->socket.fd);
	if (r < 0)
		return r;
	s->socket.fd = -1; /* the handle owns it now */
	r = uv_listen((uv_stream_t *)&s->listener, CTRL_CLIENTS_MAX, server_connection_cb);
	if (r < 0)
		return r;
	/* The timer alone is no reason to keep the loop running. */
	uv_unref((uv_handle_t *)&s->sweeper);
	return uv_timer_start(&s->sweeper, server_sweep_cb, SWEEP_MS, SWEEP_MS);
}

/* Takes @name. */
static struct ctrl_server *make(const struct ctrl_socket *name, const struct ctrl_command *commands,
				size_t n_commands, void *ctx)
{
	struct ctrl_server *s = xnew(struct ctrl_server);

	s->socket = *name;
	s->commands = commands;
	s->n_commands = n_commands;
	s->ctx = ctx;
	s->uid = geteuid();
	list_init(&s->conns);
	return s;
}

int ctrl_server_new(struct ctrl_server **sp, uv_loop_t *uv, const char *path,
		    const struct ctrl_command *commands, size_t n_commands, void *ctx)
{
	struct ctrl_socket socket;
	struct ctrl_server *s;
	int r = ctrl_socket_listen(path, &socket);

	if (r == CTRL_SOCKET_E_RUNNING)
		return CTRL_E_RUNNING;
	if (r < 0)
		return r;
	s = make(&socket, commands, n_commands, ctx);
	r = start(s, uv);
	if (r < 0) {
		ctrl_server_free(s);
		return r;
	}
	*sp = s;
	return 0;
}

int ctrl_server_adopt(struct ctrl_server **sp, uv_loop_t *uv, struct ctrl_socket *name,
		      const struct ctrl_command *commands, size_t n_commands, void *ctx)
{
	struct ctrl_server *s = make(name, commands, n_commands, ctx);
	int r = start(s, uv);

	*name = (struct ctrl_socket)CTRL_SOCKET_NONE;
	if (r < 0) {
		ctrl_server_give_up(s);
		ctrl_server_free(s);
		return r;
	}
	*sp = s;
	return 0;
}

void ctrl_server_give_up(struct ctrl_server *s)
{
	if (!s || uv_is_closing((uv_handle_t *)&s->listener))
		return;
	ctrl_socket_give_up(&s->socket);
	uv_close((uv_handle_t *)&s->listener, server_close_cb);
}

void ctrl_server_free(struct ctrl_server *s)
{
	struct list *pos, *tmp;

	if (!s)
		return;
	list_for_each_safe (pos, tmp, &s->conns)
		ctrl_conn_close(pos);
	ctrl_socket_close(&s->socket);
	if (!uv_is_closing((uv_handle_t *)&s->listener))
		uv_close((uv_handle_t *)&s->listener, server_close_cb);
	uv_close((uv_handle_t *)&s->sweeper, server_close_cb);
}
