/* SPDX-License-Identifier: BSD-3-Clause
 * addr.h - IP addresses, endpoints and prefixes in one 16-byte form
 *
 * IPv4 is kept as ::ffff:a.b.c.d everywhere, so that hashing, comparing and
 * table layouts know one size. The text forms are Go's netip ones, because
 * that is what control servers send and the tailscale CLI prints.
 */
#ifndef CORE_BASE_ADDR_H
#define CORE_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
	TS_IP_LEN = 16,
	TS_IP_V4_AT = 12, /* of an IPv4 address */
	TS_IP_TEXT_CAP = 48,	 /* any address as text, with NUL */
	TS_ADDR_TEXT_CAP = 56,	 /* "[v6]:port" with NUL */
	TS_PREFIX_TEXT_CAP = 52, /* "v6/128" with NUL */
};

struct ts_ip {
	uint8_t bytes[TS_IP_LEN];
};

struct ts_addr {
	struct ts_ip ip;
	uint16_t port; /* host order */
};

/* bits counts from the 16-byte form: an IPv4 /24 is 96 + 24. */
struct ts_prefix {
	struct ts_ip ip;
	uint8_t bits;
};

extern const struct ts_ip TS_IP_ZERO;	    /* :: - "no address" */
extern const struct ts_ip TS_IP4_ZERO;	    /* 0.0.0.0 */
extern const struct ts_ip TS_SERVICE_IP;    /* 100.100.100.100 */
extern const struct ts_ip TS_SERVICE_IP6;   /* fd7a:115c:a1e0::53 */
/* 4via6, fd7a:115c:a1e0:b1a::/64: then a site's ID and an IPv4 address there */
extern const struct ts_prefix TS_VIA_RANGE;

struct ts_ip ts_ip_from_v4_host(uint32_t v4_host_order);
uint32_t ts_ip_v4_host(const struct ts_ip *ip); /* host order; 0 if v6 */
bool ts_ip_is_zero(const struct ts_ip *ip);	   /* :: */
bool ts_ip_is_unspecified(const struct ts_ip *ip); /* :: or 0.0.0.0 */
bool ts_ip_is_loopback(const struct ts_ip *ip);
bool ts_ip_is_private(const struct ts_ip *ip); /* RFC 1918 and ULA */
bool ts_ip_is_link_local(const struct ts_ip *ip);
bool ts_ip_is_multicast(const struct ts_ip *ip);
/* 100.64.0.0/10 without ChromeOS's 100.115.92.0/23, or fd7a:115c:a1e0::/48 */
bool ts_ip_is_tailscale(const struct ts_ip *ip);

/* In here, as each packet asks them several times. */
static inline struct ts_ip ts_ip_from_v4(const uint8_t v4[static 4])
{
	struct ts_ip ip = TS_IP4_ZERO;

	memcpy(ip.bytes + TS_IP_V4_AT, v4, TS_IP_LEN - TS_IP_V4_AT);
	return ip;
}

static inline bool ts_ip_is_v4(const struct ts_ip *ip)
{
	return memcmp(ip->bytes, TS_IP4_ZERO.bytes, TS_IP_V4_AT) == 0;
}

static inline bool ts_ip_equal(const struct ts_ip *a, const struct ts_ip *b)
{
	return memcmp(a->bytes, b->bytes, TS_IP_LEN) == 0;
}

/* Whoever has one IPv6 address of the internet has the 2^64 of its network:
 * where callers are counted, they are one. */
static inline bool ts_ip_is_same_caller(const struct ts_ip *a,
					const struct ts_ip *b)
{
	bool has_v4 = ts_ip_is_v4(a) || ts_ip_is_v4(b);

	return memcmp(a->bytes, b->bytes, has_v4 ? TS_IP_LEN : TS_IP_LEN / 2) ==
	       0;
}

/* FNV-1a. A secret seed keeps others from choosing what collides. */
static inline uint32_t ts_ip_hash(const struct ts_ip *ip, uint32_t seed)
{
	uint32_t h = seed;

	for (int i = 0; i < TS_IP_LEN; i++)
		h = (h ^ ip->bytes[i]) * 0x01000193u;
	return h ^ h >> 16;
}

static inline bool ts_addr_equal(const struct ts_addr *a,
				 const struct ts_addr *b)
{
	return a->port == b->port && ts_ip_equal(&a->ip, &b->ip);
}

/* Parsers return 0 or -EBADMSG; text need not be NUL-terminated where a
 * length is taken. Zones ("%eth0") are refused. */
int ts_ip_parse(const char *text, struct ts_ip *out);
int ts_addr_parse(const char *text, struct ts_addr *out);
/* "a.b.c.d/n" or a bare address (then a host prefix). Host bits are kept. */
int ts_prefix_parse(const char *text, struct ts_prefix *out);
bool ts_prefix_contains(const struct ts_prefix *prefix, const struct ts_ip *ip);
bool ts_prefix_is_host(const struct ts_prefix *prefix); /* /32 or /128 */
bool ts_prefix_is_default(const struct ts_prefix *prefix); /* v4 or v6 /0 */
bool ts_prefix_equal(const struct ts_prefix *a, const struct ts_prefix *b);

/* Formatters write NUL-terminated text and return out. */
char *ts_ip_format(const struct ts_ip *ip, char out[static TS_IP_TEXT_CAP]);
char *ts_addr_format(const struct ts_addr *a, char out[static TS_ADDR_TEXT_CAP]);
char *ts_prefix_format(const struct ts_prefix *p,
		       char out[static TS_PREFIX_TEXT_CAP]);

/* sockaddr <-> ts_addr. From: AF_INET and AF_INET6, else -EAFNOSUPPORT; a
 * truncated sockaddr is -EINVAL. To: family AF_INET only works for IPv4
 * addresses; AF_INET6 writes IPv4 as v4-mapped. Returns the length or a
 * negative errno. */
int ts_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len,
			  struct ts_addr *out);
int ts_addr_to_sockaddr(const struct ts_addr *addr, int family,
			struct sockaddr_storage *out);
/* The natural family: AF_INET for IPv4, else AF_INET6. */
int ts_addr_family(const struct ts_addr *addr);

#endif
