/* SPDX-License-Identifier: BSD-3-Clause
 * net_monitor.c - news about the network that we are in (rtnetlink)
 *
 * The messages' content is not looked at; what counts is whether the usable
 * addresses, or the one that packets to the internet have, are other ones when
 * the news have settled. (A link-local address
 * that ends its duplicate detection, or a flag of an interface, moves no
 * path; taking it for a change would cost every peer its direct path.) A
 * change of network comes as a burst, so fn runs once, 250 ms after the last
 * message (but not later than 2 s after the first).
 * A resume from sleep shows as a jump of the wall clock, for which a timerfd
 * that cancels itself is the only thing that wakes us without polling.
 */
#include "core/io/net_monitor.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/io/own_address.h"

enum { SETTLE_MS = 250, SETTLE_MAX_MS = 2000, READ_LEN = 16384,
       ADDRS_MAX = 64 };

static const int64_t NS_PER_S = 1000000000;

struct ts_net_monitor {
	struct ts_loop *loop;
	int netlink_fd, clock_fd; /* clock_fd -1: not there */
	struct ts_watch *netlink, *clock;
	struct ts_timer *settle;
	uint64_t first_ms; /* of this burst; 0: none */
	bool clock_jumped;
	struct ts_ip addrs[ADDRS_MAX]; /* when fn ran last; ways out first */
	size_t addr_count;
	void (*fn)(void *ctx);
	void *ctx;
};

static void note_change(struct ts_net_monitor *m)
{
	uint64_t now_ms = ts_loop_now_ms(m->loop);
	uint64_t at_ms = now_ms + SETTLE_MS;

	if (!m->first_ms)
		m->first_ms = now_ms;
	if (at_ms > m->first_ms + SETTLE_MAX_MS)
		at_ms = m->first_ms + SETTLE_MAX_MS;
	ts_timer_set(m->settle, at_ms);
}

/* A default route may move to another interface while both keep their
 * addresses. */
static size_t collect_all(struct ts_ip out[static ADDRS_MAX])
{
	out[0] = ts_own_address_towards(TS_SOMEWHERE_V4);
	out[1] = ts_own_address_towards(TS_SOMEWHERE_V6);
	return 2 + ts_local_addresses(out + 2, ADDRS_MAX - 2);
}

/* Takes note of them, too. */
static bool addresses_changed(struct ts_net_monitor *m)
{
	struct ts_ip now[ADDRS_MAX];
	size_t count = collect_all(now);

	if (count == m->addr_count &&
	    memcmp(now, m->addrs, count * sizeof(now[0])) == 0)
		return false;
	memcpy(m->addrs, now, count * sizeof(now[0]));
	m->addr_count = count;
	return true;
}

static void on_settled(void *ctx)
{
	struct ts_net_monitor *m = ctx;

	m->first_ms = 0;
	if (!addresses_changed(m) && !m->clock_jumped)
		return;
	m->clock_jumped = false;
	m->fn(m->ctx);
}

static void on_netlink(void *ctx, unsigned events)
{
	struct ts_net_monitor *m = ctx;
	uint8_t buf[READ_LEN];
	ssize_t got;

	(void)events;
	do
		got = recv(m->netlink_fd, buf, sizeof(buf), MSG_DONTWAIT);
	while (got > 0);
	note_change(m); /* ENOBUFS too: news was lost, so there was some */
}

/* The alarm itself lies two centuries ahead, near the end of the kernel's
 * time: only the jump wakes us. */
static int arm_clock(int fd)
{
	const struct itimerspec never = {
		.it_value = {.tv_sec = (time_t)(INT64_MAX / NS_PER_S - 1)}};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
			       &never, NULL);
}

static void on_clock(void *ctx, unsigned events)
{
	struct ts_net_monitor *m = ctx;
	uint64_t count;

	(void)events;
	if (read(m->clock_fd, &count, sizeof(count)) < 0 && errno != ECANCELED)
		return;
	arm_clock(m->clock_fd);
	log_info("net-monitor: the clock jumped");
	m->clock_jumped = true;
	note_change(m);
}

static int open_netlink(void)
{
	const struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
			     RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			     RTMGRP_IPV6_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int start(struct ts_net_monitor *m)
{
	m->settle = ts_timer_new(m->loop, on_settled, m);
	m->netlink = ts_watch_new(m->loop, m->netlink_fd, TS_READABLE,
				  on_netlink, m);
	if (!m->settle || !m->netlink)
		return -ENOMEM;
	m->clock_fd = timerfd_create(CLOCK_REALTIME,
				     TFD_NONBLOCK | TFD_CLOEXEC);
	if (m->clock_fd < 0 || arm_clock(m->clock_fd))
		return 0;
	m->clock = ts_watch_new(m->loop, m->clock_fd, TS_READABLE, on_clock, m);
	return m->clock ? 0 : -ENOMEM;
}

struct ts_net_monitor *ts_net_monitor_open(struct ts_loop *loop,
					   void (*fn)(void *ctx), void *ctx)
{
	struct ts_net_monitor *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return NULL;
	m->loop = loop;
	m->fn = fn;
	m->ctx = ctx;
	m->clock_fd = -1;
	m->netlink_fd = open_netlink();
	err = m->netlink_fd < 0 ? m->netlink_fd : start(m);
	if (!err) {
		addresses_changed(m);
		return m;
	}
	log_info("net-monitor: network changes go unnoticed: %s",
		 ts_strerror(err));
	ts_net_monitor_close(m);
	return NULL;
}

void ts_net_monitor_close(struct ts_net_monitor *m)
{
	if (!m)
		return;
	ts_watch_free(m->netlink);
	ts_watch_free(m->clock);
	ts_timer_free(m->settle);
	if (m->netlink_fd >= 0)
		close(m->netlink_fd);
	if (m->clock_fd >= 0)
		close(m->clock_fd);
	free(m);
}
