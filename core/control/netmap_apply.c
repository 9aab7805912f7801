/* SPDX-License-Identifier: BSD-3-Clause
 * netmap_apply.c - apply one map response to the netmap
 *
 * What only the first message of a poll may clear (filters, users, messages,
 * the tailnet lock) is cleared here; after that absent means unchanged.
 * Source: control/controlclient/map.go (updateStateFromResponse)
 */
#include "core/control/netmap_apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/derp_map_json.h"
#include "core/control/peer_delta.h"
#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

enum { CLOCK_SKEW_MIN_S = 60 };

void ts_netmap_note_control_time(struct ts_netmap *map,
				 const struct ts_map_response *msg,
				 int64_t now_unix)
{
	int64_t delta;

	if (msg->control_time_unix == 0)
		return;
	delta = msg->control_time_unix - now_unix;
	if (delta >= -CLOCK_SKEW_MIN_S && delta <= CLOCK_SKEW_MIN_S)
		delta = 0;
	map->control_time_delta_s = delta;
}

void ts_netmap_note_client_version(struct ts_netmap *map,
				   struct ts_map_response *msg)
{
	if (!msg->client_version)
		return;
	json_decref(map->client_version);
	map->client_version = msg->client_version;
	msg->client_version = NULL;
}

static void apply_self(struct ts_netmap *map, struct ts_map_response *msg,
		       unsigned *changes)
{
	if (!msg->self.peer)
		return;
	if (map->self)
		ts_peer_replace(map->self, msg->self.peer);
	else
		map->self = msg->self.peer;
	msg->self.peer = NULL;
	*changes |= TS_CHANGED_SELF;
}

static int apply_users(struct ts_netmap *map, struct ts_map_response *msg,
		       unsigned *changes)
{
	int err = 0;

	if (msg->user_count > 0)
		*changes |= TS_CHANGED_USERS;
	for (size_t i = 0; !err && i < msg->user_count; i++) {
		err = ts_netmap_put_user(map, msg->users[i]);
		msg->users[i] = NULL;
	}
	return err;
}

static int apply_derp_map(struct ts_netmap *map, struct ts_map_response *msg,
			  unsigned *changes)
{
	struct ts_derp_map *next;
	int err;

	if (!msg->derp_map)
		return 0;
	err = ts_derp_map_from_json(msg->derp_map, map->derp_map, &next);
	if (err)
		return err;
	ts_derp_map_free(map->derp_map);
	map->derp_map = next;
	*changes |= TS_CHANGED_DERP_MAP;
	return 0;
}

static int apply_named_filters(struct ts_netmap *map,
			       struct ts_map_response *msg)
{
	int err = 0;

	if (msg->clears_filters)
		ts_netmap_drop_all_filters(map);
	for (size_t i = 0; !err && i < msg->filter_count; i++) {
		struct ts_map_filter *filter = &msg->filters[i];

		if (filter->is_removal)
			ts_netmap_drop_filter(map, filter->named.name);
		else
			err = ts_netmap_put_filter(map, &filter->named);
	}
	return err;
}

static int apply_filters(struct ts_netmap *map, struct ts_map_response *msg,
			 bool is_first, unsigned *changes)
{
	int err = 0;

	if (is_first)
		ts_netmap_drop_all_filters(map);
	if (msg->has_base_filter)
		err = ts_netmap_put_filter(map, &msg->base_filter);
	if (!err && msg->has_filters)
		err = apply_named_filters(map, msg);
	if (!is_first && !msg->has_base_filter && !msg->has_filters)
		return err;
	map->has_filter = map->has_filter || msg->has_base_filter ||
			  msg->has_filters;
	*changes |= TS_CHANGED_FILTER;
	return err ? err : ts_netmap_join_filters(map);
}

static void apply_dns(struct ts_netmap *map, struct ts_map_response *msg,
		      unsigned *changes)
{
	if (msg->domain) {
		free(map->domain);
		map->domain = msg->domain;
		msg->domain = NULL;
		*changes |= TS_CHANGED_DNS;
	}
	if (msg->dns) {
		ts_dns_config_free(map->dns);
		map->dns = msg->dns;
		msg->dns = NULL;
		*changes |= TS_CHANGED_DNS;
	}
}

static int apply_health(struct ts_netmap *map, struct ts_map_response *msg,
			bool is_first, unsigned *changes)
{
	if (is_first)
		ts_netmap_clear_messages(map);
	if (msg->has_health || is_first) {
		ts_text_list_free(map->health, map->health_count);
		map->health = msg->health;
		map->health_count = msg->health_count;
		msg->health = NULL;
		msg->health_count = 0;
		*changes |= TS_CHANGED_HEALTH;
	}
	if (!msg->display_messages)
		return 0;
	*changes |= TS_CHANGED_HEALTH;
	return ts_netmap_patch_messages(map, msg->display_messages);
}

