/* SPDX-License-Identifier: BSD-3-Clause
 * node_ping.c - "is it there, how far, by which path": disco, TSMP, ICMP, and
 *               the PeerAPI (peerapi_ping.c)
 *
 * A fixed table of pings under way; each ends exactly once, by an answer, by
 * its timeout, or when the node goes away.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

static void finish(struct node_ping *ping, struct ts_ping_result *result)
{
	struct node_ping done = *ping;

	if (done.tcp)
		stack_tcp_abort(done.tcp);
	memset(ping, 0, sizeof(*ping));
	done.cb(done.cb_ctx, result);
}

static uint64_t monotonic_us(const struct ts_node *node)
{
	return node->io.monotonic_us ? node->io.monotonic_us(node->io_ctx) : 0;
}

/* ms_us: by the loop's clock, where there is no better one. */
static uint64_t latency_us(const struct ts_node *node,
			   const struct node_ping *ping, uint64_t ms_us)
{
	return node->io.monotonic_us ? monotonic_us(node) - ping->sent_us
				     : ms_us;
}

/* The first label of its name, or what it calls itself. */
static void set_name(struct ts_ping_result *result,
		     const struct ts_peer *peer)
{
	const char *name = peer->name && *peer->name ? peer->name
						     : peer->hostname;

	if (name)
		snprintf(result->node_name, sizeof(result->node_name), "%.*s",
			 (int)strcspn(name, "."), name);
}

static const struct ts_peer *peer_of(const struct ts_node *node,
				     const struct node_ping *ping)
{
	const struct ts_peer *peer = NULL;

	return ts_node_route(node, &ping->ip, &peer) == TS_ROUTE_PEER ? peer
								      : NULL;
}

static void finish_ok(struct ts_node *node, struct node_ping *ping,
		      uint16_t peerapi_port)
{
	const struct ts_peer *peer = peer_of(node, ping);
	struct ts_node_peer_status status;
	struct ts_ping_result result = {.peerapi_port = peerapi_port,
					.peerapi = ping->peerapi,
					.node_ip = ping->ip};

	result.latency_us = latency_us(
		node, ping, (node->now_ms - ping->sent_ms) * 1000);
	if (peer) {
		set_name(&result, peer);
		ts_node_peer_status(node, peer, node->now_ms, &status);
		if (status.path.is_direct || status.path.is_relayed)
			result.endpoint = status.path.best;
		else
			result.derp_region = status.path.derp_region;
	}
	finish(ping, &result);
}

void node_ping_succeed(struct node_ping *ping)
{
	finish_ok(ping->node, ping, 0);
}

void node_ping_fail(struct node_ping *ping, int err)
{
	struct ts_ping_result result = {.err = err};

	finish(ping, &result);
}

static void on_disco_pong(void *ctx, int err, const struct ts_path_pong *pong)
{
	struct node_ping *ping = ctx;
	const struct ts_peer *peer;
	struct ts_ping_result result = {.err = err};

	/* No address and no DERP home of the peer known yet: that may come
	 * with the next map response, so it is a lost ping, not an answer.
	 * Lost ones end by our own time-out. */
	if (!ping->in_use || err == -EHOSTUNREACH || err == -ETIMEDOUT)
		return;
	peer = peer_of(ping->node, ping);
	if (!err && peer) {
		result.node_ip = peer->address_count ? peer->addresses[0].ip
						     : ping->ip;
		set_name(&result, peer);
	}
	if (!err) {
		result.latency_us = latency_us(ping->node, ping,
					       pong->latency_us);
		result.derp_region = pong->derp_region;
		if (pong->derp_region == 0)
			result.endpoint = pong->from;
	}
	finish(ping, &result);
}

static struct node_ping *new_ping(struct ts_node *node)
{
	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &node->pings[i];

		if (!ping->in_use)
			return ping;
	}
	return NULL;
}

