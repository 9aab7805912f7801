/* SPDX-License-Identifier: BSD-3-Clause
 * control_update.c - tell the server what we publish
 *
 * The map stream is read-only for the server (version 68 and later), so our
 * disco key, endpoints, home relay and services go in requests of their own:
 * one at a time, and what changes meanwhile goes together in the next one.
 * They start when the stream is up, and there is always a first one.
 * Source: control/controlclient/auto.go (updateRoutine)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/prefix_list.h"
#include "core/control/control_config.h"
#include "core/control/control_state.h"
#include "core/control/map_request_json.h"

enum { UPDATE_TIMEOUT_MS = 120000, REPLY_KEPT = 200 };

static void on_reply(struct ts_control *c, struct ts_rpc *rpc,
		     const char *error)
{
	struct ts_control_update *update = &c->update;
	char text[208];

	if (error) {
		ts_control_link_fail(c, "map update: %s", error);
		return;
	}
	if (rpc->status == 200) {
		update->sent = update->in_flight;
		ts_backoff_reset(&update->backoff);
		return;
	}
	ts_rpc_body_text(rpc, text);
	log_warn("control: map update: http %d: %s", rpc->status, text);
	update->retry_ms = c->now_ms + ts_backoff_next_ms(&update->backoff);
}

void ts_update_init(struct ts_control *c)
{
	c->update.rpc.done = on_reply;
	c->update.wanted = 1;
}

void ts_update_deinit(struct ts_control *c)
{
	ts_rpc_cancel(c, &c->update.rpc);
	free(c->update.endpoints);
	free(c->update.endpoint_types);
}

void ts_update_want(struct ts_control *c)
{
	c->update.wanted++;
}

static bool is_due(const struct ts_control *c)
{
	return c->update.wanted != c->update.sent &&
	       !c->update.rpc.stream_id && c->poll.status == 200 &&
	       c->poll.has_stream;
}

char *ts_update_map_request(const struct ts_control *c, bool is_stream,
			    char lb[static TS_KEY_TEXT_CAP])
{
	struct ts_hostinfo hostinfo = ts_control_hostinfo(c);
	struct ts_map_request request = {
		.is_stream = is_stream,
		.disco_key = c->config.disco_key,
		.hostinfo = &hostinfo,
		.endpoints = c->update.endpoints,
		.endpoint_types = c->update.endpoint_types,
		.endpoint_count = c->update.endpoint_count,
		.tka_head = c->update.tka_head,
	};

	ts_public_key_from_private(&c->config.node_key, &request.node_key);
	ts_public_key_format(&request.node_key, TS_PREFIX_NODE, lb);
	return ts_map_request_write(&request);
}

static int send_update(struct ts_control *c)
{
	char lb_text[TS_KEY_TEXT_CAP];
	const char *lb[TS_H2_LB_MAX] = {lb_text, NULL};
	char *body = ts_update_map_request(c, false, lb_text);
	int err;

	if (!body)
		return -ENOMEM;
	err = ts_rpc_start(c, &c->update.rpc, "POST", "/machine/map", lb, body,
			   strlen(body), REPLY_KEPT);
	free(body);
	return err;
}

void ts_update_step(struct ts_control *c)
{
	struct ts_control_update *update = &c->update;
	int err;

	if (!is_due(c) || c->now_ms < update->retry_ms)
		return;
	update->in_flight = update->wanted;
	update->deadline_ms = c->now_ms + UPDATE_TIMEOUT_MS;
	err = send_update(c);
	if (err)
		ts_control_link_fail(c, "map update: %s", ts_strerror(err));
}

void ts_update_tick(struct ts_control *c)
{
	if (c->update.rpc.stream_id && c->now_ms >= c->update.deadline_ms)
		ts_control_link_fail(c, "map update: no answer for %d s",
			     UPDATE_TIMEOUT_MS / 1000);
}

void ts_update_link_lost(struct ts_control *c)
{
	ts_rpc_cancel(c, &c->update.rpc);
	c->update.retry_ms = 0;
}

uint64_t ts_update_deadline_ms(const struct ts_control *c)
{
	if (c->update.rpc.stream_id)
		return c->update.deadline_ms;
	return is_due(c) ? c->update.retry_ms : UINT64_MAX;
}

/* -- what is published ---------------------------------------------------- */

