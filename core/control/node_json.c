/* SPDX-License-Identifier: BSD-3-Clause
 * node_json.c - read a Node and a PeerChange of a map response
 *
 * What nobody here uses is not kept: ten thousand nodes are in memory at once.
 * Source: tailcfg/tailcfg.go (Node, Hostinfo, PeerChange),
 * control/controlclient/map.go (upgradeNode)
 */
#include "core/control/node_json.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

#define LEGACY_DERP_PREFIX "127.3.3.40:"

enum { REGION_MAX = INT_MAX, CAP_MAX = INT_MAX };

/* The home region, or what servers sent before there was a field for it. */
static int read_home_derp(const json_t *json)
{
	int home = ts_json_small(json, "HomeDERP", 0, REGION_MAX);
	const char *legacy = ts_json_text(json, "DERP");
	int64_t region;

	if (home || !legacy ||
	    strncmp(legacy, LEGACY_DERP_PREFIX,
		    strlen(LEGACY_DERP_PREFIX)) != 0)
		return home;
	if (ts_int_parse(legacy + strlen(LEGACY_DERP_PREFIX), &region) ||
	    region < 0 || region > REGION_MAX)
		return 0;
	return (int)region;
}

static void read_service(const json_t *service, struct ts_peer *peer)
{
	const char *proto = ts_json_text(service, "Proto");
	uint16_t port =
		(uint16_t)ts_json_small(service, "Port", 0, UINT16_MAX);

	if (!proto)
		return;
	if (strcmp(proto, "peerapi4") == 0)
		peer->peerapi4_port = port;
	else if (strcmp(proto, "peerapi6") == 0)
		peer->peerapi6_port = port;
	else if (strcmp(proto, "peerapi-dns-proxy") == 0)
		peer->peerapi_dns_proxy = true;
}

static int read_hostinfo(const json_t *hostinfo, struct ts_peer *peer)
{
	int err = ts_json_dup(hostinfo, "Hostname", &peer->hostname);
	json_t *service;
	size_t i;

	if (!err)
		err = ts_json_dup(hostinfo, "OS", &peer->os);
	peer->location = json_incref(ts_json_object(hostinfo, "Location"));
	json_array_foreach (ts_json_array(hostinfo, "Services"), i, service)
		read_service(service, peer);
	return err;
}

static int copy_addresses(struct ts_peer *peer)
{
	size_t bytes = peer->address_count * sizeof(*peer->addresses);

	free(peer->allowed_ips);
	peer->allowed_ips = NULL;
	peer->allowed_ip_count = 0;
	if (bytes == 0)
		return 0;
	peer->allowed_ips = malloc(bytes);
	if (!peer->allowed_ips)
		return -ENOMEM;
	memcpy(peer->allowed_ips, peer->addresses, bytes);
	peer->allowed_ip_count = peer->address_count;
	return 0;
}

/* AllowedIPs null is "the same as Addresses", [] is none. A node without a
 * signature may never be given more than its own addresses. */
static int read_prefixes(const json_t *json, struct ts_peer *peer)
{
	json_t *allowed = ts_json_array(json, "AllowedIPs");
	int err = ts_json_prefixes(ts_json_array(json, "Addresses"),
				   &peer->addresses, &peer->address_count);

	if (!err)
		err = ts_json_prefixes(ts_json_array(json, "PrimaryRoutes"),
				       &peer->primary_routes,
				       &peer->primary_route_count);
	if (err)
		return err;
	if (!allowed || peer->unsigned_peerapi_only)
		return copy_addresses(peer);
	return ts_json_prefixes(allowed, &peer->allowed_ips,
				&peer->allowed_ip_count);
}

/* Capabilities is the list that CapMap replaced. */
static int read_caps(const json_t *json, struct ts_peer *peer)
{
	json_t *map = ts_json_object(json, "CapMap"), *cap;
	size_t i;

	if (json_object_size(map) > 0)
		peer->cap_map = json_incref(map);
	json_array_foreach (ts_json_array(json, "Capabilities"), i, cap) {
		if (!json_is_string(cap))
			continue;
		if (!peer->cap_map)
			peer->cap_map = json_object();
		if (!json_object_get(peer->cap_map, json_string_value(cap)) &&
		    json_object_set_new(peer->cap_map, json_string_value(cap),
					json_null()))
			return -ENOMEM;
	}
	return 0;
}

static int read_keys(const json_t *json, struct ts_peer *peer)
{
	int err = ts_json_key(json, "Key", TS_PREFIX_NODE, &peer->key);

	if (!err)
		err = ts_json_key(json, "Machine", TS_PREFIX_MACHINE,
				  &peer->machine);
	if (!err)
		err = ts_json_key(json, "DiscoKey", TS_PREFIX_DISCO,
				  &peer->disco_key);
	if (!err)
		err = ts_json_dup(json, "KeySignature", &peer->key_signature);
	return err;
}

