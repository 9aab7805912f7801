/* SPDX-License-Identifier: BSD-3-Clause
 * fake_node.h - test doubles for what core/host calls of the node
 *
 * One node with an address of each family and one peer.
 */
#ifndef TESTS_UNIT_HOST_FAKE_NODE_H
#define TESTS_UNIT_HOST_FAKE_NODE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns/dns_wire.h"
#include "core/node/node_dns.h"
#include "core/node/node_serve.h"

struct ts_node {
	enum ts_node_state state;
	struct ts_netmap *map; /* self NULL before the netmap */
	struct ts_prefs prefs;
	struct ts_ip own_v4, own_v6;
	struct stack *stack;
	const char *error, *auth_url;
	struct ts_dns_routes *dns_routes; /* NULL: none */
	unsigned dns_round;
	const char *search_domain; /* NULL: none */
	struct ts_peer peer;
	struct ts_prefix lan; /* that the machine is in */
	uint16_t peerapi_port; /* 0: none */
	bool lets_out, uses_exit;
	json_t *serve; /* NULL: nothing */
	bool has_no_peer;
	struct ts_ip also; /* another peer's address; zero: none */
};

/* -- node ----------------------------------------------------------------- */

enum ts_node_state ts_node_state(const struct ts_node *node)
{
	return node->state;
}

void ts_node_dns_result(struct ts_node *node, bool was_answered)
{
	(void)node, (void)was_answered;
}
const char *ts_node_error(const struct ts_node *node)
{
	return node->error;
}

const char *ts_node_auth_url(const struct ts_node *node)
{
	return node->auth_url;
}

const struct ts_netmap *ts_node_netmap(const struct ts_node *node)
{
	return node->map;
}

const struct ts_prefs *ts_node_prefs(const struct ts_node *node)
{
	return &node->prefs;
}

struct stack *ts_node_stack(const struct ts_node *node)
{
	return node->stack;
}

struct ts_ip ts_node_ip(const struct ts_node *node, bool v6)
{
	return v6 ? node->own_v6 : node->own_v4;
}

static inline struct ts_ip fake_ip(const char *text)
{
	struct ts_ip ip = {{0}};

	if (ts_ip_parse(text, &ip))
		abort();
	return ip;
}

static inline struct ts_addr fake_addr(const char *text)
{
	struct ts_addr addr = {.port = 0};

	if (ts_addr_parse(text, &addr))
		abort();
	return addr;
}

/* 100.64.0.1 is us; 100.64.0.2 and fd7a:...::2 a peer; 100.100.100.100 the
 * service; the rest of the range nobody. */
bool ts_node_forwards(const struct ts_node *node, const struct ts_ip *ip)
{
	(void)node;
	(void)ip;
	return false;
}

enum ts_route ts_node_route(const struct ts_node *node, const struct ts_ip *ip,
			    const struct ts_peer **peer)
{
	struct ts_ip peer4 = fake_ip("100.64.0.2");
	struct ts_ip peer6 = fake_ip("fd7a:115c:a1e0::2");

	if (peer)
		*peer = NULL;
	if (ts_ip_equal(ip, &TS_SERVICE_IP))
		return TS_ROUTE_SERVICE;
	if (ts_ip_equal(ip, &node->own_v4) || ts_ip_equal(ip, &node->own_v6))
		return TS_ROUTE_SELF;
	if ((!node->has_no_peer &&
	     (ts_ip_equal(ip, &peer4) || ts_ip_equal(ip, &peer6))) ||
	    (!ts_ip_is_zero(&node->also) && ts_ip_equal(ip, &node->also))) {
		if (peer)
			*peer = &node->peer;
		return TS_ROUTE_PEER;
	}
	return ts_ip_is_tailscale(ip) ? TS_ROUTE_NONE : TS_ROUTE_HOST;
}

json_t *ts_node_peer_caps(const struct ts_node *node, const struct ts_ip *src)
{
	(void)node;
	(void)src;
	return json_object();
}

char *ts_node_client_metrics(const struct ts_node *node)
{
	(void)node;
	return strdup("");
}

size_t ts_node_peer_changes(const struct ts_node *node,
			    const struct ts_peer *peer,
			    struct ts_path_change out[TS_PATH_CHANGES_MAX])
{
	(void)node, (void)peer, (void)out;
	return 0;
}

void ts_node_peer_status(const struct ts_node *node,
			 const struct ts_peer *peer, uint64_t now_ms,
			 struct ts_node_peer_status *out)
{
	(void)node, (void)peer, (void)now_ms;
	memset(out, 0, sizeof(*out));
}

int ts_node_home_region(const struct ts_node *node)
{
	(void)node;
	return 0;
}

size_t ts_node_endpoints(const struct ts_node *node,
			 const struct ts_addr **out)
{
	(void)node, (void)out;
	return 0;
}

