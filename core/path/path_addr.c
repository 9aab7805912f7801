/* SPDX-License-Identifier: BSD-3-Clause
 * path_addr.c - one way to a peer and how good it is
 */
#include "core/path/path_addr.h"

#include <stdio.h>
#include <string.h>

enum {
	POINTS_LOOPBACK = 50,
	POINTS_LINK_LOCAL = 30,
	POINTS_PRIVATE = 20, /* likely cheaper than a public address */
	POINTS_IPV6 = 10,    /* likely without NAT */
	/* Our clock's grain: anything faster counts as this, or two paths of
	 * a LAN would swap for ever on 0 and 1 ms. */
	LATENCY_GRAIN_US = 1000,
};

bool ts_path_addr_is_set(const struct ts_path_addr *p)
{
	return !ts_ip_is_zero(&p->addr.ip);
}

bool ts_path_addr_is_direct(const struct ts_path_addr *p)
{
	return ts_path_addr_is_set(p) && p->vni == 0;
}

bool ts_path_addr_equal(const struct ts_path_addr *a,
			const struct ts_path_addr *b)
{
	return a->vni == b->vni && ts_addr_equal(&a->addr, &b->addr);
}

static int kind_points(const struct ts_ip *ip)
{
	int points = ts_ip_is_v4(ip) ? 0 : POINTS_IPV6;

	if (ts_ip_is_loopback(ip))
		return points + POINTS_LOOPBACK;
	if (ts_ip_is_link_local(ip))
		return points + POINTS_LINK_LOCAL;
	if (ts_ip_is_private(ip))
		return points + POINTS_PRIVATE;
	return points;
}

static uint64_t grained(uint64_t latency_us)
{
	return latency_us < LATENCY_GRAIN_US ? LATENCY_GRAIN_US : latency_us;
}

/* How much faster a is than b, in percent of b; 0 when it is not. */
static int speed_points(uint64_t a_us, uint64_t b_us)
{
	a_us = grained(a_us);
	b_us = grained(b_us);
	return a_us < b_us ? (int)(100 - a_us * 100 / b_us) : 0;
}

bool ts_path_is_better(const struct ts_path_quality *a,
		       const struct ts_path_quality *b)
{
	int a_points, b_points;

	if (ts_path_addr_equal(&a->to, &b->to))
		return false;
	if (!ts_path_addr_is_set(&b->to))
		return true;
	if (!ts_path_addr_is_set(&a->to))
		return false;
	if (ts_path_addr_is_direct(&a->to) != ts_path_addr_is_direct(&b->to))
		return ts_path_addr_is_direct(&a->to);
	a_points = speed_points(a->latency_us, b->latency_us) +
		   kind_points(&a->to.addr.ip);
	b_points = speed_points(b->latency_us, a->latency_us) +
		   kind_points(&b->to.addr.ip);
	/* A hundredth is noise, not a reason to move. */
	if (a_points <= 1 && b_points == 0)
		return false;
	return a_points > b_points;
}

bool ts_path_is_pingable(const struct ts_addr *addr)
{
	struct ts_addr derp = ts_path_derp_addr(0);

	if (addr->port == 0 || ts_ip_is_unspecified(&addr->ip) ||
	    ts_ip_is_multicast(&addr->ip) ||
	    ts_ip_v4_host(&addr->ip) == UINT32_MAX ||
	    ts_ip_equal(&addr->ip, &derp.ip))
		return false;
	return ts_ip_is_v4(&addr->ip) || !ts_ip_is_link_local(&addr->ip);
}

char *ts_path_addr_format(const struct ts_path_addr *p,
			  char out[static TS_PATH_ADDR_TEXT_CAP])
{
	size_t len;

	ts_addr_format(&p->addr, out);
	len = strlen(out);
	if (p->vni != 0)
		snprintf(out + len, TS_PATH_ADDR_TEXT_CAP - len, ":vni:%u",
			 (unsigned)(p->vni & 0xffffff));
	return out;
}

struct ts_addr ts_path_derp_addr(int region)
{
	static const uint8_t derp_magic_ip[4] = {127, 3, 3, 40};

	return (struct ts_addr){
		.ip = ts_ip_from_v4(derp_magic_ip),
		.port = (uint16_t)region,
	};
}
