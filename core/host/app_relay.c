/* SPDX-License-Identifier: BSD-3-Clause
 * app_relay.c - bytes between two programs of this host
 *
 * A connect to one of our own tailnet addresses never sees the tunnel: two
 * loopback sockets are joined here, with the splice's rules for ends, resets
 * and fairness. Each direction keeps at most one piece that its target did
 * not take. Urgent data stays urgent: the byte is sent on its own, as such.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/host/host_internal.h"

struct direction {
	uint8_t *rest; /* read from one end, not taken by the other */
	size_t rest_at, rest_len;
	int rest_flags; /* MSG_OOB or 0 */
	bool is_done, is_full;
};

struct ts_relay {
	struct ts_link link; /* in host->relays */
	struct ts_host *host;
	const struct ts_member *member; /* NULL: of none */
	struct ts_relay_end ends[2];
	struct ts_watch *watches[2];
	struct ts_hup_item hups[2];
	struct direction from[2]; /* from[i]: ends[i] -> ends[1 - i] */
	bool is_broken; /* one end was reset, and its error has been read */
};

static void free_relay(struct ts_relay *r, bool reset)
{
	for (int i = 0; i < 2; i++) {
		ts_watch_free(r->watches[i]);
		ts_hup_remove(r->host, &r->hups[i]);
		if (reset)
			ts_sock_reset(r->ends[i].fd);
		else
			ts_sock_finish(r->ends[i].fd);
		ts_entry_end(r->host, r->ends[i].entry, HOST_ENTRY_LINGER_MS);
		free(r->from[i].rest);
	}
	ts_list_remove(&r->link);
	free(r);
}

