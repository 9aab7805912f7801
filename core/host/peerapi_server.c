/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_server.c - connections of peers to our PeerAPI
 *
 * Its port belongs to the address (core/node/peerapi_port.c), and the filter
 * lets every peer of the netmap come: who may have what is decided request by
 * request. Silence, slowness and numbers are bounded.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/host/peerapi_conn.h"

enum { SWEEP_MS = 5000, OUT_MAX = 128 * 1024 };

static size_t count_of(const struct ts_peerapi *api, int64_t peer_id)
{
	size_t count = 0;

	for (const struct ts_link *at = api->conns.next; at != &api->conns;
	     at = at->next)
		count += TS_LINK_OWNER(at, struct ts_peerapi_conn, link)
				 ->peer_id == peer_id;
	return count;
}

static struct ts_peerapi_conn *new_conn(struct ts_member *member,
					const struct ts_addr *remote)
{
	struct ts_peerapi *api = member->peerapi;
	const struct ts_peer *peer = ts_node_whois(member->node, &remote->ip);
	struct ts_peerapi_conn *conn;

	if (!peer || api->count >= PEERAPI_CONNS_MAX ||
	    count_of(api, peer->id) >= PEERAPI_CONNS_EACH)
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	conn->member = member;
	conn->remote = *remote;
	conn->peer_id = peer->id;
	ts_byte_queue_init(&conn->in, PEERAPI_INPUT_MAX);
	ts_byte_queue_init(&conn->out, OUT_MAX);
	peerapi_conn_set_due(conn, PEERAPI_REQUEST_MS);
	ts_list_insert(&api->conns, &conn->link);
	if (api->count++ == 0)
		ts_timer_set(api->sweep,
			     ts_host_now_ms(member->host) + SWEEP_MS);
	return conn;
}

bool ts_peerapi_owns(const struct ts_member *member,
		     const struct ts_addr *local)
{
	return local->port != 0 &&
	       local->port == ts_node_peerapi_port(member->node,
						   !ts_ip_is_v4(&local->ip)) &&
	       !ts_listener_for(member, IPPROTO_TCP, local);
}

void ts_peerapi_syn(struct ts_member *member, struct stack_syn *syn,
		    const struct ts_addr *remote)
{
	struct ts_peerapi_conn *conn = new_conn(member, remote);

	if (!conn) {
		stack_syn_refuse(syn);
		return;
	}
	conn->tcp = stack_syn_accept(syn, &peerapi_conn_ops, conn,
				     ts_host_now_ms(member->host));
	if (!conn->tcp)
		peerapi_conn_end(conn);
}

void ts_peerapi_want_turn(struct ts_peerapi_conn *conn)
{
	conn->wants_turn = true;
	ts_timer_set(conn->member->peerapi->turn,
		     ts_host_now_ms(conn->member->host));
}

static void on_turn(void *ctx)
{
	struct ts_member *member = ctx;
	struct ts_peerapi *api = member->peerapi;
	struct ts_link *next;

	for (struct ts_link *at = api->conns.next; at != &api->conns;
	     at = next) {
		struct ts_peerapi_conn *conn =
			TS_LINK_OWNER(at, struct ts_peerapi_conn, link);

		next = at->next;
		if (!conn->wants_turn)
			continue;
		conn->wants_turn = false;
		peerapi_conn_take_turn(conn);
	}
}

static void on_sweep(void *ctx)
{
	struct ts_member *member = ctx;
	struct ts_peerapi *api = member->peerapi;
	uint64_t now_ms = ts_host_now_ms(member->host);
	struct ts_link *next;

	for (struct ts_link *at = api->conns.next; at != &api->conns;
	     at = next) {
		struct ts_peerapi_conn *conn =
			TS_LINK_OWNER(at, struct ts_peerapi_conn, link);

		next = at->next;
		if (now_ms >= conn->due_ms)
			peerapi_conn_abort(conn);
	}
	if (api->count > 0)
		ts_timer_set(api->sweep, now_ms + SWEEP_MS);
}

int ts_peerapi_open(struct ts_member *member)
{
	struct ts_peerapi *api = calloc(1, sizeof(*api));

	if (!api)
		return -ENOMEM;
	member->peerapi = api;
	ts_list_init(&api->conns);
	api->sweep = ts_timer_new(member->host->loop, on_sweep, member);
	api->turn = ts_timer_new(member->host->loop, on_turn, member);
	return api->sweep && api->turn ? 0 : -ENOMEM;
}

void ts_peerapi_leave_node(struct ts_member *member)
{
	struct ts_peerapi *api = member->peerapi;

	while (api && !ts_list_is_empty(&api->conns))
		peerapi_conn_abort(TS_LINK_OWNER(api->conns.next,
					 struct ts_peerapi_conn, link));
}

void ts_peerapi_close(struct ts_member *member)
{
	struct ts_peerapi *api = member->peerapi;

	if (!api)
		return;
	ts_peerapi_leave_node(member);
	ts_timer_free(api->sweep);
	ts_timer_free(api->turn);
	free(api);
	member->peerapi = NULL;
}