static void send_ping(struct ts_node *node, struct node_ping *ping,
		      struct ts_peer *peer)
{
	struct node_peer *np = node_peer_get(node, peer);

	if (!np)
		return; /* ends by its timeout */
	switch (ping->kind) {
	case TS_PING_DISCO:
		ts_path_ping(node->path, np->path, ping->size, node->now_ms,
			     on_disco_pong, ping);
		break;
	case TS_PING_TSMP:
		node_tsmp_ping(node, peer, &ping->ip, ping->token);
		break;
	case TS_PING_ICMP:
		stack_echo_send(node->echo, &ping->ip, ping->seq, ping->token,
				sizeof(ping->token));
		break;
	case TS_PING_PEERAPI:
		node_peerapi_ping(node, ping, peer);
		break;
	}
}

void ts_node_ping(struct ts_node *node, const struct ts_ip *ip,
		  enum ts_ping_kind kind, size_t size, uint64_t now_ms,
		  ts_ping_fn cb, void *cb_ctx)
{
	const struct ts_peer *peer = NULL;
	enum ts_route route = ts_node_route(node, ip, &peer);
	struct ts_ping_result result = {.err = -EHOSTUNREACH};
	struct node_ping *ping = new_ping(node);

	node->now_ms = now_ms;
	if (route != TS_ROUTE_PEER || !ping) {
		result.is_local_ip = route == TS_ROUTE_SELF;
		if (route == TS_ROUTE_PEER)
			result.err = -EAGAIN;
		cb(cb_ctx, &result);
		return;
	}
	*ping = (struct node_ping){.in_use = true, .kind = kind, .size = size,
				   .ip = *ip,
				   .seq = ++node->ping_seq, .sent_ms = now_ms,
				   .sent_us = monotonic_us(node),
				   .cb = cb, .cb_ctx = cb_ctx, .node = node};
	ts_random_bytes(ping->token, sizeof(ping->token));
	send_ping(node, ping, ts_netmap_peer_by_id(ts_node_netmap(node),
						   peer->id));
}

void node_ping_tsmp_pong(struct ts_node *node, const uint8_t token[static 8],
			 uint16_t peerapi_port)
{
	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &node->pings[i];

		if (ping->in_use && ping->kind == TS_PING_TSMP &&
		    memcmp(ping->token, token, sizeof(ping->token)) == 0)
			finish_ok(node, ping, peerapi_port);
	}
}

static void on_echo_reply(void *user, const struct ts_ip *from, uint16_t seq,
			  const uint8_t *data, size_t len)
{
	struct ts_node *node = user;

	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &node->pings[i];

		if (ping->in_use && ping->kind == TS_PING_ICMP &&
		    ping->seq == seq && ts_ip_equal(&ping->ip, from) &&
		    len == sizeof(ping->token) &&
		    memcmp(data, ping->token, len) == 0)
			finish_ok(node, ping, 0);
	}
}

int node_ping_open(struct ts_node *node)
{
	int err;

	node->echo = stack_echo_open(node->stack, on_echo_reply, NULL, node,
				     &err);
	return err;
}

static uint64_t ping_end_ms(const struct node_ping *ping)
{
	return ping->sent_ms + NODE_PING_TIMEOUT_MS;
}

uint64_t node_ping_deadline_ms(const struct ts_node *node)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		const struct node_ping *ping = &node->pings[i];

		if (ping->in_use && ping_end_ms(ping) < at)
			at = ping_end_ms(ping);
	}
	return at;
}

static void fail_until(struct ts_node *node, uint64_t now_ms, int err)
{
	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &node->pings[i];
		struct ts_ping_result result = {.err = err};

		if (ping->in_use && ping_end_ms(ping) <= now_ms)
			finish(ping, &result);
	}
}

void node_ping_tick(struct ts_node *node)
{
	fail_until(node, node->now_ms, -ETIMEDOUT);
}

void node_ping_forget_all(struct ts_node *node)
{
	fail_until(node, UINT64_MAX, -ENETDOWN);
}
