/* SPDX-License-Identifier: BSD-3-Clause
 * netmap.h - the tailnet as the control server described it
 *
 * One owner (the control client) writes it, on the loop's thread; everybody
 * else reads it there. Peers live in an indexed table (by node ID, node key
 * and address); a delta touches only its peers. Text fields are heap strings
 * or NULL; JSON values are kept parsed only where their shape is open
 * (CapMap), as jansson values.
 * Source: tailcfg/tailcfg.go (Node, MapResponse), types/netmap/netmap.go
 */
#ifndef CORE_MODEL_NETMAP_H
#define CORE_MODEL_NETMAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/key_map.h"
#include "core/crypto/keys.h"

enum ts_tristate { TS_UNKNOWN = 0, TS_YES, TS_NO };

/* A node of the tailnet (tailcfg.Node): ourselves or a peer. */
struct ts_peer {
	int64_t id;
	char *stable_id;
	char *name; /* FQDN with trailing dot */
	int64_t user, sharer; /* sharer 0: none */
	struct ts_public_key key, machine, disco_key;
	char *key_signature; /* base64 or NULL */
	struct ts_prefix *addresses, *allowed_ips, *primary_routes;
	size_t address_count, allowed_ip_count, primary_route_count;
	struct ts_addr *endpoints;
	size_t endpoint_count;
	int home_derp; /* 0: unknown */
	int cap;       /* capability version, 0: unknown */
	char **tags;
	size_t tag_count;
	enum ts_tristate online;
	int64_t created_unix, last_seen_unix, key_expiry_unix; /* 0: none */
	bool machine_authorized, expired;
	bool unsigned_peerapi_only, is_jailed, is_wireguard_only;
	struct ts_ip masq_v4, masq_v6; /* :: when unset */
	/* from Hostinfo */
	char *hostname, *os;
	uint16_t peerapi4_port, peerapi6_port;
	bool peerapi_dns_proxy;
	json_t *location; /* where it is: object or NULL */
	/* WireGuard-only: who knows names where it leads to: array or NULL */
	json_t *exit_dns;
	json_t *cap_map; /* object or NULL */
	/* Tailnet Lock: nobody who is trusted vouches for its key. Set by
	 * core/node; such a peer is hidden from all who look for peers. */
	bool is_locked_out;
	void *node_data; /* for core/node: what it attached to this peer */
};

struct ts_user_profile {
	int64_t id;
	char *login_name, *display_name, *profile_pic_url;
};

struct ts_derp_node {
	char *name, *host_name, *cert_name, *ipv4, *ipv6, *stun_test_ip;
	/* Defaults filled in; stun -1: off. */
	int region_id, stun_port, derp_port;
	bool stun_only, insecure_for_tests, can_port80;
};

struct ts_derp_region {
	int id;
	char *code, *name;
	bool avoid, no_measure_no_home;
	struct ts_derp_node *nodes;
	size_t node_count;
};

struct ts_derp_map {
	struct ts_derp_region *regions; /* sorted by id */
	size_t region_count;
	json_t *raw; /* as received and merged, for the LocalAPI */
	double *region_scores; /* parallel to regions; 0: none */
};

struct ts_dns_record {
	char *name, *type, *value; /* name without trailing dot, lower case */
};

struct ts_dns_config {
	bool magic_dns;	      /* Proxied */
	char **search_domains;
	size_t search_domain_count;
	struct ts_dns_record *extra_records;
	size_t extra_record_count;
	json_t *raw; /* the whole DNSConfig: Resolvers, Routes, ... */
};

struct ts_port_range {
	uint16_t first, last;
};

/* One rule in the form that core/filter compiles; see tailcfg.FilterRule. */
struct ts_filter_dst {
	struct ts_prefix prefix;  /* when !is_range */
	struct ts_ip first, last; /* when is_range */
	bool is_range;
	struct ts_port_range ports;
};
struct ts_filter_src {
	struct ts_prefix prefix;
	struct ts_ip first, last;
	bool is_range;
	char *node_cap; /* "cap:NAME" source, else NULL */
};
struct ts_filter_rule {
	struct ts_filter_src *srcs;
	size_t src_count;
	struct ts_filter_dst *dsts;
	size_t dst_count;
	uint8_t protos[16];
	size_t proto_count; /* 0: TCP, UDP, ICMPv4, ICMPv6 */
	/* a grant instead of ports: dsts carry prefixes, caps are here */
	json_t *grant_caps; /* {cap: [raw...]} or NULL */
};

