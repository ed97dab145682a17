/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each phase asks for a piece of known size, at most SOCKS_PIECE_MAX, and is called when that is
 * there; lengths are single bytes, so no piece can be larger.
 */

#include "client/socks.h"

#include <errno.h>
#include <string.h>

static enum proxy_parse want(struct socks *s, size_t n, socks_phase phase)
{
	s->phase = phase;
	s->n_piece = 0;
	s->n_wanted = n;
	return PROXY_PARSE_MORE;
}

static enum proxy_parse answer(struct socks *s, uint8_t version, uint8_t code)
{
	s->reply[0] = version;
	s->reply[1] = code;
	s->n_reply = 2;
	return PROXY_PARSE_ANSWER;
}

static enum proxy_parse refuse(struct socks *s, const char *error)
{
	s->error = error;
	return PROXY_PARSE_REFUSED;
}

static enum proxy_parse refuse_request(struct socks *s, enum socks_reply code, const char *error)
{
	s->n_reply = socks_reply_format(code, NULL, s->reply);
	return refuse(s, error);
}

/* ---- the request ---- */

static enum proxy_parse check_request(struct socks *s)
{
	bool is_udp = s->command == SOCKS_COMMAND_UDP;

	if (s->command != SOCKS_COMMAND_CONNECT && !is_udp)
		return refuse_request(s, SOCKS_REPLY_NO_COMMAND,
				      "only CONNECT and UDP ASSOCIATE are served");
	if (s->request.port == 0 && !is_udp)
		return refuse_request(s, SOCKS_REPLY_FAILURE, "port 0");
	if (!proxy_host_is_valid(s->request.host, strlen(s->request.host)))
		return refuse_request(s, SOCKS_REPLY_FAILURE, "not a host name");
	s->request.command = is_udp ? PROXY_COMMAND_UDP : PROXY_COMMAND_CONNECT;
	return PROXY_PARSE_READY;
}

/* "" when it isn't one. */
static void copy_name(const uint8_t *name, size_t n, char host[HOST_NAME_MAX_LEN + 1])
{
	host[0] = '\0';
	if (!proxy_host_is_valid((const char *)name, n))
		return;
	memcpy(host, name, n);
	host[n] = '\0';
}

static void copy_address(uint8_t type, const uint8_t *bytes, char host[HOST_NAME_MAX_LEN + 1])
{
	struct ip_addr ip = {.family = type == SOCKS_ADDRESS_IPV4 ? AF_INET : AF_INET6};

	memcpy(ip.bytes, bytes, socks_address_size(type));
	ip_format(&ip, host);
}

