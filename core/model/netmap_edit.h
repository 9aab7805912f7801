/* SPDX-License-Identifier: BSD-3-Clause
 * netmap_edit.h - change a netmap: only for its owner (and for tests)
 *
 * A peer keeps its address in memory for as long as its ID is in the map: an
 * update replaces the contents and leaves node_data alone, so that readers may
 * hold on to the pointer until peer_removed.
 */
#ifndef CORE_MODEL_NETMAP_EDIT_H
#define CORE_MODEL_NETMAP_EDIT_H

#include "core/model/netmap.h"

struct ts_peer *ts_peer_new(void);
/* Frees what the peer owns; node_data is its owner's. NULL is fine. */
void ts_peer_free(struct ts_peer *peer);
/* Move the contents of next into peer (but node_data, and whether it is locked
 * out) and free next. */
void ts_peer_replace(struct ts_peer *peer, struct ts_peer *next);

/* Takes the peer, whose id must be new to the map. On error the peer is still
 * the caller's. 0 or -ENOMEM. */
int ts_netmap_add_peer(struct ts_netmap *map, struct ts_peer *peer);
/* Frees next in any case; peer is in the map and next has the same id. */
int ts_netmap_update_peer(struct ts_netmap *map, struct ts_peer *peer,
			  struct ts_peer *next);
/* Only the node key changes (a patch). 0 or -ENOMEM. */
int ts_netmap_set_peer_key(struct ts_netmap *map, struct ts_peer *peer,
			   const struct ts_public_key *key);
/* Out of all indexes; the caller frees it. */
void ts_netmap_take_peer(struct ts_netmap *map, struct ts_peer *peer);
/* Adds or replaces; takes the profile also on error. 0 or -ENOMEM. */
int ts_netmap_put_user(struct ts_netmap *map, struct ts_user_profile *user);
void ts_user_profile_free(struct ts_user_profile *user);

void ts_filter_rule_deinit(struct ts_filter_rule *rule);
void ts_filter_rules_free(struct ts_filter_rule *rules, size_t count);
void ts_named_filter_deinit(struct ts_named_filter *named);
/* Adds or replaces the filter of that name; takes the contents also on error.
 * The effective filter is stale until ts_netmap_join_filters(). */
int ts_netmap_put_filter(struct ts_netmap *map, struct ts_named_filter *named);
void ts_netmap_drop_filter(struct ts_netmap *map, const char *name);
void ts_netmap_drop_all_filters(struct ts_netmap *map);
/* Rebuild the effective filter. When out of memory it is empty, which denies
 * everything, and -ENOMEM. */
int ts_netmap_join_filters(struct ts_netmap *map);

/* DisplayMessages of one map response: null deletes, "*": null deletes all
 * first. 0 or -ENOMEM. */
int ts_netmap_patch_messages(struct ts_netmap *map, json_t *patch);
void ts_netmap_clear_messages(struct ts_netmap *map);

void ts_derp_map_free(struct ts_derp_map *map);
void ts_dns_config_free(struct ts_dns_config *dns);

#endif
