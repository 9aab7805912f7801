/* SPDX-License-Identifier: BSD-3-Clause
 * netmap.c - the tailnet as the control server described it
 *
 * Three indexes point to the same peers; peers_by_id owns them. Two peers may
 * claim one key or address for a moment (a node that was registered anew): the
 * later one wins the index, and removing the earlier one leaves it alone.
 */
#include "core/model/netmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

struct ts_netmap *ts_netmap_new(void)
{
	struct ts_netmap *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	ts_key_map_init(&map->peers_by_id, sizeof(int64_t), ts_random_u64());
	ts_key_map_init(&map->peers_by_key, TS_KEY_LEN, ts_random_u64());
	ts_key_map_init(&map->peers_by_ip, TS_IP_LEN, ts_random_u64());
	ts_key_map_init(&map->users, sizeof(int64_t), ts_random_u64());
	return map;
}

void ts_user_profile_free(struct ts_user_profile *user)
{
	if (!user)
		return;
	free(user->login_name);
	free(user->display_name);
	free(user->profile_pic_url);
	free(user);
}

void ts_netmap_free(struct ts_netmap *map)
{
	struct ts_user_profile *user;
	struct ts_peer *peer;
	size_t pos = 0;

	if (!map)
		return;
	while ((peer = ts_netmap_next_known_peer(map, &pos)))
		ts_peer_free(peer);
	pos = 0;
	while ((user = ts_key_map_next(&map->users, &pos)))
		ts_user_profile_free(user);
	ts_key_map_deinit(&map->peers_by_id);
	ts_key_map_deinit(&map->peers_by_key);
	ts_key_map_deinit(&map->peers_by_ip);
	ts_key_map_deinit(&map->users);
	ts_peer_free(map->self);
	free(map->domain);
	ts_derp_map_free(map->derp_map);
	ts_dns_config_free(map->dns);
	ts_netmap_drop_all_filters(map);
	free(map->filter);
	ts_text_list_free(map->health, map->health_count);
	json_decref(map->display_messages);
	json_decref(map->client_version);
	free(map->tka_head);
	free(map);
}

static struct ts_peer *visible(struct ts_peer *peer)
{
	return peer && !peer->is_locked_out ? peer : NULL;
}

struct ts_peer *ts_netmap_known_peer_by_id(const struct ts_netmap *map,
					   int64_t id)
{
	return ts_key_map_get(&map->peers_by_id, &id);
}

struct ts_peer *ts_netmap_peer_by_id(const struct ts_netmap *map, int64_t id)
{
	return visible(ts_netmap_known_peer_by_id(map, id));
}

struct ts_peer *ts_netmap_peer_by_key(const struct ts_netmap *map,
				      const struct ts_public_key *key)
{
	return visible(ts_key_map_get(&map->peers_by_key, key->bytes));
}

struct ts_peer *ts_netmap_peer_by_ip(const struct ts_netmap *map,
				     const struct ts_ip *ip)
{
	return visible(ts_key_map_get(&map->peers_by_ip, ip->bytes));
}

struct ts_peer *ts_netmap_next_known_peer(const struct ts_netmap *map,
					  size_t *pos)
{
	return ts_key_map_next(&map->peers_by_id, pos);
}

struct ts_peer *ts_netmap_next_peer(const struct ts_netmap *map, size_t *pos)
{
	struct ts_peer *peer;

	while ((peer = ts_netmap_next_known_peer(map, pos)))
		if (!peer->is_locked_out)
			break;
	return peer;
}

size_t ts_netmap_peer_count(const struct ts_netmap *map)
{
	return map->peers_by_id.len;
}

static void drop_from(struct ts_key_map *index, const void *key,
		      const struct ts_peer *peer)
{
	if (ts_key_map_get(index, key) == peer)
		ts_key_map_take(index, key);
}

static void unindex_peer(struct ts_netmap *map, const struct ts_peer *peer)
{
	drop_from(&map->peers_by_key, peer->key.bytes, peer);
	for (size_t i = 0; i < peer->address_count; i++)
		drop_from(&map->peers_by_ip, peer->addresses[i].ip.bytes,
			  peer);
}

/* A WireGuard-only or very old peer may have no key: such are not indexed. */
static int index_key(struct ts_netmap *map, struct ts_peer *peer)
{
	if (ts_public_key_is_zero(&peer->key))
		return 0;
	return ts_key_map_put(&map->peers_by_key, peer->key.bytes, peer);
}

static int index_peer(struct ts_netmap *map, struct ts_peer *peer)
{
	int err = index_key(map, peer);

	for (size_t i = 0; !err && i < peer->address_count; i++)
		if (ts_prefix_is_host(&peer->addresses[i]))
			err = ts_key_map_put(&map->peers_by_ip,
					     peer->addresses[i].ip.bytes,
					     peer);
	return err;
}

int ts_netmap_add_peer(struct ts_netmap *map, struct ts_peer *peer)
{
	int err = ts_key_map_put(&map->peers_by_id, &peer->id, peer);

	if (!err)
		err = index_peer(map, peer);
	if (err)
		ts_netmap_take_peer(map, peer);
	return err;
}

int ts_netmap_update_peer(struct ts_netmap *map, struct ts_peer *peer,
			  struct ts_peer *next)
{
	unindex_peer(map, peer);
	ts_peer_replace(peer, next);
	return index_peer(map, peer);
}

int ts_netmap_set_peer_key(struct ts_netmap *map, struct ts_peer *peer,
			   const struct ts_public_key *key)
{
	drop_from(&map->peers_by_key, peer->key.bytes, peer);
	peer->key = *key;
	return index_key(map, peer);
}

void ts_netmap_take_peer(struct ts_netmap *map, struct ts_peer *peer)
{
	unindex_peer(map, peer);
	drop_from(&map->peers_by_id, &peer->id, peer);
}

int ts_netmap_put_user(struct ts_netmap *map, struct ts_user_profile *user)
{
	struct ts_user_profile *old = ts_key_map_get(&map->users, &user->id);

	if (ts_key_map_put(&map->users, &user->id, user)) {
		ts_user_profile_free(user);
		return -ENOMEM;
	}
	ts_user_profile_free(old);
	return 0;
}

const struct ts_user_profile *ts_netmap_user(const struct ts_netmap *map,
					     int64_t id)
{
	return ts_key_map_get(&map->users, &id);
}

const struct ts_user_profile *ts_netmap_owner(const struct ts_netmap *map,
					      const struct ts_peer *peer)
{
	return ts_netmap_user(map, peer->sharer ? peer->sharer : peer->user);
}

char *ts_netmap_magic_suffix(const struct ts_netmap *map)
{
	const char *dot;
	size_t len;

	if (!map->self || !map->self->name)
		return NULL;
	dot = strchr(map->self->name, '.');
	if (!dot)
		return NULL;
	dot++;
	len = strlen(dot);
	if (len > 0 && dot[len - 1] == '.')
		len--;
	return len > 0 ? strndup(dot, len) : NULL;
}
