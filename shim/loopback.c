/* SPDX-License-Identifier: BSD-3-Clause
 * loopback.c - which 127.x.y.z a socket gets
 *
 * A program's end gets a random one: with a single address 28,000 ports would
 * be all there is, and the kernel's search for a free one becomes slow long
 * before. Which R it calls is in core/broker/rendezvous_rule.h.
 */
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/broker/rendezvous_rule.h"
#include "shim/shim.h"

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

struct ts_ip shim_loopback_random(const struct ts_table_info *info)
{
	if (info->one_loopback)
		return ts_ip_from_v4_host(0x7f000001);
	return ts_loopback_from(random_number());
}