static void apply_tka(struct ts_netmap *map, struct ts_map_response *msg,
		      bool is_first, unsigned *changes)
{
	bool enabled = msg->has_tka && !msg->tka_disabled;

	if (!msg->has_tka && !is_first)
		return;
	if (enabled != map->tka_enabled || msg->tka_head || map->tka_head)
		*changes |= TS_CHANGED_TKA;
	map->tka_enabled = enabled;
	free(map->tka_head);
	map->tka_head = msg->tka_head;
	msg->tka_head = NULL;
}

static void report_peers(const struct ts_peer_delta *d,
			 const struct ts_netmap_sink *sink)
{
	struct ts_peer *peer;
	size_t pos = 0;

	for (size_t i = 0; i < d->removed_count; i++)
		sink->removed(sink->ctx, d->removed[i]);
	while ((peer = ts_key_map_next(&d->touched, &pos)))
		sink->upserted(sink->ctx, peer);
}

/* Each part is applied even if another ran out of memory: the caller starts
 * a new poll then, and until it succeeds newer is better than older. */
static int apply_parts(struct ts_netmap *map, struct ts_map_response *msg,
		       bool is_first, unsigned *changes)
{
	int errs[4];

	apply_self(map, msg, changes);
	errs[0] = apply_users(map, msg, changes);
	errs[1] = apply_derp_map(map, msg, changes);
	errs[2] = apply_filters(map, msg, is_first, changes);
	apply_dns(map, msg, changes);
	errs[3] = apply_health(map, msg, is_first, changes);
	apply_tka(map, msg, is_first, changes);
	for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++)
		if (errs[i])
			return errs[i];
	return 0;
}

int ts_netmap_apply(struct ts_netmap *map, struct ts_map_response *msg,
		    bool is_first, int64_t now_unix,
		    const struct ts_netmap_sink *sink, unsigned *changes)
{
	struct ts_peer_delta delta;
	int err, peers_err;

	*changes = 0;
	if (is_first && !msg->self.peer)
		return -EPROTO;
	if (is_first)
		*changes |= TS_CHANGED_FIRST;
	ts_netmap_note_control_time(map, msg, now_unix); /* judges expiry */
	err = apply_parts(map, msg, is_first, changes);
	ts_peer_delta_init(&delta, map, now_unix);
	peers_err = ts_peer_delta_apply(&delta, msg, is_first);
	if (delta.removed_count > 0 || delta.touched.len > 0 || is_first)
		*changes |= TS_CHANGED_PEERS;
	report_peers(&delta, sink);
	ts_peer_delta_deinit(&delta);
	return err ? err : peers_err;
}

static void forget_users(struct ts_netmap *map)
{
	struct ts_user_profile *user;
	size_t pos = 0;


	while ((user = ts_key_map_next(&map->users, &pos)))
		ts_user_profile_free(user);
	ts_key_map_deinit(&map->users); /* empty, and as usable */
}

/* Taking one out may move another to where the walk has been: so several
 * walks, of which the first meets nearly all. */
static void forget_peers(struct ts_netmap *map,
			 const struct ts_netmap_sink *sink)
{
	struct ts_peer *peer;

	while (ts_netmap_peer_count(map) > 0) {
		size_t pos = 0;

		while ((peer = ts_netmap_next_known_peer(map, &pos))) {
			ts_netmap_take_peer(map, peer);
			sink->removed(sink->ctx, peer);
			ts_peer_free(peer);
		}
	}
}

/* All but the peers first: who hears of them may look at the rest. */
void ts_netmap_forget(struct ts_netmap *map, const struct ts_netmap_sink *sink)
{
	ts_peer_free(map->self);
	map->self = NULL;
	free(map->domain);
	map->domain = NULL;
	ts_derp_map_free(map->derp_map);
	map->derp_map = NULL;
	ts_dns_config_free(map->dns);
	map->dns = NULL;
	ts_netmap_drop_all_filters(map);
	map->has_filter = false;
	forget_users(map);
	ts_text_list_free(map->health, map->health_count);
	map->health = NULL;
	map->health_count = 0;
	ts_netmap_clear_messages(map);
	free(map->tka_head);
	map->tka_head = NULL;
	map->tka_enabled = false;
	map->next_expiry_unix = 0;
	forget_peers(map, sink);
}

size_t ts_netmap_expire_peers(struct ts_netmap *map, int64_t now_unix,
			      const struct ts_netmap_sink *sink)
{
	struct ts_peer_delta delta;
	size_t count;

	ts_peer_delta_init(&delta, map, now_unix);
	ts_peer_delta_expire(&delta); /* out of memory: again next time */
	count = delta.touched.len;
	report_peers(&delta, sink);
	ts_peer_delta_deinit(&delta);
	return count;
}

bool ts_netmap_self_expired(const struct ts_netmap *map, int64_t now_unix)
{
	const struct ts_peer *self = map->self;

	if (!self)
		return false;
	return self->expired ||
	       (self->key_expiry_unix != 0 &&
		self->key_expiry_unix <=
			now_unix + map->control_time_delta_s);
}