static bool same_endpoints(const struct ts_control_update *update,
			   const struct ts_addr *endpoints, const int *types,
			   size_t count)
{
	if (count != update->endpoint_count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (types[i] != update->endpoint_types[i] ||
		    !ts_addr_equal(&endpoints[i], &update->endpoints[i]))
			return false;
	return true;
}

/* Both copies or none. */
static int copy_endpoints(struct ts_control_update *update,
			  const struct ts_addr *endpoints, const int *types,
			  size_t count)
{
	struct ts_addr *addrs = calloc(count + 1, sizeof(*addrs));
	int *kinds = calloc(count + 1, sizeof(*kinds));

	if (!addrs || !kinds) {
		free(addrs);
		free(kinds);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		addrs[i] = endpoints[i];
		kinds[i] = types[i];
	}
	free(update->endpoints);
	free(update->endpoint_types);
	update->endpoints = addrs;
	update->endpoint_types = kinds;
	update->endpoint_count = count;
	return 0;
}

void ts_control_set_endpoints(struct ts_control *c,
			      const struct ts_addr *endpoints,
			      const int *types, size_t count, uint64_t now_ms)
{
	struct ts_control_update *update = &c->update;

	ts_control_enter(c, now_ms);
	if (!same_endpoints(update, endpoints, types, count)) {
		if (copy_endpoints(update, endpoints, types, count))
			log_warn("control: %zu endpoints not published: out "
				 "of memory",
				 count);
		else
			ts_update_want(c);
	}
	ts_control_leave(c);
}

static bool same_net_info(const struct ts_net_info *a,
			  const struct ts_net_info *b)
{
	return a->preferred_derp == b->preferred_derp &&
	       a->mapping_varies == b->mapping_varies &&
	       a->working_udp == b->working_udp &&
	       a->working_ipv6 == b->working_ipv6 &&
	       a->os_has_ipv6 == b->os_has_ipv6 && a->upnp == b->upnp &&
	       a->pmp == b->pmp && a->pcp == b->pcp &&
	       a->has_port_mapping == b->has_port_mapping;
}

void ts_control_set_net_info(struct ts_control *c,
			     const struct ts_net_info *info, uint64_t now_ms)
{
	struct ts_control_update *update = &c->update;

	ts_control_enter(c, now_ms);
	if (!update->has_net_info || !same_net_info(&update->net_info, info)) {
		update->net_info = *info;
		update->has_net_info = true;
		ts_update_want(c);
	}
	ts_control_leave(c);
}

void ts_control_set_routes(struct ts_control *c, const struct ts_prefix *routes,
			   size_t count, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (!ts_prefix_list_equal(c->config.routes, c->config.route_count,
				  routes, count)) {
		if (ts_control_config_set_routes(&c->config, routes, count))
			log_warn("control: %zu routes not offered: out of "
				 "memory", count);
		else
			ts_update_want(c);
	}
	ts_control_leave(c);
}

void ts_control_set_peerapi(struct ts_control *c, uint16_t port4,
			    uint16_t port6, uint64_t now_ms)
{
	struct ts_control_update *update = &c->update;

	ts_control_enter(c, now_ms);
	if (update->peerapi4_port != port4 || update->peerapi6_port != port6) {
		update->peerapi4_port = port4;
		update->peerapi6_port = port6;
		ts_update_want(c);
	}
	ts_control_leave(c);
}

void ts_control_set_tka_head(struct ts_control *c, const char *head,
			     uint64_t now_ms)
{
	struct ts_control_update *update = &c->update;

	ts_control_enter(c, now_ms);
	if (strcmp(update->tka_head, head) != 0) {
		snprintf(update->tka_head, sizeof(update->tka_head), "%s",
			 head);
		ts_update_want(c);
	}
	ts_control_leave(c);
}
