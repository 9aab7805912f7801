/* SPDX-License-Identifier: BSD-3-Clause
 * members.c - the host's nodes, and what peers have of each
 *
 * Programs have one host: one broker, one rendezvous, one table. Behind it are
 * one or more nodes, each with a stack, routes and a PeerAPI of its own. What
 * becomes of a node - it comes up, it is exchanged for another profile's, its
 * server goes away - concerns its own flows alone.
 */
#include <errno.h>
#include <stdio.h>

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

static int open_member(struct ts_host *host, struct ts_node *node)
{
	struct ts_member *member = &host->members[host->member_count];
	int err;

	*member = (struct ts_member){
		.host = host, .node = node, .index = host->member_count++};
	err = ts_forwards_open(member);
	if (!err)
		err = ts_peerapi_open(member);
	if (!err)
		err = ts_serve_open(member);
	return err ? err : ts_dns_service_add(member);
}

int ts_members_open(struct ts_host *host, struct ts_node *first,
		    const char *localapi_path)
{
	int err = open_member(host, first);

	if (localapi_path)
		snprintf(host->members[0].localapi_path,
			 sizeof(host->members[0].localapi_path), "%s",
			 localapi_path);
	return err;
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
	for (unsigned i = 0; i < host->member_count; i++)
		ts_forwards_close(&host->members[i]);
	for (unsigned i = 0; i < host->member_count; i++)
		ts_serve_close(&host->members[i]); /* after TLS' joins */
}

void ts_members_node_changed(struct ts_host *host)
{
	for (unsigned i = 0; i < host->member_count; i++)
		ts_forwards_node_changed(&host->members[i]);
}
