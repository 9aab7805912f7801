/* SPDX-License-Identifier: BSD-3-Clause
 * members.c - the host's nodes, and what peers have of each
 *
 * Programs have one host: one broker, one rendezvous, one table. Behind it are
 * one or more nodes, each with a stack, routes and a PeerAPI of its own. What
 * becomes of a node - it comes up, it is exchanged for another profile's, its
 * server goes away - concerns its own flows alone. Which of them has a flow is
 * decided at its beginning (node_choice.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/dns_service.h"
#include "core/host/forward.h"
#include "core/host/host_internal.h"
#include "core/host/peerapi.h"
#include "core/host/serve.h"

bool ts_member_has_netmap(const struct ts_member *member)
{
	const struct ts_netmap *map = ts_node_netmap(member->node);

	return map && map->self;
}

/* A login that waits for a person has a URL to show them, and no error. */
bool ts_member_is_down(const struct ts_member *member)
{
	enum ts_node_state state = ts_node_state(member->node);

	return state == TS_STOPPED ||
	       (state == TS_NEEDS_LOGIN && ts_node_error(member->node) &&
		!ts_node_auth_url(member->node));
}

void ts_host_set_certs(struct ts_member *member,
		       const struct ts_host_cert_ops *ops, void *ctx)
{
	member->certs = ops;
	member->certs_ctx = ctx;
}

bool ts_member_is_awaited(const struct ts_member *member)
{
	return !ts_member_has_netmap(member) && !ts_member_is_down(member) &&
	       ts_host_now_ms(member->host) < member->patience_end_ms;
}

struct ts_member *ts_members_awaited(struct ts_host *host)
{
	for (unsigned i = 0; host->member_count > 1 && i < host->member_count;
	     i++)
		if (ts_member_is_awaited(&host->members[i]))
			return &host->members[i];
	return NULL;
}

struct ts_member *ts_member_named(struct ts_host *host, const char *name)
{
	for (unsigned i = 0; i < host->member_count; i++)
		if (host->members[i].name &&
		    strcmp(host->members[i].name, name) == 0)
			return &host->members[i];
	return NULL;
}

static int copy_texts(struct ts_member *member,
		      const struct ts_member_config *config)
{
	if (config->name)
		member->name = strdup(config->name);
	if (config->interface)
		member->interface = strdup(config->interface);
	return (config->name && !member->name) ||
			       (config->interface && !member->interface)
		       ? -ENOMEM
		       : 0;
}

static int open_member(struct ts_host *host, struct ts_node *node,
		       const struct ts_member_config *config)
{
	struct ts_member *member = &host->members[host->member_count];
	int err;

	*member = (struct ts_member){.host = host,
				     .node = node,
				     .index = host->member_count,
				     .listen = config->listen,
				     .rules = config->rules,
				     .tls_ports = config->tls_ports,
				     .tls_port_count = config->tls_port_count,
				     .doh_ctx = config->doh_ctx,
				     .patience_end_ms = ts_host_now_ms(host) +
							host->timeout_ms};
	if (config->localapi_path)
		snprintf(member->localapi_path, sizeof(member->localapi_path),
			 "%s", config->localapi_path);
	host->member_count++;
	err = copy_texts(member, config);
	if (!err)
		err = ts_forwards_open(member);
	if (!err)
		err = ts_peerapi_open(member);
	if (!err)
		err = ts_serve_open(member);
	return err ? err : ts_dns_service_add(member);
}

int ts_members_open(struct ts_host *host, struct ts_node *first,
		    const struct ts_member_config *config)
{
	return open_member(host, first, config);
}

struct ts_member *ts_host_add(struct ts_host *host, struct ts_node *node,
			      const struct ts_member_config *config)
{
	if (host->member_count == TS_HOST_NODES_MAX ||
	    open_member(host, node, config))
		return NULL;
	/* What only waits for a node must not wait for ever. */
	ts_timer_set(host->patience_timer,
		     host->members[host->member_count - 1].patience_end_ms);
	ts_host_state_changed(host);
	return &host->members[host->member_count - 1];
}

void ts_members_stop(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++) {
		struct ts_member *member = &host->members[i];

		ts_forwards_stop(member);
		ts_peerapi_close(member);
		if (member->serve)
			ts_serve_end(member);
		ts_splices_close(member);
	}
	ts_relays_end(host, NULL);
}

void ts_members_close(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++) {
		ts_forwards_close(&host->members[i]);
		ts_serve_close(&host->members[i]); /* after TLS' joins */
	}
}

void ts_members_free(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++) {
		free(host->members[i].name);
		free(host->members[i].interface);
	}
}

void ts_members_node_changed(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++)
		ts_forwards_node_changed(&host->members[i]);
}
