/* SPDX-License-Identifier: BSD-3-Clause
 * link_dial.c - race the addresses of one host (RFC 8305)
 *
 * Addresses given by the caller start at once; the resolver adds the families
 * that were not given. Families alternate, IPv6 first; every 250 ms, or as
 * soon as an attempt fails, the next address is tried beside those already
 * under way. The first socket that connects wins and the rest are closed.
 * When nothing is left, the last refusal is the reason that is told.
 */
#include "core/io/link_dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"

enum {
	ATTEMPT_DELAY_MS = 250, /* RFC 8305, Connection Attempt Delay */
	ADDRS_MAX = 16,
	ERROR_CAP = 128,
};

struct attempt {
	struct ts_dial *dial;
	struct ts_watch *watch;
	int fd; /* -1: not open */
};

struct ts_dial {
	struct ts_loop *loop;
	struct ts_resolve *lookup;
	struct ts_timer *timer; /* next attempt, or deliver the failure */
	uint16_t port;
	bool wants_v4, wants_v6; /* from the resolver */
	struct ts_ip ips[ADDRS_MAX];
	struct attempt attempts[ADDRS_MAX];
	size_t count, next; /* addresses known, first one not tried */
	size_t open;	    /* attempts under way */
	char error[ERROR_CAP];
	ts_dial_fn fn;
	void *ctx;
};

static void close_attempt(struct attempt *a)
{
	if (a->fd < 0)
		return;
	ts_watch_free(a->watch);
	a->watch = NULL;
	close(a->fd);
	a->fd = -1;
	a->dial->open--;
}

void ts_dial_cancel(struct ts_dial *dial)
{
	if (!dial)
		return;
	for (size_t i = 0; i < dial->count; i++)
		close_attempt(&dial->attempts[i]);
	ts_resolve_cancel(dial->lookup);
	ts_timer_free(dial->timer);
	free(dial);
}

bool ts_dial_is_resolving(const struct ts_dial *dial)
{
	return dial->lookup && !dial->count;
}

static void finish(struct ts_dial *dial, int fd)
{
	ts_dial_fn fn = dial->fn;
	void *ctx = dial->ctx;
	char error[ERROR_CAP];

	memcpy(error, dial->error, sizeof(error));
	ts_dial_cancel(dial);
	fn(ctx, fd, fd < 0 ? error : NULL);
}

/* The next step is always taken by the timer: nothing is called inside. */
static void go_on(struct ts_dial *dial, unsigned wait_ms)
{
	ts_timer_set(dial->timer, ts_loop_now_ms(dial->loop) + wait_ms);
}

static void attempt_failed(struct attempt *a, int err)
{
	char text[TS_IP_TEXT_CAP];
	struct ts_dial *dial = a->dial;

	ts_ip_format(&dial->ips[a - dial->attempts], text);
	snprintf(dial->error, sizeof(dial->error), "connect to %s: %s", text,
		 ts_strerror(err));
	close_attempt(a);
	go_on(dial, 0);
}

static void on_connected(void *ctx, unsigned events)
{
	struct attempt *a = ctx;
	socklen_t len = sizeof(int);
	int err = 0;
	int fd = a->fd;

	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (err) {
		attempt_failed(a, -err);
		return;
	}
	ts_watch_free(a->watch);
	a->watch = NULL;
	a->fd = -1; /* taken over */
	finish(a->dial, fd);
}

static int connect_to(int fd, const struct ts_addr *addr)
{
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(addr, ts_addr_family(addr), &sa);

	if (len < 0)
		return len;
	if (connect(fd, (struct sockaddr *)&sa, (socklen_t)len) &&
	    errno != EINPROGRESS)
		return -errno;
	return 0;
}

