/* SPDX-License-Identifier: BSD-3-Clause
 * status_json.c - ipnstate.Status: who we are, whom we see, by which path
 *
 * peers=false costs no walk over the netmap.
 * Source: ipn/ipnstate/ipnstate.go, ipn/ipnlocal/local.go (UpdateStatus)
 */
#include <stdlib.h>
#include <string.h>

#include "core/drop/drop_rights.h"
#include "core/localapi/localapi_internal.h"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static json_t *relay_code(const struct ts_netmap *map, int region)
{
	const struct ts_derp_region *r =
		map->derp_map ? ts_derp_map_region(map->derp_map, region)
			      : NULL;

	return json_string(r ? or_empty(r->code) : "");
}

/* What is the same for ourselves and for a peer. */
static json_t *common_status(const struct ts_peer *peer)
{
	json_t *s = json_object();

	json_object_set_new(s, "ID", json_string(or_empty(peer->stable_id)));
	json_object_set_new(s, "NodeID", json_integer(peer->id));
	json_object_set_new(s, "PublicKey",
			    localapi_key(&peer->key, TS_PREFIX_NODE));
	json_object_set_new(s, "HostName",
			    json_string(or_empty(peer->hostname)));
	json_object_set_new(s, "DNSName", json_string(or_empty(peer->name)));
	json_object_set_new(s, "OS", json_string(or_empty(peer->os)));
	json_object_set_new(s, "UserID", json_integer(peer->user));
	if (peer->sharer)
		json_object_set_new(s, "AltSharerUserID",
				    json_integer(peer->sharer));
	json_object_set_new(s, "TailscaleIPs", localapi_ips(peer));
	json_object_set_new(s, "AllowedIPs",
			    localapi_prefixes(peer->allowed_ips,
					      peer->allowed_ip_count));
	if (peer->tag_count)
		json_object_set_new(s, "Tags", localapi_texts(peer->tags,
							      peer->tag_count));
	if (peer->primary_route_count)
		json_object_set_new(
			s, "PrimaryRoutes",
			localapi_prefixes(peer->primary_routes,
					  peer->primary_route_count));
	json_object_set_new(s, "Created", localapi_time(peer->created_unix));
	if (json_object_size(peer->cap_map) > 0) {
		json_object_set(s, "CapMap", peer->cap_map);
		json_object_set_new(s, "Capabilities",
				    localapi_cap_names(peer->cap_map));
	}
	json_object_set_new(s, "InNetworkMap", json_true());
	if (peer->expired)
		json_object_set_new(s, "Expired", json_true());
	if (peer->key_expiry_unix)
		json_object_set_new(s, "KeyExpiry",
				    localapi_time(peer->key_expiry_unix));
	return s;
}

static bool offers_exit(const struct ts_peer *peer)
{
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < peer->allowed_ip_count; i++) {
		const struct ts_prefix *p = &peer->allowed_ips[i];

		if (!ts_prefix_is_default(p))
			continue;
		v4 |= ts_ip_is_v4(&p->ip);
		v6 |= !ts_ip_is_v4(&p->ip);
	}
	return v4 && v6;
}

