/* SPDX-License-Identifier: BSD-3-Clause
 * link_leg.c - one candidate of a link: from its config to a ready stream
 *
 * DIALING -> (TUNNEL: CONNECT through a proxy) -> (HANDSHAKE: TLS) -> done.
 * One time limit covers it all, and the words of a time-out say in which state
 * it struck. The proxy's answer is peeked at, so that not one byte of the
 * tunnel behind it is taken from the socket.
 */
#include "core/base/environment.h"
#include "core/io/link_leg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/io/link_dial.h"
#include "core/io/link_proxy.h"

enum { TIMEOUT_DEFAULT_MS = 10000, REASON_CAP = 192, ERROR_CAP = 512 };

enum leg_state { LEG_FAILED, LEG_DIALING, LEG_TUNNEL, LEG_HANDSHAKE };

struct ts_leg {
	struct ts_loop *loop;
	const struct ts_link_config *config;
	enum leg_state state;
	struct ts_timer *timer; /* time limit; FAILED: tells the owner */
	struct ts_dial *dial;
	struct ts_watch *watch;
	struct ts_tls *tls;
	int fd;
	bool has_proxy;
	struct ts_proxy proxy;
	char *request; /* CONNECT; wiped: it may hold a password */
	size_t request_sent;
	size_t peeked; /* bytes of an answer that is not whole yet */
	char reason[REASON_CAP];
	ts_leg_fn fn;
	void *ctx;
};

static const char *state_name(enum leg_state state)
{
	static const char *const names[] = {"failed", "connect", "proxy",
					    "TLS handshake"};

	return names[state];
}

static void set_state(struct ts_leg *leg, enum leg_state next)
{
	log_debug("link-%s:%u: %s -> %s", leg->config->host,
		  leg->config->port, state_name(leg->state), state_name(next));
	leg->state = next;
}

void ts_leg_cancel(struct ts_leg *leg)
{
	if (!leg)
		return;
	ts_dial_cancel(leg->dial);
	ts_watch_free(leg->watch);
	ts_timer_free(leg->timer);
	ts_tls_free(leg->tls);
	if (leg->fd >= 0)
		close(leg->fd);
	ts_wipe_free_text(leg->request);
	ts_wipe(&leg->proxy, sizeof(leg->proxy));
	free(leg);
}

static void fail(struct ts_leg *leg, const char *reason)
{
	bool is_v6 = strchr(leg->config->host, ':') != NULL;
	ts_leg_fn fn = leg->fn;
	void *ctx = leg->ctx;
	char error[ERROR_CAP];

	snprintf(error, sizeof(error), is_v6 ? "[%s]:%u: %s" : "%s:%u: %s",
		 leg->config->host, leg->config->port, reason);
	ts_leg_cancel(leg);
	fn(ctx, -1, NULL, error);
}

static void fail_errno(struct ts_leg *leg, const char *what, int err)
{
	char reason[REASON_CAP];

	snprintf(reason, sizeof(reason), "%s: %s", what, ts_strerror(err));
	fail(leg, reason);
}

static void succeed(struct ts_leg *leg)
{
	ts_leg_fn fn = leg->fn;
	void *ctx = leg->ctx;
	struct ts_tls *tls = leg->tls;
	int fd = leg->fd;

	leg->tls = NULL;
	leg->fd = -1;
	ts_leg_cancel(leg);
	fn(ctx, fd, tls, NULL);
}

/* -- TLS ------------------------------------------------------------------ */

static void go_on_handshake(struct ts_leg *leg)
{
	char err[TS_TLS_ERROR_CAP];
	int code = ts_tls_handshake(leg->tls, err);

	if (!code) {
		succeed(leg);
		return;
	}
	if (code != -EAGAIN) {
		fail(leg, err);
		return;
	}
	ts_watch_set(leg->watch, ts_tls_wants_write(leg->tls)
					 ? TS_READABLE | TS_WRITABLE
					 : TS_READABLE);
}

/* The stream to the far end stands. */
static void on_stream(struct ts_leg *leg)
{
	char err[TS_TLS_ERROR_CAP];

	if (leg->config->tls == TS_LINK_PLAIN) {
		succeed(leg);
		return;
	}
	leg->tls = ts_tls_new(leg->fd, leg->config, err);
	if (!leg->tls) {
		fail(leg, err);
		return;
	}
	set_state(leg, LEG_HANDSHAKE);
	go_on_handshake(leg);
}

/* -- proxy ---------------------------------------------------------------- */

static void read_answer(struct ts_leg *leg)
{
	uint8_t buf[TS_HTTP1_HEAD_MAX];
	char err[128];
	ssize_t got = recv(leg->fd, buf, sizeof(buf), MSG_PEEK);
	int head_len;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || (size_t)got <= leg->peeked) { /* woken by its end */
		fail_errno(leg, "proxy", got < 0 ? -errno : -ECONNRESET);
		return;
	}
	head_len = ts_proxy_read_answer(buf, (size_t)got, err);
	if (head_len == -EAGAIN) {
		/* Leave no peeked byte behind that would wake us for ever:
		 * the next event must mean that more has come. */
		int low_water = (int)got + 1;

		leg->peeked = (size_t)got;
		setsockopt(leg->fd, SOL_SOCKET, SO_RCVLOWAT, &low_water,
			   sizeof(low_water));
		return;
	}
	if (head_len < 0) {
		fail(leg, err);
		return;
	}
	setsockopt(leg->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){1}, sizeof(int));
	got = recv(leg->fd, buf, (size_t)head_len, 0);
	if (got == head_len)
		on_stream(leg);
	else
		fail(leg, "proxy: its answer went away");
}

