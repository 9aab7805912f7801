/* SPDX-License-Identifier: BSD-3-Clause
 * loopback.c - which 127.x.y.z a socket gets, and which R it calls
 *
 * A program's end gets a random one: with a single address 28,000 ports would
 * be all there is, and the kernel's search for a free one becomes slow long
 * before.
 *
 * R listens on every 127.a.b.c. Which one a connect uses follows from the
 * local port and a small number n, for two reasons. After a failure the kernel
 * has forgotten the peer, and the flow must still be found in the table, from
 * any process that has the socket, without memory of our own. And sockets that
 * share a local address and port (SO_REUSEADDR) need different ones: they take
 * the first n whose tuple is free.
 */
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim/shim.h"

static const struct ts_ip LOOPBACK6 = {{[15] = 1}};

static uint64_t random_number(void)
{
	uint64_t n;
	struct timespec now;

	if (syscall(SYS_getrandom, &n, sizeof(n), 1 /* do not wait */) ==
	    sizeof(n))
		return n;
	/* No secret: it only has to spread. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	n = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)&now;
	return n * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid() << 20;
}

/* Leaves 127.0.x.y to people, and .0 and .255 of every /24 alone. */
static struct ts_ip loopback_from(uint64_t n)
{
	uint32_t a = 1 + (uint32_t)(n % 254);
	uint32_t b = (uint32_t)(n >> 16) % 256;
	uint32_t c = 1 + (uint32_t)(n >> 32) % 254;

	return ts_ip_from_v4_host(0x7f000000 | a << 16 | b << 8 | c);
}

struct ts_ip shim_loopback_random(const struct ts_table_info *info)
{
	if (info->one_loopback)
		return ts_ip_from_v4_host(0x7f000001);
	return loopback_from(random_number());
}

static struct ts_ip rendezvous_ip(const struct ts_table_info *info,
				  uint16_t port, unsigned n)
{
	uint64_t hash = ((uint64_t)port << 8 | n) * 0x9e3779b97f4a7c15u;

	if (info->one_loopback)
		return ts_ip_from_v4_host(0x7f000001);
	return loopback_from(hash >> 13);
}

bool shim_rendezvous(const struct ts_table_info *info, unsigned n,
		     struct ts_addr *local, struct ts_addr *out)
{
	bool is_v6 = !ts_ip_is_v4(&local->ip) && !ts_ip_is_zero(&local->ip);

	if (is_v6) {
		out->ip = LOOPBACK6;
		out->port = info->rendezvous6_port;
		return info->has_loopback6 && out->port != 0 && n == 0;
	}
	out->ip = rendezvous_ip(info, local->port, n);
	out->port = info->rendezvous_port;
	if (ts_ip_is_unspecified(&local->ip))
		local->ip = info->source_follows
				    ? out->ip
				    : ts_ip_from_v4_host(0x7f000001);
	return out->port != 0 && (n == 0 || !info->one_loopback);
}
