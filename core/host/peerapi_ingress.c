/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_ingress.c - POST /v0/ingress: a connection from the internet
 * Source: ipn/ipnlocal/serve.go (handleServeIngress); PROTOCOL 15.3
 *
 * Only peers that the tailnet's rules name as ingresses may bring such ones.
 * Who is calling, and what for, is in two fields; from our answer on the
 * connection is the client's. What an ingress sends before that answer would be
 * lost upstream, and is an error here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/decimal.h"
#include "core/host/peerapi.h"
#include "core/host/serve.h"

#define PLAIN "text/plain; charset=utf-8"
#define INGRESS_CAP "https://tailscale.com/cap/ingress"

enum { TARGET_CAP = 270 };

static void reply(struct ts_peerapi_conn *conn, int status, const char *text)
{
	ts_peerapi_reply(conn, status, PLAIN, text, strlen(text));
}

static bool may_bring(const struct ts_peerapi_conn *conn)
{
	json_t *caps = ts_node_peer_caps(conn->member->node, &conn->remote.ip);
	bool may = json_object_get(caps, INGRESS_CAP) != NULL;

	json_decref(caps);
	return may;
}

/* false: it is missing, or too long. */
static bool read_field(const struct ts_peerapi_request *req, const char *name,
		       char *out, size_t cap)
{
	const struct ts_http1_field *f = ts_http1_find(&req->head, name);

	if (!f || f->value_len == 0 || f->value_len >= cap)
		return false;
	memcpy(out, f->value, f->value_len);
	out[f->value_len] = '\0';
	return true;
}

static bool read_port(const char *target, uint16_t *out)
{
	const char *colon = strrchr(target, ':');
	uint64_t port;

	if (!colon || ts_decimal_parse(colon + 1, strlen(colon + 1),
				       UINT16_MAX, &port))
		return false;
	*out = (uint16_t)port;
	return port > 0;
}

/* Programs know a peer, or themselves, by such an address. */
static bool is_of_internet(const struct ts_ip *ip)
{
	return !ts_ip_is_tailscale(ip) && !ts_ip_is_loopback(ip) &&
	       !ts_ip_is_unspecified(ip);
}

/* NULL: it is all there. */
static const char *read_request(const struct ts_peerapi_request *req,
				char target[static TARGET_CAP],
				struct ts_serve_funnel *out)
{
	char src[TS_ADDR_TEXT_CAP];

	if (!ts_http1_find(&req->head, "Tailscale-Ingress-Src"))
		return "Tailscale-Ingress-Src header not set\n";
	if (!read_field(req, "Tailscale-Ingress-Src", src, sizeof(src)) ||
	    ts_addr_parse(src, &out->src) || !is_of_internet(&out->src.ip))
		return "Tailscale-Ingress-Src header invalid; want ip:port\n";
	if (!ts_http1_find(&req->head, "Tailscale-Ingress-Target"))
		return "Tailscale-Ingress-Target header not set\n";
	if (!read_field(req, "Tailscale-Ingress-Target", target, TARGET_CAP) ||
	    !read_port(target, &out->port))
		return "Tailscale-Ingress-Target header invalid; want "
		       "host:port\n";
	out->target = target;
	return NULL;
}

static void hand_over(struct ts_peerapi_conn *conn,
		      const struct ts_serve_funnel *funnel)
{
	static const char answer[] =
		"HTTP/1.1 101 Switching Protocols\r\n\r\n";
	struct ts_member *member = conn->member;
	struct stack_tcp *tcp = ts_peerapi_hijack(conn);

	if (stack_tcp_write(tcp, answer, sizeof(answer) - 1) !=
	    sizeof(answer) - 1) {
		stack_tcp_abort(tcp); /* a window of nothing: not an ingress */
		return;
	}
	stack_tcp_flush(tcp);
	ts_serve_funnel(member, tcp, funnel);
}

void ts_peerapi_ingress(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req)
{
	struct ts_serve_funnel funnel = {.peer = conn->remote.ip};
	char target[TARGET_CAP];
	const char *problem;

	if (!may_bring(conn)) {
		reply(conn, 403, "denied; no ingress cap\n");
		return;
	}
	if (req->head.method_len != 4 ||
	    memcmp(req->head.method, "POST", 4) != 0) {
		reply(conn, 405, "only POST allowed\n");
		return;
	}
	problem = read_request(req, target, &funnel);
	if (!problem && (ts_byte_queue_len(&conn->in) > req->len ||
			 ts_byte_queue_len(&conn->out) > 0))
		problem = "nothing may come before the answer\n";
	if (problem)
		reply(conn, 400, problem);
	else if (!ts_serve_takes_funnel(conn->member, &funnel))
		reply(conn, 403, "denied\n");
	else
		hand_over(conn, &funnel);
}
