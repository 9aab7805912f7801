/* SPDX-License-Identifier: BSD-3-Clause
 * netmap_apply.h - apply one map response to the netmap
 * Source: PROTOCOL 4.4, 4.5; control/controlclient/map.go
 */
#ifndef CORE_CONTROL_NETMAP_APPLY_H
#define CORE_CONTROL_NETMAP_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/control/map_json.h"
#include "core/model/netmap.h"

/* Called when everything is applied: first the removed, then the others. */
struct ts_netmap_sink {
	void (*upserted)(void *ctx, struct ts_peer *peer);
	void (*removed)(void *ctx, struct ts_peer *peer);
	void *ctx;
};

/* Moves the contents out of msg (which is still to be deinit). is_first: the
 * message starts a poll and replaces what was known. *changes gets bits of
 * ts_netmap_change. 0, -EPROTO (a first message without our node: nothing is
 * changed), -EBADMSG (DERP map), -ENOMEM (the rest is applied as far as
 * possible). */
int ts_netmap_apply(struct ts_netmap *map, struct ts_map_response *msg,
		    bool is_first, int64_t now_unix,
		    const struct ts_netmap_sink *sink, unsigned *changes);
/* We have left the tailnet: the map is as before the first message, and
 * removed() was called for each peer. */
void ts_netmap_forget(struct ts_netmap *map, const struct ts_netmap_sink *sink);
/* Learn the control server's clock, also from a keep-alive. */
void ts_netmap_note_control_time(struct ts_netmap *map,
				 const struct ts_map_response *msg,
				 int64_t now_unix);
/* What the server thinks of our version; on any message. */
void ts_netmap_note_client_version(struct ts_netmap *map,
				   struct ts_map_response *msg);
/* Peers whose key has expired since: marks and reports them. Returns how
 * many. */
size_t ts_netmap_expire_peers(struct ts_netmap *map, int64_t now_unix,
			      const struct ts_netmap_sink *sink);
/* Our own key's expiry has passed, on the control server's clock. */
bool ts_netmap_self_expired(const struct ts_netmap *map, int64_t now_unix);

#endif
