/* SPDX-License-Identifier: BSD-3-Clause
 * node_json.h - read a Node and a PeerChange of a map response
 * Source: tailcfg/tailcfg.go (Node, PeerChange)
 */
#ifndef CORE_CONTROL_NODE_JSON_H
#define CORE_CONTROL_NODE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "core/model/netmap.h"

/* A node, with what its struct cannot say: Endpoints was not null. */
struct ts_map_node {
	struct ts_peer *peer;
	bool has_endpoints;
};

/* 0, -EBADMSG (not an object, no ID, a malformed key), -ENOMEM. */
int ts_node_from_json(const json_t *json, struct ts_map_node *out);

/* What a PeerChange sets; zero and NULL mean "not set" unless has_x says. */
struct ts_peer_patch {
	int64_t id;
	int home_derp, cap;
	bool has_endpoints, has_key, has_disco_key, has_last_seen,
		has_key_expiry;
	struct ts_addr *endpoints;
	size_t endpoint_count;
	struct ts_public_key key, disco_key;
	char *key_signature;
	enum ts_tristate online;
	int64_t last_seen_unix, key_expiry_unix;
	json_t *cap_map;
};

int ts_peer_patch_from_json(const json_t *json, struct ts_peer_patch *out);
void ts_peer_patch_deinit(struct ts_peer_patch *patch);

#endif
