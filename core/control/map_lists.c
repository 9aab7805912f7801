/* SPDX-License-Identifier: BSD-3-Clause
 * map_lists.c - the lists of a MapResponse: nodes, patches, users, filters
 *
 * They grow with the tailnet, so one element at a time is parsed. A node that
 * makes no sense is skipped and counted: it must not keep the other ten
 * thousand from us. A list that comes twice: the last one counts.
 * Source: tailcfg/tailcfg.go (MapResponse)
 */
#include "core/control/map_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/filter_json.h"
#include "core/control/scan_json.h"
#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

#define BASE_FILTER_NAME "base"
#define CLEAR_ALL "*"

typedef int (*element_fn)(const json_t *json, struct ts_map_response *msg);

/* null counts as an empty list. */
static int read_each(struct ts_reader *r, struct ts_map_response *msg,
		     element_fn read_one)
{
	bool is_first = true;
	int more, err;

	if (ts_scan_peek(r) == 'n')
		return ts_scan_skip(r);
	err = ts_scan_enter(r, '[');
	while (!err && (more = ts_scan_element(r, &is_first)) != 0) {
		json_t *json = more > 0 ? ts_scan_value(r) : NULL;

		err = json ? read_one(json, msg) : -EBADMSG;
		json_decref(json);
	}
	return err;
}

/* Room for one more behind count entries; the room is a power of two. */
static void *grow_list(void *list, size_t count, size_t entry_size)
{
	if ((count & (count - 1)) != 0)
		return list;
	return reallocarray(list, count ? count * 2 : 1, entry_size);
}

/* -- nodes ---------------------------------------------------------------- */

static void nodes_deinit(struct ts_map_nodes *nodes)
{
	for (size_t i = 0; i < nodes->count; i++)
		ts_peer_free(nodes->list[i].peer);
	free(nodes->list);
	*nodes = (struct ts_map_nodes){0};
}

static int push_node(const json_t *json, struct ts_map_nodes *nodes,
		     size_t *skipped)
{
	struct ts_map_node node, *grown;
	int err = ts_node_from_json(json, &node);

	if (err == -EBADMSG) {
		(*skipped)++;
		return 0;
	}
	if (err)
		return err;
	grown = grow_list(nodes->list, nodes->count, sizeof(*grown));
	if (!grown) {
		ts_peer_free(node.peer);
		return -ENOMEM;
	}
	nodes->list = grown;
	grown[nodes->count++] = node;
	return 0;
}

static int push_peer(const json_t *json, struct ts_map_response *msg)
{
	return push_node(json, &msg->peers, &msg->skipped_nodes);
}

int ts_map_read_peers(struct ts_reader *r, struct ts_map_response *msg)
{
	nodes_deinit(&msg->peers);
	return read_each(r, msg, push_peer);
}

static int push_changed(const json_t *json, struct ts_map_response *msg)
{
	return push_node(json, &msg->changed, &msg->skipped_nodes);
}

int ts_map_read_changed(struct ts_reader *r, struct ts_map_response *msg)
{
	nodes_deinit(&msg->changed);
	return read_each(r, msg, push_changed);
}

/* -- patches -------------------------------------------------------------- */

static int push_patch(const json_t *json, struct ts_map_response *msg)
{
	struct ts_peer_patch patch, *grown;
	int err = ts_peer_patch_from_json(json, &patch);

	if (err == -EBADMSG) {
		msg->skipped_nodes++;
		return 0;
	}
	if (err)
		return err;
	grown = grow_list(msg->patches, msg->patch_count, sizeof(*grown));
	if (!grown) {
		ts_peer_patch_deinit(&patch);
		return -ENOMEM;
	}
	msg->patches = grown;
	grown[msg->patch_count++] = patch;
	return 0;
}

static void patches_deinit(struct ts_map_response *msg)
{
	for (size_t i = 0; i < msg->patch_count; i++)
		ts_peer_patch_deinit(&msg->patches[i]);
	free(msg->patches);
	msg->patches = NULL;
	msg->patch_count = 0;
}

int ts_map_read_patches(struct ts_reader *r, struct ts_map_response *msg)
{
	patches_deinit(msg);
	return read_each(r, msg, push_patch);
}

