/* SPDX-License-Identifier: BSD-3-Clause
 * lab_json.c - the objects of the control protocol as JSON
 *
 * Source: tailcfg/tailcfg.go (Node, PeerChange, UserProfile, DNSConfig),
 * tailcfg/derpmap.go
 */
#include "tests/lab/lab_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/err.h"
#include "tests/lab/lab_derp.h"
#include "tests/lab/lab_stun.h"

char *lab_json_time(int64_t unix_s, char out[static LAB_TIME_CAP])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!unix_s || !gmtime_r(&t, &tm) ||
	    !strftime(out, LAB_TIME_CAP, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(out, "0001-01-01T00:00:00Z");
	return out;
}

int64_t lab_json_parse_time(const char *text)
{
	struct tm tm = {0};

	/* Fractions and zones do not matter here. */
	if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ||
	    tm.tm_year < 0)
		return 0;
	return (int64_t)timegm(&tm);
}

/* -- nodes ---------------------------------------------------------------- */

static json_t *key_text(const struct ts_public_key *key, const char *prefix)
{
	char text[TS_KEY_TEXT_CAP];

	return json_string(ts_public_key_format(key, prefix, text));
}

static json_t *time_text(int64_t unix_s)
{
	char text[LAB_TIME_CAP];

	return json_string(lab_json_time(unix_s, text));
}

static json_t *addresses(const struct lab_node *node)
{
	char ip4[TS_IP_TEXT_CAP], ip6[TS_IP_TEXT_CAP];

	return json_pack("[o, o]",
			 json_sprintf("%s/32", ts_ip_format(&node->ip4, ip4)),
			 json_sprintf("%s/128", ts_ip_format(&node->ip6, ip6)));
}

static json_t *fqdn(const struct lab *lab, const struct lab_node *node)
{
	return json_sprintf("%s.%s.", node->name, lab->state.domain);
}

static void set_state_fields(json_t *obj, const struct lab_node *node)
{
	json_object_set_new(obj, "Online",
			    json_boolean(lab_node_is_online(node)));
	if (!lab_node_is_online(node))
		json_object_set_new(obj, "LastSeen",
				    time_text(node->last_seen_unix));
	if (node->home_derp) {
		json_object_set_new(obj, "HomeDERP",
				    json_integer(node->home_derp));
		json_object_set_new(
			obj, "DERP",
			json_sprintf("127.3.3.40:%d", node->home_derp));
	}
	if (json_array_size(node->endpoints))
		json_object_set(obj, "Endpoints", node->endpoints);
	if (!ts_public_key_is_zero(&node->disco))
		json_object_set_new(obj, "DiscoKey",
				    key_text(&node->disco, TS_PREFIX_DISCO));
}

static json_t *node_object(const struct lab *lab, const struct lab_node *node)
{
	json_t *allowed = addresses(node);
	json_t *obj;

	json_array_extend(allowed, node->routes);
	obj = json_pack(
		"{s:I, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:O, s:o, s:i, "
		"s:b}",
		"ID", (json_int_t)node->id, "StableID", node->stable_id, "Name",
		fqdn(lab, node), "User", (json_int_t)node->user, "Key",
		key_text(&node->key, TS_PREFIX_NODE), "KeyExpiry",
		time_text(node->expiry_unix), "Machine",
		key_text(&node->machine, TS_PREFIX_MACHINE), "Addresses",
		addresses(node), "AllowedIPs", allowed, "Hostinfo",
		node->hostinfo, "Created", time_text(node->created_unix), "Cap",
		node->cap_version, "MachineAuthorized", !node->unauthorized);
	if (!obj)
		return NULL;
	set_state_fields(obj, node);
	if (json_array_size(node->tags))
		json_object_set(obj, "Tags", node->tags);
	if (json_array_size(node->routes))
		json_object_set(obj, "PrimaryRoutes", node->routes);
	if (json_object_size(node->cap_map))
		json_object_set(obj, "CapMap", node->cap_map);
	if (lab_node_has_expired(node))
		json_object_set_new(obj, "Expired", json_true());
	if (node->key_signature)
		json_object_set_new(obj, "KeySignature",
				    json_string(node->key_signature));
	return obj;
}

const char *lab_json_node(struct lab *lab, struct lab_node *node)
{
	json_t *obj;

	if (node->json)
		return node->json;
	obj = node_object(lab, node);
	if (obj)
		node->json = json_dumps(obj, JSON_COMPACT);
	json_decref(obj);
	return node->json;
}

json_t *lab_json_self(struct lab *lab, struct lab_node *node)
{
	static const char *const CAPS[] = {
		"https",
		"funnel",
		"https://tailscale.com/cap/file-sharing",
		"https://tailscale.com/cap/is-admin",
		"https://tailscale.com/cap/tailnet-lock",
		"https://tailscale.com/cap/funnel-ports?ports=443,8443,10000",
	};
	json_t *obj = node_object(lab, node);
	json_t *caps = json_object();

	for (size_t i = 0; i < ARRAY_LEN(CAPS); i++)
		json_object_set_new(caps, CAPS[i], json_null());
	json_object_update(caps, node->cap_map);
	json_object_set_new(obj, "CapMap", caps);
	return obj;
}

