/* SPDX-License-Identifier: BSD-3-Clause
 * node_choice.c - which of the host's nodes has a connection, or a listener
 *
 * The first of these that says anything decides:
 *
 *   1. the program: TSNET_NODE names the node of all that it does
 *   2. the socket: tied to a node's interface (SO_BINDTODEVICE), or bound to an
 *	address that is one node's alone
 *   3. the user: a node's `destinations`, of which the longest match wins; for
 *	listeners its `listen_ports`
 *   4. the address: known to one node alone, as its own, a peer's or a route
 *   5. the order: known to several it is the first one's; a listener is served
 *	by all of them
 *
 * A node that may come up any moment might know an address as well: who stands
 * before the one that does is waited for, as long as anybody waits for a node
 * that starts. After that those that are there go on without it.
 *
 * What nobody knows goes to an exit node: the first node's, or that of one
 * whose destinations are a whole default route.
 */
#include "core/host/node_choice.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/broker/option_rule.h"

#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif

struct ts_member *ts_choose_named(struct ts_host *host, uint8_t node)
{
	return node > 0 && node <= host->member_count ? &host->members[node - 1]
						      : NULL;
}

/* -- the socket ----------------------------------------------------------- */

/* As shim/interface.c marks it. */
uint8_t ts_choice_interface(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);
	int all = 1, number = 0;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) ||
	    strncmp(name, "lo", sizeof(name)) != 0)
		return 0;
	len = sizeof(all);
	if (getsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &all, &len) || all)
		return 0;
	len = sizeof(number);
	if (getsockopt(fd, IPPROTO_IP, TS_INTERFACE_MARK, &number, &len) ||
	    number > TS_HOST_NODES_MAX)
		return 0;
	return (uint8_t)number;
}

struct ts_choice ts_choice_of(const struct ts_host *host,
			      const struct ts_broker_request *req)
{
	const struct ts_flow_key key = {
		.proto = req->proto == IPPROTO_TCP ? IPPROTO_TCP : IPPROTO_UDP,
		.local = req->native_local};
	const struct ts_entry *entry = ts_entry_find(host, &key);
	struct ts_choice by = {.node = req->node, .interface = req->interface};

	if (entry && entry->value.kind == TS_FLOW_BIND)
		by.bound = entry->value.tailnet_local.ip;
	return by;
}

static bool is_own(const struct ts_member *member, const struct ts_ip *ip)
{
	return ts_node_route(member->node, ip, NULL) == TS_ROUTE_SELF;
}

/* NULL: of nobody, or of several. */
static struct ts_member *sole_owner(struct ts_host *host,
				    const struct ts_ip *ip)
{
	struct ts_member *owner = NULL;

	if (ts_ip_is_unspecified(ip))
		return NULL;
	for (unsigned i = 0; i < host->member_count; i++) {
		if (!is_own(&host->members[i], ip))
			continue;
		if (owner)
			return NULL;
		owner = &host->members[i];
	}
	return owner;
}

static struct ts_member *by_socket(struct ts_host *host,
				   const struct ts_choice *by)
{
	struct ts_member *member = ts_choose_named(host, by->node);

	if (!member)
		member = ts_choose_named(host, by->interface);
	return member ? member : sole_owner(host, &by->bound);
}

/* -- the address ---------------------------------------------------------- */

static struct ts_member *by_destinations(struct ts_host *host,
					 const struct ts_ip *ip)
{
	struct ts_member *best = NULL;
	int longest = -1;

	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_node_rules *rules = host->members[i].rules;
		int match = rules ? ts_node_rules_match_ip(rules, ip) : -1;

		if (match > longest) {
			best = &host->members[i];
			longest = match;
		}
	}
	return best;
}

struct ts_member *ts_choose_for_name(struct ts_host *host, const char *name)
{
	struct ts_member *best = NULL;
	int longest = -1;

	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_node_rules *rules = host->members[i].rules;
		int match = rules ? ts_node_rules_match_name(rules, name) : -1;