static uint16_t load_port(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static enum proxy_parse on_address(struct socks *s)
{
	size_t n = s->n_piece - 2;

	if (s->address_type == SOCKS_ADDRESS_NAME)
		copy_name(s->piece, n, s->request.host);
	else
		copy_address(s->address_type, s->piece, s->request.host);
	s->request.port = load_port(s->piece + n);
	return check_request(s);
}

static enum proxy_parse on_name_length(struct socks *s)
{
	return want(s, (size_t)s->piece[0] + 2, on_address);
}

static enum proxy_parse on_request(struct socks *s)
{
	if (s->piece[0] != SOCKS_VERSION)
		return refuse(s, "not a SOCKS5 request");
	s->command = s->piece[1];
	s->address_type = s->piece[3];
	if (s->address_type == SOCKS_ADDRESS_NAME)
		return want(s, 1, on_name_length);
	if (!socks_address_size(s->address_type))
		return refuse_request(s, SOCKS_REPLY_NO_ADDRESS_TYPE, "unknown kind of address");
	return want(s, socks_address_size(s->address_type) + 2, on_address);
}

/* ---- user name and password ---- */

static enum proxy_parse on_password(struct socks *s)
{
	explicit_bzero(s->piece, sizeof(s->piece));
	(void)want(s, 4, on_request);
	return answer(s, SOCKS_PASSWORD_VERSION, 0);
}

static enum proxy_parse on_user(struct socks *s)
{
	size_t n = s->n_piece - 1;

	if (!proxy_network_is_valid((const char *)s->piece, n)) {
		(void)answer(s, SOCKS_PASSWORD_VERSION, 1);
		return refuse(s, "the user name is not a virtual network's name");
	}
	memcpy(s->request.network, s->piece, n);
	s->request.network[n] = '\0';
	return want(s, s->piece[n], on_password);
}

static enum proxy_parse on_user_length(struct socks *s)
{
	if (s->piece[0] != SOCKS_PASSWORD_VERSION)
		return refuse(s, "not a user name and password (RFC 1929)");
	return want(s, (size_t)s->piece[1] + 1, on_user);
}

/* ---- the greeting ---- */

static enum proxy_parse on_methods(struct socks *s)
{
	if (memchr(s->piece, SOCKS_METHOD_PASSWORD, s->n_piece)) {
		(void)want(s, 2, on_user_length);
		return answer(s, SOCKS_VERSION, SOCKS_METHOD_PASSWORD);
	}
	if (memchr(s->piece, SOCKS_METHOD_NONE, s->n_piece)) {
		(void)want(s, 4, on_request);
		return answer(s, SOCKS_VERSION, SOCKS_METHOD_NONE);
	}
	(void)answer(s, SOCKS_VERSION, SOCKS_METHOD_NOT_ANY);
	return refuse(s, "the client offers no method that is served");
}

static enum proxy_parse on_greeting(struct socks *s)
{
	if (s->piece[0] != SOCKS_VERSION)
		return refuse(s, "not SOCKS version 5");
	return want(s, s->piece[1], on_methods);
}

void socks_init(struct socks *s)
{
	memset(s, 0, sizeof(*s));
	(void)want(s, 2, on_greeting);
}

enum proxy_parse socks_feed(struct socks *s, const uint8_t *data, size_t n, size_t *usedp)
{
	enum proxy_parse outcome = PROXY_PARSE_MORE;
	size_t used = 0;

	s->n_reply = 0;
	do {
		size_t take = s->n_wanted - s->n_piece;

		if (take > n - used)
			take = n - used;
		if (take > 0)
			memcpy(s->piece + s->n_piece, data + used, take);
		s->n_piece += take;
		used += take;
		if (s->n_piece < s->n_wanted)
			break;
		outcome = s->phase(s);
	} while (outcome == PROXY_PARSE_MORE);
	*usedp = used;
	return outcome;
}

/* ---- what we send ---- */

size_t socks_reply_format(enum socks_reply code, const struct endpoint *bound,
			  uint8_t out[SOCKS_REPLY_MAX])
{
	static const struct endpoint none = {.ip = {.family = AF_INET}};

	out[0] = SOCKS_VERSION;
	out[1] = (uint8_t)code;
	out[2] = 0;
	return 3 + socks_put_endpoint(bound ? bound : &none, out + 3);
}

size_t socks_udp_head(const struct endpoint *from, uint8_t out[SOCKS_UDP_HEAD_MAX])
{
	memset(out, 0, 3);
	return 3 + socks_put_endpoint(from, out + 3);
}

/* ---- datagrams ---- */

#define UDP_FRAGMENT 2
#define UDP_TYPE     3
#define UDP_ADDRESS  4

int socks_udp_parse(const uint8_t *data, size_t n, struct socks_datagram *out)
{
	size_t at = UDP_ADDRESS;
	size_t n_address;

	if (n < UDP_ADDRESS + 1 || data[UDP_FRAGMENT] != 0)
		return -EINVAL;
	n_address = socks_address_size(data[UDP_TYPE]);
	if (data[UDP_TYPE] == SOCKS_ADDRESS_NAME)
		n_address = data[at++];
	if (n_address == 0 || n - at < n_address + 2)
		return -EINVAL;
	if (data[UDP_TYPE] == SOCKS_ADDRESS_NAME)
		copy_name(data + at, n_address, out->host);
	else
		copy_address(data[UDP_TYPE], data + at, out->host);
	out->port = load_port(data + at + n_address);
	out->payload = data + at + n_address + 2;
	out->n_payload = n - at - n_address - 2;
	return out->host[0] && out->port ? 0 : -EINVAL;
}
