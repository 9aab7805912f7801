/* SPDX-License-Identifier: BSD-3-Clause
 * notify_json.h - what ipn.Notify looks like (for the bus alone)
 *
 * All make a new object that has Version at least.
 */
#ifndef CORE_LOCALAPI_NOTIFY_JSON_H
#define CORE_LOCALAPI_NOTIFY_JSON_H

#include <jansson.h>

#include "core/base/key_map.h"
#include "core/node/node.h"

/* The peers that one message of the server changed, by node ID. */
struct notify_delta {
	int64_t *changed, *removed;
	size_t changed_count, changed_cap, removed_count, removed_cap;
	bool is_incomplete; /* out of memory */
};
void notify_delta_changed(struct notify_delta *d, const struct ts_peer *peer);
void notify_delta_removed(struct notify_delta *d, const struct ts_peer *peer);
void notify_delta_clear(struct notify_delta *d);
void notify_delta_deinit(struct notify_delta *d);

/* What a watcher of patches knows of each peer: a digest of all that a patch
 * cannot change. */
struct notify_peers {
	struct ts_key_map digests; /* node ID -> digest, as a pointer's bits */
};
int notify_peers_init(struct notify_peers *known, const struct ts_node *node);
void notify_peers_deinit(struct notify_peers *known);
/* In news: nodes of PeersChanged that only differ in what a patch can say
 * become PeerChangedPatch. */
void notify_make_patches(struct notify_peers *known, json_t *news);

json_t *notify_initial(struct ts_node *node, uint64_t mask,
		       const char *session, uint64_t now_ms, int64_t now_unix);
json_t *notify_nothing(void); /* but Version */
/* Into news: how the sessions with peers stand (PeerState), as far as it is
 * another than *known, which is brought up to date. *known NULL: all. */
void notify_sessions(const struct ts_node *node, uint64_t now_ms,
		     int64_t now_unix, json_t **known, json_t *news);
json_t *notify_error(const char *text);
json_t *notify_state(enum ts_node_state state);
json_t *notify_browse_to_url(const char *url);
json_t *notify_prefs(const struct ts_node *node, bool is_login);
json_t *notify_netmap(const struct ts_node *node, const struct notify_delta *d,
		      unsigned changes);
struct ts_drop_box;
json_t *notify_incoming_files(const struct ts_drop_box *box);
json_t *notify_outgoing_files(json_t *files);
json_t *notify_engine(const struct ts_node *node, uint64_t now_ms);
/* For who does not know actions: they become part of the texts. */
void notify_flatten_health(json_t *news);

#endif