/* One entry of MapResponse.PacketFilters; it owns its rules. */
struct ts_named_filter {
	char *name;
	struct ts_filter_rule *rules;
	size_t rule_count;
	bool has_legacy_bits; /* SrcBits or Bits: the whole filter denies */
};

struct ts_netmap {
	struct ts_peer *self; /* NULL before the first map response */
	struct ts_key_map peers_by_id;	/* int64_t -> ts_peer */
	struct ts_key_map peers_by_key; /* node key -> ts_peer */
	struct ts_key_map peers_by_ip;	/* 16-byte address -> ts_peer */
	char *domain;
	struct ts_derp_map *derp_map;	   /* NULL: none yet */
	struct ts_dns_config *dns;	   /* NULL: none yet */
	/* Effective: the named filters' rules in name order. Only the array
	 * itself is ours, what the rules point to belongs to named_filters. */
	struct ts_filter_rule *filter;
	size_t filter_rule_count;
	struct ts_named_filter *named_filters; /* sorted by name */
	size_t named_filter_count;
	bool has_filter; /* false: nothing received yet, drop everything */
	struct ts_key_map users;	   /* int64_t -> ts_user_profile */
	char **health;
	size_t health_count;
	json_t *display_messages; /* object or NULL */
	json_t *client_version;	  /* as the server sent it, or NULL */
	bool tka_enabled; /* TKAInfo present and not disabled */
	char *tka_head;
	int64_t control_time_delta_s; /* control clock minus ours, if > 1 min */
	/* No peer's key expires before, by the control's clock; 0: look. */
	int64_t next_expiry_unix;
};

/* What a map response changed; passed to the listener after it was applied. */
enum ts_netmap_change {
	TS_CHANGED_SELF = 1 << 0,
	TS_CHANGED_PEERS = 1 << 1,
	TS_CHANGED_DERP_MAP = 1 << 2,
	TS_CHANGED_DNS = 1 << 3,
	TS_CHANGED_FILTER = 1 << 4,
	TS_CHANGED_USERS = 1 << 5,
	TS_CHANGED_HEALTH = 1 << 6,
	TS_CHANGED_TKA = 1 << 7,
	TS_CHANGED_FIRST = 1 << 8, /* first response of a poll */
};

struct ts_netmap *ts_netmap_new(void);
void ts_netmap_free(struct ts_netmap *map);
struct ts_peer *ts_netmap_peer_by_id(const struct ts_netmap *map, int64_t id);
struct ts_peer *ts_netmap_peer_by_key(const struct ts_netmap *map,
				      const struct ts_public_key *key);
/* By one of the peer's own addresses (not routes). Self is not found here. */
struct ts_peer *ts_netmap_peer_by_ip(const struct ts_netmap *map,
				     const struct ts_ip *ip);
struct ts_peer *ts_netmap_next_peer(const struct ts_netmap *map, size_t *pos);
/* Also those that Tailnet Lock hides, as peer_count does. */
struct ts_peer *ts_netmap_known_peer_by_id(const struct ts_netmap *map,
					   int64_t id);
struct ts_peer *ts_netmap_next_known_peer(const struct ts_netmap *map,
					  size_t *pos);
size_t ts_netmap_peer_count(const struct ts_netmap *map);
const struct ts_user_profile *ts_netmap_user(const struct ts_netmap *map,
					     int64_t id);
/* The owner that is shown: Sharer if set, else User. NULL if unknown. */
const struct ts_user_profile *ts_netmap_owner(const struct ts_netmap *map,
					      const struct ts_peer *peer);
/* "name.tail-scale.ts.net." -> "tail-scale.ts.net" of the self node (text
 * after the first label, without the trailing dot); NULL if unknown. Heap. */
char *ts_netmap_magic_suffix(const struct ts_netmap *map);
/* The first address of that family, or :: */
struct ts_ip ts_peer_ip(const struct ts_peer *peer, bool v6);
/* Is it one of the peer's own, and no route? */
bool ts_peer_has_address(const struct ts_peer *peer,
			 const struct ts_prefix *prefix);
bool ts_peer_has_cap(const struct ts_peer *peer, const char *cap);
const struct ts_derp_region *ts_derp_map_region(const struct ts_derp_map *map,
						int id);

#endif
