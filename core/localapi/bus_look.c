/* SPDX-License-Identifier: BSD-3-Clause
 * bus_look.c - news that nobody brings: what is found by a look now and then
 *
 * Warnings come and go with time, the best exit node with the netmap and our
 * home relay. While there are watchers the bus looks every two seconds; the
 * exit node, for which all peers are gone through, only when one of the two is
 * another.
 * Source: ipn/ipnlocal/local.go (onHealthChange, suggestExitNodeLocked,
 *   onClientVersion)
 */
#include "core/localapi/bus_look.h"

#include <stdlib.h>
#include <string.h>

#include "core/localapi/localapi_internal.h"

static void look_at_health(struct bus_look *look, struct ts_node *node,
			   json_t *news)
{
	json_t *now = ts_node_health_warnings(node);

	if (!now || json_equal(now, look->warnings)) {
		json_decref(now);
		return;
	}
	json_decref(look->warnings);
	look->warnings = now;
	if (news)
		json_object_set_new(news, "Health",
				    json_pack("{s:O}", "Warnings", now));
}

static void look_at_version(struct bus_look *look, struct ts_node *node,
			    json_t *news)
{
	json_t *now = ts_node_netmap(node)->client_version;

	if (!now || (look->client_version &&
		     json_equal(now, look->client_version)))
		return;
	json_decref(look->client_version);
	look->client_version = json_incref(now);
	if (news)
		json_object_set(news, "ClientVersion", now);
}

static void look_for_exit_node(struct bus_look *look, struct ts_node *node,
			       json_t *news)
{
	const struct ts_peer *peer = NULL;
	int home = ts_node_home_region(node);
	const char *id;

	if (!look->is_stale && home == look->home_region)
		return;
	if (ts_node_suggest_exit(node, &peer)) /* not known yet */
		return;
	look->is_stale = false;
	look->home_region = home;
	id = peer && peer->stable_id ? peer->stable_id : "";
	if (look->suggested && strcmp(id, look->suggested) == 0)
		return;
	free(look->suggested);
	look->suggested = strdup(id);
	if (news)
		json_object_set_new(news, "SuggestedExitNode",
				    json_string(id));
}

void bus_look_again(struct bus_look *look, struct ts_node *node, json_t *news)
{
	look_at_health(look, node, news);
	look_at_version(look, node, news);
	look_for_exit_node(look, node, news);
}

void bus_look_begin(struct bus_look *look, struct ts_node *node)
{
	bus_look_end(look);
	look->is_stale = true;
	bus_look_again(look, node, NULL);
}

void bus_look_end(struct bus_look *look)
{
	json_decref(look->warnings);
	json_decref(look->client_version);
	free(look->suggested);
	*look = (struct bus_look){0};
}