		if (match > longest) {
			best = &host->members[i];
			longest = match;
		}
	}
	return best;
}

/* By more than being the way to everything. */
static bool routes(const struct ts_peer *peer, const struct ts_ip *ip)
{
	for (size_t i = 0; i < peer->allowed_ip_count; i++)
		if (!ts_prefix_is_default(&peer->allowed_ips[i]) &&
		    ts_prefix_contains(&peer->allowed_ips[i], ip))
			return true;
	for (size_t i = 0; i < peer->address_count; i++)
		if (ts_prefix_contains(&peer->addresses[i], ip))
			return true;
	return false;
}

bool ts_choice_knows(const struct ts_member *member, const struct ts_ip *ip)
{
	const struct ts_peer *peer = NULL, *exit_node = NULL;

	if (ts_member_is_down(member))
		return false;
	if (ts_node_route(member->node, ip, &peer) == TS_ROUTE_SELF)
		return true;
	if (!peer)
		return false;
	(void)ts_node_uses_exit(member->node, &exit_node);
	return peer != exit_node || routes(peer, ip);
}

static struct ts_member *by_knowledge(struct ts_host *host,
				      const struct ts_ip *ip)
{
	for (unsigned i = 0; i < host->member_count; i++)
		if (ts_member_is_awaited(&host->members[i]) ||
		    ts_choice_knows(&host->members[i], ip))
			return &host->members[i];
	return NULL;
}

static bool has_default(const struct ts_member *member)
{
	const struct ts_ip any4 = TS_IP4_ZERO;

	return member->rules &&
	       ts_node_rules_match_ip(member->rules, &any4) >= 0;
}

const struct ts_member *ts_choose_exit(const struct ts_member *members,
				       unsigned count)
{
	const struct ts_peer *peer;

	for (unsigned i = 0; i < count; i++) {
		/* Whoever stopped the node wants to do without. */
		if ((i == 0 || has_default(&members[i])) &&
		    ts_node_uses_exit(members[i].node, &peer) &&
		    ts_node_state(members[i].node) != TS_STOPPED)
			return &members[i];
	}
	return NULL;
}

/* Nobody knows it. */
static struct ts_member *by_default(struct ts_host *host)
{
	const struct ts_member *exit =
		ts_choose_exit(host->members, host->member_count);

	if (exit)
		return &host->members[exit->index];
	for (unsigned i = 0; i < host->member_count; i++)
		if (!ts_member_is_down(&host->members[i]))
			return &host->members[i];
	return &host->members[0];
}

struct ts_member *ts_choose(struct ts_host *host, const struct ts_choice *by,
			    const struct ts_ip *ip)
{
	struct ts_member *member;

	if (host->member_count == 1)
		return &host->members[0];
	member = by_socket(host, by);
	if (!member)
		member = by_destinations(host, ip);
	if (!member)
		member = by_knowledge(host, ip);
	return member ? member : by_default(host);
}

bool ts_choice_is_own(struct ts_host *host, const struct ts_member *member,
		      const struct ts_ip *ip)
{
	const struct ts_choice any = {.node = 0};

	return ts_choose(host, &any, ip) == member;
}

/* -- listeners ------------------------------------------------------------ */

static unsigned by_port(const struct ts_host *host, uint16_t port)
{
	unsigned servers = 0;

	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_node_rules *rules = host->members[i].rules;

		if (rules && ts_node_rules_has_port(rules, port))
			servers |= 1u << i;
	}
	return servers;
}

unsigned ts_choose_servers(const struct ts_host *host,
			   const struct ts_choice *by, uint16_t port)
{
	unsigned all = (1u << host->member_count) - 1, servers;

	if (by->node > 0 && by->node <= host->member_count)
		return 1u << (by->node - 1);
	if (by->interface > 0 && by->interface <= host->member_count)
		return 1u << (by->interface - 1);
	servers = by_port(host, port);
	return servers ? servers : all;
}
