/* SPDX-License-Identifier: BSD-3-Clause
 * link.c - an outgoing byte stream: the race, the write queue, the end
 *
 * Every candidate is a leg (link_leg.c). Legs start at their delay, or as soon
 * as nothing else is under way; the first that gets through becomes the link
 * and the others are dropped. The link fails when the last leg has failed.
 *
 * Writes only fill the queue; a timer that is due at once empties it on the
 * next turn, so that many small writes make one TLS record and one packet, and
 * so that no callback runs inside ts_link_write().
 *
 * Callbacks may close the link that calls them. Whoever comes from the loop
 * brackets its work with enter() and leave(); while that is open, closing only
 * marks the link, and leave() frees it.
 */
#include "core/io/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/io/link_leg.h"
#include "core/io/link_tls.h"
#include "core/io/own_address.h"

enum {
	QUEUE_MAX_DEFAULT = 1 << 20,
	LINGER_MS = 1000,
	READ_LEN = 16384, /* one TLS record */
	PLAIN_READ_LEN = 65536,
	ERROR_CAP = 512,
};

struct candidate {
	struct ts_link *link;
	struct ts_link_config config; /* its texts are ours */
	struct ts_leg *leg;
	uint64_t start_ms;
	bool has_started;
};

struct ts_link {
	struct ts_loop *loop;
	struct ts_resolver *res;
	struct ts_link_ops ops;
	void *ctx;
	struct ts_timer *race;	/* next candidate to start */
	struct ts_timer *flush; /* empty the queue; once closed: the limit */
	struct ts_watch *watch; /* NULL: not connected */
	struct ts_tls *tls;
	int fd;
	const struct candidate *winner;
	struct ts_byte_queue queue;
	size_t queue_max;
	bool is_blocked;    /* the socket takes no more for now */
	bool is_above_half; /* drained() is owed */
	bool has_overflowed;
	bool is_closed; /* no more callbacks */
	bool is_dead;	/* free when nobody is inside */
	unsigned inside;
	char error[ERROR_CAP]; /* of the last leg that failed */
	size_t count;
	struct candidate candidates[];
};

/* -- life and death ------------------------------------------------------- */

static void free_config(struct ts_link_config *config)
{
	free((char *)(uintptr_t)config->host);
	free((char *)(uintptr_t)config->ipv4);
	free((char *)(uintptr_t)config->ipv6);
	free((char *)(uintptr_t)config->verify_name);
}

static void destroy(struct ts_link *link)
{
	for (size_t i = 0; i < link->count; i++) {
		ts_leg_cancel(link->candidates[i].leg);
		free_config(&link->candidates[i].config);
	}
	ts_watch_free(link->watch);
	ts_timer_free(link->race);
	ts_timer_free(link->flush);
	if (link->tls && link->is_closed)
		ts_tls_shutdown(link->tls);
	ts_tls_free(link->tls);
	if (link->fd >= 0)
		close(link->fd);
	ts_byte_queue_deinit(&link->queue);
	free(link);
}

static void enter(struct ts_link *link)
{
	link->inside++;
}

static void leave(struct ts_link *link)
{
	link->inside--;
	if (!link->inside && link->is_dead)
		destroy(link);
}

static void die(struct ts_link *link)
{
	link->is_closed = true;
	link->is_dead = true;
	if (!link->inside)
		destroy(link);
}

/* Only between enter() and leave(). */
static void tell_closed(struct ts_link *link, const char *error)
{
	if (link->is_closed)
		return;
	link->is_closed = true;
	link->is_dead = true;
	link->ops.closed(link->ctx, error);
}

static void fail(struct ts_link *link, const char *reason)
{
	const struct ts_link_config *config = &link->winner->config;

	snprintf(link->error, sizeof(link->error), "%s:%u: %s", config->host,
		 config->port, reason);
	tell_closed(link, link->error);
}

/* -- reading -------------------------------------------------------------- */

static void give(struct ts_link *link, const uint8_t *data, size_t len)
{
	link->ops.input(link->ctx, data, len);
}

static void read_plain(struct ts_link *link)
{
	uint8_t buf[PLAIN_READ_LEN];
	ssize_t got = recv(link->fd, buf, sizeof(buf), 0);

	if (got > 0)
		give(link, buf, (size_t)got);
	else if (!got)
		tell_closed(link, NULL);
	else if (errno != EAGAIN && errno != EINTR)
		fail(link, ts_strerror(-errno));
}

static void read_tls(struct ts_link *link)
{
	uint8_t buf[READ_LEN];
	char err[TS_TLS_ERROR_CAP];

	ts_tls_readable(link->tls);
	while (!link->is_closed) {
		ssize_t got = ts_tls_read(link->tls, buf, sizeof(buf), err);

		if (got == -EAGAIN)
			return;
		if (got > 0)
			give(link, buf, (size_t)got);
		else if (!got)
			tell_closed(link, NULL);
		else
			fail(link, err);
	}
}

