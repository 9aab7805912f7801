/* SPDX-License-Identifier: BSD-3-Clause
 * derp_pool.c - to which DERP regions we are connected, and which one to use
 *
 * Each connection is in derp_conn.c. Everything that fails only notes when to
 * try again, and tick does it, so that an op that fails at once cannot make us
 * recurse. Records are freed in tick and set_map only, never below a callback.
 */
#include "core/path/derp_pool.h"

#include <errno.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_conn.h"

/* -- which connection ----------------------------------------------------- */

static struct ts_derp_conn *find_route(const struct ts_derp_pool *pool,
				       const struct ts_derp_route *route)
{
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, route->region);

	return conn && conn->number == route->conn ? conn : NULL;
}

/* An open connection to the peer's own region first: it is there for sure,
 * while a route tells only where it once called from. */
static struct ts_derp_conn *find_way(const struct ts_derp_pool *pool,
				     int region,
				     const struct ts_derp_route *route)
{
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);

	return conn ? conn : find_route(pool, route);
}

int ts_derp_pool_pick(const struct ts_derp_pool *pool, int region,
		      const struct ts_derp_route *route)
{
	const struct ts_derp_conn *conn = find_way(pool, region, route);

	if (conn)
		return conn->region;
	return ts_derp_region_can_relay(ts_derp_region_of(pool, region))
		       ? region
		       : 0;
}

struct ts_derp_route ts_derp_pool_route(const struct ts_derp_pool *pool,
					int region)
{
	const struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);

	if (!conn)
		return (struct ts_derp_route){0};
	return (struct ts_derp_route){.region = region, .conn = conn->number};
}

/* The connection to a region, opened when there is none. */
static struct ts_derp_conn *demand_conn(struct ts_derp_pool *pool, int region,
					uint64_t now_ms, int *err)
{
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);

	*err = 0;
	if (conn)
		return conn;
	*err = -EHOSTUNREACH;
	if (!ts_derp_region_can_relay(ts_derp_region_of(pool, region)))
		return NULL;
	*err = -ENOMEM;
	conn = ts_derp_conn_new(pool, region, now_ms);
	if (!conn)
		return NULL;
	*err = 0;
	log_debug("derp-%d: adding connection", region);
	ts_derp_conn_open_stream(conn, now_ms);
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
	const struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);

	return conn && conn->client.state == DERP_CLIENT_READY;
}

uint64_t ts_derp_pool_heard_ms(const struct ts_derp_pool *pool, int region)
{
	const struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);

	return conn ? conn->heard_ms : 0;
}

/* -- what the pool is told ------------------------------------------------ */

void ts_derp_pool_set_home(struct ts_derp_pool *pool, int region,
			   uint64_t now_ms)
{
	struct ts_derp_conn *old = ts_derp_conn_find(pool, pool->home);
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
	ts_derp_conn_close_stream(conn);
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
	if (!ts_derp_region_can_relay(ts_derp_region_of(pool, pool->home)))
		pool->home = 0;
	while (*link) {
		struct ts_derp_conn *conn = *link;
		const struct ts_derp_region *region =
			ts_derp_region_of(pool, conn->region);

		if (!ts_derp_region_can_relay(region)) {
			ts_derp_conn_free(link);
			continue;
		}
		if (conn->stream != DERP_STREAM_NONE &&
		    conn->definition != ts_derp_region_definition(region))
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

/* -- what the streams did ------------------------------------------------- */

void ts_derp_pool_opened(struct ts_derp_pool *pool, int region,
			 const struct ts_public_key *meta_key, uint64_t now_ms)
{
	const struct ts_derp_region *def = ts_derp_region_of(pool, region);
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);
	struct ts_derp_hello hello;
	const char *host;
	int err;

	if (!conn || conn->stream != DERP_STREAM_OPENING || !def ||
	    conn->node >= def->node_count)
		return;
	conn->stream = DERP_STREAM_OPEN;
	host = def->nodes[conn->node].host_name;
	hello = (struct ts_derp_hello){
		.host_name = host ? host : "",
		.ideal_node = conn->node > 0 ? def->nodes[0].name : NULL,
		.meta_key = meta_key,
		.is_home = pool->home == region,
	};
	err = ts_derp_client_open(&conn->client, &hello, now_ms);
	if (err && err != -ECANCELED)
		ts_derp_conn_give_up(conn, err, now_ms);
}

void ts_derp_pool_input(struct ts_derp_pool *pool, int region,
			const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);
	int err;

	if (!conn || conn->stream != DERP_STREAM_OPEN)
		return;
	conn->heard_ms = now_ms;
	err = ts_derp_client_input(&conn->client, data, len, now_ms);
	if (err && err != -ECANCELED)
		ts_derp_conn_give_up(conn, err, now_ms);
}

void ts_derp_pool_closed(struct ts_derp_pool *pool, int region,
			 const char *error, uint64_t now_ms)
{
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);
	bool was_ready;

	if (!conn || conn->stream == DERP_STREAM_NONE)
		return;
	was_ready = conn->client.state == DERP_CLIENT_READY;
	log_info("derp-%d: disconnected: %s", region,
		 error ? error : "closed by the server");
	conn->stream = DERP_STREAM_NONE;
	ts_derp_conn_close_stream(conn);
	ts_derp_conn_failed(conn, was_ready, now_ms);
}

void ts_derp_pool_drained(struct ts_derp_pool *pool, int region,
			  uint64_t now_ms)
{
	struct ts_derp_conn *conn = ts_derp_conn_find(pool, region);

	if (conn && conn->stream == DERP_STREAM_OPEN)
		ts_derp_client_drained(&conn->client, now_ms);
}

/* -- time, ends ----------------------------------------------------------- */

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

	if (conn->stream == DERP_STREAM_NONE && conn->open_at_ms < at_ms)
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

	if (conn->stream == DERP_STREAM_NONE) {
		if (now_ms >= conn->open_at_ms)
			ts_derp_conn_open_stream(conn, now_ms);
		return;
	}
	err = ts_derp_client_tick(&conn->client, now_ms);
	if (err)
		ts_derp_conn_give_up(conn, err, now_ms);
}

void ts_derp_pool_tick(struct ts_derp_pool *pool, uint64_t now_ms)
{
	struct ts_derp_conn **link = &pool->conns;

	while (*link) {
		if (now_ms >= idle_ms(*link)) {
			ts_derp_conn_free(link);
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
		ts_derp_conn_free(&pool->conns);
	ts_wipe(&pool->identity, sizeof(pool->identity));
}
