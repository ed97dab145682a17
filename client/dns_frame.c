/* SPDX-License-Identifier: Apache-2.0 */
#include "client/dns_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "client/dns_message.h"

void dns_frame_deinit(struct dns_frame *f)
{
	free(f->bytes);
	*f = (struct dns_frame){.bytes = NULL};
}

size_t dns_frame_size(const struct dns_frame *f)
{
	return (size_t)(f->head[0] << 8 | f->head[1]);
}

uint8_t *dns_frame_data(struct dns_frame *f)
{
	return f->bytes + DNS_LENGTH_LEN;
}

void dns_frame_rewind(struct dns_frame *f)
{
	f->n = 0;
}

/* The length is at most what two octets can say. */
static int allocate(struct dns_frame *f)
{
	f->bytes = malloc(DNS_LENGTH_LEN + dns_frame_size(f));
	if (!f->bytes)
		return err_trace(-ENOMEM);
	memcpy(f->bytes, f->head, DNS_LENGTH_LEN);
	return 0;
}

int dns_frame_set(struct dns_frame *f, const void *data, size_t n)
{
	dns_frame_deinit(f);
	f->head[0] = (uint8_t)(n >> 8);
	f->head[1] = (uint8_t)n;
	if (allocate(f) < 0)
		return -ENOMEM;
	memcpy(dns_frame_data(f), data, n);
	return 0;
}

/* Octets up to @n_stop; 1 when they are all there. */
static int fill(struct dns_frame *f, int fd, uint8_t *to, size_t n_stop)
{
	while (f->n < n_stop) {
		ssize_t n = recv(fd, to + f->n, n_stop - f->n, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -EPIPE;
		f->n += (size_t)n;
	}
	return 1;
}

int dns_frame_read(struct dns_frame *f, int fd)
{
	if (!f->bytes) {
		int r = fill(f, fd, f->head, DNS_LENGTH_LEN);

		if (r <= 0)
			return r;
		if (dns_frame_size(f) < DNS_HEADER_LEN)
			return -EBADMSG;
		r = allocate(f);
		if (r < 0)
			return r;
	}
	return fill(f, fd, f->bytes, DNS_LENGTH_LEN + dns_frame_size(f));
}

int dns_frame_write(struct dns_frame *f, int fd)
{
	size_t n_stop = DNS_LENGTH_LEN + dns_frame_size(f);

	while (f->n < n_stop) {
		ssize_t n = send(fd, f->bytes + f->n, n_stop - f->n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		f->n += (size_t)n;
	}
	return 1;
}