static void read_some(struct ts_link *link)
{
	if (link->tls)
		read_tls(link);
	else
		read_plain(link);
}

/* -- writing -------------------------------------------------------------- */

static ssize_t send_some(struct ts_link *link, char err[TS_TLS_ERROR_CAP])
{
	const uint8_t *data = ts_byte_queue_data(&link->queue);
	size_t len = ts_byte_queue_len(&link->queue);
	ssize_t sent;

	if (link->tls)
		return ts_tls_write(link->tls, data, len, err);
	sent = send(link->fd, data, len, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	sent = -errno;
	snprintf(err, TS_TLS_ERROR_CAP, "%s", ts_strerror((int)sent));
	return sent;
}

/* 0, -EAGAIN: the socket is full, else failed (err). */
static int empty_queue(struct ts_link *link, char err[TS_TLS_ERROR_CAP])
{
	while (ts_byte_queue_len(&link->queue)) {
		ssize_t sent = send_some(link, err);

		link->is_blocked = sent == -EAGAIN;
		if (sent < 0)
			return (int)sent;
		ts_byte_queue_drop(&link->queue, (size_t)sent);
	}
	link->is_blocked = false;
	return 0;
}

static void tell_drained(struct ts_link *link)
{
	if (!link->is_above_half ||
	    ts_byte_queue_len(&link->queue) >= link->queue_max / 2)
		return;
	link->is_above_half = false;
	if (link->ops.drained)
		link->ops.drained(link->ctx);
}

static void write_some(struct ts_link *link)
{
	char err[TS_TLS_ERROR_CAP];
	int code = empty_queue(link, err);

	if (!code || code == -EAGAIN) {
		tell_drained(link);
		return;
	}
	/* What the server said before it hung up may be the reason. */
	read_some(link);
	if (!link->is_closed)
		fail(link, err);
}

static void update_watch(struct ts_link *link)
{
	if (link->watch && !link->is_dead)
		ts_watch_set(link->watch,
			     (link->is_closed ? 0u : TS_READABLE) |
				     (link->is_blocked ? TS_WRITABLE : 0u));
}

static void on_flush(void *ctx)
{
	struct ts_link *link = ctx;

	if (link->is_closed) { /* lingered long enough */
		die(link);
		return;
	}
	enter(link);
	if (link->has_overflowed && link->winner)
		fail(link, "the write queue is full");
	else if (link->has_overflowed)
		tell_closed(link, "the write queue is full");
	else if (link->watch && !link->is_blocked)
		write_some(link);
	update_watch(link);
	leave(link);
}

static void linger(struct ts_link *link)
{
	char err[TS_TLS_ERROR_CAP];

	if (empty_queue(link, err) != -EAGAIN)
		die(link);
}

static void on_io(void *ctx, unsigned events)
{
	struct ts_link *link = ctx;

	enter(link);
	if (link->is_closed) {
		linger(link);
	} else {
		if (events & TS_READABLE)
			read_some(link);
		if (!link->is_closed && (events & TS_WRITABLE))
			write_some(link);
	}
	update_watch(link);
	leave(link);
}

/* -- the race ------------------------------------------------------------- */

static void on_leg(void *ctx, int fd, struct ts_tls *tls, const char *error);

static void start_candidate(struct candidate *c)
{
	struct ts_link *link = c->link;

	c->has_started = true;
	c->leg = ts_leg_start(link->loop, link->res, &c->config, on_leg, c);
	if (!c->leg)
		snprintf(link->error, sizeof(link->error), "%s:%u: %s",
			 c->config.host, c->config.port, ts_strerror(-ENOMEM));
}

static bool is_any_running(const struct ts_link *link)
{
	for (size_t i = 0; i < link->count; i++)
		if (link->candidates[i].leg)
			return true;
	return false;
}

static struct candidate *next_candidate(struct ts_link *link)
{
	struct candidate *next = NULL;

	for (size_t i = 0; i < link->count; i++) {
		struct candidate *c = &link->candidates[i];

		if (!c->has_started && (!next || c->start_ms < next->start_ms))
			next = c;
	}
	return next;
}

static void on_race(void *ctx)
{
	struct ts_link *link = ctx;
	struct candidate *next = next_candidate(link);

	while (next && (next->start_ms <= ts_loop_now_ms(link->loop) ||
			!is_any_running(link))) {
		start_candidate(next);
		next = next_candidate(link);
	}
	if (next) {
		ts_timer_set(link->race, next->start_ms);
		return;
	}
	if (is_any_running(link))
		return;
	enter(link);
	tell_closed(link, link->error);
	leave(link);
}

static void take_stream(struct ts_link *link, const struct candidate *winner,
			int fd, struct ts_tls *tls)
{
	link->fd = fd;
	link->tls = tls;
	link->winner = winner;
	ts_timer_set(link->race, UINT64_MAX);
	for (size_t i = 0; i < link->count; i++) {
		ts_leg_cancel(link->candidates[i].leg);
		link->candidates[i].leg = NULL;
	}
	link->watch = ts_watch_new(link->loop, fd, TS_READABLE, on_io, link);
	if (!link->watch) {
		fail(link, ts_strerror(-ENOMEM));
		return;
	}
	link->ops.connected(link->ctx, link);
	/* TLS may hold bytes that came with the handshake. */
	if (!link->is_closed)
		read_some(link);
	if (!link->is_closed)
		write_some(link);
}

static void on_leg(void *ctx, int fd, struct ts_tls *tls, const char *error)
{
	struct candidate *c = ctx;
	struct ts_link *link = c->link;

	c->leg = NULL;
	if (fd < 0) {
		snprintf(link->error, sizeof(link->error), "%s", error);
		ts_timer_set(link->race, ts_loop_now_ms(link->loop));
		return;
	}
	enter(link);
	take_stream(link, c, fd, tls);
	update_watch(link);
	leave(link);
}

/* -- the door ------------------------------------------------------------- */

static int copy_text(const char **text)
{
	if (!*text)
		return 0;
	*text = strdup(*text);
	return *text ? 0 : -ENOMEM;
}

static int add_candidate(struct ts_link *link,
			 const struct ts_link_candidate *from)
{
	struct candidate *c = &link->candidates[link->count++];
	int err;

	c->link = link;
	c->config = from->config;
	c->start_ms = ts_loop_now_ms(link->loop) + from->delay_ms;
	err = copy_text(&c->config.host);
	err |= copy_text(&c->config.ipv4);
	err |= copy_text(&c->config.ipv6);
	err |= copy_text(&c->config.verify_name);
	return err;
}

struct ts_link *ts_link_race(struct ts_loop *loop, struct ts_resolver *res,
			     const struct ts_link_candidate *candidates,
			     size_t count, const struct ts_link_ops *ops,
			     void *ctx)
{
	struct ts_link *link =
		calloc(1, sizeof(*link) + count * sizeof(link->candidates[0]));
	int err = 0;

	if (!link)
		return NULL;
	link->loop = loop;
	link->res = res;
	link->ops = *ops;
	link->ctx = ctx;
	link->fd = -1;
	link->queue_max = count ? candidates[0].config.write_queue_max : 0;
	if (!link->queue_max)
		link->queue_max = QUEUE_MAX_DEFAULT;
	ts_byte_queue_init(&link->queue, link->queue_max);
	snprintf(link->error, sizeof(link->error), "nowhere to connect to");
	for (size_t i = 0; i < count; i++)
		err |= add_candidate(link, &candidates[i]);
	link->race = ts_timer_new(loop, on_race, link);
	link->flush = ts_timer_new(loop, on_flush, link);
	if (err || !link->race || !link->flush) {
		destroy(link);
		return NULL;
	}
	ts_timer_set(link->race, ts_loop_now_ms(loop));
	return link;
}

struct ts_link *ts_link_open(struct ts_loop *loop, struct ts_resolver *res,
			     const struct ts_link_config *config,
			     const struct ts_link_ops *ops, void *ctx)
{
	const struct ts_link_candidate only = {.config = *config};

	return ts_link_race(loop, res, &only, 1, ops, ctx);
}

int ts_link_write(struct ts_link *link, const void *data, size_t len)
{
	if (link->is_closed || link->has_overflowed)
		return -ENOBUFS;
	if (ts_byte_queue_push(&link->queue, data, len)) {
		if (link->candidates[0].config.drop_when_full)
			return -ENOBUFS;
		link->has_overflowed = true;
		ts_timer_set(link->flush, ts_loop_now_ms(link->loop));
		return -ENOBUFS;
	}
	if (ts_byte_queue_len(&link->queue) >= link->queue_max / 2)
		link->is_above_half = true;
	if (link->watch && !link->is_blocked)
		ts_timer_set(link->flush, ts_loop_now_ms(link->loop));
	return 0;
}

size_t ts_link_queued(const struct ts_link *link)
{
	return ts_byte_queue_len(&link->queue);
}

void ts_link_close(struct ts_link *link)
{
	char err[TS_TLS_ERROR_CAP];

	if (!link || link->is_closed)
		return;
	link->is_closed = true;
	if (!link->watch || link->has_overflowed ||
	    empty_queue(link, err) != -EAGAIN) {
		die(link);
		return;
	}
	ts_timer_set(link->flush, ts_loop_now_ms(link->loop) + LINGER_MS);
	update_watch(link);
}

bool ts_link_derp_meta_key(const struct ts_link *link,
			   struct ts_public_key *out)
{
	return link->tls && ts_tls_derp_meta_key(link->tls, out);
}

bool ts_link_is_stranded(const struct ts_link *link)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ts_addr own;

	return link->fd >= 0 &&
	       getsockname(link->fd, (struct sockaddr *)&ss, &len) == 0 &&
	       ts_addr_from_sockaddr((struct sockaddr *)&ss, len, &own) >= 0 &&
	       !ts_is_own_address(&own.ip);
}
