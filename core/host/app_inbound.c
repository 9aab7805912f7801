/* SPDX-License-Identifier: BSD-3-Clause
 * app_inbound.c - one connection from the tailnet to a program's listener
 *
 * Three things must come together before a byte flows: our native connection
 * to the listener stands, the far end is up, and the program said ACCEPTED
 * for exactly this tuple. The native connect comes first, so that a dead
 * listener is a RST for the peer and a full queue lets its SYN wait. Without
 * ACCEPTED nothing is handed over: a stranger that took the port has no token
 * to say it.
 *
 * We connect from R's port at a random 127.x.y.z. No other uid can bind that,
 * so when we reset a connection that still waits in the queue, nobody can
 * come with the same tuple and be taken for the peer.
 *
 * A connection that stands and is not accepted is looked at now and then: the
 * kernel may have lost the listener's side of it (other_end.c). Then it is made
 * anew, and nobody has noticed.
 *
 * Who listens at all other ports (ts_listener_fallback()) decides before the
 * far end hears anything: it is answered with ACCEPTED. When the program resets
 * the connection, which has its ends' names by then, the next one is asked, and
 * at last the far end refused.
 *
 * The far end is a peer's SYN, or a program here that connected to one of our
 * own addresses; then both ends are loopback sockets and a relay joins them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/forward.h"
#include "core/host/host_internal.h"
#include "core/host/peerapi.h"
#include "core/host/serve.h"
#include "core/host/tls_server.h"

enum { SOURCE_TRIES = 8, LOOK_MIN_MS = 1000, LOOK_MAX_MS = 16000 };

struct ts_inbound {
	struct ts_link link; /* in host->inbounds */
	struct ts_host *host;
	struct ts_member *member; /* whose tailnet it comes from */
	uint64_t id;
	struct ts_addr local, remote; /* in the tailnet */
	struct ts_addr native;	      /* the listener's, as registered */
	int fd;			      /* ours, to the listener */
	struct ts_watch *watch;	      /* while connecting */
	struct ts_hup_item hup;	      /* afterwards */
	struct ts_entry *entry;
	/* The program says first whether it wants the connection; which of the
	 * fallbacks that is (an id), else 0. */
	bool asks_first;
	uint64_t fallback_id;
	enum ts_funnel refused; /* listeners of that kind are nothing for it */
	bool is_answered, is_far_end_up, is_accepted;
	bool is_tls;	/* TLS is ended on the way */
	bool has_ended; /* the listener's side, without an error */
	uint64_t look_ms, look_at_ms; /* is the listener's side still there? */
	/* A peer: syn until it was answered, tcp from then on. */
	struct stack_syn *syn;
	struct stack_tcp *tcp;
	/* A program here: conn until it was released, from then on far_fd. */
	struct ts_conn *conn;
	int far_fd;
	struct ts_entry *far_entry;
	struct ts_hup_item far_hup;
};

/* -- ends ---------------------------------------------------------------- */

static void free_inbound(struct ts_inbound *in)
{
	struct ts_host *host = in->host;

	if (in->entry)
		in->entry->inbound = NULL;
	ts_list_remove(&in->link);
	ts_watch_free(in->watch);
	ts_hup_remove(host, &in->hup);
	ts_hup_remove(host, &in->far_hup);
	free(in);
}

/* A connection that waits in the queue keeps its name until it is accepted:
 * the program sees the peer, then ECONNRESET. */
static void close_native(struct ts_inbound *in)
{
	ts_watch_free(in->watch);
	in->watch = NULL;
	ts_hup_remove(in->host, &in->hup);
	ts_sock_reset(in->fd);
	ts_entry_end(in->host, in->entry,
		     in->is_accepted ? HOST_ENTRY_LINGER_MS
				     : HOST_ENTRY_UNACCEPTED_MS);
	in->fd = -1;
	in->entry = NULL;
}

static void close_far_end(struct ts_inbound *in, int err)
{
	if (in->syn && err == -ECONNREFUSED)
		stack_syn_refuse(in->syn);
	else if (in->syn)
		stack_syn_drop(in->syn);
	if (in->tcp)
		stack_tcp_abort(in->tcp);
	if (in->conn)
		ts_conn_far_end_gone(in->conn, err);
	ts_hup_remove(in->host, &in->far_hup);
	ts_sock_reset(in->far_fd);
	ts_entry_end(in->host, in->far_entry, HOST_ENTRY_LINGER_MS);
	in->syn = NULL;
	in->tcp = NULL;
	in->conn = NULL;
	in->far_fd = -1;
	in->far_entry = NULL;
}

