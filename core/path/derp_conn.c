/* SPDX-License-Identifier: BSD-3-Clause
 * derp_conn.c - one connection of the pool, to one region
 *
 * Its stream is none, opening or open; the protocol on it is derp_client's. A
 * region's nodes are tried one after the other, then there is a pause that
 * grows with each round. Whatever fails only notes when to try again: the
 * pool's tick does it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_conn.h"

/* -- regions -------------------------------------------------------------- */

const struct ts_derp_region *ts_derp_region_of(const struct ts_derp_pool *pool,
					       int id)
{
	return pool->map ? ts_derp_map_region(pool->map, id) : NULL;
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u; /* FNV-1a */
	return h;
}

static uint64_t hash_text(uint64_t h, const char *text)
{
	return text ? hash_bytes(h, text, strlen(text) + 1)
		    : hash_bytes(h, "\1", 1);
}

uint64_t ts_derp_region_definition(const struct ts_derp_region *region)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < region->node_count; i++) {
		const struct ts_derp_node *node = &region->nodes[i];

		h = hash_text(h, node->name);
		h = hash_text(h, node->host_name);
		h = hash_text(h, node->cert_name);
		h = hash_text(h, node->ipv4);
		h = hash_text(h, node->ipv6);
		h = hash_bytes(h, &node->derp_port, sizeof(node->derp_port));
		h = hash_bytes(h, &node->stun_only, sizeof(node->stun_only));
		h = hash_bytes(h, &node->insecure_for_tests,
			       sizeof(node->insecure_for_tests));
	}
	return h;
}

/* The first node from index on that relays; node_count: none. */
static size_t relaying_node(const struct ts_derp_region *region, size_t index)
{
	while (index < region->node_count && region->nodes[index].stun_only)
		index++;
	return index;
}

bool ts_derp_region_can_relay(const struct ts_derp_region *region)
{
	return region && relaying_node(region, 0) < region->node_count;
}

/* -- what the client says ------------------------------------------------- */

static void conn_write(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_derp_conn *conn = ctx;

	conn->pool->ops->write(conn->pool->ctx, conn->region, data, len);
}

static size_t conn_queued(void *ctx)
{
	struct ts_derp_conn *conn = ctx;

	return conn->pool->ops->queued(conn->pool->ctx, conn->region);
}

static void conn_ready(void *ctx, uint64_t now_ms)
{
	struct ts_derp_conn *conn = ctx;

	conn->ready_ms = now_ms;
	log_info("derp-%d: connected", conn->region);
	conn->pool->ops->up(conn->pool->ctx, conn->region, now_ms);
}

static void conn_packet(void *ctx, const struct ts_public_key *src,
			const uint8_t *pkt, size_t len, uint64_t now_ms)
{
	struct ts_derp_conn *conn = ctx;

	conn->pool->ops->packet(conn->pool->ctx, conn->region, src, pkt, len,
				now_ms);
}

static void conn_peer_gone(void *ctx, const struct ts_public_key *peer)
{
	struct ts_derp_conn *conn = ctx;

	conn->pool->ops->peer_gone(conn->pool->ctx, conn->region, peer);
}

static void conn_health(void *ctx, const char *problem)
{
	struct ts_derp_conn *conn = ctx;

	conn->pool->ops->health(conn->pool->ctx, conn->region, problem);
}

static const struct ts_derp_client_ops client_ops = {
	.write = conn_write,
	.queued = conn_queued,
	.ready = conn_ready,
	.packet = conn_packet,
	.peer_gone = conn_peer_gone,
	.health = conn_health,
};

/* -- its stream ----------------------------------------------------------- */

void ts_derp_conn_close_stream(struct ts_derp_conn *conn)
{
	bool had_stream = conn->stream != DERP_STREAM_NONE;

	conn->stream = DERP_STREAM_NONE;
	conn->number = ++conn->pool->conn_count; /* routes to it are void */
	ts_derp_client_close(&conn->client);
	if (had_stream)
		conn->pool->ops->close(conn->pool->ctx, conn->region);
}