static json_t *peer_status(const struct localapi_call *call,
			   const struct ts_peer *peer)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	json_t *s = common_status(peer);
	struct ts_node_peer_status st;
	char addr[TS_PATH_ADDR_TEXT_CAP] = "", relay[sizeof(addr)] = "";
	int64_t last_write = 0;

	ts_node_peer_status(call->node, peer, call->now_ms, &st);
	if (st.path.is_direct)
		ts_path_addr_format(&st.path.best, addr);
	if (st.path.is_relayed)
		ts_path_addr_format(&st.path.best, relay);
	if (st.path.last_send_ms)
		last_write = call->now_unix -
			     (int64_t)((call->now_ms - st.path.last_send_ms) /
				       1000);
	json_object_set_new(s, "Addrs", json_null());
	json_object_set_new(s, "CurAddr", json_string(addr));
	json_object_set_new(s, "Relay", relay_code(map, peer->home_derp));
	json_object_set_new(s, "PeerRelay", json_string(relay));
	json_object_set_new(s, "RxBytes",
			    json_integer((json_int_t)st.rx_bytes));
	json_object_set_new(s, "TxBytes",
			    json_integer((json_int_t)st.tx_bytes));
	json_object_set_new(s, "LastWrite", localapi_time(last_write));
	json_object_set_new(s, "LastSeen",
			    localapi_time(peer->last_seen_unix));
	json_object_set_new(s, "LastHandshake",
			    localapi_time(st.last_handshake_unix));
	json_object_set_new(s, "Online", json_boolean(peer->online == TS_YES));
	json_object_set_new(s, "ExitNode",
			    json_boolean(localapi_is_exit_node(call, peer)));
	json_object_set_new(s, "ExitNodeOption",
			    json_boolean(offers_exit(peer)));
	if (peer->location)
		json_object_set(s, "Location", peer->location);
	json_object_set_new(s, "Active", json_boolean(st.path.active));
	json_object_set_new(s, "PeerAPIURL", json_null());
	json_object_set_new(s, "TaildropTarget",
			    json_integer(ts_drop_target_of(call->node, peer)));
	json_object_set_new(s, "NoFileSharingReason", json_string(""));
	json_object_set_new(s, "InMagicSock", json_boolean(st.in_wireguard));
	json_object_set_new(s, "InEngine", json_boolean(st.in_wireguard));
	return s;
}

static json_t *own_endpoints(const struct ts_node *node)
{
	const struct ts_addr *addrs = NULL;
	size_t count = ts_node_endpoints(node, &addrs);
	json_t *list = json_array();
	char text[TS_ADDR_TEXT_CAP];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, json_string(ts_addr_format(&addrs[i], text)));
	return list;
}

static json_t *own_peerapi(const struct ts_node *node)
{
	json_t *list = json_array();
	char text[TS_ADDR_TEXT_CAP], url[TS_ADDR_TEXT_CAP + 8];

	for (int v6 = 0; v6 < 2; v6++) {
		struct ts_addr addr = {.ip = ts_node_ip(node, v6),
				       .port = ts_node_peerapi_port(node, v6)};

		if (addr.port == 0)
			continue;
		snprintf(url, sizeof(url), "http://%s",
			 ts_addr_format(&addr, text));
		json_array_append_new(list, json_string(url));
	}
	return list;
}

static json_t *self_status(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	struct ts_public_key key;
	json_t *s;

	if (map->self) {
		s = common_status(map->self);
	} else {
		s = json_object();
		json_object_set_new(s, "UserID", json_integer(0));
		json_object_set_new(s, "TailscaleIPs", json_null());
	}
	ts_node_public_key(call->node, &key);
	json_object_set_new(s, "PublicKey", localapi_key(&key, TS_PREFIX_NODE));
	json_object_set_new(
		s, "HostName",
		json_string(or_empty(ts_node_prefs(call->node)->hostname)));
	json_object_set_new(s, "OS", json_string("linux"));
	json_object_set_new(s, "Addrs", own_endpoints(call->node));
	json_object_set_new(s, "CurAddr", json_string(""));
	json_object_set_new(s, "Relay",
			    relay_code(map, ts_node_home_region(call->node)));
	json_object_set_new(s, "PeerRelay", json_string(""));
	json_object_set_new(s, "RxBytes", json_integer(0));
	json_object_set_new(s, "TxBytes", json_integer(0));
	json_object_set_new(s, "LastWrite", localapi_time(0));
	json_object_set_new(s, "LastSeen", localapi_time(0));
	json_object_set_new(s, "LastHandshake", localapi_time(0));
	json_object_set_new(s, "Online",
			    json_boolean(ts_node_in_map_poll(call->node)));
	json_object_set_new(s, "ExitNode", json_false());
	json_object_set_new(s, "ExitNodeOption", json_false());
	json_object_set_new(s, "Active", json_false());
	json_object_set_new(s, "PeerAPIURL", own_peerapi(call->node));
	json_object_set_new(s, "TaildropTarget", json_integer(0));
	json_object_set_new(s, "NoFileSharingReason", json_string(""));
	json_object_set_new(s, "InMagicSock", json_false());
	json_object_set_new(s, "InEngine", json_false());
	return s;
}

