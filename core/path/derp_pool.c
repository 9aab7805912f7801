/* SPDX-License-Identifier: BSD-3-Clause
 * derp_pool.c - to which DERP regions we are connected, and which one to use
 *
 * A connection's stream is none, opening or open; the protocol on it is
 * derp_client's. Everything that fails only notes when to try again, and tick
 * does it, so that an op that fails at once cannot make us recurse. Records
 * are freed in tick and set_map only, never below a callback.
 */
#include "core/path/derp_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"

enum stream_state { STREAM_NONE, STREAM_OPENING, STREAM_OPEN };

struct ts_derp_conn {
	struct ts_derp_conn *next;
	struct ts_derp_pool *pool;
	int region;
	uint64_t number;     /* changes with each connection */
	uint64_t definition; /* fingerprint of the region when opened */
	enum stream_state stream;
	struct ts_derp_client client;
	size_t node;          /* index of the node in use or to try next */
	unsigned fail_rounds; /* without one success that lasted */
	uint64_t ready_ms;    /* ServerInfo came; valid while it is ready */
	uint64_t open_at_ms;  /* STREAM_NONE: when to open */
	uint64_t last_write_ms;
	uint64_t heard_ms;
};

/* -- regions ------------------------------------------------------------- */

static const struct ts_derp_region *region_of(const struct ts_derp_pool *pool,
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

/* The old map may be gone when the new one comes, so a number stands for what
 * a region looked like. Not against forgers: control may change it anyway. */
static uint64_t definition_of(const struct ts_derp_region *region)
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

static bool can_relay(const struct ts_derp_region *region)
{
	return region && relaying_node(region, 0) < region->node_count;
}

/* -- one connection ------------------------------------------------------ */

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

static struct ts_derp_conn *find_conn(const struct ts_derp_pool *pool,
				      int region)
{
	struct ts_derp_conn *conn = pool->conns;

	while (conn && conn->region != region)
		conn = conn->next;
	return conn;
}

static void close_stream(struct ts_derp_conn *conn)
{
	bool had_stream = conn->stream != STREAM_NONE;

	conn->stream = STREAM_NONE;
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

/* The stream is gone. Next: the region's next node at once or, when it had
 * worked or was the last one, the first node after a pause. */
static void conn_failed(struct ts_derp_conn *conn, bool was_ready,
			uint64_t now_ms)
{
	struct ts_derp_pool *pool = conn->pool;
	const struct ts_derp_region *region = region_of(pool, conn->region);
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

/* We end the connection ourselves, since it is of no use. */
static void give_up(struct ts_derp_conn *conn, int err, uint64_t now_ms)
{
	bool was_ready = conn->client.state == DERP_CLIENT_READY;

	/* While a server stays away this is no news. */
	ts_log(conn->fail_rounds > 0 ? TS_LOG_DEBUG : TS_LOG_WARN,
	       "derp-%d: connection given up: %s", conn->region,
	       ts_strerror(err));
	close_stream(conn);
	conn_failed(conn, was_ready, now_ms);
}

static void open_stream(struct ts_derp_conn *conn, uint64_t now_ms)
{
	struct ts_derp_pool *pool = conn->pool;
	const struct ts_derp_region *region = region_of(pool, conn->region);

	if (!can_relay(region)) {
		conn->open_at_ms = now_ms + DERP_BACKOFF_MAX_MS;
		return;
	}
	conn->node = relaying_node(region, conn->node);
	if (conn->node >= region->node_count)
		conn->node = relaying_node(region, 0);
	conn->definition = definition_of(region);
	conn->stream = STREAM_OPENING;
	pool->ops->open(pool->ctx, conn->region, &region->nodes[conn->node]);
}

static void free_conn(struct ts_derp_conn **link)
{
	struct ts_derp_conn *conn = *link;

	close_stream(conn);
	*link = conn->next;
	ts_derp_client_deinit(&conn->client);
	log_debug("derp-%d: closed, %llu packets dropped", conn->region,
		  (unsigned long long)conn->client.dropped_queue);
	free(conn);
}

static struct ts_derp_conn *new_conn(struct ts_derp_pool *pool, int region,
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

/* -- which connection ---------------------------------------------------- */

static struct ts_derp_conn *find_route(const struct ts_derp_pool *pool,
				       const struct ts_derp_route *route)
{
	struct ts_derp_conn *conn = find_conn(pool, route->region);

	return conn && conn->number == route->conn ? conn : NULL;
}

/* An open connection to the peer's own region first: it is there for sure,
 * while a route tells only where it once called from. */
static struct ts_derp_conn *find_way(const struct ts_derp_pool *pool,
				     int region,
				     const struct ts_derp_route *route)
{
	struct ts_derp_conn *conn = find_conn(pool, region);

	return conn ? conn : find_route(pool, route);
}

int ts_derp_pool_pick(const struct ts_derp_pool *pool, int region,
		      const struct ts_derp_route *route)
{
	const struct ts_derp_conn *conn = find_way(pool, region, route);

	if (conn)
		return conn->region;
	return can_relay(region_of(pool, region)) ? region : 0;
}

struct ts_derp_route ts_derp_pool_route(const struct ts_derp_pool *pool,
					int region)
{
	const struct ts_derp_conn *conn = find_conn(pool, region);

	if (!conn)
		return (struct ts_derp_route){0};
	return (struct ts_derp_route){.region = region, .conn = conn->number};
}

/* The connection to a region, opened when there is none. */
static struct ts_derp_conn *demand_conn(struct ts_derp_pool *pool, int region,
					uint64_t now_ms, int *err)
{
	struct ts_derp_conn *conn = find_conn(pool, region);

	*err = 0;
	if (conn)
		return conn;
	*err = -EHOSTUNREACH;
	if (!can_relay(region_of(pool, region)))
		return NULL;
	*err = -ENOMEM;
	conn = new_conn(pool, region, now_ms);
	if (!conn)
		return NULL;
	*err = 0;
	log_debug("derp-%d: adding connection", region);
	open_stream(conn, now_ms);
	return conn;
}

int ts_derp_pool_connect(struct ts_derp_pool *pool, int region, uint64_t now_ms)
{
	int err;
	struct ts_derp_conn *conn = demand_conn(pool, region, now_ms, &err);

	if (conn)
		conn->last_write_ms = now_ms;
	return err;
}

int ts_derp_pool_send(struct ts_derp_pool *pool, int region,
		      const struct ts_derp_route *route,
		      const struct ts_public_key *dst, struct ts_packet *pkt,
		      uint64_t now_ms)
{
	struct ts_derp_conn *conn = find_way(pool, region, route);
	int err;

	if (!conn)
		conn = demand_conn(pool, region, now_ms, &err);
	if (!conn)
		return err;
	conn->last_write_ms = now_ms;
	return ts_derp_client_send(&conn->client, dst, pkt, now_ms);
}

bool ts_derp_pool_is_ready(const struct ts_derp_pool *pool, int region)
{
	const struct ts_derp_conn *conn = find_conn(pool, region);

	return conn && conn->client.state == DERP_CLIENT_READY;
}

uint64_t ts_derp_pool_heard_ms(const struct ts_derp_pool *pool, int region)
{
	const struct ts_derp_conn *conn = find_conn(pool, region);

	return conn ? conn->heard_ms : 0;
}

/* -- what the pool is told ----------------------------------------------- */

void ts_derp_pool_set_home(struct ts_derp_pool *pool, int region,
			   uint64_t now_ms)
{
	struct ts_derp_conn *old = find_conn(pool, pool->home);
	struct ts_derp_conn *conn;
	int err;

	if (old && pool->home != region) {
		/* From now on it lives as long as others use it. */
		old->last_write_ms = now_ms;
		ts_derp_client_set_home(&old->client, false);
	}
	pool->home = region;
	if (region == 0)
		return;
	conn = demand_conn(pool, region, now_ms, &err);
	if (conn)
		ts_derp_client_set_home(&conn->client, true);
	else
		log_warn("derp-%d: no connection to the home region: %s",
			 region, ts_strerror(err));
}

/* Over again, at once and from the first node. */
static void restart_conn(struct ts_derp_conn *conn, uint64_t now_ms)
{
	close_stream(conn);
	conn->node = 0;
	conn->fail_rounds = 0;
	conn->open_at_ms = now_ms;
}

void ts_derp_pool_set_key(struct ts_derp_pool *pool,
			  const struct ts_private_key *node_key,
			  uint64_t now_ms)
{
	pool->identity.private_key = *node_key;
	ts_public_key_from_private(node_key, &pool->identity.public_key);
	for (struct ts_derp_conn *conn = pool->conns; conn; conn = conn->next)
		restart_conn(conn, now_ms);
}

void ts_derp_pool_set_map(struct ts_derp_pool *pool,
			  const struct ts_derp_map *map, uint64_t now_ms)
{
	struct ts_derp_conn **link = &pool->conns;

	pool->map = map;
	if (!can_relay(region_of(pool, pool->home)))
		pool->home = 0;
	while (*link) {
		struct ts_derp_conn *conn = *link;
		const struct ts_derp_region *region =
			region_of(pool, conn->region);

		if (!can_relay(region)) {
			free_conn(link);
			continue;
		}
		if (conn->stream != STREAM_NONE &&
		    conn->definition != definition_of(region))
			restart_conn(conn, now_ms);
		link = &conn->next;
	}
}

void ts_derp_pool_check(struct ts_derp_pool *pool, uint64_t now_ms)
{
	for (struct ts_derp_conn *conn = pool->conns; conn; conn = conn->next)
		ts_derp_client_check(&conn->client, now_ms);
}

void ts_derp_pool_doubt(struct ts_derp_pool *pool, uint64_t now_ms)
{
	for (struct ts_derp_conn *conn = pool->conns; conn; conn = conn->next)
		if (now_ms >= conn->heard_ms + DERP_DOUBT_MS &&
		    conn->client.check_until_ms == UINT64_MAX)
			ts_derp_client_check(&conn->client, now_ms);
}

/* -- what the streams did ------------------------------------------------ */

void ts_derp_pool_opened(struct ts_derp_pool *pool, int region,
			 const struct ts_public_key *meta_key, uint64_t now_ms)
{
	const struct ts_derp_region *def = region_of(pool, region);
	struct ts_derp_conn *conn = find_conn(pool, region);
	struct ts_derp_hello hello;
	const char *host;
	int err;

	if (!conn || conn->stream != STREAM_OPENING || !def ||
	    conn->node >= def->node_count)
		return;
	conn->stream = STREAM_OPEN;
	host = def->nodes[conn->node].host_name;
	hello = (struct ts_derp_hello){
		.host_name = host ? host : "",
		.ideal_node = conn->node > 0 ? def->nodes[0].name : NULL,
		.meta_key = meta_key,
		.is_home = pool->home == region,
	};
	err = ts_derp_client_open(&conn->client, &hello, now_ms);
	if (err && err != -ECANCELED)
		give_up(conn, err, now_ms);
}

void ts_derp_pool_input(struct ts_derp_pool *pool, int region,
			const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct ts_derp_conn *conn = find_conn(pool, region);
	int err;

	if (!conn || conn->stream != STREAM_OPEN)
		return;
	conn->heard_ms = now_ms;
	err = ts_derp_client_input(&conn->client, data, len, now_ms);
	if (err && err != -ECANCELED)
		give_up(conn, err, now_ms);
}

void ts_derp_pool_closed(struct ts_derp_pool *pool, int region,
			 const char *error, uint64_t now_ms)
{
	struct ts_derp_conn *conn = find_conn(pool, region);
	bool was_ready;

	if (!conn || conn->stream == STREAM_NONE)
		return;
	was_ready = conn->client.state == DERP_CLIENT_READY;
	log_info("derp-%d: disconnected: %s", region,
		 error ? error : "closed by the server");
	conn->stream = STREAM_NONE;
	close_stream(conn);
	conn_failed(conn, was_ready, now_ms);
}

void ts_derp_pool_drained(struct ts_derp_pool *pool, int region,
			  uint64_t now_ms)
{
	struct ts_derp_conn *conn = find_conn(pool, region);

	if (conn && conn->stream == STREAM_OPEN)
		ts_derp_client_drained(&conn->client, now_ms);
}

/* -- time, ends ---------------------------------------------------------- */

/* Home is never idle. */
static uint64_t idle_ms(const struct ts_derp_conn *conn)
{
	if (conn->region == conn->pool->home)
		return UINT64_MAX;
	return conn->last_write_ms + DERP_IDLE_CLOSE_MS;
}

static uint64_t conn_deadline_ms(const struct ts_derp_conn *conn)
{
	uint64_t at_ms = ts_derp_client_deadline_ms(&conn->client);

	if (conn->stream == STREAM_NONE && conn->open_at_ms < at_ms)
		at_ms = conn->open_at_ms;
	return idle_ms(conn) < at_ms ? idle_ms(conn) : at_ms;
}

uint64_t ts_derp_pool_deadline_ms(const struct ts_derp_pool *pool)
{
	uint64_t at_ms = UINT64_MAX;

	for (const struct ts_derp_conn *conn = pool->conns; conn;
	     conn = conn->next)
		if (conn_deadline_ms(conn) < at_ms)
			at_ms = conn_deadline_ms(conn);
	return at_ms;
}

static void tick_conn(struct ts_derp_conn *conn, uint64_t now_ms)
{
	int err;

	if (conn->stream == STREAM_NONE) {
		if (now_ms >= conn->open_at_ms)
			open_stream(conn, now_ms);
		return;
	}
	err = ts_derp_client_tick(&conn->client, now_ms);
	if (err)
		give_up(conn, err, now_ms);
}

void ts_derp_pool_tick(struct ts_derp_pool *pool, uint64_t now_ms)
{
	struct ts_derp_conn **link = &pool->conns;

	while (*link) {
		if (now_ms >= idle_ms(*link)) {
			free_conn(link);
			continue;
		}
		link = &(*link)->next;
	}
	for (struct ts_derp_conn *conn = pool->conns; conn; conn = conn->next)
		tick_conn(conn, now_ms);
}

void ts_derp_pool_init(struct ts_derp_pool *pool,
		       const struct ts_private_key *node_key,
		       const struct ts_derp_pool_ops *ops, void *ctx)
{
	*pool = (struct ts_derp_pool){.ops = ops, .ctx = ctx};
	pool->identity.private_key = *node_key;
	ts_public_key_from_private(node_key, &pool->identity.public_key);
}

void ts_derp_pool_deinit(struct ts_derp_pool *pool)
{
	while (pool->conns)
		free_conn(&pool->conns);
	ts_wipe(&pool->identity, sizeof(pool->identity));
}