/* Bytes that fd took, 0 when full, or -errno. */
static ssize_t send_some(int fd, const uint8_t *data, size_t len, int flags)
{
	ssize_t n = send(fd, data, len, flags | MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

static int flush_rest(struct direction *d, int to)
{
	ssize_t n;

	if (!d->rest)
		return 0;
	n = send_some(to, d->rest + d->rest_at, d->rest_len, d->rest_flags);
	if (n < 0)
		return (int)n;
	d->rest_at += (size_t)n;
	d->rest_len -= (size_t)n;
	d->is_full = d->rest_len > 0;
	if (!d->is_full) {
		free(d->rest);
		d->rest = NULL;
	}
	return 0;
}

static int keep_rest(struct direction *d, const uint8_t *data, size_t len,
		     int flags)
{
	d->rest = malloc(len);
	if (!d->rest)
		return -ENOMEM;
	memcpy(d->rest, data, len);
	d->rest_at = 0;
	d->rest_len = len;
	d->rest_flags = flags;
	d->is_full = true;
	return 0;
}

/* As recv; *flags are those to send it with. The sockets have SO_OOBINLINE, and
 * a read ends before the urgent byte, but goes past one that comes first. So
 * there must be something to read when we look what comes first. */
static ssize_t read_some(int fd, uint8_t *data, int *flags)
{
	size_t cap = HOST_SCRATCH_BYTES;
	int at_mark = 0;
	ssize_t n = recv(fd, data, 1, MSG_PEEK);

	*flags = 0;
	if (n <= 0)
		return n;
	if (ioctl(fd, SIOCATMARK, &at_mark) == 0 && at_mark) {
		*flags = MSG_OOB;
		cap = 1;
	}
	return recv(fd, data, cap, 0);
}

/* Bytes moved, 0 when there is no more for now, or -errno. */
static ssize_t move_once(struct ts_relay *r, int i)
{
	struct direction *d = &r->from[i];
	uint8_t *scratch = r->host->scratch;
	int to = r->ends[1 - i].fd, flags;
	ssize_t n = read_some(r->ends[i].fd, scratch, &flags);
	ssize_t sent;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		d->is_done = true;
		/* After a reset the end of the data is not an orderly one. */
		if (!r->is_broken)
			(void)shutdown(to, SHUT_WR);
		return 0;
	}
	sent = send_some(to, scratch, (size_t)n, flags);
	if (sent < 0)
		return sent;
	if (sent < n &&
	    keep_rest(d, scratch + sent, (size_t)(n - sent), flags))
		return -ENOMEM;
	return n;
}

static int pump(struct ts_relay *r, int i)
{
	struct direction *d = &r->from[i];
	ssize_t n = flush_rest(d, r->ends[1 - i].fd);
	size_t moved = 0;

	while (n >= 0 && !d->is_done && !d->is_full &&
	       moved < HOST_TURN_BYTES) {
		n = move_once(r, i);
		if (n == 0)
			break;
		moved += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? (int)n : 0;
}

static void watch_again(struct ts_relay *r)
{
	for (int i = 0; i < 2; i++) {
		unsigned events = 0;

		if (!r->from[i].is_done && !r->from[i].is_full)
			events |= TS_READABLE;
		if (r->from[1 - i].is_full)
			events |= TS_WRITABLE;
		ts_watch_set(r->watches[i], events);
	}
}

static void run(struct ts_relay *r)
{
	if (pump(r, 0) || pump(r, 1))
		free_relay(r, true);
	else if (r->from[0].is_done && r->from[1].is_done)
		free_relay(r, false);
	else
		watch_again(r);
}

static void on_socket(void *ctx, unsigned events)
{
	(void)events;
	run(ctx);
}

static void on_hup(void *ctx)
{
	struct ts_relay *r = ctx;

	/* Without an error it is an orderly end, and reading finds it. */
	if (ts_sock_error(r->ends[0].fd) || ts_sock_error(r->ends[1].fd)) {
		r->is_broken = true;
		(void)pump(r, 0);
		(void)pump(r, 1);
		free_relay(r, true);
	}
}

static bool start_watching(struct ts_relay *r)
{
	for (int i = 0; i < 2; i++) {
		int fd = r->ends[i].fd;

		r->hups[i].fn = on_hup;
		r->hups[i].ctx = r;
		r->watches[i] = ts_watch_new(r->host->loop, fd, TS_READABLE,
					     on_socket, r);
		if (!r->watches[i] ||
		    ts_hup_add(r->host, &r->hups[i], fd, HUP_ONLY))
			return false;
	}
	return true;
}

void ts_relay_start(struct ts_host *host, const struct ts_member *member,
		    const struct ts_relay_end ends[2])
{
	struct ts_relay *r = calloc(1, sizeof(*r));

	if (!r) {
		for (int i = 0; i < 2; i++) {
			ts_sock_reset(ends[i].fd);
			ts_entry_end(host, ends[i].entry,
				     HOST_ENTRY_LINGER_MS);
		}
		return;
	}
	r->host = host;
	r->member = member;
	r->ends[0] = ends[0];
	r->ends[1] = ends[1];
	ts_sock_break_at_death(ends[0].fd);
	ts_sock_break_at_death(ends[1].fd);
	r->hups[0].fd = r->hups[1].fd = -1;
	ts_list_insert(&host->relays, &r->link);
	for (int i = 0; i < 2; i++)
		ts_tunnel_bound_buffers(ends[i].entry, ends[i].fd,
					ends[1 - i].fd);
	if (!start_watching(r))
		free_relay(r, true);
}

size_t ts_relays_undelivered(const struct ts_host *host)
{
	size_t total = 0;

	for (const struct ts_link *at = host->relays.next; at != &host->relays;
	     at = at->next) {
		const struct ts_relay *r =
			TS_LINK_OWNER(at, struct ts_relay, link);

		for (int i = 0; i < 2; i++)
			total += r->from[i].rest_len +
				 ts_sock_unread(r->ends[i].fd);
	}
	return total;
}

void ts_relays_end(struct ts_host *host, const struct ts_member *member)
{
	const struct ts_link *head = &host->relays;
	struct ts_link *next;

	for (struct ts_link *at = head->next; at != head; at = next) {
		struct ts_relay *r = TS_LINK_OWNER(at, struct ts_relay, link);

		next = at->next;
		if (!member || r->member == member)
			free_relay(r, true);
	}
}
