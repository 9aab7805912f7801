/* SPDX-License-Identifier: BSD-3-Clause
 * lab_state.c - nodes, users and settings of the tailnet, in memory
 */
#include "tests/lab/lab_state.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"

enum {
	FIRST_ADDRESS = 0x64400000, /* 100.64.0.0 */
	ADDRESS_COUNT = 1 << 21,    /* stay below ChromeOS's block */
	MIN_CAP = 16,
};

#define FILTER_ALLOW_ALL                                                       \
	"[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\","                    \
	"\"Ports\":{\"First\":0,\"Last\":65535}}]}]"

/* Room for one more item of an array that doubles. */
static int grow(void **items, size_t count, size_t *cap, size_t item_len)
{
	size_t new_cap = *cap ? *cap * 2 : MIN_CAP;
	void *bigger;

	if (count < *cap)
		return 0;
	bigger = reallocarray(*items, new_cap, item_len);
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	*cap = new_cap;
	return 0;
}

int lab_state_init(struct lab_state *st, const char *domain)
{
	uint64_t seed;

	*st = (struct lab_state){.rev = 1};
	ts_random_bytes(&seed, sizeof(seed));
	ts_key_map_init(&st->by_key, TS_KEY_LEN, seed);
	ts_key_map_init(&st->by_name, LAB_NAME_CAP, seed);
	st->domain = strdup(domain);
	st->filter = json_loads(FILTER_ALLOW_ALL, 0, NULL);
	st->records = json_array();
	st->health = json_array();
	st->txt_records = json_array();
	if (st->domain && st->filter && st->records && st->health &&
	    st->txt_records &&
	    lab_state_user(st, "tagged-devices") == LAB_TAGGED_USER)
		return 0;
	lab_state_deinit(st);
	return -ENOMEM;
}

static void node_free(struct lab_node *node)
{
	json_decref(node->tags);
	json_decref(node->routes);
	json_decref(node->hostinfo);
	json_decref(node->net_info);
	json_decref(node->cap_map);
	json_decref(node->endpoints);
	free(node->key_signature);
	free(node->json);
	free(node);
}

void lab_state_deinit(struct lab_state *st)
{
	for (size_t i = 0; i < st->node_count; i++)
		node_free(st->nodes[i]);
	free(st->nodes);
	ts_key_map_deinit(&st->by_key);
	ts_key_map_deinit(&st->by_name);
	free(st->tombstones);
	free(st->users);
	free(st->domain);
	json_decref(st->filter);
	json_decref(st->records);
	json_decref(st->dns);
	json_decref(st->health);
	json_decref(st->txt_records);
	*st = (struct lab_state){0};
}

void lab_state_touch(struct lab_state *st, uint64_t *what_rev)
{
	*what_rev = ++st->rev;
}

void lab_json_replace(json_t **slot, json_t *value)
{
	if (!value)
		return;
	json_decref(*slot);
	*slot = value;
}

/* -- users ---------------------------------------------------------------- */

int64_t lab_state_user(struct lab_state *st, const char *login)
{
	struct lab_user *user;

	for (size_t i = 0; i < st->user_count; i++)
		if (!strcmp(st->users[i].login, login))
			return st->users[i].id;
	if (grow((void **)&st->users, st->user_count, &st->user_cap,
		 sizeof(*st->users)))
		return 0;
	user = &st->users[st->user_count++];
	*user = (struct lab_user){.id = (int64_t)st->user_count};
	snprintf(user->login, sizeof(user->login), "%s", login);
	lab_state_touch(st, &user->rev);
	return user->id;
}

const struct lab_user *lab_state_user_by_id(const struct lab_state *st,
					    int64_t id)
{
	if (id < 1 || (uint64_t)id > st->user_count)
		return NULL;
	return &st->users[id - 1];
}

/* -- looking up ----------------------------------------------------------- */