json_t *lab_json_patch(const struct lab_node *node)
{
	json_t *obj = json_pack("{s:I, s:O, s:i}", "NodeID",
				(json_int_t)node->id, "Endpoints",
				node->endpoints, "Cap", node->cap_version);

	if (!obj)
		return NULL;
	if (node->home_derp)
		json_object_set_new(obj, "DERPRegion",
				    json_integer(node->home_derp));
	if (!ts_public_key_is_zero(&node->disco))
		json_object_set_new(obj, "DiscoKey",
				    key_text(&node->disco, TS_PREFIX_DISCO));
	json_object_set_new(obj, "Online",
			    json_boolean(lab_node_is_online(node)));
	return obj;
}

json_t *lab_json_user(const struct lab_user *user)
{
	const char *at = strchr(user->login, '@');
	size_t len = at ? (size_t)(at - user->login) : strlen(user->login);

	return json_pack("{s:I, s:s, s:s%}", "ID", (json_int_t)user->id,
			 "LoginName", user->login, "DisplayName", user->login,
			 len);
}

json_t *lab_json_node_summary(const struct lab *lab,
			      const struct lab_node *node)
{
	const struct lab_user *user =
		lab_state_user_by_id(&lab->state, node->user);
	char ip4[TS_IP_TEXT_CAP], ip6[TS_IP_TEXT_CAP];

	return json_pack(
		"{s:I, s:s, s:o, s:o, s:o, s:o, s:[s, s], s:b, s:O, s:i, s:s, "
		"s:O, s:b, s:b, s:b, s:i, s:O, s:O?}",
		"id", (json_int_t)node->id, "name", node->name, "fqdn",
		fqdn(lab, node), "key", key_text(&node->key, TS_PREFIX_NODE),
		"machine", key_text(&node->machine, TS_PREFIX_MACHINE), "disco",
		key_text(&node->disco, TS_PREFIX_DISCO), "ips",
		ts_ip_format(&node->ip4, ip4), ts_ip_format(&node->ip6, ip6),
		"online", lab_node_is_online(node), "endpoints",
		node->endpoints, "derp", node->home_derp, "user",
		user ? user->login : "", "tags", node->tags, "expired",
		lab_node_has_expired(node), "ephemeral", node->ephemeral,
		"synthetic", node->synthetic, "streams", (int)node->streams,
		"hostinfo", node->hostinfo, "net_info", node->net_info);
}

/* -- the network ---------------------------------------------------------- */

/* Where DERP and STUN are to be found: at one address. */
static const char *relay_ip(const struct lab *lab,
			    char text[static TS_IP_TEXT_CAP])
{
	const struct ts_ip *ip = &lab->opt.derp_listen.ip;

	return ts_ip_is_unspecified(ip) ? "127.0.0.1" : ts_ip_format(ip, text);
}

static json_t *derp_node(const struct lab *lab, unsigned i)
{
	const struct lab_stun *stun = lab->stuns[i];
	const int region = lab->first_region + (int)i;
	char sha256[LAB_SHA256_HEX_CAP];
	char ip_text[TS_IP_TEXT_CAP];
	const char *ip = relay_ip(lab, ip_text);
	json_t *obj =
		json_pack("{s:o, s:i, s:s, s:s, s:s, s:i, s:i}", "Name",
			  json_sprintf("%da", region), "RegionID", region,
			  "HostName", ip, "IPv4", ip, "IPv6",
			  "none", "DERPPort", (int)lab_derp_port(lab->derps[i]),
			  "STUNPort", stun ? (int)lab_stun_port(stun) : -1);

	if (!lab->opt.derp_verify && !lab->opt.derp_pin)
		json_object_set_new(obj, "InsecureForTests", json_true());
	if (lab->opt.derp_pin) {
		lab_tls_fingerprint(&lab->tls, sha256);
		json_object_set_new(obj, "CertName",
				    json_sprintf("sha256-raw:%s", sha256));
	}
	return obj;
}

static json_t *derp_region(const struct lab *lab, unsigned i)
{
	const int region = lab->first_region + (int)i;

	return json_pack(
		"{s:i, s:o, s:o, s:[o]}", "RegionID", region, "RegionCode",
		i ? json_sprintf("lab%u", i) : json_string("lab"), "RegionName",
		json_sprintf("Lab %d", region), "Nodes", derp_node(lab, i));
}

json_t *lab_json_derp_map(const struct lab *lab)
{
	json_t *regions = json_object();
	char id[16];

	for (unsigned i = 0; i < lab->opt.regions; i++) {
		snprintf(id, sizeof(id), "%d", lab->first_region + (int)i);
		json_object_set_new(regions, id, derp_region(lab, i));
	}
	return json_pack("{s:o, s:b}", "Regions", regions, "omitDefaultRegions",
			 1);
}

json_t *lab_json_dns(const struct lab *lab, const struct lab_node *self)
{
	const struct lab_state *st = &lab->state;

	if (st->dns)
		return json_incref(st->dns);
	return json_pack("{s:b, s:[s], s:O, s:{s:[]}, s:[o]}", "Proxied", 1,
			 "Domains", st->domain, "ExtraRecords", st->records,
			 "Routes", st->domain, "CertDomains",
			 json_sprintf("%s.%s", self->name, st->domain));
}