static void inbound_fail(struct ts_inbound *in, int err)
{
	log_debug("inbound-%llu: %s", (unsigned long long)in->id,
		  ts_strerror(err));
	close_native(in);
	close_far_end(in, err);
	free_inbound(in);
}

void ts_inbound_abandon(struct ts_inbound *in)
{
	in->conn = NULL;
	inbound_fail(in, -ECONNABORTED);
}

/* Takes a step when all three have come together. */
static void try_start(struct ts_inbound *in)
{
	struct ts_relay_end ends[2] = {{in->fd, in->entry},
				       {in->far_fd, in->far_entry}};
	struct ts_member *member = in->member;
	struct stack_tcp *tcp = in->tcp;
	struct ts_addr remote = in->remote;
	bool is_tls = in->is_tls;

	if (!in->is_far_end_up || !in->is_accepted)
		return;
	free_inbound(in);
	if (is_tls)
		ts_tls_inbound_start(member, &remote, tcp, ends);
	else if (tcp)
		ts_splice_start(member, ends[0].fd, tcp, ends[0].entry);
	else
		ts_relay_start(member->host, member, ends);
}

/* -- the far end --------------------------------------------------------- */

static void on_connected(void *user)
{
	struct ts_inbound *in = user;

	in->is_far_end_up = true;
	try_start(in);
}

/* The splice looks for bytes when it starts. */
static void on_bytes(void *user)
{
	(void)user;
}

static void on_gone(void *user, int err)
{
	struct ts_inbound *in = user;

	in->tcp = NULL;
	inbound_fail(in, err ? err : -ECONNRESET);
}

static const struct stack_tcp_ops accept_ops = {
	.connected = on_connected,
	.readable = on_bytes,
	.writable = on_bytes,
	.gone = on_gone,
};

static void on_far_hup(void *ctx)
{
	inbound_fail(ctx, -ECONNRESET);
}

void ts_inbound_join(struct ts_inbound *in, int fd, struct ts_entry *entry)
{
	in->conn = NULL;
	in->far_fd = fd;
	in->far_entry = entry;
	in->far_hup.fn = on_far_hup;
	in->far_hup.ctx = in;
	if (ts_hup_add(in->host, &in->far_hup, fd, HUP_ONLY)) {
		inbound_fail(in, -ENOMEM);
		return;
	}
	on_connected(in);
}

static void answer_far_end(struct ts_inbound *in)
{
	struct stack_syn *syn = in->syn;

	in->is_answered = true;
	if (in->conn) {
		ts_conn_far_end_up(in->conn);
		return;
	}
	in->syn = NULL;
	in->tcp = stack_syn_accept(syn, &accept_ops, in,
				   ts_host_now_ms(in->host));
	if (!in->tcp)
		inbound_fail(in, -ENOMEM);
}

/* -- the listener's end -------------------------------------------------- */

static int connect_native(struct ts_inbound *in);
static int await_native(struct ts_inbound *in);

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

/* asked: the last fallback that was, or 0. */
static const struct ts_listener *find_taker(const struct ts_member *member,
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

static void goes_to(struct ts_inbound *in, const struct ts_listener *l)
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
	next = find_taker(in->member, &in->local, in->fallback_id);
	if (!next || next->funnel == in->refused ||
	    ts_addr_equal(&next->native, &in->native))
		return -ECONNREFUSED;
	goes_to(in, next);
	ts_hup_remove(in->host, &in->hup);
	ts_entry_drop(in->host, in->entry);
	ts_sock_close(in->fd);
	in->entry = NULL;
	in->fd = -1;
	return connect_native(in);
}