/* -- users ---------------------------------------------------------------- */

static int fill_user(const json_t *json, struct ts_user_profile *user)
{
	int err = ts_json_dup(json, "LoginName", &user->login_name);

	if (!err)
		err = ts_json_dup(json, "DisplayName", &user->display_name);
	if (!err)
		err = ts_json_dup(json, "ProfilePicURL",
				  &user->profile_pic_url);
	user->id = ts_json_int(json, "ID");
	return err;
}

static int push_user(const json_t *json, struct ts_map_response *msg)
{
	struct ts_user_profile *user = calloc(1, sizeof(*user)), **grown;
	int err = user ? fill_user(json, user) : -ENOMEM;

	if (!err) {
		grown = grow_list(msg->users, msg->user_count,
				  sizeof(struct ts_user_profile *));
		if (grown) {
			msg->users = grown;
			grown[msg->user_count++] = user;
			return 0;
		}
		err = -ENOMEM;
	}
	ts_user_profile_free(user);
	return err;
}

static void users_deinit(struct ts_map_response *msg)
{
	for (size_t i = 0; i < msg->user_count; i++)
		ts_user_profile_free(msg->users[i]);
	free(msg->users);
	msg->users = NULL;
	msg->user_count = 0;
}

int ts_map_read_users(struct ts_reader *r, struct ts_map_response *msg)
{
	users_deinit(msg);
	return read_each(r, msg, push_user);
}

/* -- packet filters ------------------------------------------------------- */

int ts_map_read_packet_filter(struct ts_reader *r, struct ts_map_response *msg)
{
	struct ts_named_filter *base = &msg->base_filter;

	if (ts_scan_peek(r) == 'n')
		return ts_scan_skip(r);
	ts_named_filter_deinit(base);
	base->name = strdup(BASE_FILTER_NAME);
	if (!base->name)
		return -ENOMEM;
	msg->has_base_filter = true;
	return ts_filter_rules_read(r, base);
}

static int push_filter(struct ts_map_response *msg,
		       const struct ts_map_filter *filter)
{
	struct ts_map_filter *grown =
		grow_list(msg->filters, msg->filter_count, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	msg->filters = grown;
	grown[msg->filter_count++] = *filter;
	return 0;
}

static int read_named_filter(struct ts_reader *r, const char *name,
			     struct ts_map_response *msg)
{
	struct ts_map_filter filter = {0};
	int err;

	filter.is_removal = ts_scan_peek(r) == 'n';
	if (strcmp(name, CLEAR_ALL) == 0) {
		msg->clears_filters |= filter.is_removal;
		return ts_scan_skip(r);
	}
	filter.named.name = strdup(name);
	if (!filter.named.name)
		return -ENOMEM;
	err = filter.is_removal ? ts_scan_skip(r)
				: ts_filter_rules_read(r, &filter.named);
	if (!err)
		err = push_filter(msg, &filter);
	if (err)
		ts_named_filter_deinit(&filter.named);
	return err;
}

static void filters_deinit(struct ts_map_response *msg)
{
	for (size_t i = 0; i < msg->filter_count; i++)
		ts_named_filter_deinit(&msg->filters[i].named);
	free(msg->filters);
	msg->filters = NULL;
	msg->filter_count = 0;
}

int ts_map_read_packet_filters(struct ts_reader *r, struct ts_map_response *msg)
{
	char name[TS_SCAN_KEY_CAP];
	bool is_first = true;
	int more, err;

	if (ts_scan_peek(r) == 'n')
		return ts_scan_skip(r);
	filters_deinit(msg);
	msg->clears_filters = false;
	msg->has_filters = true;
	err = ts_scan_enter(r, '{');
	while (!err && (more = ts_scan_field(r, &is_first, name)) != 0)
		err = more < 0 ? more : read_named_filter(r, name, msg);
	return err;
}

/* -- the end -------------------------------------------------------------- */

void ts_map_lists_deinit(struct ts_map_response *msg)
{
	nodes_deinit(&msg->peers);
	nodes_deinit(&msg->changed);
	patches_deinit(msg);
	ts_named_filter_deinit(&msg->base_filter);
	filters_deinit(msg);
	users_deinit(msg);
}