static void send_request(struct ts_leg *leg)
{
	size_t left = strlen(leg->request) - leg->request_sent;
	ssize_t sent = send(leg->fd, leg->request + leg->request_sent, left,
			    MSG_NOSIGNAL);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent < 0) {
		fail_errno(leg, "proxy", -errno);
		return;
	}
	leg->request_sent += (size_t)sent;
	if ((size_t)sent == left)
		ts_watch_set(leg->watch, TS_READABLE);
}

static void open_tunnel(struct ts_leg *leg)
{
	leg->request = ts_proxy_connect_request(
		&leg->proxy, leg->config->host, leg->config->port);
	if (!leg->request) {
		fail_errno(leg, "proxy", -ENOMEM);
		return;
	}
	set_state(leg, LEG_TUNNEL);
	ts_watch_set(leg->watch, TS_WRITABLE);
}

/* -- events --------------------------------------------------------------- */

static void on_io(void *ctx, unsigned events)
{
	struct ts_leg *leg = ctx;

	(void)events;
	if (leg->state == LEG_HANDSHAKE)
		go_on_handshake(leg);
	else if (leg->request[leg->request_sent])
		send_request(leg);
	else
		read_answer(leg);
}

static void on_dialed(void *ctx, int fd, const char *error)
{
	struct ts_leg *leg = ctx;
	char reason[REASON_CAP];

	leg->dial = NULL;
	if (fd < 0 && leg->has_proxy) {
		snprintf(reason, sizeof(reason), "proxy: %s", error);
		fail(leg, reason);
		return;
	}
	if (fd < 0) {
		fail(leg, error);
		return;
	}
	leg->fd = fd;
	leg->watch = ts_watch_new(leg->loop, fd, 0, on_io, leg);
	if (!leg->watch)
		fail(leg, ts_strerror(-ENOMEM));
	else if (leg->has_proxy)
		open_tunnel(leg);
	else
		on_stream(leg);
}

static unsigned limit_ms(const struct ts_leg *leg)
{
	return leg->config->timeout_ms ? leg->config->timeout_ms
				       : TIMEOUT_DEFAULT_MS;
}

static void on_timer(void *ctx)
{
	struct ts_leg *leg = ctx;
	const char *doing = state_name(leg->state);
	char reason[REASON_CAP];

	if (leg->state == LEG_FAILED) {
		memcpy(reason, leg->reason, sizeof(reason));
	} else {
		if (leg->dial && ts_dial_is_resolving(leg->dial))
			doing = "resolve";
		snprintf(reason, sizeof(reason), "%s: time-out after %u ms",
			 doing, limit_ms(leg));
	}
	fail(leg, reason);
}

/* Names come from servers and go into a proxy's request line. */
static bool is_fit(const char *host)
{
	if (!*host || strlen(host) > 255)
		return false;
	for (; *host; host++)
		if (*host <= ' ' || *host == 0x7f || *host == '/')
			return false;
	return true;
}

static void begin(struct ts_leg *leg, struct ts_resolver *res)
{
	const struct ts_link_config *config = leg->config;
	char err[128];
	int proxied;

	if (!is_fit(config->host)) {
		snprintf(leg->reason, sizeof(leg->reason), "not a host name");
		return;
	}
	proxied = ts_proxy_choose(ts_environment(), config->host, config->port,
				  config->tls != TS_LINK_PLAIN, &leg->proxy,
				  err);
	if (proxied < 0) {
		memcpy(leg->reason, err, sizeof(err));
		return;
	}
	leg->has_proxy = proxied;
	leg->dial = proxied ? ts_dial_start(leg->loop, res, leg->proxy.host,
					    NULL, NULL, leg->proxy.port,
					    on_dialed, leg)
			    : ts_dial_start(leg->loop, res, config->host,
					    config->ipv4, config->ipv6,
					    config->port, on_dialed, leg);
	if (leg->dial)
		set_state(leg, LEG_DIALING);
	else
		snprintf(leg->reason, sizeof(leg->reason), "out of memory");
}

struct ts_leg *ts_leg_start(struct ts_loop *loop, struct ts_resolver *res,
			    const struct ts_link_config *config, ts_leg_fn fn,
			    void *ctx)
{
	struct ts_leg *leg = calloc(1, sizeof(*leg));
	uint64_t now_ms = ts_loop_now_ms(loop);

	if (!leg)
		return NULL;
	leg->loop = loop;
	leg->config = config;
	leg->fd = -1;
	leg->fn = fn;
	leg->ctx = ctx;
	leg->timer = ts_timer_new(loop, on_timer, leg);
	if (!leg->timer) {
		free(leg);
		return NULL;
	}
	begin(leg, res);
	ts_timer_set(leg->timer, leg->state == LEG_FAILED
					 ? now_ms
					 : now_ms + limit_ms(leg));
	return leg;
}