static int try_and_await_next(struct ts_inbound *in)
{
	int err = try_next_listener(in);

	return err ? err : await_native(in);
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
			inbound_fail(in, reset_by_program(in));
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
static void native_is_up(struct ts_inbound *in)
{
	int err;

	in->hup.fn = on_hup;
	in->hup.ctx = in;
	err = ts_hup_add(in->host, &in->hup, in->fd, HUP_OR_EOF);
	if (!err)
		err = look_later(in);
	if (err)
		inbound_fail(in, err);
	else if (!in->is_answered && (!in->asks_first || in->is_accepted))
		answer_far_end(in);
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
		inbound_fail(in, err);
	else
		native_is_up(in);
}

static int await_native(struct ts_inbound *in)
{
	in->watch = ts_watch_new(in->host->loop, in->fd, TS_WRITABLE,
				 on_native, in);
	return in->watch ? 0 : -ENOMEM;
}

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

static int connect_native(struct ts_inbound *in)
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
	err = connect_native(in);
	if (!err)
		err = await_native(in);
	if (err)
		inbound_fail(in, err);
}

/* diag_fd may be -1. */
static void look(struct ts_inbound *in, int diag_fd, uint64_t now_ms)
{
	if (in->fd < 0 || in->watch || in->is_accepted ||
	    in->look_at_ms > now_ms)
		return;
	if (in->has_ended) {
		inbound_fail(in, -ECONNRESET);
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

static struct ts_inbound *alloc_inbound(struct ts_member *member,
					const struct ts_addr *local,
					const struct ts_addr *remote)
{
	struct ts_inbound *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->host = member->host;
	in->member = member;
	in->id = ++member->host->next_id;
	in->local = *local;
	in->remote = *remote;
	in->fd = in->far_fd = -1;
	in->hup.fd = in->far_hup.fd = -1;
	ts_list_insert(&member->host->inbounds, &in->link);
	return in;
}

/* NULL: *err. On the way to the listener otherwise, or there. refused: of
 * listeners, those that are nothing for it. */
static struct ts_inbound *new_inbound(struct ts_member *member,
				      const struct ts_addr *local,
				      const struct ts_addr *remote,
				      enum ts_funnel refused, int *err)
{
	const struct ts_listener *listener = find_taker(member, local, 0);
	struct ts_inbound *in;

	if (!listener || listener->funnel == refused) {
		*err = -ECONNREFUSED;
		return NULL;
	}
	in = alloc_inbound(member, local, remote);
	*err = -ENOMEM;
	if (!in)
		return NULL;
	in->refused = refused;
	goes_to(in, listener);
	*err = connect_native(in);
	if (!*err)
		return in;
	close_native(in);
	free_inbound(in);
	return NULL;
}

/* What the node serves by itself has no listener: a pair of sockets leads
 * there, and nobody has to accept. */
static struct ts_inbound *new_to_serve(struct ts_member *member,
				       const struct ts_addr *local,
				       const struct ts_addr *remote, int *err)
{
	struct ts_inbound *in = alloc_inbound(member, local, remote);
	int pair[2];

	*err = -ENOMEM;
	if (!in)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair)) {
		*err = -errno;
		free_inbound(in);
		return NULL;
	}
	in->fd = ts_sock_keep(member->host, pair[0]);
	in->is_accepted = true;
	ts_serve_local(member, ts_sock_keep(member->host, pair[1]), local,
		       remote);
	return in;
}

/* -- for the other files ------------------------------------------------- */

struct ts_inbound *ts_inbound_from_self(struct ts_member *member,
					struct ts_conn *conn,
					const struct ts_addr *local,
					const struct ts_addr *remote, int *err)
{
	struct ts_inbound *in =
		ts_serve_has(member, local)
			? new_to_serve(member, local, remote, err)
			: new_inbound(member, local, remote, TS_FUNNEL_ONLY,
				      err);

	if (!in)
		return NULL;
	*err = await_native(in); /* conn is not ready to hear of it */
	if (!*err) {
		in->conn = conn;
		return in;
	}
	inbound_fail(in, *err);
	return NULL;
}

/* On loopback the handshake is over before connect() returns, unless the
 * listener's queue is full, or nobody listens. */
static void take_syn(struct ts_inbound *in, struct stack_syn *syn)
{
	struct ts_addr peer;
	int err;

	in->syn = syn;
	if (ts_sock_peer(in->fd, &peer) == 0) {
		native_is_up(in);
		return;
	}
	err = await_native(in);
	if (err)
		inbound_fail(in, err);
}