struct lab_node *lab_node_by_key(const struct lab_state *st,
				 const struct ts_public_key *key)
{
	return ts_key_map_get(&st->by_key, key->bytes);
}

/* The first index whose ID is not below id. */
static size_t index_of_id(const struct lab_state *st, int64_t id)
{
	size_t low = 0, high = st->node_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (st->nodes[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct lab_node *lab_node_by_id(const struct lab_state *st, int64_t id)
{
	size_t i = index_of_id(st, id);

	return i < st->node_count && st->nodes[i]->id == id ? st->nodes[i]
							    : NULL;
}

struct lab_node *lab_node_by_machine(const struct lab_state *st,
				     const struct ts_public_key *machine,
				     int64_t user)
{
	for (size_t i = 0; i < st->node_count; i++) {
		struct lab_node *node = st->nodes[i];

		if (!node->synthetic && node->user == user &&
		    ts_public_key_equal(&node->machine, machine))
			return node;
	}
	return NULL;
}

static struct lab_node *by_name(const struct lab_state *st, const char *name)
{
	char padded[LAB_NAME_CAP] = {0};

	if (strlen(name) >= sizeof(padded))
		return NULL;
	memcpy(padded, name, strlen(name));
	return ts_key_map_get(&st->by_name, padded);
}

static struct lab_node *by_ip(const struct lab_state *st,
			      const struct ts_ip *ip)
{
	for (size_t i = 0; i < st->node_count; i++)
		if (ts_ip_equal(&st->nodes[i]->ip4, ip) ||
		    ts_ip_equal(&st->nodes[i]->ip6, ip))
			return st->nodes[i];
	return NULL;
}

struct lab_node *lab_node_find(const struct lab_state *st, const char *text)
{
	struct lab_node *node = by_name(st, text);
	struct ts_public_key key;
	struct ts_ip ip;

	if (node)
		return node;
	if (!ts_public_key_parse(text, TS_PREFIX_NODE, &key))
		return lab_node_by_key(st, &key);
	if (!ts_ip_parse(text, &ip))
		return by_ip(st, &ip);
	return lab_node_by_id(st, strtoll(text, NULL, 10));
}

/* -- names ---------------------------------------------------------------- */

/* A DNS label from whatever the client calls itself. */
static void sanitize_name(const char *hostname, char out[static LAB_NAME_CAP])
{
	const size_t max = LAB_NAME_CAP - 12; /* room for "-<number>" */
	size_t len = 0;

	for (const char *c = hostname; *c && *c != '.' && len < max; c++) {
		if (isalnum((unsigned char)*c))
			out[len++] = (char)tolower((unsigned char)*c);
		else if (len && out[len - 1] != '-')
			out[len++] = '-';
	}
	while (len && out[len - 1] == '-')
		len--;
	out[len] = '\0';
	if (!len)
		strcpy(out, "node");
}

static void unique_name(const struct lab_state *st, const char *hostname,
			char out[static LAB_NAME_CAP])
{
	char base[LAB_NAME_CAP];

	sanitize_name(hostname, base);
	memset(out, 0, LAB_NAME_CAP); /* the whole array is the map's key */
	strcpy(out, base);
	for (unsigned i = 1; by_name(st, out); i++)
		snprintf(out, LAB_NAME_CAP, "%.50s-%u", base, i);
}

int lab_node_rename(struct lab_state *st, struct lab_node *node,
		    const char *hostname)
{
	char name[LAB_NAME_CAP];

	ts_key_map_take(&st->by_name, node->name); /* its own name is free */
	unique_name(st, hostname, name);
	memcpy(node->name, name, sizeof(name));
	lab_node_changed(st, node, LAB_CHANGE_FULL);
	return ts_key_map_put(&st->by_name, node->name, node);
}

/* -- nodes ---------------------------------------------------------------- */

static void set_addresses(struct lab_node *node)
{
	const uint64_t n = (uint64_t)node->id;

	node->ip4 = ts_ip_from_v4_host((uint32_t)(FIRST_ADDRESS + n));
	ts_ip_parse("fd7a:115c:a1e0::", &node->ip6);
	for (unsigned i = 0; i < 4; i++)
		node->ip6.bytes[TS_IP_LEN - 1 - i] = (uint8_t)(n >> (8 * i));
}

static struct lab_node *node_new(int64_t id, const struct ts_public_key *key)
{
	struct lab_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->id = id;
	node->key = *key;
	node->created_unix = node->last_seen_unix = time(NULL);
	snprintf(node->stable_id, sizeof(node->stable_id), "nLAB%06llxCNTRL",
		 (unsigned long long)id);
	set_addresses(node);
	node->tags = json_array();
	node->routes = json_array();
	node->endpoints = json_array();
	node->hostinfo = json_object();
	node->cap_map = json_object();
	if (node->tags && node->routes && node->endpoints && node->hostinfo &&
	    node->cap_map)
		return node;
	node_free(node);
	return NULL;
}

struct lab_node *lab_node_add(struct lab_state *st,
			      const struct ts_public_key *key,
			      const char *hostname)
{
	struct lab_node *node;

	/* ::53 is the service address; its number is skipped in IPv4, too. */
	if (st->last_node_id + 2 >= ADDRESS_COUNT ||
	    grow((void **)&st->nodes, st->node_count, &st->node_cap,
		 sizeof(struct lab_node *)))
		return NULL;
	if (++st->last_node_id == 0x53)
		st->last_node_id++;
	node = node_new(st->last_node_id, key);
	if (!node)
		return NULL;
	unique_name(st, hostname, node->name);
	if (ts_key_map_put(&st->by_key, key->bytes, node) ||
	    ts_key_map_put(&st->by_name, node->name, node)) {
		ts_key_map_take(&st->by_key, key->bytes);
		node_free(node);
		return NULL;
	}
	st->nodes[st->node_count++] = node;
	lab_node_changed(st, node, LAB_CHANGE_FULL);
	return node;
}

void lab_node_remove(struct lab_state *st, struct lab_node *node)
{
	size_t i = index_of_id(st, node->id);

	log_info("node-%lld: removed", (long long)node->id);
	if (!grow((void **)&st->tombstones, st->tombstone_count,
		  &st->tombstone_cap, sizeof(*st->tombstones)))
		st->tombstones[st->tombstone_count++] =
			(struct lab_tombstone){node->id, ++st->rev};
	ts_key_map_take(&st->by_key, node->key.bytes);
	ts_key_map_take(&st->by_name, node->name);
	st->node_count--;
	memmove(st->nodes + i, st->nodes + i + 1,
		(st->node_count - i) * sizeof(struct lab_node *));
	node_free(node);
}

int lab_node_set_key(struct lab_state *st, struct lab_node *node,
		     const struct ts_public_key *key)
{
	if (ts_key_map_put(&st->by_key, key->bytes, node))
		return -ENOMEM;
	if (!ts_public_key_equal(&node->key, key))
		ts_key_map_take(&st->by_key, node->key.bytes);
	node->key = *key;
	lab_node_changed(st, node, LAB_CHANGE_FULL);
	return 0;
}

bool lab_node_is_online(const struct lab_node *node)
{
	if (node->forced_offline)
		return false;
	return node->synthetic || node->streams > 0;
}

bool lab_node_has_expired(const struct lab_node *node)
{
	return node->expiry_unix && node->expiry_unix <= time(NULL);
}

void lab_node_changed(struct lab_state *st, struct lab_node *node,
		      enum lab_change what)
{
	const uint64_t rev = ++st->rev;

	free(node->json);
	node->json = NULL;
	switch (what) {
	case LAB_CHANGE_FULL:
		node->full_rev = rev;
		break;
	case LAB_CHANGE_PATCH:
		node->patch_rev = rev;
		break;
	case LAB_CHANGE_ONLINE:
		node->online_rev = rev;
		break;
	}
}
