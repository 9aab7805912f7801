/* SPDX-License-Identifier: BSD-3-Clause
 * app_inbound.c - one connection from the tailnet to a program's listener
 *
 * Three things must come together before a byte flows: our native connection
 * to the listener stands (inbound_native.c), the far end is up, and the program
 * said ACCEPTED for exactly this tuple. The native connect comes first, so that
 * a dead listener is a RST for the peer and a full queue lets its SYN wait.
 * Without ACCEPTED nothing is handed over: a stranger that took the port has no
 * token to say it.
 *
 * Who listens at all other ports (ts_listener_fallback()) decides before the
 * far end hears anything: it is answered with ACCEPTED. When the program resets
 * program resets the connection, which has its ends' names by then.
 *
 * The far end is a peer's SYN, or a program here that connected to one of our
 * own addresses; then both ends are loopback sockets and a relay joins them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/app_inbound.h"
#include "core/host/forward.h"
#include "core/host/peerapi.h"
#include "core/host/serve.h"
#include "core/host/tls_server.h"

/* Connections from the internet that no program has accepted yet. */
enum { PUBLIC_WAITS_MAX = 512, PUBLIC_WAITS_EACH = 64 };

/* -- ends ----------------------------------------------------------------- */

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

void ts_inbound_fail(struct ts_inbound *in, int err)
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
	ts_inbound_fail(in, -ECONNABORTED);
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

/* -- the far end ---------------------------------------------------------- */

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
	ts_inbound_fail(in, err ? err : -ECONNRESET);
}

static const struct stack_tcp_ops accept_ops = {
	.connected = on_connected,
	.readable = on_bytes,
	.writable = on_bytes,
	.gone = on_gone,
};

static void on_far_hup(void *ctx)
{
	ts_inbound_fail(ctx, -ECONNRESET);
}

void ts_inbound_join(struct ts_inbound *in, int fd, struct ts_entry *entry)
{
	in->conn = NULL;
	in->far_fd = fd;
	in->far_entry = entry;
	in->far_hup.fn = on_far_hup;
	in->far_hup.ctx = in;
	if (ts_hup_add(in->host, &in->far_hup, fd, HUP_ONLY)) {
		ts_inbound_fail(in, -ENOMEM);
		return;
	}
	on_connected(in);
}

void ts_inbound_answer(struct ts_inbound *in)
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
		ts_inbound_fail(in, -ENOMEM);
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
	const struct ts_listener *listener = ts_inbound_taker(member, local, 0);
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
	ts_inbound_goes_to(in, listener);
	*err = ts_inbound_connect(in);
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

/* -- for the other files -------------------------------------------------- */

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
	*err = ts_inbound_await(in); /* conn is not ready to hear of it */
	if (!*err) {
		in->conn = conn;
		return in;
	}
	ts_inbound_fail(in, *err);
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
		ts_inbound_is_queued(in);
		return;
	}
	err = ts_inbound_await(in);
	if (err)
		ts_inbound_fail(in, err);
}

/* What waits for a program to accept it has no SYN that would be counted. */
static bool has_room_for_public(const struct ts_host *host,
				const struct ts_ip *caller)
{
	size_t all = 0, his = 0;

	for (const struct ts_link *at = host->inbounds.next;
	     at != &host->inbounds; at = at->next) {
		const struct ts_inbound *in =
			TS_LINK_OWNER(at, const struct ts_inbound, link);

		all += in->is_public;
		his += in->is_public &&
		       ts_ip_is_same_caller(&in->remote.ip, caller);
	}
	return all < PUBLIC_WAITS_MAX && his < PUBLIC_WAITS_EACH;
}

void ts_inbound_from_funnel(struct ts_member *member, struct stack_tcp *tcp,
			    const struct ts_addr *local,
			    const struct ts_addr *remote)
{
	struct ts_inbound *in = NULL;
	int err;

	if (has_room_for_public(member->host, &remote->ip))
		in = new_inbound(member, local, remote, TS_FUNNEL_NONE, &err);
	if (!in) {
		stack_tcp_abort(tcp);
		return;
	}
	in->is_public = true;
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
	if (!is_own && !ts_inbound_taker(member, local, 0)) {
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
		ts_inbound_fail(in, -ETIMEDOUT);
		return;
	}
}

static void accept_inbound(struct ts_inbound *in)
{
	in->is_accepted = true;
	if (in->asks_first && !in->is_answered && !in->watch)
		ts_inbound_answer(in);
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
			ts_inbound_fail(in, -ENETDOWN);
	}
}

size_t ts_inbounds_undelivered(const struct ts_host *host)
{
	const struct ts_link *head = &host->inbounds;
	size_t total = 0;

	for (struct ts_link *at = head->next; at != head; at = at->next)
		total += ts_sock_unread(
			TS_LINK_OWNER(at, struct ts_inbound, link)->fd);
	return total;
}

void ts_inbounds_close(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++)
		ts_inbounds_end(&host->members[i]);
	ts_timer_free(host->inbound_look);
	host->inbound_look = NULL;
}
