/* SPDX-License-Identifier: BSD-3-Clause
 * views.c - what a program sees: all nodes, or the one that it has named
 *
 * The host's own table tells of all nodes together. A program that TSNET_NODE
 * restricts to one gets another table, which tells of that node as if there
 * were no other: its addresses and routes, its names, its way to listen. Such a
 * table is made when the first program asks for it. Each table has a token of
 * its own, so every request says by its token which view it comes from, and
 * nothing else in a program has to know of nodes. Flows are in all tables, as
 * sockets are inherited by programs of another view.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/host/host_internal.h"

/* The view of the i-th member, or NULL. */
static struct ts_view *view_at(const struct ts_host *host, unsigned i)
{
	return host->members[i].view;
}

static void publish(struct ts_member *member)
{
	struct ts_host *host = member->host;
	struct ts_view *view = member->view;
	uint8_t token[TS_TABLE_TOKEN_LEN];

	memcpy(token, view->info.token, sizeof(token));
	view->info = host->info;
	memcpy(view->info.token, token, sizeof(token));
	view->info.listen_mode = (uint8_t)member->listen;
	ts_table_info_from_nodes(&view->info, view->prefixes, member, 1);
	if (host->is_closed)
		view->info.node_state = TS_STOPPED;
	ts_table_fill_interfaces(&view->info, view->interfaces, member, 1);
	ts_table_set_info(view->table, &view->info, view->prefixes,
			  view->interfaces);
	ts_wipe(token, sizeof(token));
}

void ts_views_publish(struct ts_host *host)
{
	ts_table_fill_interfaces(&host->info, host->interfaces, host->members,
				 host->member_count);
	ts_table_set_info(host->table, &host->info, host->prefixes,
			  host->interfaces);
	for (unsigned i = 0; i < host->member_count; i++)
		if (view_at(host, i))
			publish(&host->members[i]);
}

static int copy_flows(struct ts_host *host, struct ts_table *table)
{
	struct ts_entry *entry;
	size_t pos = 0;
	int err = 0;

	while (!err && (entry = ts_key_map_next(&host->entries.by_key, &pos)))
		err = ts_table_put(table, &entry->key, &entry->value);
	return err;
}

static void free_view(struct ts_view *view)
{
	if (!view)
		return;
	ts_table_free(view->table);
	ts_wipe(view->info.token, sizeof(view->info.token));
	free(view);
}

struct ts_table *ts_view_open(struct ts_member *member)
{
	struct ts_host *host = member->host;
	struct ts_view *view;

	if (host->member_count == 1)
		return host->table;
	if (member->view)
		return member->view->table;
	view = calloc(1, sizeof(*view));
	if (!view)
		return NULL;
	view->table = ts_table_new();
	if (!view->table || copy_flows(host, view->table)) {
		free_view(view);
		return NULL;
	}
	ts_random_bytes(view->info.token, sizeof(view->info.token));
	member->view = view;
	publish(member);
	return view->table;
}

void ts_views_close(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++) {
		free_view(view_at(host, i));
		host->members[i].view = NULL;
	}
}

int ts_views_put(struct ts_host *host, const struct ts_entry *entry)
{
	int err = ts_table_put(host->table, &entry->key, &entry->value);

	for (unsigned i = 0; !err && i < host->member_count; i++)
		if (view_at(host, i))
			err = ts_table_put(view_at(host, i)->table, &entry->key,
					   &entry->value);
	return err;
}

void ts_views_remove(struct ts_host *host, const struct ts_flow_key *key)
{
	ts_table_remove(host->table, key);
	for (unsigned i = 0; i < host->member_count; i++)
		if (view_at(host, i))
			ts_table_remove(view_at(host, i)->table, key);
}

int ts_view_of_token(const struct ts_host *host,
		     const uint8_t token[static TS_TABLE_TOKEN_LEN])
{
	if (ts_secret_equal(token, host->info.token, TS_TABLE_TOKEN_LEN))
		return 0;
	for (unsigned i = 0; i < host->member_count; i++)
		if (view_at(host, i) &&
		    ts_secret_equal(token, view_at(host, i)->info.token,
				    TS_TABLE_TOKEN_LEN))
			return (int)i + 1;
	return -ENOENT;
}
