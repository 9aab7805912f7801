/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_socks.c - SOCKS5: what a client asks, and the head of its datagrams
 *
 * Only those who know the password may ask for anything; BIND is not served.
 * Source: RFC 1928, RFC 1929
 */
#include "core/host/proxy_parts.h"

#include <errno.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/wire.h"

enum {
	SOCKS_VERSION = 5,
	SOCKS_BY_PASSWORD = 2,
	SOCKS_NO_METHOD = 0xff,
	SOCKS_AUTH_VERSION = 1,
	SOCKS_CONNECT = 1,
	SOCKS_ASSOCIATE = 3,
	SOCKS_V4 = 1,
	SOCKS_NAME = 3,
	SOCKS_V6 = 4,
	SOCKS_GENERAL_FAILURE = 1,
	SOCKS_NETWORK_UNREACHABLE = 3,
	SOCKS_HOST_UNREACHABLE = 4,
	SOCKS_REFUSED = 5,
	SOCKS_TTL_EXPIRED = 6,
	SOCKS_NO_COMMAND = 7,
	SOCKS_NO_ADDRESS_TYPE = 8,
};

static void socks_reply(struct ts_proxy_parser *p, uint8_t code)
{
	const uint8_t reply[10] = {SOCKS_VERSION, code, 0, SOCKS_V4};

	(void)ts_proxy_say(p, PROXY_SAY, reply, sizeof(reply));
}

static void write_address(struct ts_writer *w, const struct ts_addr *addr)
{
	if (ts_ip_is_v4(&addr->ip)) {
		ts_write_u8(w, SOCKS_V4);
		ts_write_bytes(w, addr->ip.bytes + TS_IP_V4_AT, 4);
	} else {
		ts_write_u8(w, SOCKS_V6);
		ts_write_bytes(w, addr->ip.bytes, TS_IP_LEN);
	}
	ts_write_be16(w, addr->port);
}

void ts_proxy_answer_at(struct ts_proxy_parser *p, const struct ts_addr *at)
{
	struct ts_writer w = ts_writer_init(p->answer, sizeof(p->answer));

	ts_write_u8(&w, SOCKS_VERSION);
	ts_write_u8(&w, 0); /* succeeded */
	ts_write_u8(&w, 0);
	write_address(&w, at);
	p->answer_len = w.len;
}

static enum ts_proxy_step socks_fail(struct ts_proxy_parser *p, uint8_t code)
{
	socks_reply(p, code);
	return PROXY_FAIL;
}

static enum ts_proxy_step socks_greet(struct ts_proxy_parser *p,
				      const uint8_t *data, size_t len,
				      size_t *used)
{
	static const uint8_t yes[] = {SOCKS_VERSION, SOCKS_BY_PASSWORD};
	static const uint8_t no[] = {SOCKS_VERSION, SOCKS_NO_METHOD};

	if (len < 2 || len < 2u + data[1])
		return PROXY_MORE;
	*used = 2u + data[1];
	if (!memchr(data + 2, SOCKS_BY_PASSWORD, data[1]))
		return ts_proxy_say(p, PROXY_FAIL, no, sizeof(no));
	p->is_greeted = true;
	return ts_proxy_say(p, PROXY_SAY, yes, sizeof(yes));
}

static enum ts_proxy_step socks_authorize(struct ts_proxy_parser *p,
					  const uint8_t *data, size_t len,
					  size_t *used)
{
	static const uint8_t yes[] = {SOCKS_AUTH_VERSION, 0};
	static const uint8_t no[] = {SOCKS_AUTH_VERSION, 1};
	size_t user_len, password_len;
	bool is_user, is_password;
	const uint8_t *password;

	if (len < 2 || len < 3u + data[1])
		return PROXY_MORE;
	user_len = data[1];
	password_len = data[2 + user_len];
	password = data + 3 + user_len;
	if (len < 3 + user_len + password_len)
		return PROXY_MORE;
	*used = 3 + user_len + password_len;
	/* Both, in the same time whichever is wrong. */
	is_user = ts_proxy_is_secret(p->user, data + 2, user_len);
	is_password = ts_proxy_is_secret(p->password, password, password_len);
	if (data[0] != SOCKS_AUTH_VERSION || !is_user || !is_password)
		return ts_proxy_say(p, PROXY_FAIL, no, sizeof(no));
	p->is_authorized = true;
	return ts_proxy_say(p, PROXY_SAY, yes, sizeof(yes));
}

