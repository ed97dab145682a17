/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The bytes of a link's PROXY state: wire/proxy_dial.h says what they mean. It is over before TLS
 * has a byte, so the socket is read and written here directly. DIALLING's deadline goes on: to the
 * owner both are the way to the peer.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "wire/link_private.h"
#include "wire/tls.h"

static void fail(struct link *l, const char *text)
{
	link_keep_error(l, text);
	link_close(l, LINK_END_PROXY);
}

/* False: failed. */
static bool send_output(struct link *l)
{
	const uint8_t *data;
	size_t n;

	l->bits &= ~(unsigned int)LINK_WANTS_WRITABLE;
	while ((n = proxy_dial_output(l->proxy, &data)) > 0) {
		ssize_t sent = send(l->fd, data, n, MSG_NOSIGNAL);

		if (sent >= 0) {
			proxy_dial_sent(l->proxy, (size_t)sent);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN) {
			l->bits |= LINK_WANTS_WRITABLE;
			return true;
		}
		fail(l, strerror(errno));
		return false;
	}
	return true;
}

/* Bytes read, 0: none for now, or negative: failed. */
static ssize_t receive(struct link *l)
{
	ssize_t n;

	do
		n = recv(l->fd, l->loop->rx, PROXY_HEAD_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n < 0 && errno == EAGAIN)
		return 0;
	fail(l, n == 0 ? "closed the connection without a whole answer" : strerror(errno));
	return -1;
}

/* The machine's credentials have done their work: they are wiped. */
static void tunnel_stands(struct link *l)
{
	l->proxy = proxy_dial_free(l->proxy);
	link_begin_tls(l);
}

/* One read: if there is more the poll says so. */
void link_proxy_go_on(struct link *l)
{
	enum proxy_dial_outcome outcome = PROXY_DIAL_MORE;
	ssize_t n;

	if (!send_output(l))
		return;
	n = receive(l);
	if (n < 0)
		return;
	if (n > 0)
		outcome = proxy_dial_feed(l->proxy, l->loop->rx, (size_t)n);
	if (outcome == PROXY_DIAL_FAILED) {
		fail(l, proxy_dial_error(l->proxy));
		return;
	}
	if (outcome == PROXY_DIAL_OPEN) {
		tunnel_stands(l);
		return;
	}
	if (send_output(l) && link_arm(l) < 0)
		link_close(l, LINK_END_INTERNAL);
}

void link_proxy_begin(struct link *l)
{
	uint64_t now_ms = io_loop_now_ms(l->loop);

	link_set_state(l, LINK_STATE_PROXY,
		       l->phase_deadline_ms > now_ms ? l->phase_deadline_ms - now_ms : 0);
	link_proxy_go_on(l);
}
