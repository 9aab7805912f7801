/* SPDX-License-Identifier: BSD-3-Clause
 * map_json.h - read one MapResponse into a struct, nothing applied yet
 *
 * Decoding and applying are apart, so that a message that is malformed at its
 * end leaves no trace in the netmap, and so that the order of its fields does
 * not matter.
 * Source: tailcfg/tailcfg.go (MapResponse, PingRequest)
 */
#ifndef CORE_CONTROL_MAP_JSON_H
#define CORE_CONTROL_MAP_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/node_json.h"
#include "core/model/netmap.h"

struct ts_map_nodes {
	struct ts_map_node *list;
	size_t count, cap;
};

struct ts_map_flag { /* an entry of PeerSeenChange or OnlineChange */
	int64_t id;
	bool value;
};

struct ts_map_filter { /* an entry of PacketFilters */
	struct ts_named_filter named;
	bool is_removal; /* the value was null */
};

struct ts_ping_request {
	char *url; /* NULL: no ping request */
	char *types, *payload; /* payload: base64 text */
	struct ts_ip ip;
	bool is_noise;
};

struct ts_map_response {
	bool keep_alive;
	struct ts_map_node self; /* .peer NULL: absent */
	struct ts_map_nodes peers, changed;
	int64_t *removed;
	size_t removed_count;
	struct ts_map_flag *seen, *online;
	size_t seen_count, online_count;
	struct ts_peer_patch *patches;
	size_t patch_count;
	json_t *derp_map; /* NULL: absent */
	struct ts_dns_config *dns;
	char *domain;
	bool has_base_filter, has_filters, clears_filters;
	struct ts_named_filter base_filter; /* PacketFilter */
	struct ts_map_filter *filters;
	size_t filter_count;
	struct ts_user_profile **users;
	size_t user_count;
	bool has_health;
	char **health;
	size_t health_count;
	json_t *display_messages; /* NULL: absent */
	bool has_tka, tka_disabled;
	char *tka_head;
	int64_t control_time_unix; /* 0: absent */
	struct ts_ping_request ping;
	char *browse_url; /* PopBrowserURL */
	json_t *client_version; /* NULL: absent */
	int sleep_s; /* Debug.SleepSeconds, capped */
	size_t skipped_nodes; /* peers that did not decode */
};

enum { TS_MAP_SLEEP_MAX_S = 300 };

/* 0, -EBADMSG, -ENOMEM; out is only valid (and to be deinit) after 0. */
int ts_map_response_read(const char *json, size_t len,
			 struct ts_map_response *out);
void ts_map_response_deinit(struct ts_map_response *msg);

#endif
