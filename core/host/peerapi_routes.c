/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_routes.c - which peer gets what of our PeerAPI
 * Source: ipn/ipnlocal/peerapi.go; PROTOCOL 14
 *
 * Pages in browsers must not reach it by a peer's address: they name the page
 * that they come from, or a host that is not ours. Names are answered for our
 * own user's nodes, and for those that may use us as an exit node; only names
 * of the internet, since the tailnet's are told to each node by its own map.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/dns/dns_wire.h"
#include "core/host/dns_service.h"
#include "core/host/peerapi.h"
#include "core/host/peerapi_dns_text.h"
#include "core/model/json_fields.h"

#define PLAIN "text/plain; charset=utf-8"
#define DNS_MESSAGE "application/dns-message"

void ts_peerapi_reply_text(struct ts_peerapi_conn *conn, int status,
			   const char *text)
{
	ts_peerapi_reply(conn, status, PLAIN, text, strlen(text));
}

static bool is_our_host(const struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req)
{
	const struct ts_peer *peer =
		ts_node_whois(conn->member->node, &conn->remote.ip);
	char text[TS_IP_TEXT_CAP];
	struct ts_ip ip;

	if (!peer || !ts_peerapi_host(req, text, sizeof(text)))
		return false;
	if (strcmp(text, "peer") == 0)
		return true;
	if (ts_ip_parse(text, &ip))
		return false;
	/* How this peer knows us may be another address. */
	return ts_node_route(conn->member->node, &ip, NULL) == TS_ROUTE_SELF ||
	       (!ts_ip_is_zero(&ip) && (ts_ip_equal(&ip, &peer->masq_v4) ||
					ts_ip_equal(&ip, &peer->masq_v6)));
}

/* -- names ---------------------------------------------------------------- */

static bool is_of_our_user(const struct ts_member *member,
			   const struct ts_peer *peer)
{
	const struct ts_peer *self = ts_node_netmap(member->node)->self;

	return self && self->tag_count == 0 && peer->tag_count == 0 &&
	       peer->user == self->user;
}

static bool may_ask(const struct ts_peerapi_conn *conn)
{
	const struct ts_peer *peer =
		ts_node_whois(conn->member->node, &conn->remote.ip);

	return peer &&
	       (is_of_our_user(conn->member, peer) ||
		ts_node_lets_out(conn->member->node, peer, &conn->remote.ip));
}

static bool ends_with(const char *name, const char *tail)
{
	size_t name_len = strlen(name), tail_len = strlen(tail);

	return name_len >= tail_len &&
	       strcasecmp(name + name_len - tail_len, tail) == 0;
}

/* ".a.b" is for all under it, others for themselves. */
static bool is_filtered(const struct ts_member *member, const char *name)
{
	const struct ts_dns_config *dns = ts_node_netmap(member->node)->dns;
	json_t *set = dns ? ts_json_array(dns->raw, "ExitNodeFilteredSet")
			  : NULL;
	json_t *item;
	size_t i;

	json_array_foreach (set, i, item) {
		const char *bad = json_string_value(item);

		if (!bad || !*bad)
			continue;
		if (*bad == '.' ? ends_with(name, bad)
				: strcasecmp(name, bad) == 0)
			return true;
	}
	return false;
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct ts_peerapi_conn *conn = ctx;

	if (len > 0)
		ts_peerapi_reply(conn, 200, DNS_MESSAGE, answer, len);
	else
		ts_peerapi_reply_text(conn, 500, "DNS forwarding error\n");
}

static void on_answer_for_people(void *ctx, const uint8_t *answer, size_t len)
{
	struct ts_peerapi_conn *conn = ctx;
	char *text = len > 0 ? ts_peerapi_dns_text(answer, len) : NULL;

	if (text)
		ts_peerapi_reply(conn, 200, "application/json", text,
				 strlen(text));
	else
		ts_peerapi_reply_text(conn, 500, "DNS forwarding error\n");
	free(text);
}

static void refuse(struct ts_peerapi_conn *conn, const struct ts_dns_query *q,
		   enum ts_dns_rcode rcode, ts_dns_answer_fn reply)
{
	uint8_t answer[DNS_UDP_MAX];
	struct ts_dns_response r;
	int len;

	ts_dns_response_init(&r, q, rcode, answer, sizeof(answer));
	len = ts_dns_response_finish(&r);
	reply(conn, answer, len > 0 ? (size_t)len : 0);
}

