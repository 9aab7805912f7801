/* SPDX-License-Identifier: BSD-3-Clause
 * derp_pool.h - to which DERP regions we are connected, and which one to use
 *
 * The home region stays connected; any other is opened when a peer's packets
 * need it and closed after 60 s without a write. Within a region its nodes are
 * tried in order (not the STUN-only ones); when all failed the next round
 * waits n^2 * 10 ms, at most 5 s, times 0.5 to 1.5; n starts over once a
 * connection has lasted 10 s. Who hears from a peer through a region may
 * answer on the same connection (reverse route): a route names the region and
 * the connection's number, so that a reconnect makes it void by itself.
 * Source: wgengine/magicsock/derp.go, PROTOCOL 8.1, 8.3
 */
#ifndef CORE_PATH_DERP_POOL_H
#define CORE_PATH_DERP_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/model/netmap.h"
#include "core/path/derp_client.h"

enum {
	DERP_IDLE_CLOSE_MS = 60000,
	DERP_BACKOFF_STEP_MS = 10,
	DERP_BACKOFF_MAX_MS = 5000,
	DERP_STABLE_MS = 10000,
	DERP_DOUBT_MS = 500,
};

struct ts_derp_pool;
struct ts_derp_conn;

struct ts_derp_pool_ops {
	/* The stream, as in ts_path_ops. */
	void (*open)(void *ctx, int region, const struct ts_derp_node *node);
	void (*close)(void *ctx, int region);
	void (*write)(void *ctx, int region, const uint8_t *data, size_t len);
	size_t (*queued)(void *ctx, int region);
	/* ServerInfo came. */
	void (*up)(void *ctx, int region, uint64_t now_ms);
	/* An established connection broke, or a whole round of the region's
	 * nodes failed. */
	void (*down)(void *ctx, int region, uint64_t now_ms);
	void (*packet)(void *ctx, int region, const struct ts_public_key *src,
		       const uint8_t *pkt, size_t len, uint64_t now_ms);
	void (*peer_gone)(void *ctx, int region,
			  const struct ts_public_key *peer);
	void (*health)(void *ctx, int region, const char *problem);
};

/* Where a peer was last heard. */
struct ts_derp_route {
	int region; /* 0: nowhere */
	uint64_t conn;
};

struct ts_derp_pool {
	const struct ts_derp_pool_ops *ops;
	void *ctx;
	struct ts_derp_identity identity;
	const struct ts_derp_map *map; /* the caller's, or NULL */
	struct ts_derp_conn *conns;    /* few: a plain list */
	int home;                      /* 0: none */
	uint64_t conn_count;           /* connections ever made: numbers them */
};

void ts_derp_pool_init(struct ts_derp_pool *pool,
		       const struct ts_private_key *node_key,
		       const struct ts_derp_pool_ops *ops, void *ctx);
void ts_derp_pool_deinit(struct ts_derp_pool *pool);
/* All connections start over as the new key. */
void ts_derp_pool_set_key(struct ts_derp_pool *pool,
			  const struct ts_private_key *node_key,
			  uint64_t now_ms);
/* Closes regions that are gone and starts those over whose definition
 * changed. A home that is gone becomes 0. */
void ts_derp_pool_set_map(struct ts_derp_pool *pool,
			  const struct ts_derp_map *map, uint64_t now_ms);
void ts_derp_pool_set_home(struct ts_derp_pool *pool, int region,
			   uint64_t now_ms);
/* Connect now, as if there was something to send. -EHOSTUNREACH: no such
 * region, or none of its nodes relays; -ENOMEM. */
int ts_derp_pool_connect(struct ts_derp_pool *pool, int region,
			 uint64_t now_ms);
/* Send through the connection to region, else by the route, else open region.
 * pkt as in ts_derp_client_send(). 0, -EHOSTUNREACH or an error of that. */
int ts_derp_pool_send(struct ts_derp_pool *pool, int region,
		      const struct ts_derp_route *route,
		      const struct ts_public_key *dst, struct ts_packet *pkt,
		      uint64_t now_ms);
/* The region that ts_derp_pool_send() would use; 0: none. */
int ts_derp_pool_pick(const struct ts_derp_pool *pool, int region,
		      const struct ts_derp_route *route);
/* The route back through the connection to that region. */
struct ts_derp_route ts_derp_pool_route(const struct ts_derp_pool *pool,
					int region);
bool ts_derp_pool_is_ready(const struct ts_derp_pool *pool, int region);
/* When bytes last came from there; 0: never since it was first needed. */
uint64_t ts_derp_pool_heard_ms(const struct ts_derp_pool *pool, int region);
/* Ping all connections and give up those that stay silent. */
void ts_derp_pool_check(struct ts_derp_pool *pool, uint64_t now_ms);
/* The same for those that were silent for a while, and are not asked. */
void ts_derp_pool_doubt(struct ts_derp_pool *pool, uint64_t now_ms);

/* What the streams did. */
void ts_derp_pool_opened(struct ts_derp_pool *pool, int region,
			 const struct ts_public_key *meta_key, uint64_t now_ms);
void ts_derp_pool_input(struct ts_derp_pool *pool, int region,
			const uint8_t *data, size_t len, uint64_t now_ms);
void ts_derp_pool_closed(struct ts_derp_pool *pool, int region,
			 const char *error, uint64_t now_ms);
void ts_derp_pool_drained(struct ts_derp_pool *pool, int region,
			  uint64_t now_ms);

uint64_t ts_derp_pool_deadline_ms(const struct ts_derp_pool *pool);
void ts_derp_pool_tick(struct ts_derp_pool *pool, uint64_t now_ms);

#endif