/* The address at at; its length, 0: more bytes, or -EAFNOSUPPORT. */
static int socks_address(char host[static PROXY_HOST_CAP], uint8_t type,
			 const uint8_t *at, size_t left)
{
	struct ts_ip ip;

	switch (type) {
	case SOCKS_V4:
		if (left < 4)
			return 0;
		ip = ts_ip_from_v4(at);
		(void)ts_ip_format(&ip, host);
		return 4;
	case SOCKS_V6:
		if (left < sizeof(ip.bytes))
			return 0;
		memcpy(ip.bytes, at, sizeof(ip.bytes));
		(void)ts_ip_format(&ip, host);
		return sizeof(ip.bytes);
	case SOCKS_NAME:
		if (left < 1 || left < 1u + at[0])
			return 0;
		return ts_proxy_set_name(host, at + 1, at[0]) ? 1 + at[0]
							      : -EAFNOSUPPORT;
	default:
		return -EAFNOSUPPORT;
	}
}

static enum ts_proxy_step socks_request(struct ts_proxy_parser *p,
					const uint8_t *data, size_t len,
					size_t *used)
{
	int n;

	if (len < 4)
		return PROXY_MORE;
	if (data[0] != SOCKS_VERSION)
		return PROXY_FAIL;
	if (data[1] != SOCKS_CONNECT && data[1] != SOCKS_ASSOCIATE)
		return socks_fail(p, SOCKS_NO_COMMAND);
	n = socks_address(p->host, data[3], data + 4, len - 4);
	if (n < 0)
		return socks_fail(p, SOCKS_NO_ADDRESS_TYPE);
	if (n == 0 || len < 4u + (size_t)n + 2)
		return PROXY_MORE;
	p->port = (uint16_t)(data[4 + n] << 8 | data[5 + n]);
	*used = 4u + (size_t)n + 2;
	return data[1] == SOCKS_CONNECT ? PROXY_CALL : PROXY_ASSOCIATE;
}

int ts_proxy_read_datagram(const uint8_t *in, size_t len,
			   char host[static PROXY_HOST_CAP], uint16_t *port,
			   const uint8_t **data, size_t *data_len)
{
	size_t head_len;
	int n;

	if (len < 4)
		return -EBADMSG;
	if (in[2] != 0) /* FRAG */
		return -ENOTSUP;
	n = socks_address(host, in[3], in + 4, len - 4);
	head_len = 4 + (n > 0 ? (size_t)n : 0) + 2;
	if (n <= 0 || len < head_len)
		return -EBADMSG;
	*port = (uint16_t)(in[head_len - 2] << 8 | in[head_len - 1]);
	*data = in + head_len;
	*data_len = len - head_len;
	return 0;
}

size_t ts_proxy_write_datagram_head(const struct ts_addr *from,
				    uint8_t out[static PROXY_DATAGRAM_HEAD_MAX])
{
	struct ts_writer w = ts_writer_init(out, PROXY_DATAGRAM_HEAD_MAX);

	ts_write_zeros(&w, 3); /* RSV, FRAG */
	write_address(&w, from);
	return w.len;
}

enum ts_proxy_step ts_proxy_socks_parse(struct ts_proxy_parser *p,
					const uint8_t *data, size_t len,
					size_t *used)
{
	if (!p->is_greeted)
		return socks_greet(p, data, len, used);
	if (!p->is_authorized)
		return socks_authorize(p, data, len, used);
	return socks_request(p, data, len, used);
}

static uint8_t socks_code(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -ENETUNREACH:
	case -ENETDOWN:
		return SOCKS_NETWORK_UNREACHABLE;
	case -EHOSTUNREACH:
	case -ENOENT:
		return SOCKS_HOST_UNREACHABLE;
	case -ECONNREFUSED:
		return SOCKS_REFUSED;
	case -ETIMEDOUT:
		return SOCKS_TTL_EXPIRED;
	default:
		return SOCKS_GENERAL_FAILURE;
	}
}

void ts_proxy_socks_answer(struct ts_proxy_parser *p, int err)
{
	socks_reply(p, socks_code(err));
}
