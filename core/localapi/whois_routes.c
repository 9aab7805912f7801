/* SPDX-License-Identifier: BSD-3-Clause
 * whois_routes.c - who is behind an address, a node ID, a user ID
 * Source: ipn/localapi/localapi.go (serveWhoIs, servePeerByID)
 */
#include <stdlib.h>
#include <string.h>

#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

static bool is_node_key(const char *text)
{
	return strncmp(text, TS_PREFIX_NODE, strlen(TS_PREFIX_NODE)) == 0;
}

static const struct ts_peer *find_by_key(const struct ts_netmap *map,
					 const struct ts_public_key *key)
{
	const struct ts_peer *peer = ts_netmap_peer_by_key(map, key);

	if (!peer && map->self && ts_public_key_equal(&map->self->key, key))
		peer = map->self;
	return peer;
}

/* "ip", "ip:port", "[v6]:port" or a node key. *problem: why the text is none
 * of these. Every flow of a peer's comes from its own address, whatever the
 * protocol: proto need not be looked at. */
static const struct ts_peer *find_whois(const struct localapi_call *call,
					const char *text, const char **problem)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_peer *peer;
	struct ts_public_key key;
	struct ts_addr addr;

	*problem = NULL;
	if (is_node_key(text)) {
		if (ts_public_key_parse(text, TS_PREFIX_NODE, &key) == 0)
			return find_by_key(map, &key);
		*problem = "invalid nodekey in 'addr' parameter";
		return NULL;
	}
	if (ts_ip_parse(text, &addr.ip) && ts_addr_parse(text, &addr)) {
		*problem = "invalid 'addr' parameter";
		return NULL;
	}
	peer = ts_node_whois(call->node, &addr.ip);
	/* By address, an owner that nobody knows is no owner. */
	return peer && ts_netmap_user(map, peer->user) ? peer : NULL;
}

/* dst: towards which of our addresses; NULL: the one of the same family. */
static json_t *peer_caps(const struct localapi_call *call,
			 const struct ts_peer *peer, const struct ts_ip *dst)
{
	json_t *caps = NULL;

	if (peer->address_count > 0)
		caps = dst ? ts_node_peer_caps_to(call->node,
						  &peer->addresses[0].ip, dst)
			   : ts_node_peer_caps(call->node,
					       &peer->addresses[0].ip);
	if (json_object_size(caps) > 0)
		return caps;
	json_decref(caps);
	return json_null();
}

static void reply_whois(const struct localapi_call *call,
			const struct ts_peer *peer, const struct ts_ip *dst)
{
	static const struct ts_user_profile nobody;
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_user_profile *user = ts_netmap_user(map, peer->user);
	json_t *body = json_object();

	json_object_set_new(body, "Node", localapi_peer_node(map, peer));
	json_object_set_new(body, "UserProfile",
			    localapi_user(user ? user : &nobody));
	json_object_set_new(body, "CapMap", peer_caps(call, peer, dst));
	localapi_reply_json(call, 200, body);
}

void localapi_whois(const struct localapi_call *call)
{
	const char *addr = localapi_query(call, "addr");
	const char *dst_text = localapi_query(call, "dst_ip");
	const char *problem = "missing 'addr' parameter";
	const struct ts_peer *peer = NULL;
	bool has_dst = dst_text && *dst_text;
	struct ts_ip dst;

	if (addr && *addr)
		peer = find_whois(call, addr, &problem);
	if (peer && has_dst && ts_ip_parse(dst_text, &dst))
		localapi_reply_error(call, 400, "invalid dst_ip");
	else if (peer)
		reply_whois(call, peer, has_dst ? &dst : NULL);
	else if (problem)
		localapi_reply_error(call, 400, problem);
	else
		localapi_reply_error(call, 404, "no match for IP:port");
}

/* 0: answered already. */
static int64_t read_id(const struct localapi_call *call)
{
	const char *text = localapi_query(call, "id");
	int64_t id;

	if (text && ts_int_parse(text, &id) == 0 && id > 0)
		return id;
	localapi_reply_error(call, 400, "invalid 'id' parameter");
	return 0;
}

void localapi_peer_by_id(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	int64_t id = read_id(call);
	const struct ts_peer *peer = id ? ts_netmap_peer_by_id(map, id) : NULL;

	if (peer)
		localapi_reply_json(call, 200, localapi_peer_node(map, peer));
	else if (id)
		localapi_reply_error(call, 404, "no peer with that NodeID");
}

void localapi_user_profile(const struct localapi_call *call)
{
	int64_t id = read_id(call);
	const struct ts_user_profile *user =
		id ? ts_netmap_user(ts_node_netmap(call->node), id) : NULL;

	if (user)
		localapi_reply_json(call, 200, localapi_user(user));
	else if (id)
		localapi_reply_error(call, 404, "no user with that UserID");
}
