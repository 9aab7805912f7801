/* SPDX-License-Identifier: BSD-3-Clause
 * lab_state.h - nodes, users and settings of the tailnet, in memory
 *
 * Every change takes the next revision number and stamps what it touched. A
 * map stream remembers the revision up to which its client knows everything,
 * so a delta is found by comparing numbers, and a slow reader gets all that
 * happened meanwhile in one message.
 */
#ifndef TESTS_LAB_LAB_STATE_H
#define TESTS_LAB_LAB_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/key_map.h"
#include "core/crypto/keys.h"

enum {
	LAB_NAME_CAP = 64,   /* one DNS label */
	LAB_STABLE_ID_CAP = 32,
	LAB_LOGIN_CAP = 128,
	LAB_TAGGED_USER = 1, /* the user that owns tagged nodes */
};

struct lab_user {
	int64_t id;
	char login[LAB_LOGIN_CAP]; /* alice@example.com */
	uint64_t rev;
};

struct lab_node {
	int64_t id;
	char stable_id[LAB_STABLE_ID_CAP];
	char name[LAB_NAME_CAP]; /* first label of the FQDN, unique */
	struct ts_public_key key, machine, disco;
	int64_t user;
	struct ts_ip ip4, ip6;
	int64_t created_unix, last_seen_unix;
	int64_t expiry_unix; /* 0: never */
	int cap_version, home_derp;
	json_t *tags, *routes;	       /* arrays; routes: approved prefixes */
	json_t *hostinfo, *cap_map;    /* objects */
	json_t *net_info;	       /* the last one, or NULL */
	json_t *endpoints;	       /* array */
	bool synthetic, ephemeral, unauthorized;
	bool forced_offline;	       /* by command, whatever it does */
	bool rekey_wanted;	       /* may come back with another key */
	unsigned streams;	       /* open map polls */
	uint64_t offline_since_ms;     /* loop time; ephemeral nodes */
	/* When what clients can see of it last changed. */
	uint64_t full_rev, patch_rev, online_rev;
	struct ts_public_key nl_key; /* Tailnet Lock: its own key */
	char *key_signature;	     /* base64, or NULL */
	char *json; /* as others see it, made by lab_json.c; NULL: stale */
};

/* What a change touched; decides how clients are told. */
enum lab_change {
	LAB_CHANGE_FULL,   /* PeersChanged */
	LAB_CHANGE_PATCH,  /* PeersChangedPatch: endpoints, DERP, disco key */
	LAB_CHANGE_ONLINE, /* OnlineChange */
};

struct lab_tombstone {
	int64_t id;
	uint64_t rev;
};

struct lab_state {
	uint64_t rev;
	struct lab_node **nodes; /* by rising ID */
	size_t node_count, node_cap;
	struct ts_key_map by_key;  /* node key -> struct lab_node */
	struct ts_key_map by_name; /* name, padded -> struct lab_node */
	struct lab_tombstone *tombstones;
	size_t tombstone_count, tombstone_cap;
	struct lab_user *users;
	size_t user_count, user_cap;
	int64_t last_node_id;
	char *domain;
	json_t *filter;	 /* array of FilterRule */
	json_t *records; /* array of DNSRecord */
	json_t *dns;	 /* NULL: the default; else sent as it is */
	json_t *health;	 /* array of text */
	json_t *txt_records; /* lab_set_dns.c */
	uint64_t domain_rev, filter_rev, dns_rev, health_rev, derp_rev;
	uint64_t lock_rev;
};

/* 0 or -ENOMEM */
int lab_state_init(struct lab_state *st, const char *domain);
void lab_state_deinit(struct lab_state *st);

/* The user with that login, made when new. 0: out of memory. */
int64_t lab_state_user(struct lab_state *st, const char *login);
const struct lab_user *lab_state_user_by_id(const struct lab_state *st,
					    int64_t id);

/* A new node with addresses and a unique name made from hostname; NULL: out
 * of memory or of addresses. */
struct lab_node *lab_node_add(struct lab_state *st,
			      const struct ts_public_key *key,
			      const char *hostname);
void lab_node_remove(struct lab_state *st, struct lab_node *node);
/* NULL: none */
struct lab_node *lab_node_by_key(const struct lab_state *st,
				 const struct ts_public_key *key);
struct lab_node *lab_node_by_id(const struct lab_state *st, int64_t id);
struct lab_node *lab_node_by_machine(const struct lab_state *st,
				     const struct ts_public_key *machine,
				     int64_t user);
/* By name, ID, address or node key as text. */
struct lab_node *lab_node_find(const struct lab_state *st, const char *text);
/* 0 or -ENOMEM */
int lab_node_set_key(struct lab_state *st, struct lab_node *node,
		     const struct ts_public_key *key);
/* 0 or -ENOMEM */
int lab_node_rename(struct lab_state *st, struct lab_node *node,
		    const char *hostname);
bool lab_node_is_online(const struct lab_node *node);
bool lab_node_has_expired(const struct lab_node *node);
void lab_node_changed(struct lab_state *st, struct lab_node *node,
		      enum lab_change what);
/* Stamp one of the settings' revisions. */
void lab_state_touch(struct lab_state *st, uint64_t *what_rev);
/* Steals value (an array or object) into *slot; NULL value is ignored. */
void lab_json_replace(json_t **slot, json_t *value);

#endif
