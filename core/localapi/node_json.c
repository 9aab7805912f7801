/* SPDX-License-Identifier: BSD-3-Clause
 * node_json.c - peers and users in upstream's JSON
 * Source: tailcfg/tailcfg.go (Node, UserProfile)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/localapi/localapi_internal.h"

json_t *localapi_time(int64_t unix_s)
{
	char text[32];
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (unix_s == 0 || !gmtime_r(&t, &tm))
		return json_string("0001-01-01T00:00:00Z");
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

json_t *localapi_key(const struct ts_public_key *key, const char *prefix)
{
	char text[TS_KEY_TEXT_CAP];

	return json_string(ts_public_key_format(key, prefix, text));
}

json_t *localapi_ips(const struct ts_peer *peer)
{
	json_t *list = json_array();
	char text[TS_IP_TEXT_CAP];

	for (size_t i = 0; i < peer->address_count; i++)
		json_array_append_new(
			list, json_string(ts_ip_format(
				      &peer->addresses[i].ip, text)));
	return list;
}

json_t *localapi_prefixes(const struct ts_prefix *prefixes, size_t count)
{
	json_t *list = json_array();
	char text[TS_PREFIX_TEXT_CAP];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, json_string(ts_prefix_format(&prefixes[i],
							   text)));
	return list;
}

json_t *localapi_texts(char *const *texts, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *endpoints(const struct ts_peer *peer)
{
	json_t *list = json_array();
	char text[TS_ADDR_TEXT_CAP];

	for (size_t i = 0; i < peer->endpoint_count; i++)
		json_array_append_new(
			list, json_string(ts_addr_format(&peer->endpoints[i],
							 text)));
	return list;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *localapi_cap_names(const json_t *cap_map)
{
	size_t size = json_object_size(cap_map), count = 0;
	const char **names = calloc(size + 1, sizeof(*names));
	json_t *list = json_array();
	const char *name;
	json_t *ignored;

	json_object_foreach ((json_t *)(uintptr_t)cap_map, name, ignored)
		if (names)
			names[count++] = name;
	if (count > 1)
		qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(names[i]));
	free(names);
	return list;
}

/* Without the suffix that all our names share; a node that was shared with us
 * from elsewhere is known by its full name. */
static json_t *computed_name(const struct ts_netmap *map,
			     const struct ts_peer *peer)
{
	char *suffix = ts_netmap_magic_suffix(map);
	const char *name = peer->name ? peer->name : "";
	size_t len = strlen(name), tail = suffix ? strlen(suffix) : 0;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (tail > 0 && len > tail && name[len - tail - 1] == '.' &&
	    strncmp(name + len - tail, suffix, tail) == 0)
		len -= tail + 1;
	free(suffix);
	if (len == 0 && peer->hostname)
		return json_string(peer->hostname);
	return json_stringn(name, len);
}

static json_t *hostinfo(const struct ts_peer *peer)
{
	json_t *info = json_object();

	if (peer->os)
		json_object_set_new(info, "OS", json_string(peer->os));
	if (peer->hostname)
		json_object_set_new(info, "Hostname",
				    json_string(peer->hostname));
	return info;
}

static void set_optional(json_t *node, const struct ts_peer *peer)
{
	if (peer->sharer)
		json_object_set_new(node, "Sharer",
				    json_integer(peer->sharer));
	if (peer->key_expiry_unix)
		json_object_set_new(node, "KeyExpiry",
				    localapi_time(peer->key_expiry_unix));
	if (peer->endpoint_count)
		json_object_set_new(node, "Endpoints", endpoints(peer));
	if (peer->home_derp)
		json_object_set_new(node, "HomeDERP",
				    json_integer(peer->home_derp));
	if (peer->cap)
		json_object_set_new(node, "Cap", json_integer(peer->cap));
	if (peer->tag_count)
		json_object_set_new(node, "Tags",
				    localapi_texts(peer->tags,
						   peer->tag_count));
	if (peer->primary_route_count)
		json_object_set_new(
			node, "PrimaryRoutes",
			localapi_prefixes(peer->primary_routes,
					  peer->primary_route_count));
	if (peer->last_seen_unix)
		json_object_set_new(node, "LastSeen",
				    localapi_time(peer->last_seen_unix));
	if (peer->online != TS_UNKNOWN)
		json_object_set_new(node, "Online",
				    json_boolean(peer->online == TS_YES));
	if (peer->cap_map)
		json_object_set(node, "CapMap", peer->cap_map);
	if (peer->expired)
		json_object_set_new(node, "Expired", json_true());
	if (peer->is_wireguard_only)
		json_object_set_new(node, "IsWireGuardOnly", json_true());
	if (peer->exit_dns)
		json_object_set(node, "ExitNodeDNSResolvers", peer->exit_dns);
	if (peer->is_jailed)
		json_object_set_new(node, "IsJailed", json_true());
}

json_t *localapi_peer_node(const struct ts_netmap *map,
			   const struct ts_peer *peer)
{
	json_t *node = json_object();

	json_object_set_new(node, "ID", json_integer(peer->id));
	json_object_set_new(node, "StableID",
			    json_string(peer->stable_id ? peer->stable_id
							: ""));
	json_object_set_new(node, "Name",
			    json_string(peer->name ? peer->name : ""));
	json_object_set_new(node, "User", json_integer(peer->user));
	json_object_set_new(node, "Key",
			    localapi_key(&peer->key, TS_PREFIX_NODE));
	json_object_set_new(node, "Machine",
			    localapi_key(&peer->machine, TS_PREFIX_MACHINE));
	json_object_set_new(node, "DiscoKey",
			    localapi_key(&peer->disco_key, TS_PREFIX_DISCO));
	json_object_set_new(node, "Addresses",
			    localapi_prefixes(peer->addresses,
					      peer->address_count));
	json_object_set_new(node, "AllowedIPs",
			    localapi_prefixes(peer->allowed_ips,
					      peer->allowed_ip_count));
	json_object_set_new(node, "Hostinfo", hostinfo(peer));
	json_object_set_new(node, "Created",
			    localapi_time(peer->created_unix));
	if (peer->machine_authorized)
		json_object_set_new(node, "MachineAuthorized", json_true());
	json_object_set_new(node, "ComputedName", computed_name(map, peer));
	set_optional(node, peer);
	return node;
}

json_t *localapi_user(const struct ts_user_profile *user)
{
	json_t *u = json_object();

	json_object_set_new(u, "ID", json_integer(user->id));
	json_object_set_new(u, "LoginName",
			    json_string(user->login_name ? user->login_name
							 : ""));
	json_object_set_new(u, "DisplayName",
			    json_string(user->display_name ? user->display_name
							   : ""));
	if (user->profile_pic_url)
		json_object_set_new(u, "ProfilePicURL",
				    json_string(user->profile_pic_url));
	return u;
}

void localapi_add_user(json_t *users, const struct ts_netmap *map, int64_t id)
{
	const struct ts_user_profile *user = ts_netmap_user(map, id);
	char key[24];

	snprintf(key, sizeof(key), "%lld", (long long)id);
	if (user && !json_object_get(users, key))
		json_object_set_new(users, key, localapi_user(user));
}
