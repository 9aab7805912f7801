/* SPDX-License-Identifier: BSD-3-Clause
 * derp_conn.h - one connection of the pool (private to derp_pool.c)
 */
#ifndef CORE_PATH_DERP_CONN_H
#define CORE_PATH_DERP_CONN_H

#include "core/path/derp_pool.h"

enum ts_derp_stream_state {
	DERP_STREAM_NONE,
	DERP_STREAM_OPENING,
	DERP_STREAM_OPEN
};

struct ts_derp_conn {
	struct ts_derp_conn *next;
	struct ts_derp_pool *pool;
	int region;
	uint64_t number;     /* changes with each connection */
	uint64_t definition; /* fingerprint of the region when opened */
	enum ts_derp_stream_state stream;
	struct ts_derp_client client;
	size_t node;          /* index of the node in use or to try next */
	unsigned fail_rounds; /* without one success that lasted */
	uint64_t ready_ms;    /* ServerInfo came; valid while it is ready */
	uint64_t open_at_ms;  /* STREAM_NONE: when to open */
	uint64_t last_write_ms;
	uint64_t heard_ms;
};

/* NULL: the map has none of that number. */
const struct ts_derp_region *ts_derp_region_of(const struct ts_derp_pool *pool,
					       int id);
/* The old map may be gone when the new one comes, so a number stands for what
 * a region looked like. Not against forgers: control may change it anyway. */
uint64_t ts_derp_region_definition(const struct ts_derp_region *region);
bool ts_derp_region_can_relay(const struct ts_derp_region *region);

struct ts_derp_conn *ts_derp_conn_find(const struct ts_derp_pool *pool,
				       int region);
/* In the pool; its stream is not open yet. NULL: out of memory. */
struct ts_derp_conn *ts_derp_conn_new(struct ts_derp_pool *pool, int region,
				      uint64_t now_ms);
/* Takes it out of the list, where link points to it. */
void ts_derp_conn_free(struct ts_derp_conn **link);
void ts_derp_conn_open_stream(struct ts_derp_conn *conn, uint64_t now_ms);
void ts_derp_conn_close_stream(struct ts_derp_conn *conn);
/* The stream is gone. Next: the region's next node at once or, when it had
 * worked or was the last one, the first node after a pause. */
void ts_derp_conn_failed(struct ts_derp_conn *conn, bool was_ready,
			 uint64_t now_ms);
/* We end the connection ourselves, since it is of no use. */
void ts_derp_conn_give_up(struct ts_derp_conn *conn, int err, uint64_t now_ms);

#endif