static void set_peers(const struct localapi_call *call, json_t *status)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	json_t *peers = json_object(), *users = json_object();
	const struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos))) {
		char key[TS_KEY_TEXT_CAP];

		ts_public_key_format(&peer->key, TS_PREFIX_NODE, key);
		json_object_set_new(peers, key, peer_status(call, peer));
		localapi_add_user(users, map, peer->user);
		if (peer->sharer)
			localapi_add_user(users, map, peer->sharer);
	}
	if (map->self)
		localapi_add_user(users, map, map->self->user);
	json_object_set_new(status, "Peer", peers);
	json_object_set_new(status, "User", users);
}

/* A list of the DNS configuration as the server sent it. */
static json_t *dns_list(const struct ts_netmap *map, const char *name)
{
	json_t *list = map->dns ? json_object_get(map->dns->raw, name) : NULL;

	return json_is_array(list) ? json_incref(list) : json_null();
}

static void set_tailnet(const struct localapi_call *call, json_t *status)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	char *suffix = ts_netmap_magic_suffix(map);
	json_t *tailnet = json_null();

	if (map->self) {
		tailnet = json_object();
		json_object_set_new(tailnet, "Name",
				    json_string(or_empty(map->domain)));
		json_object_set_new(tailnet, "MagicDNSSuffix",
				    json_string(or_empty(suffix)));
		json_object_set_new(
			tailnet, "MagicDNSEnabled",
			json_boolean(map->dns && map->dns->magic_dns));
	}
	json_object_set_new(status, "MagicDNSSuffix",
			    json_string(or_empty(suffix)));
	json_object_set_new(status, "CurrentTailnet", tailnet);
	free(suffix);
}

json_t *localapi_status(const struct localapi_call *call, bool with_peers)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const char *url = ts_node_auth_url(call->node);
	json_t *status = json_object();
	json_t *exit_node = localapi_exit_node_status(call);
	struct ts_public_key key;

	json_object_set_new(status, "Version", json_string(TSNET_VERSION));
	json_object_set_new(status, "TUN", json_false());
	json_object_set_new(status, "BackendState",
			    json_string(ts_node_state_name(
				    ts_node_state(call->node))));
	ts_node_public_key(call->node, &key);
	if (!ts_public_key_is_zero(&key))
		json_object_set_new(status, "HaveNodeKey", json_true());
	json_object_set_new(status, "AuthURL", json_string(or_empty(url)));
	json_object_set_new(status, "TailscaleIPs",
			    map->self ? localapi_ips(map->self) : json_null());
	json_object_set_new(status, "Self", self_status(call));
	json_object_set_new(status, "Health",
			    ts_node_health_texts(call->node));
	if (exit_node)
		json_object_set_new(status, "ExitNodeStatus", exit_node);
	set_tailnet(call, status);
	json_object_set_new(status, "CertDomains",
			    dns_list(map, "CertDomains"));
	json_object_set_new(status, "ExtraRecords",
			    dns_list(map, "ExtraRecords"));
	json_object_set_new(status, "ClientVersion",
			    map->client_version
				    ? json_incref(map->client_version)
				    : json_null());
	if (with_peers) {
		set_peers(call, status);
	} else {
		json_object_set_new(status, "Peer", json_null());
		json_object_set_new(status, "User", json_null());
	}
	return status;
}
