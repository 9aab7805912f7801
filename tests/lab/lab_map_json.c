/* SPDX-License-Identifier: BSD-3-Clause
 * lab_map_json.c - MapResponses
 *
 * Nodes are kept as text (lab_json_node), since 10,000 of them go to every
 * client; so the node lists are spliced behind the other members, which
 * jansson writes.
 * Source: tailcfg/tailcfg.go (MapResponse)
 */
#include "tests/lab/lab_map_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lab/lab_json.h"
#include "tests/lab/lab_tka.h"

/* "name":[node,...] of the peers changed after since. False: none. */
static bool print_peers(FILE *out, struct lab *lab, const struct lab_node *self,
			const char *name, uint64_t since)
{
	struct lab_state *st = &lab->state;
	bool any = false;

	for (size_t i = 0; i < st->node_count; i++) {
		const char *json;

		if (st->nodes[i] == self || st->nodes[i]->full_rev <= since)
			continue;
		json = lab_json_node(lab, st->nodes[i]);
		if (!json)
			continue;
		if (any)
			fputc(',', out);
		else
			fprintf(out, ",\"%s\":[", name);
		fputs(json, out);
		any = true;
	}
	if (any)
		fputc(']', out);
	return any;
}

/* Steals obj. peers: the member for nodes changed after since, or NULL. */
static char *join(struct lab *lab, const struct lab_node *self, json_t *obj,
		  const char *peers, uint64_t since)
{
	char *head = json_dumps(obj, JSON_COMPACT);
	bool empty = json_object_size(obj) == 0;
	char *text = NULL;
	size_t len = 0;
	FILE *out = NULL;

	json_decref(obj);
	if (head)
		out = open_memstream(&text, &len);
	if (out) {
		/* All but the closing brace; Seq keeps the commas simple. */
		fprintf(out, "%.*s%s", (int)strlen(head) - 1, head,
			empty ? "\"Seq\":0" : "");
		if (peers)
			print_peers(out, lab, self, peers, since);
		fputc('}', out);
		if (fclose(out)) {
			free(text);
			text = NULL;
		}
	}
	free(head);
	return text;
}

static json_t *users_since(const struct lab_state *st, uint64_t since)
{
	json_t *list = json_array();

	for (size_t i = 0; i < st->user_count; i++)
		if (st->users[i].rev > since)
			json_array_append_new(list,
					      lab_json_user(&st->users[i]));
	return list;
}

static json_t *time_now(void)
{
	char text[LAB_TIME_CAP];

	return json_string(lab_json_time(time(NULL), text));
}

char *lab_map_json_full(struct lab *lab, struct lab_node *self, bool omit_peers)
{
	struct lab_state *st = &lab->state;
	json_t *obj = json_pack(
		"{s:o, s:o, s:o, s:s, s:O, s:o, s:O, s:o, s:b, s:{s:b}}",
		"Node", lab_json_self(lab, self), "DERPMap",
		lab_json_derp_map(lab), "DNSConfig", lab_json_dns(lab, self),
		"Domain", st->domain, "PacketFilter", st->filter,
		"UserProfiles", users_since(st, 0), "Health", st->health,
		"ControlTime", time_now(), "CollectServices", 1, "Debug",
		"DisableLogTail", 1);

	if (!obj)
		return NULL;
	if (lab_tka_is_on(lab))
		json_object_set_new(obj, "TKAInfo", lab_tka_info(lab, false));
	/* Who has expired learns that, and nothing of the others. */
	if (lab_node_has_expired(self))
		omit_peers = true;
	return join(lab, self, obj, omit_peers ? NULL : "Peers", 0);
}

/* -- changes -------------------------------------------------------------- */

static void add_settings(json_t *obj, struct lab *lab,
			 const struct lab_node *self, uint64_t since)
{
	struct lab_state *st = &lab->state;
	json_t *users = users_since(st, since);

	if (json_array_size(users))
		json_object_set(obj, "UserProfiles", users);
	json_decref(users);
	if (st->domain_rev > since)
		json_object_set_new(obj, "Domain", json_string(st->domain));
	if (st->dns_rev > since || st->domain_rev > since)
		json_object_set_new(obj, "DNSConfig", lab_json_dns(lab, self));
	if (st->filter_rev > since)
		json_object_set(obj, "PacketFilter", st->filter);
	if (st->health_rev > since)
		json_object_set(obj, "Health", st->health);
	if (st->derp_rev > since)
		json_object_set_new(obj, "DERPMap", lab_json_derp_map(lab));
	if (st->lock_rev > since)
		json_object_set_new(obj, "TKAInfo", lab_tka_info(lab, true));
}

static json_t *member(json_t *obj, const char *name, json_t *(*make)(void))
{
	json_t *value = json_object_get(obj, name);

	if (value)
		return value;
	value = make();
	json_object_set_new(obj, name, value);
	return value;
}

static void add_online(json_t *obj, const struct lab_node *node)
{
	char id[24];

	snprintf(id, sizeof(id), "%lld", (long long)node->id);
	json_object_set_new(member(obj, "OnlineChange", json_object), id,
			    json_boolean(lab_node_is_online(node)));
	if (!lab_node_is_online(node))
		json_object_set_new(member(obj, "PeerSeenChange", json_object),
				    id, json_true());
}

/* Removals and small changes; true when whole nodes follow. */
static bool add_peer_changes(json_t *obj, const struct lab_state *st,
			     const struct lab_node *self, uint64_t since)
{
	bool whole = false;

	for (size_t i = 0; i < st->tombstone_count; i++)
		if (st->tombstones[i].rev > since)
			json_array_append_new(
				member(obj, "PeersRemoved", json_array),
				json_integer(st->tombstones[i].id));
	for (size_t i = 0; i < st->node_count; i++) {
		const struct lab_node *node = st->nodes[i];

		if (node == self)
			continue;
		if (node->full_rev > since) {
			whole = true;
			continue;
		}
		if (node->patch_rev > since)
			json_array_append_new(
				member(obj, "PeersChangedPatch", json_array),
				lab_json_patch(node));
		if (node->online_rev > since)
			add_online(obj, node);
	}
	return whole;
}

char *lab_map_json_delta(struct lab *lab, struct lab_node *self, uint64_t since,
			 bool omit_peers, int *err)
{
	json_t *obj = json_object();
	bool whole = false;
	char *text;

	*err = 0;
	if (self->full_rev > since)
		json_object_set_new(obj, "Node", lab_json_self(lab, self));
	if (!lab_node_has_expired(self)) {
		add_settings(obj, lab, self, since);
		if (!omit_peers)
			whole = add_peer_changes(obj, &lab->state, self, since);
	}
	if (!whole && !json_object_size(obj)) {
		json_decref(obj);
		return NULL;
	}
	text = join(lab, self, obj, whole ? "PeersChanged" : NULL, since);
	if (!text)
		*err = -ENOMEM;
	return text;
}
