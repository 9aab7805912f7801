/* SPDX-License-Identifier: BSD-3-Clause
 * held_pace.c - a connect that is held hears soon when the host has died
 *
 * What tells it is the answer to its next SYN, and the kernel doubles the time
 * between SYNs: after 20 s, 15 more may pass. So a connect that is held for
 * long knocks every 2 s (TCP_RTO_MAX_MS, Linux 6.15), and may do so for as
 * long as it could before. Unless the program has set how often to try; and
 * only while held.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/host/host_internal.h"

#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif

enum {
	KNOCK_MS = 2000,
	KNOCKS = 127,		/* the most that the kernel takes */
	USUAL_KNOCKS = 6,	/* the kernel's default */
};

static int get_int(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, IPPROTO_TCP, name, &value, &len) ? -1 : value;
}

static bool set_int(int fd, int name, int value)
{
	return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)) == 0;
}

int ts_held_pace(int fd)
{
	int before_ms = get_int(fd, TCP_RTO_MAX_MS);

	if (before_ms <= KNOCK_MS || get_int(fd, TCP_SYNCNT) != USUAL_KNOCKS ||
	    !set_int(fd, TCP_SYNCNT, KNOCKS))
		return 0;
	if (set_int(fd, TCP_RTO_MAX_MS, KNOCK_MS))
		return before_ms;
	(void)set_int(fd, TCP_SYNCNT, USUAL_KNOCKS);
	return 0;
}

void ts_held_unpace(int fd, int before_ms)
{
	if (before_ms == 0)
		return;
	(void)set_int(fd, TCP_RTO_MAX_MS, before_ms);
	(void)set_int(fd, TCP_SYNCNT, USUAL_KNOCKS);
}