void ts_inbound_from_funnel(struct ts_member *member, struct stack_tcp *tcp,
			    const struct ts_addr *local,
			    const struct ts_addr *remote)
{
	int err;
	struct ts_inbound *in = new_inbound(member, local, remote,
					    TS_FUNNEL_NONE, &err);

	if (!in) {
		stack_tcp_abort(tcp);
		return;
	}
	in->tcp = tcp;
	in->is_answered = true;
	in->is_far_end_up = true;
	stack_tcp_set_user(tcp, &accept_ops, in);
	take_syn(in, NULL);
}

void ts_host_inbound_syn(struct ts_member *member, struct stack_syn *syn,
			 const struct ts_addr *local,
			 const struct ts_addr *remote)
{
	char to[TS_ADDR_TEXT_CAP], from[TS_ADDR_TEXT_CAP];
	int err;
	struct ts_inbound *in;
	bool is_own;

	if (ts_serve_hosts(member, &local->ip)) {
		if (!ts_serve_syn(member, syn, local, remote))
			stack_syn_refuse(syn);
		return;
	}
	is_own = ts_node_route(member->node, &local->ip, NULL) == TS_ROUTE_SELF;
	if (!is_own && !find_taker(member, local, 0)) {
		ts_forward_syn(member, syn, local, remote);
		return;
	}
	if (is_own && ts_peerapi_owns(member, local)) {
		ts_peerapi_syn(member, syn, remote);
		return;
	}
	if (is_own && ts_serve_syn(member, syn, local, remote))
		return;
	in = new_inbound(member, local, remote, TS_FUNNEL_ONLY, &err);
	if (in) {
		take_syn(in, syn);
		return;
	}
	log_debug("host: SYN from %s to %s: %s", ts_addr_format(remote, from),
		  ts_addr_format(local, to), ts_strerror(err));
	if (err == -ECONNREFUSED)
		stack_syn_refuse(syn);
	else /* out of something: the peer will try again */
		stack_syn_drop(syn);
}

void ts_host_syn_gone(struct ts_member *member, struct stack_syn *syn)
{
	const struct ts_host *host = member->host;

	if (ts_forward_syn_gone(member, syn) ||
	    ts_serve_syn_gone(member, syn))
		return;
	for (struct ts_link *at = host->inbounds.next; at != &host->inbounds;
	     at = at->next) {
		struct ts_inbound *in =
			TS_LINK_OWNER(at, struct ts_inbound, link);

		if (in->syn != syn)
			continue;
		in->syn = NULL;
		inbound_fail(in, -ETIMEDOUT);
		return;
	}
}

static void accept_inbound(struct ts_inbound *in)
{
	in->is_accepted = true;
	if (in->asks_first && !in->is_answered && !in->watch)
		answer_far_end(in);
	else
		try_start(in);
}

void ts_inbound_accepted(struct ts_host *host,
			 const struct ts_broker_request *req, int fd, pid_t pid,
			 struct ts_broker_reply *rep)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP,
				  .local = req->native_local,
				  .remote = req->native_remote};
	struct ts_entry *entry = ts_entry_find(host, &key);

	if (!entry || entry->value.kind != TS_FLOW_ACCEPT) {
		rep->error = ENOENT; /* not from the tailnet */
		return;
	}
	rep->tailnet = entry->value.tailnet_remote;
	if (!entry->inbound) /* reset while it was in the queue */
		return;
	if (ts_request_is_of(host, &entry->key, fd)) {
		ts_tunnel_read_options(entry, fd);
		entry->pid = pid;
	}
	accept_inbound(entry->inbound);
}

void ts_inbounds_end(struct ts_member *member)
{
	const struct ts_link *head = &member->host->inbounds;
	struct ts_link *next;

	for (struct ts_link *at = head->next; at != head; at = next) {
		struct ts_inbound *in =
			TS_LINK_OWNER(at, struct ts_inbound, link);

		next = at->next; /* it frees its own at most */
		if (in->member == member)
			inbound_fail(in, -ENETDOWN);
	}
}

void ts_inbounds_close(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++)
		ts_inbounds_end(&host->members[i]);
	ts_timer_free(host->inbound_look);
	host->inbound_look = NULL;
}