static int read_texts(const json_t *json, struct ts_peer *peer)
{
	int err = ts_json_dup(json, "StableID", &peer->stable_id);

	if (!err)
		err = ts_json_dup(json, "Name", &peer->name);
	if (!err)
		err = ts_json_dup_list(ts_json_array(json, "Tags"),
				       &peer->tags, &peer->tag_count);
	if (!err)
		err = read_hostinfo(ts_json_object(json, "Hostinfo"), peer);
	return err;
}

static void read_scalars(const json_t *json, struct ts_peer *peer)
{
	peer->id = ts_json_int(json, "ID");
	peer->user = ts_json_int(json, "User");
	peer->sharer = ts_json_int(json, "Sharer");
	peer->home_derp = read_home_derp(json);
	peer->cap = ts_json_small(json, "Cap", 0, CAP_MAX);
	peer->online = ts_json_opt_bool(json, "Online");
	peer->created_unix = ts_json_time(json, "Created");
	peer->last_seen_unix = ts_json_time(json, "LastSeen");
	peer->key_expiry_unix = ts_json_time(json, "KeyExpiry");
	peer->machine_authorized = ts_json_bool(json, "MachineAuthorized");
	peer->expired = ts_json_bool(json, "Expired");
	peer->unsigned_peerapi_only =
		ts_json_bool(json, "UnsignedPeerAPIOnly");
	peer->is_jailed = ts_json_bool(json, "IsJailed");
	peer->is_wireguard_only = ts_json_bool(json, "IsWireGuardOnly");
	peer->masq_v4 = ts_json_ip(json, "SelfNodeV4MasqAddrForThisPeer");
	peer->masq_v6 = ts_json_ip(json, "SelfNodeV6MasqAddrForThisPeer");
	if (peer->is_wireguard_only)
		peer->exit_dns = json_incref(
			ts_json_array(json, "ExitNodeDNSResolvers"));
}

static int read_node(const json_t *json, struct ts_peer *peer)
{
	int err;

	read_scalars(json, peer);
	if (peer->id == 0)
		return -EBADMSG;
	err = read_keys(json, peer);
	if (!err)
		err = read_texts(json, peer);
	if (!err)
		err = read_prefixes(json, peer);
	if (!err)
		err = read_caps(json, peer);
	if (!err)
		err = ts_json_addrs(ts_json_array(json, "Endpoints"),
				    &peer->endpoints, &peer->endpoint_count);
	return err;
}

int ts_node_from_json(const json_t *json, struct ts_map_node *out)
{
	struct ts_peer *peer;
	int err;

	if (!json_is_object(json))
		return -EBADMSG;
	peer = ts_peer_new();
	if (!peer)
		return -ENOMEM;
	err = read_node(json, peer);
	if (err) {
		ts_peer_free(peer);
		return err;
	}
	out->peer = peer;
	out->has_endpoints = ts_json_array(json, "Endpoints") != NULL;
	return 0;
}

static int read_patch(const json_t *json, struct ts_peer_patch *out)
{
	json_t *endpoints = ts_json_array(json, "Endpoints");
	int err;

	out->id = ts_json_int(json, "NodeID");
	out->home_derp = ts_json_small(json, "DERPRegion", 0, REGION_MAX);
	out->cap = ts_json_small(json, "Cap", 0, CAP_MAX);
	out->online = ts_json_opt_bool(json, "Online");
	out->has_last_seen = ts_json_get(json, "LastSeen") != NULL;
	out->last_seen_unix = ts_json_time(json, "LastSeen");
	out->has_key_expiry = ts_json_get(json, "KeyExpiry") != NULL;
	out->key_expiry_unix = ts_json_time(json, "KeyExpiry");
	out->has_key = ts_json_get(json, "Key") != NULL;
	out->has_disco_key = ts_json_get(json, "DiscoKey") != NULL;
	out->has_endpoints = endpoints != NULL;
	out->cap_map = json_incref(ts_json_object(json, "CapMap"));
	err = ts_json_key(json, "Key", TS_PREFIX_NODE, &out->key);
	if (!err)
		err = ts_json_key(json, "DiscoKey", TS_PREFIX_DISCO,
				  &out->disco_key);
	if (!err)
		err = ts_json_dup(json, "KeySignature", &out->key_signature);
	if (!err)
		err = ts_json_addrs(endpoints, &out->endpoints,
				    &out->endpoint_count);
	return err;
}

int ts_peer_patch_from_json(const json_t *json, struct ts_peer_patch *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	if (!json_is_object(json))
		return -EBADMSG;
	err = read_patch(json, out);
	if (err)
		ts_peer_patch_deinit(out);
	return err;
}

void ts_peer_patch_deinit(struct ts_peer_patch *patch)
{
	free(patch->endpoints);
	free(patch->key_signature);
	json_decref(patch->cap_map);
	memset(patch, 0, sizeof(*patch));
}
