/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/netlink_socket.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tun/netlink_private.h"

#define REQUEST_MAX 1024
#define ANSWER_MAX  32768 /* the kernel fills dumps up to this */
#define TEXT_MAX    256

struct netlink {
	struct mnl_socket *socket;
	unsigned int seq;
	char text[TEXT_MAX];
	_Alignas(struct nlmsghdr) char request[REQUEST_MAX];
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
};

/*
 * Without CAP_ACK an error quotes the whole request; without EXT_ACK it says no more than its
 * number; without STRICT_CHK filters of a dump are ignored silently. All three are older than the
 * kernels we support, and what is read is checked anyway, so a refusal is no failure.
 */
static void set_options(struct mnl_socket *s)
{
	static const int options[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
	int on = 1;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		mnl_socket_setsockopt(s, options[i], &on, sizeof(on));
}

int netlink_open(struct netlink **nlp)
{
	CLEANUP(netlink_close) struct netlink *nl = xnew(struct netlink);

	nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_trace(-errno);
	set_options(nl->socket);
	*nlp = steal_ptr(nl);
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->socket)
		mnl_socket_close(nl->socket);
	free(nl);
}

const char *netlink_error(const struct netlink *nl)
{
	return nl->text;
}

struct nlmsghdr *netlink_request(struct netlink *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh;

	memset(nl->request, 0, sizeof(nl->request));
	nlh = mnl_nlmsg_put_header(nl->request);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	return nlh;
}

static int take_text(const struct nlattr *attr, void *data)
{
	struct netlink *nl = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(nl->text, sizeof(nl->text), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* The attributes come behind the error and, unless it is capped, the request that it quotes. */
static void take_error_text(struct netlink *nl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	size_t offset = sizeof(*e);

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		offset += netlink_align(e->msg.nlmsg_len - sizeof(e->msg));
	if (offset < mnl_nlmsg_get_payload_len(nlh))
		mnl_attr_parse(nlh, (unsigned int)offset, take_text, nl);
}

static int take_error(const struct nlmsghdr *nlh, void *data)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*e)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	if (!e->error)
		return MNL_CB_STOP;
	take_error_text(data, nlh);
	errno = -e->error;
	return MNL_CB_ERROR;
}

/* mnl passes the caller's data to control callbacks too: so both are in one place. */
struct reading {
	struct netlink *nl;
	mnl_cb_t take;
	void *data;
	bool one; /* the first message is the whole answer */
};

static int on_message(const struct nlmsghdr *nlh, void *data)
{
	struct reading *reading = data;
	int r = reading->take ? reading->take(nlh, reading->data) : MNL_CB_OK;

	return r == MNL_CB_OK && reading->one ? MNL_CB_STOP : r;
}

static int on_error(const struct nlmsghdr *nlh, void *data)
{
	const struct reading *reading = data;

	return take_error(nlh, reading->nl);
}

/* A dump may end with an error of its own in the payload. */
static int on_done(const struct nlmsghdr *nlh, void *data)
{
	const int32_t *result = mnl_nlmsg_get_payload(nlh);

	(void)data;
	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(*result) && *result < 0) {
		errno = -*result;
		return MNL_CB_ERROR;
	}
	return MNL_CB_STOP;
}

/* Read only, but mnl's prototype lacks the const. */
static mnl_cb_t controls[NLMSG_MIN_TYPE] = {
	[NLMSG_ERROR] = on_error,
	[NLMSG_DONE] = on_done,
};

static int receive(struct netlink *nl, struct reading *reading)
{
	unsigned int port = mnl_socket_get_portid(nl->socket);
	ssize_t n;
	int r;

	do {
		n = mnl_socket_recvfrom(nl->socket, nl->answer, sizeof(nl->answer));
		if (n < 0 && errno == EINTR) {
			r = MNL_CB_OK;
			continue;
		}
		if (n < 0)
			return -errno;
		r = mnl_cb_run2(nl->answer, (size_t)n, nl->seq, port, on_message, reading, controls,
				NLMSG_MIN_TYPE);
		if (r < 0)
			return -errno;
	} while (r == MNL_CB_OK);
	return 0;
}

/* Leaves nothing for the next request to stumble over: after a failed dump parts may be left. */
static void drain(struct netlink *nl)
{
	int fd = mnl_socket_get_fd(nl->socket);

	while (recv(fd, nl->answer, sizeof(nl->answer), MSG_DONTWAIT) > 0)
		;
}

static int run(struct netlink *nl, struct nlmsghdr *nlh, struct reading *reading)
{
	int r;

	nl->text[0] = '\0';
	nlh->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	r = receive(nl, reading);
	if (r < 0)
		drain(nl);
	return r;
}

int netlink_transact(struct netlink *nl, struct nlmsghdr *nlh)
{
	struct reading reading = {.nl = nl};

	nlh->nlmsg_flags |= NLM_F_ACK;
	return run(nl, nlh, &reading);
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *nlh, mnl_cb_t take, void *data)
{
	struct reading reading = {.nl = nl, .take = take, .data = data, .one = true};

	return run(nl, nlh, &reading);
}

int netlink_dump(struct netlink *nl, struct nlmsghdr *nlh, mnl_cb_t take, void *data)
{
	struct reading reading = {.nl = nl, .take = take, .data = data};

	nlh->nlmsg_flags |= NLM_F_DUMP;
	return run(nl, nlh, &reading);
}

void netlink_take_ip(const struct nlattr *attr, uint8_t family, struct ip_addr *ipp)
{
	struct ip_addr ip = {.family = family};

	if (mnl_attr_get_payload_len(attr) != netlink_ip_bytes(&ip))
		return;
	memcpy(ip.bytes, mnl_attr_get_payload(attr), netlink_ip_bytes(&ip));
	*ipp = ip;
}

void netlink_take_via(const struct nlattr *attr, struct ip_addr *ipp)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	struct ip_addr ip = {0};

	if (mnl_attr_get_payload_len(attr) < sizeof(*via))
		return;
	ip.family = (uint8_t)via->rtvia_family;
	if (mnl_attr_get_payload_len(attr) != sizeof(*via) + netlink_ip_bytes(&ip))
		return;
	memcpy(ip.bytes, via->rtvia_addr, netlink_ip_bytes(&ip));
	*ipp = ip;
}

uint32_t netlink_take_u32(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_U32) < 0 ? 0 : mnl_attr_get_u32(attr);
}

void netlink_take_interface(const struct nlattr *attr, char *name)
{
	if (!if_indextoname(netlink_take_u32(attr), name))
		name[0] = '\0';
}
