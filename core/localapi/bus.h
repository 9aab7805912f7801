/* SPDX-License-Identifier: BSD-3-Clause
 * bus.h - the node's news for watchers: ipn.Notify, one JSON object a line
 *
 * Each watcher has a queue of its own, of at most BUS_QUEUE_MAX messages and
 * BUS_QUEUE_BYTES; while all together are full, nobody may join. When one is full, what waits is thrown away, one message
 * with ErrMessage takes its place, and the stream ends: nobody is left with
 * half the news. A node without watchers makes no JSON.
 * Source: ipn/backend.go (Notify, NotifyWatchOpt), ipn/ipnlocal/local.go
 *   (WatchNotificationsAs, sendToLocked)
 */
#ifndef CORE_LOCALAPI_BUS_H
#define CORE_LOCALAPI_BUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/node/node.h"

enum {
	BUS_WATCHERS_MAX = 32,
	BUS_QUEUE_MAX = 128,
	BUS_QUEUE_BYTES = 32 * 1024 * 1024,
	/* Of all queues, when another watcher comes. */
	BUS_TOTAL_BYTES = 64 * 1024 * 1024,
};

/* ipn.NotifyWatchOpt; what is not here has no news on this node. */
enum bus_mask {
	BUS_ENGINE_UPDATES = 1 << 0,
	BUS_INITIAL_STATE = 1 << 1,
	BUS_INITIAL_PREFS = 1 << 2,
	BUS_INITIAL_NETMAP = 1 << 3,
	BUS_INITIAL_HEALTH = 1 << 7,
	BUS_RATE_LIMIT = 1 << 8,
	BUS_HEALTH_ACTIONS = 1 << 9,
	BUS_PEER_CHANGES = 1 << 12,
	BUS_NO_NETMAP = 1 << 13,
	BUS_INITIAL_STATUS = 1 << 14,
	BUS_PEER_PATCHES = 1 << 15,
	BUS_IN_PROCESS = 1 << 16,
	BUS_PEER_STATE = 1 << 18,
};

struct bus;
struct bus_watcher;

/* gone(ctx) hears of each session that has ended while the bus lives. */
struct bus *bus_new(struct ts_node *node,
		    void (*gone)(void *ctx, const char *session), void *ctx);
/* Ends all streams; their readers may still read the end. */
void bus_free(struct bus *bus);
void bus_set_node(struct bus *bus, struct ts_node *node, uint64_t now_ms);

/* session: 32 hex digits, for the first message. wake(ctx) is called when
 * there is something to read after there was not, or the end. NULL: too many,
 * or no memory. */
struct bus_watcher *bus_watch(struct bus *bus, uint64_t mask,
			      const char *session, uint64_t now_ms,
			      int64_t now_unix, void (*wake)(void *ctx),
			      void *ctx);
/* As struct ts_localapi_stream has it. */
ssize_t bus_read(struct bus_watcher *w, char *out, size_t cap);
void bus_unwatch(struct bus_watcher *w);
bool bus_has_session(const struct bus *bus, const char *session);
/* Its stream ends, once what waits has been read. */
void bus_end_session(struct bus *bus, const char *session);

void bus_state(struct bus *bus, enum ts_node_state state, const char *error);
/* The state as it is, once more: a command of somebody's is done. */
void bus_repeat_state(struct bus *bus);
void bus_browse_to_url(struct bus *bus, const char *url);
void bus_prefs(struct bus *bus, bool is_login);
/* Collected until bus_netmap_changed(). */
void bus_peer_changed(struct bus *bus, const struct ts_peer *peer);
void bus_peer_removed(struct bus *bus, const struct ts_peer *peer);
void bus_netmap_changed(struct bus *bus, unsigned changes);

uint64_t bus_deadline_ms(const struct bus *bus);
void bus_tick(struct bus *bus, uint64_t now_ms, int64_t now_unix);

#endif
