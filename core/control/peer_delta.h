/* SPDX-License-Identifier: BSD-3-Clause
 * peer_delta.h - what a map response changes about the peers
 *
 * Peers are changed in the map at once, but reported only when the complete
 * message is applied; until then a ts_peer_delta remembers whom.
 */
#ifndef CORE_CONTROL_PEER_DELTA_H
#define CORE_CONTROL_PEER_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/map_json.h"
#include "core/model/netmap.h"

struct ts_peer_delta {
	struct ts_netmap *map;
	int64_t now_unix;
	struct ts_key_map touched; /* id -> peer */
	struct ts_peer **removed;  /* out of the map, still to be freed */
	size_t removed_count, removed_cap;
};

void ts_peer_delta_init(struct ts_peer_delta *d, struct ts_netmap *map,
			int64_t now_unix);
/* Frees the removed peers. */
void ts_peer_delta_deinit(struct ts_peer_delta *d);
/* Applies all peer fields in upstream's order. 0 or -ENOMEM. */
int ts_peer_delta_apply(struct ts_peer_delta *d, struct ts_map_response *msg,
			bool is_first);
/* Mark peers as expired whose key expiry has passed. */
int ts_peer_delta_expire(struct ts_peer_delta *d);

#endif
