/* SPDX-License-Identifier: BSD-3-Clause
 * loopback.c - which 127.x.y.z a socket gets
 *
 * A program's end gets a random one: with a single address 28,000 ports would
 * be all there is, and the kernel's search for a free one becomes slow long
 * before. Which R it calls is in core/broker/rendezvous_rule.h.
 */
#include <time.h>

#include "core/broker/rendezvous_rule.h"
#include "shim/shim.h"

/* No secret: it only has to spread, and getrandom() is one more call that a
 * sandbox would have to allow. */
static uint64_t any_number(void)
{
	struct timespec now;
	uint64_t n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	n = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^
	    (uint64_t)(uintptr_t)&now;
	/* each bit of n in each that is used */
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
	n = (n ^ n >> 27) * 0x94d049bb133111ebu;
	return n ^ n >> 31;
}

struct ts_ip shim_loopback_random(const struct ts_table_info *info)
{
	if (info->one_loopback)
		return ts_ip_from_v4_host(0x7f000001);
	return ts_loopback_from(any_number());
}
