/* SPDX-License-Identifier: BSD-3-Clause
 * inbound_native.c - an inbound connection's native half, to the listener
 *
 * We connect from R's port at a random 127.x.y.z. No other uid can bind that,
 * so when we reset a connection that still waits in the queue, nobody can
 * come with the same tuple and be taken for the peer.
 *
 * A listener that refuses may have left a record that hid another one: that is
 * tried next. So is, of those that listen at all other ports and are asked in
 * turn, the one after who has reset the connection without ACCEPTED.
 *
 * A connection that stands and is not accepted is looked at now and then: the
 * kernel may have lost the listener's side of it (other_end.c). Then it is made
 * anew, and nobody has noticed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "core/host/app_inbound.h"
#include "core/host/tls_server.h"

enum { SOURCE_TRIES = 8, LOOK_MIN_MS = 1000, LOOK_MAX_MS = 16000 };

/* -- who listens ---------------------------------------------------------- */

const struct ts_listener *ts_inbound_taker(const struct ts_member *member,
					   const struct ts_addr *local,
					   uint64_t asked)
{
	const struct ts_listener *l =
		ts_listener_for(member, IPPROTO_TCP, local);

	/* An address that we route is not one of all of ours. */
	if (l && !ts_ip_equal(&l->tailnet.ip, &local->ip) &&
	    ts_node_route(member->node, &local->ip, NULL) != TS_ROUTE_SELF)
		l = NULL;
	return l ? l : ts_listener_fallback(member, asked);
}

void ts_inbound_goes_to(struct ts_inbound *in, const struct ts_listener *l)
{
	in->native = l->native;
	in->is_tls = ts_tls_is_for(in->member, l);
	in->asks_first = l->is_fallback;
	if (l->is_fallback)
		in->fallback_id = l->id;
}

/* The listener of our choice is gone. One that was bound to the address alone
 * may have left a record that hid another one, bound to all of them. */
static int try_next_listener(struct ts_inbound *in)
{
	const struct ts_listener *next;

	ts_listener_refused(in->host, IPPROTO_TCP, &in->native);
	next = ts_inbound_taker(in->member, &in->local, in->fallback_id);
	if (!next || next->funnel == in->refused ||
	    ts_addr_equal(&next->native, &in->native))
		return -ECONNREFUSED;
	ts_inbound_goes_to(in, next);
	ts_hup_remove(in->host, &in->hup);
	ts_entry_drop(in->host, in->entry);
	ts_sock_close(in->fd);
	in->entry = NULL;
	in->fd = -1;
	return ts_inbound_connect(in);
}

static int try_and_await_next(struct ts_inbound *in)
{
	int err = try_next_listener(in);

	return err ? err : ts_inbound_await(in);
}

/* -- it stands, or does not ----------------------------------------------- */

/* Of fallbacks: no answer is there, and the far end waits. */
static bool is_undecided(const struct ts_inbound *in)
{
	return in->asks_first && !in->is_answered;
}

/* What the far end hears of it: who was asked has said no. */
static int reset_by_program(const struct ts_inbound *in)
{
	return is_undecided(in) ? -ECONNREFUSED : -ECONNRESET;
}

/* The listener was closed; or somebody took the connection from its queue and
 * ended it. That was a program of ours if its ACCEPTED is on the way: nobody
 * waits for it to arrive. One that has accepted may greet and close before the
 * far end has answered us; what it wrote, and the end, are the splice's to
 * carry. */
static void on_hup(void *ctx)
{
	struct ts_inbound *in = ctx;

	if (ts_sock_error(in->fd)) {
		if (!is_undecided(in) || try_and_await_next(in))
			ts_inbound_fail(in, reset_by_program(in));
		return;
	}
	in->has_ended = true;
	in->look_at_ms = ts_host_now_ms(in->host) + LOOK_MIN_MS;
}

static void on_look(void *ctx);

/* One timer for all: most are accepted long before it. */
static int look_later(struct ts_inbound *in)
{
	struct ts_host *host = in->host;
	uint64_t now_ms = ts_host_now_ms(host);

	if (!host->inbound_look)
		host->inbound_look = ts_timer_new(host->loop, on_look, host);
	if (!host->inbound_look)
		return -ENOMEM;
	in->look_ms = LOOK_MIN_MS;
	in->look_at_ms = now_ms + in->look_ms;
	if (!host->is_looking)
		ts_timer_set(host->inbound_look, in->look_at_ms);
	host->is_looking = true;
	return 0;
}

/* The listener's queue has it. */
void ts_inbound_is_queued(struct ts_inbound *in)
{
	int err;

	in->hup.fn = on_hup;
	in->hup.ctx = in;
	err = ts_hup_add(in->host, &in->hup, in->fd, HUP_OR_EOF);
	if (!err)
		err = look_later(in);
	if (err)
		ts_inbound_fail(in, err);
	else if (!in->is_answered && (!in->asks_first || in->is_accepted))
		ts_inbound_answer(in);
}