static void ask(struct ts_peerapi_conn *conn, const uint8_t *query, size_t len,
		ts_dns_answer_fn reply)
{
	struct ts_member *member = conn->member;
	struct ts_dns_query q;
	int err = ts_dns_read_query(query, len, &q);

	if (err == -EBADMSG)
		ts_peerapi_reply_text(conn, 400, "no DNS query\n");
	else if (err)
		refuse(conn, &q, DNS_FORMERR, reply);
	else if (is_filtered(member, q.name) ||
		 ts_node_dns_answer(member->node, query, len, false,
				    member->host->scratch,
				    HOST_SCRATCH_BYTES) > 0)
		refuse(conn, &q, DNS_REFUSED, reply);
	else
		ts_dns_service_ask_all(member->host, member, query, len, reply,
				       conn);
}

static void serve_dns(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req)
{
	const char *problem = "out of memory";
	uint8_t *query = NULL, plain[DNS_PLAIN_QUERY_CAP];
	char text[128];
	size_t len = 0;
	int err, plain_len;

	if (!may_ask(conn)) {
		ts_peerapi_reply_text(conn, 403, "DNS access denied\n");
		return;
	}
	err = ts_peerapi_dns_query(req, &query, &len, &problem);
	plain_len = err ? ts_peerapi_dns_question(req, plain) : 0;
	if (plain_len > 0) {
		ask(conn, plain, (size_t)plain_len, on_answer_for_people);
		return;
	}
	if (plain_len == -EBADMSG)
		problem = "invalid 'q' parameter";
	if (err) {
		snprintf(text, sizeof(text), "%s\n", problem);
		ts_peerapi_reply_text(conn, err == -ENOMEM ? 500 : 400, text);
		return;
	}
	ask(conn, query, len, on_answer);
	free(query);
}

/* -- the greeting --------------------------------------------------------- */

static void serve_root(struct ts_peerapi_conn *conn,
		       const struct ts_peerapi_request *req)
{
	char ip[TS_IP_TEXT_CAP], page[256];

	(void)req;
	/* Nothing in it is the peer's own text. */
	snprintf(page, sizeof(page),
		 "<html>\n<body>\n<h1>Hello (%s)</h1>\n"
		 "This is a node of tsnet-shim.\n",
		 ts_ip_format(&conn->remote.ip, ip));
	ts_peerapi_reply(conn, 200, "text/html; charset=utf-8", page,
			 strlen(page));
}

/* -- routes --------------------------------------------------------------- */

/* A path that ends in '/' stands for all below it; upstream's names do for all
 * that begins so. */
static const struct {
	const char *path;
	bool is_prefix, takes_body;
	void (*serve)(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req);
} routes[] = {
	{"/v0/put/", true, true, ts_peerapi_put},
	{"/dns-query", true, false, serve_dns},
	{"/v0/ingress", false, false, ts_peerapi_ingress},
	{"/v0/magicsock", false, false, ts_peerapi_paths},
	{"/v0/metrics", false, false, ts_peerapi_metrics},
	{"/v0/interfaces", false, false, ts_peerapi_interfaces},
	{"/v0/sockstats", false, false, ts_peerapi_sockstats},
	{"/", false, false, serve_root},
};

/* An index; ARRAY_LEN(routes): none. */
static size_t find_route(const struct ts_peerapi_request *req)
{
	size_t i = 0;

	for (; i < ARRAY_LEN(routes); i++) {
		size_t len = strlen(routes[i].path);

		if (routes[i].is_prefix
			    ? req->path_len >= len &&
				      memcmp(req->path, routes[i].path, len) ==
					      0
			    : ts_peerapi_path_is(req, routes[i].path))
			break;
	}
	return i;
}

bool ts_peerapi_takes_body(const struct ts_peerapi_request *req)
{
	size_t i = find_route(req);

	return i < ARRAY_LEN(routes) && routes[i].takes_body;
}

void ts_peerapi_serve(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req)
{
	size_t i = find_route(req);

	if (ts_peerapi_is_of_browser(req) || !is_our_host(conn, req))
		ts_peerapi_reply_text(conn, 403, "invalid peerapi request\n");
	else if (i < ARRAY_LEN(routes))
		routes[i].serve(conn, req);
	else
		ts_peerapi_reply_text(conn, 404, "unsupported peerapi path\n");
}
