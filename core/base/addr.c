/* SPDX-License-Identifier: BSD-3-Clause
 * addr.c - IP addresses, endpoints and prefixes in one 16-byte form
 *
 * Also linked into the shim: libc only, no allocation.
 */
#include "core/base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V4_BITS_OFFSET = 96 };

const struct ts_ip TS_IP_ZERO;
const struct ts_ip TS_IP4_ZERO = {{[10] = 0xff, 0xff}};
const struct ts_ip TS_SERVICE_IP = {{[10] = 0xff, 0xff, 100, 100, 100, 100}};
const struct ts_ip TS_SERVICE_IP6 = {
	{0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53}};
const struct ts_prefix TS_VIA_RANGE = {
	.ip = {{0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a}},
	.bits = 64,
};

struct ts_ip ts_ip_from_v4_host(uint32_t v4)
{
	const uint8_t bytes[4] = {(uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16),
				  (uint8_t)(v4 >> 8), (uint8_t)v4};

	return ts_ip_from_v4(bytes);
}

uint32_t ts_ip_v4_host(const struct ts_ip *ip)
{
	const uint8_t *b = ip->bytes + TS_IP_V4_AT;

	if (!ts_ip_is_v4(ip))
		return 0;
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	       (uint32_t)b[2] << 8 | b[3];
}

bool ts_ip_is_zero(const struct ts_ip *ip)
{
	return ts_ip_equal(ip, &TS_IP_ZERO);
}

bool ts_ip_is_unspecified(const struct ts_ip *ip)
{
	return ts_ip_is_zero(ip) || ts_ip_equal(ip, &TS_IP4_ZERO);
}

/* Compares the first `bits` bits. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool v4_in(const struct ts_ip *ip, uint32_t net, unsigned bits)
{
	struct ts_ip base = ts_ip_from_v4_host(net);

	return same_bits(ip->bytes, base.bytes, V4_BITS_OFFSET + bits);
}

bool ts_ip_is_loopback(const struct ts_ip *ip)
{
	static const struct ts_ip one = {{[15] = 1}};

	return v4_in(ip, 0x7f000000, 8) || ts_ip_equal(ip, &one);
}

bool ts_ip_is_private(const struct ts_ip *ip)
{
	if (ts_ip_is_v4(ip))
		return v4_in(ip, 0x0a000000, 8) || v4_in(ip, 0xac100000, 12) ||
		       v4_in(ip, 0xc0a80000, 16);
	return (ip->bytes[0] & 0xfe) == 0xfc;
}

bool ts_ip_is_link_local(const struct ts_ip *ip)
{
	if (ts_ip_is_v4(ip))
		return v4_in(ip, 0xa9fe0000, 16);
	return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

bool ts_ip_is_multicast(const struct ts_ip *ip)
{
	return v4_in(ip, 0xe0000000, 4) || ip->bytes[0] == 0xff;
}

bool ts_ip_is_tailscale(const struct ts_ip *ip)
{
	if (ts_ip_is_v4(ip)) /* ChromeOS keeps 100.115.92.0/23 for itself */
		return v4_in(ip, 0x64400000, 10) && !v4_in(ip, 0x64735c00, 23);
	return memcmp(ip->bytes, TS_SERVICE_IP6.bytes, 6) == 0;
}

int ts_ip_parse(const char *text, struct ts_ip *out)
{
	uint8_t v4[4];

	if (inet_pton(AF_INET, text, v4) == 1) {
		*out = ts_ip_from_v4(v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, out->bytes) == 1 ? 0 : -EBADMSG;
}

static int parse_decimal(const char *text, unsigned max, unsigned *out)
{
	unsigned v = 0;

	if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -EBADMSG;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EBADMSG;
		v = v * 10 + (unsigned)(*text - '0');
		if (v > max)
			return -EBADMSG;
	}
	*out = v;
	return 0;
}

int ts_addr_parse(const char *text, struct ts_addr *out)
{
	char host[TS_IP_TEXT_CAP];
	const char *colon = strrchr(text, ':');
	const char *from = text;
	size_t len;
	unsigned port;

	if (!colon)
		return -EBADMSG;
	len = (size_t)(colon - text);
	if (text[0] == '[') {
		if (len < 2 || colon[-1] != ']')
			return -EBADMSG;
		from++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(host))
		return -EBADMSG;
	memcpy(host, from, len);
	host[len] = '\0';
	if ((strchr(host, ':') != NULL) != (text[0] == '['))
		return -EBADMSG;
	if (parse_decimal(colon + 1, UINT16_MAX, &port) ||
	    ts_ip_parse(host, &out->ip))
		return -EBADMSG;
	out->port = (uint16_t)port;
	return 0;
}