static void on_native(void *ctx, unsigned events)
{
	struct ts_inbound *in = ctx;
	int err = ts_sock_error(in->fd);

	(void)events;
	ts_watch_free(in->watch);
	in->watch = NULL;
	/* A reset is an answer that was faster than this event. */
	if (err == -ECONNREFUSED || (err == -ECONNRESET && is_undecided(in))) {
		err = try_and_await_next(in);
		if (!err)
			return;
	}
	if (err == -ECONNRESET)
		err = reset_by_program(in);
	if (err)
		ts_inbound_fail(in, err);
	else
		ts_inbound_is_queued(in);
}

int ts_inbound_await(struct ts_inbound *in)
{
	in->watch = ts_watch_new(in->host->loop, in->fd, TS_WRITABLE,
				 on_native, in);
	return in->watch ? 0 : -ENOMEM;
}

/* -- connecting ----------------------------------------------------------- */

/* A socket at an address that no living or recent flow has had. */
static int bind_source(struct ts_inbound *in, struct ts_flow_key *key)
{
	struct ts_host *host = in->host;
	bool v4 = ts_ip_is_v4(&key->local.ip);
	struct ts_addr source = {.ip = ts_sock_loopback(true)};
	int fd = ts_sock_open(host, &key->local.ip);
	int err = fd < 0 ? fd : 0;

	if (v4)
		source.ip = ts_sock_random_loopback(host);
	/* With one address R's port would be good for one connection. */
	if (v4 && !host->rv.one_loopback) {
		source.port = host->rv.port4;
		err = err ? err : ts_sock_reuse_port(fd);
	}
	if (!err)
		err = ts_sock_bind(fd, &source);
	key->remote = source;
	if (!err && source.port == 0)
		err = ts_sock_local(fd, &key->remote);
	if (!err && ts_entry_find(host, key))
		err = -EADDRINUSE;
	if (!err)
		return fd;
	ts_sock_close(fd);
	return err;
}

static int connect_once(struct ts_inbound *in, struct ts_flow_key *key)
{
	const struct ts_flow_entry value = {.kind = TS_FLOW_ACCEPT,
					    .state = TS_FLOW_UP,
					    .tailnet_local = in->local,
					    .tailnet_remote = in->remote};
	int err;

	in->fd = bind_source(in, key);
	if (in->fd < 0)
		return in->fd;
	/* Before the connect: the program may accept at once. */
	in->entry = ts_entry_put(in->host, key, &value);
	ts_notify_before_inbound(in->host);
	err = in->entry ? ts_sock_connect(in->fd, &key->local) : -ENOBUFS;
	if (!err)
		return 0;
	ts_entry_drop(in->host, in->entry);
	ts_sock_close(in->fd);
	in->entry = NULL;
	in->fd = -1;
	return err;
}

int ts_inbound_connect(struct ts_inbound *in)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP, .local = in->native};
	int err = -EADDRNOTAVAIL;

	if (ts_ip_is_unspecified(&key.local.ip))
		key.local.ip = ts_sock_loopback(!ts_ip_is_v4(&key.local.ip));
	ts_rendezvous_follow_uid(in->host);
	for (int i = 0; i < SOURCE_TRIES; i++) {
		err = connect_once(in, &key);
		if (err != -EADDRNOTAVAIL && err != -EADDRINUSE)
			break;
	}
	if (err == -ECONNREFUSED)
		return try_next_listener(in);
	if (err)
		return err;
	in->entry->inbound = in;
	return 0;
}

/* -- is it still there? --------------------------------------------------- */

/* The listener's queue had no room for it, and nobody remembers it. */
static void connect_again(struct ts_inbound *in)
{
	int err;

	log_debug("inbound-%llu: lost in the listener's queue: again",
		  (unsigned long long)in->id);
	ts_hup_remove(in->host, &in->hup);
	ts_entry_drop(in->host, in->entry);
	ts_sock_close(in->fd);
	in->entry = NULL;
	in->fd = -1;
	err = ts_inbound_connect(in);
	if (!err)
		err = ts_inbound_await(in);
	if (err)
		ts_inbound_fail(in, err);
}

/* diag_fd may be -1. */
static void look(struct ts_inbound *in, int diag_fd, uint64_t now_ms)
{
	if (in->fd < 0 || in->watch || in->is_accepted ||
	    in->look_at_ms > now_ms)
		return;
	if (in->has_ended) {
		ts_inbound_fail(in, -ECONNRESET);
		return;
	}
	if (diag_fd >= 0 && ts_other_end_is_lost(diag_fd, &in->entry->key)) {
		connect_again(in);
		return;
	}
	if (in->look_ms < LOOK_MAX_MS)
		in->look_ms *= 2;
	in->look_at_ms = now_ms + in->look_ms;
}

static void on_look(void *ctx)
{
	struct ts_host *host = ctx;
	uint64_t now_ms = ts_host_now_ms(host);
	int fd = ts_list_is_empty(&host->inbounds) ? -1 : ts_other_end_open();
	struct ts_link *next;

	for (struct ts_link *at = host->inbounds.next; at != &host->inbounds;
	     at = next) {
		next = at->next;
		look(TS_LINK_OWNER(at, struct ts_inbound, link), fd, now_ms);
	}
	if (fd >= 0)
		close(fd);
	host->is_looking = !ts_list_is_empty(&host->inbounds);
	if (host->is_looking)
		ts_timer_set(host->inbound_look, now_ms + LOOK_MIN_MS);
}