bool ts_node_peerapi_of(const struct ts_node *node, const struct ts_peer *peer,
			struct ts_addr *out)
{
	(void)node, (void)peer, (void)out;
	return false;
}

size_t ts_node_unsent(const struct ts_node *node, uint64_t now_ms)
{
	(void)node;
	(void)now_ms;
	return 0;
}

/* 10.0.0.0/8 is a network behind us, and has our loopback in it. */
int ts_node_forward_target(const struct ts_node *node, const struct ts_ip *dst,
			   struct ts_ip *out)
{
	(void)node;
	if (!ts_ip_is_v4(dst) || dst->bytes[TS_IP_V4_AT] != 10)
		return -EHOSTUNREACH;
	*out = *dst;
	out->bytes[TS_IP_V4_AT] = 127;
	return 0;
}

const struct ts_peer *ts_node_whois(const struct ts_node *node,
				    const struct ts_ip *ip)
{
	return ts_node_route(node, ip, NULL) == TS_ROUTE_PEER ? &node->peer
							      : NULL;
}

uint16_t ts_node_peerapi_port(const struct ts_node *node, bool v6)
{
	(void)v6;
	return node->peerapi_port;
}

const json_t *ts_node_serve(const struct ts_node *node)
{
	return node->serve;
}

const char *ts_node_vip_name(const struct ts_node *node,
			     const struct ts_ip *ip)
{
	(void)node, (void)ip;
	return NULL;
}

bool ts_node_lets_out(const struct ts_node *node, const struct ts_peer *peer,
		      const struct ts_ip *from)
{
	(void)peer, (void)from;
	return node->lets_out;
}

bool ts_node_uses_exit(const struct ts_node *node, const struct ts_peer **peer)
{
	*peer = NULL;
	return node->uses_exit;
}

size_t ts_node_lans(const struct ts_node *node, const struct ts_prefix **out)
{
	*out = &node->lan;
	return 1;
}

enum ts_dns_answer ts_node_lookup(const struct ts_node *node, const char *name,
				  bool want_v4, bool want_v6,
				  struct ts_dns_result *out)
{
	(void)node;
	memset(out, 0, sizeof(*out));
	if (strcmp(name, "peer") == 0 || strcmp(name, "peer.ts.net") == 0) {
		if (want_v4)
			out->addrs[out->count++] = fake_ip("100.64.0.2");
		if (want_v6)
			out->addrs[out->count++] = fake_ip("fd7a:115c:a1e0::2");
		strcpy(out->canonical, "peer.ts.net");
		return TS_DNS_FOUND;
	}
	return strstr(name, "ts.net") ? TS_DNS_NXDOMAIN : TS_DNS_NOT_OURS;
}

const char *ts_node_reverse(const struct ts_node *node, const struct ts_ip *ip)
{
	struct ts_ip peer = fake_ip("100.64.0.2");

	(void)node;
	return ts_ip_equal(ip, &peer) ? "peer.ts.net" : NULL;
}

/* -- whose name ----------------------------------------------------------- */

const struct ts_dns_routes *ts_node_dns_routes(const struct ts_node *node)
{
	return node->dns_routes;
}

unsigned ts_node_dns_round(const struct ts_node *node)
{
	return node->dns_round;
}

bool ts_node_has_other_names(const struct ts_node *node)
{
	(void)node;
	return false;
}

const char *ts_node_search_domain(const struct ts_node *node, size_t i)
{
	return i == 0 ? node->search_domain : NULL;
}

void ts_node_set_dns_host(struct ts_node *node,
			  const struct ts_node_dns_host *ops, void *ctx)
{
	(void)node;
	(void)ops;
	(void)ctx;
}

/* Names as above; a query with any other is to be forwarded. */
int ts_node_dns_answer(const struct ts_node *node, const uint8_t *query,
		       size_t len, bool udp, uint8_t *out, size_t out_cap)
{
	struct ts_dns_result result;
	struct ts_dns_response r;
	struct ts_dns_query q;
	enum ts_dns_answer answer;

	if (ts_dns_read_query(query, len, &q))
		return -EBADMSG;
	answer = ts_node_lookup(node, q.name, q.type == DNS_TYPE_A,
				q.type == DNS_TYPE_AAAA, &result);
	if (answer == TS_DNS_NOT_OURS)
		return 0;
	if (udp && out_cap > q.udp_size)
		out_cap = q.udp_size;
	ts_dns_response_init(&r, &q, answer == TS_DNS_NXDOMAIN ? DNS_NXDOMAIN
							       : DNS_NOERROR,
			     out, out_cap);
	for (size_t i = 0; i < result.count; i++)
		ts_dns_add_ip(&r, &result.addrs[i], 5);
	return ts_dns_response_finish(&r);
}

#endif