/* Times 0.5 to 1.5: a server that restarts must not see all its clients at
 * once. */
static uint64_t backoff_ms(unsigned rounds)
{
	uint64_t ms = (uint64_t)rounds * rounds * DERP_BACKOFF_STEP_MS;

	if (ms > DERP_BACKOFF_MAX_MS)
		ms = DERP_BACKOFF_MAX_MS;
	return ms / 2 + ts_random_below((uint32_t)ms + 1);
}

void ts_derp_conn_failed(struct ts_derp_conn *conn, bool was_ready,
			 uint64_t now_ms)
{
	struct ts_derp_pool *pool = conn->pool;
	const struct ts_derp_region *region =
		ts_derp_region_of(pool, conn->region);
	uint64_t pause_ms = 0;

	/* A server that lets us in only to throw us out is no success. */
	if (was_ready && now_ms - conn->ready_ms >= DERP_STABLE_MS)
		conn->fail_rounds = 0;
	conn->node++;
	if (was_ready || !region ||
	    relaying_node(region, conn->node) >= region->node_count) {
		conn->node = 0;
		pause_ms = backoff_ms(++conn->fail_rounds);
		if (conn->client.restart_in_ms > pause_ms)
			pause_ms = conn->client.restart_in_ms;
		conn->client.restart_in_ms = 0;
	}
	conn->open_at_ms = now_ms + pause_ms;
	if (conn->node == 0)
		pool->ops->down(pool->ctx, conn->region, now_ms);
}

void ts_derp_conn_give_up(struct ts_derp_conn *conn, int err, uint64_t now_ms)
{
	bool was_ready = conn->client.state == DERP_CLIENT_READY;

	/* While a server stays away this is no news. */
	ts_log(conn->fail_rounds > 0 ? TS_LOG_DEBUG : TS_LOG_WARN,
	       "derp-%d: connection given up: %s", conn->region,
	       ts_strerror(err));
	ts_derp_conn_close_stream(conn);
	ts_derp_conn_failed(conn, was_ready, now_ms);
}

void ts_derp_conn_open_stream(struct ts_derp_conn *conn, uint64_t now_ms)
{
	struct ts_derp_pool *pool = conn->pool;
	const struct ts_derp_region *region =
		ts_derp_region_of(pool, conn->region);

	if (!ts_derp_region_can_relay(region)) {
		conn->open_at_ms = now_ms + DERP_BACKOFF_MAX_MS;
		return;
	}
	conn->node = relaying_node(region, conn->node);
	if (conn->node >= region->node_count)
		conn->node = relaying_node(region, 0);
	conn->definition = ts_derp_region_definition(region);
	conn->stream = DERP_STREAM_OPENING;
	pool->ops->open(pool->ctx, conn->region, &region->nodes[conn->node]);
}

/* -- coming and going ----------------------------------------------------- */

struct ts_derp_conn *ts_derp_conn_find(const struct ts_derp_pool *pool,
				       int region)
{
	struct ts_derp_conn *conn = pool->conns;

	while (conn && conn->region != region)
		conn = conn->next;
	return conn;
}

void ts_derp_conn_free(struct ts_derp_conn **link)
{
	struct ts_derp_conn *conn = *link;

	ts_derp_conn_close_stream(conn);
	*link = conn->next;
	ts_derp_client_deinit(&conn->client);
	log_debug("derp-%d: closed, %llu packets dropped", conn->region,
		  (unsigned long long)conn->client.dropped_queue);
	free(conn);
}

struct ts_derp_conn *ts_derp_conn_new(struct ts_derp_pool *pool, int region,
				      uint64_t now_ms)
{
	struct ts_derp_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->pool = pool;
	conn->region = region;
	conn->number = ++pool->conn_count;
	conn->last_write_ms = now_ms;
	conn->open_at_ms = now_ms;
	ts_derp_client_init(&conn->client, region, &pool->identity, &client_ops,
			    conn);
	conn->next = pool->conns;
	pool->conns = conn;
	return conn;
}
