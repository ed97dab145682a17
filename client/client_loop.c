/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client_loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/diag.h"
#include "wire/io_loop.h"
#include "wire/resolve.h"
#include "wire/tls.h"

#define SOFT_BUDGET_BYTES ((size_t)64 * 1024 * 1024)
#define RESOLVE_MS	  3000

static void signal_cb(uv_signal_t *handle, int number)
{
	struct client_loop *l = handle->data;

	l->on_signal(l->ctx, number);
}

static void watch_signals(struct client_loop *l)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < ARRAY_SIZE(l->signals); i++) {
		uv_signal_init(&l->uv, &l->signals[i]);
		l->signals[i].data = l;
		uv_signal_start(&l->signals[i], signal_cb, numbers[i]);
		uv_unref((uv_handle_t *)&l->signals[i]);
	}
}

static int open_parts(struct client_loop *l, const struct connect_options *opt, struct diag *diag)
{
	int r = io_loop_new(&l->io, &l->uv, SOFT_BUDGET_BYTES);

	if (r == 0)
		r = resolver_new(&l->resolver, &l->uv, opt->resolver, RESOLVE_MS);
	if (r == -EINVAL)
		diag_add(diag, DIAG_ERROR, 0, "resolver: must be IP[:PORT],...");
	if (r == 0)
		r = tls_context_new_dialler_pem(&l->tls, opt->credentials->ca_pem, true, diag);
	if (r < 0 && !diag->n_errors)
		diag_add(diag, DIAG_ERROR, 0, "can't start: %s", strerror(-r));
	return r;
}

int client_loop_init(struct client_loop *l, const struct connect_options *opt,
		     client_signal_cb on_signal, void *ctx, struct diag *diag)
{
	int r;

	*l = (struct client_loop){.on_signal = on_signal, .ctx = ctx};
	signal(SIGPIPE, SIG_IGN);
	r = uv_loop_init(&l->uv);
	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "can't start: %s", strerror(-r));
		return r;
	}
	watch_signals(l);
	r = open_parts(l, opt, diag);
	if (r < 0)
		client_loop_deinit(l);
	return r;
}

void client_loop_deinit(struct client_loop *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(l->signals); i++)
		uv_close((uv_handle_t *)&l->signals[i], NULL);
	resolver_free(l->resolver);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	/* What tasks of the last turn have closed goes with this. */
	io_loop_free(l->io);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	tls_context_free(l->tls);
	uv_loop_close(&l->uv);
}

struct tunnel_options client_loop_tunnel_options(const struct client_loop *l,
						 const struct connect_options *opt)
{
	bool own = opt->n_edges > 0;

	return (struct tunnel_options){
		.loop = l->io,
		.resolver = l->resolver,
		.tls = l->tls,
		.edges = own ? opt->edges : opt->credentials->edges,
		.n_edges = own ? opt->n_edges : opt->credentials->n_edges,
		.server_name = opt->credentials->server_name,
	};
}