static void start_attempt(struct ts_dial *dial)
{
	struct attempt *a = &dial->attempts[dial->next];
	struct ts_addr addr = {.ip = dial->ips[dial->next],
			       .port = dial->port};
	int one = 1;
	int err;

	dial->next++;
	a->dial = dial;
	dial->open++;
	a->fd = socket(ts_addr_family(&addr),
		       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0) {
		dial->open--;
		snprintf(dial->error, sizeof(dial->error), "socket: %s",
			 ts_strerror(-errno));
		go_on(dial, 0);
		return;
	}
	setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	err = connect_to(a->fd, &addr);
	if (!err) {
		a->watch = ts_watch_new(dial->loop, a->fd, TS_WRITABLE,
					on_connected, a);
		err = a->watch ? 0 : -ENOMEM;
	}
	if (err)
		attempt_failed(a, err);
	else
		go_on(dial, ATTEMPT_DELAY_MS);
}

static void on_timer(void *ctx)
{
	struct ts_dial *dial = ctx;

	if (dial->next < dial->count)
		start_attempt(dial);
	else if (!dial->open && !dial->lookup)
		finish(dial, -1);
}

/* -- addresses ------------------------------------------------------------ */

static void add_ip(struct ts_dial *dial, const struct ts_ip *ip)
{
	for (size_t i = 0; i < dial->count; i++)
		if (ts_ip_equal(&dial->ips[i], ip))
			return;
	if (dial->count == ADDRS_MAX)
		return;
	dial->attempts[dial->count].fd = -1;
	dial->ips[dial->count++] = *ip;
}

/* Returns the position after the next address of that family, or count. */
static size_t skip_to(const struct ts_ip *ips, size_t count, size_t at,
		      bool is_v4)
{
	while (at < count && ts_ip_is_v4(&ips[at]) != is_v4)
		at++;
	return at;
}

static void add_alternating(struct ts_dial *dial, const struct ts_ip *ips,
			    size_t count)
{
	size_t v6 = dial->wants_v6 ? 0 : count;
	size_t v4 = dial->wants_v4 ? 0 : count;

	while (v4 < count || v6 < count) {
		v6 = skip_to(ips, count, v6, false);
		if (v6 < count)
			add_ip(dial, &ips[v6++]);
		v4 = skip_to(ips, count, v4, true);
		if (v4 < count)
			add_ip(dial, &ips[v4++]);
	}
}

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	struct ts_dial *dial = ctx;

	dial->lookup = NULL;
	if (!error)
		add_alternating(dial, ips, count);
	else if (!dial->error[0])
		snprintf(dial->error, sizeof(dial->error), "resolve: %s",
			 error);
	go_on(dial, 0);
}

/* Returns whether the family must still be resolved. */
static bool take_given(struct ts_dial *dial, const char *text)
{
	struct ts_ip ip;

	if (!text || !*text)
		return true;
	if (strcmp(text, "none") == 0)
		return false;
	if (ts_ip_parse(text, &ip))
		snprintf(dial->error, sizeof(dial->error),
			 "\"%.40s\" is no IP address", text);
	else
		add_ip(dial, &ip);
	return false;
}

struct ts_dial *ts_dial_start(struct ts_loop *loop, struct ts_resolver *res,
			      const char *host, const char *ipv4,
			      const char *ipv6, uint16_t port, ts_dial_fn fn,
			      void *ctx)
{
	struct ts_dial *dial = calloc(1, sizeof(*dial));

	if (!dial)
		return NULL;
	dial->loop = loop;
	dial->port = port;
	dial->fn = fn;
	dial->ctx = ctx;
	dial->timer = ts_timer_new(loop, on_timer, dial);
	if (!dial->timer) {
		free(dial);
		return NULL;
	}
	dial->wants_v6 = take_given(dial, ipv6);
	dial->wants_v4 = take_given(dial, ipv4);
	if (dial->wants_v4 || dial->wants_v6) {
		dial->lookup = ts_resolver_lookup(res, host, on_resolved, dial);
		if (!dial->lookup) {
			ts_dial_cancel(dial);
			return NULL;
		}
	} else if (!dial->count && !dial->error[0]) {
		snprintf(dial->error, sizeof(dial->error),
			 "both address families are switched off");
	}
	go_on(dial, 0);
	return dial;
}
