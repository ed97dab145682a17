/* SPDX-License-Identifier: Apache-2.0 */
#include "client/acceptor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/tcp_socket.h"

#define ACCEPTS_PER_EVENT 64
#define PAUSE_MS	  1000

struct acceptor {
	int fd;
	bool owns_fd;
	uv_poll_t poll;
	uv_timer_t pause;
	unsigned int n_handles;
	acceptor_cb on_accept;
	void *ctx;
};

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
	struct acceptor *a = timer->data;

	uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
}

/* Out of descriptors: the kernel's queue holds them, and trying on would eat the processor. */
static void accept_failed(struct acceptor *a, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	log_warn("accept failed", log_text("reason", strerror(error)));
	uv_poll_stop(&a->poll);
	uv_timer_start(&a->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_acceptable(uv_poll_t *poll, int status, int events UNUSED)
{
	struct acceptor *a = poll->data;

	for (int i = 0; status == 0 && i < ACCEPTS_PER_EVENT; i++) {
		int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			accept_failed(a, errno);
			return;
		}
		a->on_accept(a->ctx, fd);
	}
}

int acceptor_new_fd(struct acceptor **ap, uv_loop_t *uv, int fd, acceptor_cb on_accept, void *ctx)
{
	struct acceptor *a = xnew(struct acceptor);
	int r = uv_poll_init(uv, &a->poll, fd);

	if (r < 0) {
		free(a);
		return err_trace(r);
	}
	uv_timer_init(uv, &a->pause);
	a->fd = fd;
	a->on_accept = on_accept;
	a->ctx = ctx;
	a->poll.data = a;
	a->pause.data = a;
	a->n_handles = 2;
	uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
	*ap = a;
	return 0;
}

int acceptor_new(struct acceptor **ap, uv_loop_t *uv, const struct endpoint *at,
		 acceptor_cb on_accept, void *ctx)
{
	int fd = tcp_socket_listen(at);
	int r = fd < 0 ? fd : acceptor_new_fd(ap, uv, fd, on_accept, ctx);

	if (r < 0) {
		close_fd(fd);
		return err_trace(r);
	}
	(*ap)->owns_fd = true;
	return 0;
}

static void closed_cb(uv_handle_t *handle)
{
	struct acceptor *a = handle->data;

	if (--a->n_handles == 0)
		free(a);
}

void acceptor_free(struct acceptor *a)
{
	if (!a)
		return;
	uv_close((uv_handle_t *)&a->poll, closed_cb);
	uv_close((uv_handle_t *)&a->pause, closed_cb);
	if (a->owns_fd)
		close_fd(a->fd);
}