int ts_prefix_parse(const char *text, struct ts_prefix *out)
{
	char host[TS_IP_TEXT_CAP];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned offset, bits;

	if (len >= sizeof(host))
		return -EBADMSG;
	memcpy(host, text, len);
	host[len] = '\0';
	if (ts_ip_parse(host, &out->ip))
		return -EBADMSG;
	offset = ts_ip_is_v4(&out->ip) && !strchr(host, ':') ? V4_BITS_OFFSET
							     : 0;
	bits = 128 - offset;
	if (slash && parse_decimal(slash + 1, 128 - offset, &bits))
		return -EBADMSG;
	out->bits = (uint8_t)(offset + bits);
	return 0;
}

bool ts_prefix_contains(const struct ts_prefix *prefix, const struct ts_ip *ip)
{
	return same_bits(prefix->ip.bytes, ip->bytes, prefix->bits) &&
	       ts_ip_is_v4(&prefix->ip) == ts_ip_is_v4(ip);
}

bool ts_prefix_is_host(const struct ts_prefix *prefix)
{
	return prefix->bits == 128;
}

bool ts_prefix_is_default(const struct ts_prefix *prefix)
{
	return prefix->bits ==
	       (ts_ip_is_v4(&prefix->ip) ? V4_BITS_OFFSET : 0);
}

bool ts_prefix_equal(const struct ts_prefix *a, const struct ts_prefix *b)
{
	return a->bits == b->bits && ts_ip_equal(&a->ip, &b->ip);
}

char *ts_ip_format(const struct ts_ip *ip, char out[static TS_IP_TEXT_CAP])
{
	if (ts_ip_is_v4(ip))
		inet_ntop(AF_INET, ip->bytes + TS_IP_V4_AT, out,
			  TS_IP_TEXT_CAP);
	else
		inet_ntop(AF_INET6, ip->bytes, out, TS_IP_TEXT_CAP);
	return out;
}

char *ts_addr_format(const struct ts_addr *a, char out[static TS_ADDR_TEXT_CAP])
{
	char ip[TS_IP_TEXT_CAP];

	snprintf(out, TS_ADDR_TEXT_CAP,
		 ts_ip_is_v4(&a->ip) ? "%s:%u" : "[%s]:%u",
		 ts_ip_format(&a->ip, ip), a->port);
	return out;
}

char *ts_prefix_format(const struct ts_prefix *p,
		       char out[static TS_PREFIX_TEXT_CAP])
{
	char ip[TS_IP_TEXT_CAP];
	int offset = ts_ip_is_v4(&p->ip) ? V4_BITS_OFFSET : 0;

	snprintf(out, TS_PREFIX_TEXT_CAP, "%s/%d", ts_ip_format(&p->ip, ip),
		 p->bits - offset);
	return out;
}

int ts_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len,
			  struct ts_addr *out)
{
	if (!sa || len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		out->ip = ts_ip_from_v4((const uint8_t *)&in.sin_addr);
		out->port = ntohs(in.sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6 = {0};

		if (len < offsetof(struct sockaddr_in6, sin6_scope_id))
			return -EINVAL;
		memcpy(&in6, sa, len < sizeof(in6) ? len : sizeof(in6));
		memcpy(out->ip.bytes, &in6.sin6_addr, TS_IP_LEN);
		out->port = ntohs(in6.sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

int ts_addr_to_sockaddr(const struct ts_addr *addr, int family,
			struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;

		if (!ts_ip_is_v4(&addr->ip) && !ts_ip_is_zero(&addr->ip))
			return -EAFNOSUPPORT;
		in->sin_family = AF_INET;
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->ip.bytes + TS_IP_V4_AT, 4);
		return sizeof(*in);
	}
	if (family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(addr->port);
		memcpy(&in6->sin6_addr, addr->ip.bytes, TS_IP_LEN);
		return sizeof(*in6);
	}
	return -EAFNOSUPPORT;
}

int ts_addr_family(const struct ts_addr *addr)
{
	return ts_ip_is_v4(&addr->ip) ? AF_INET : AF_INET6;
}
