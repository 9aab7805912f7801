/* SPDX-License-Identifier: BSD-3-Clause
 * app_listener.c - which tailnet ports programs ask for, and what they get
 *
 * A bind that must not happen natively (an own address, or everything with
 * listen=tailnet) gets a loopback address of ours instead, always the same one
 * while it is in use: so the kernel itself decides between two programs that
 * bind the same tailnet address, with all of SO_REUSEADDR, SO_REUSEPORT and
 * TIME_WAIT. The records are in listener_records.c. A UDP socket is served
 * from its bind on, a TCP socket from LISTEN on.
 */
#include <errno.h>
#include <netinet/in.h>

#include "core/crypto/secret.h"
#include "core/host/app_listener.h"
#include "core/host/tls_server.h"

enum {
	/* Native ports for tailnet-only listeners: under the kernel's
	 * ephemeral range, above the privileged and the well-known. */
	NATIVE_PORT_FIRST = 20000,
	NATIVE_PORT_COUNT = 12000,
	NATIVE_PORT_TRIES = 16,
	EPHEMERAL_PORT_FIRST = 32768,
	EPHEMERAL_PORT_COUNT = 28000,
};

static void set_port(const struct ts_host *host, struct ts_listen_place *p,
		     uint16_t port)
{
	p->tailnet.port = port;
	p->servers = ts_choose_servers(host, &p->by, port);
}

/* native: what it is bound to, or NULL. */
static struct ts_listen_place place_of(const struct ts_host *host,
				       const struct ts_broker_request *req,
				       const struct ts_addr *native)
{
	struct ts_listen_place p = {
		.by = ts_choice_of(host, req),
		.proto = req->proto,
		.shares = req->flags & (TS_BROKER_REUSE | TS_BROKER_REUSE_PORT),
		.tailnet = req->tailnet,
		.native = native ? *native : (struct ts_addr){.port = 0},
		.is_v6_only = native ? !ts_ip_is_v4(&native->ip)
				     : req->flags & TS_BROKER_V6_ONLY,
	};

	set_port(host, &p, req->tailnet.port);
	return p;
}

/* -- BIND, BOUND ---------------------------------------------------------- */

static struct ts_ip native_ip(const struct ts_host *host, bool is_v6_only)
{
	return is_v6_only ? ts_sock_loopback(true)
			  : ts_sock_random_loopback(host);
}

static int pick_native(const struct ts_host *host, uint8_t proto,
		       bool is_v6_only, struct ts_addr *out)
{
	for (int i = 0; i < NATIVE_PORT_TRIES; i++) {
		out->ip = native_ip(host, is_v6_only);
		out->port = (uint16_t)(NATIVE_PORT_FIRST +
				       ts_random_below(NATIVE_PORT_COUNT));
		if (!ts_listener_is_bound(host, proto, out, false))
			return 0;
	}
	return -EADDRNOTAVAIL;
}

static int bind_port(struct ts_host *host, const struct ts_broker_request *req,
		     struct ts_addr *native)
{
	const struct ts_listen_place place = place_of(host, req, NULL);
	struct ts_listener *l = ts_listener_find(host, &place);
	int err = ts_listener_check_overlap(host, &place, l);

	if (err)
		return err;
	if (l && !ts_listener_is_alive(host, l)) {
		ts_listener_end(host, l);
		l = NULL;
	}
	/* A dual-stack wildcard has it, or there is no socket to share. */
	if (l && (place.is_v6_only == ts_ip_is_v4(&l->native.ip) || l->flows))
		return -EADDRINUSE;
	if (!l) {
		err = pick_native(host, req->proto, place.is_v6_only,
				  native);
		if (err)
			return err;
		l = ts_listener_new(host, &place, native);
		if (!l)
			return -ENOBUFS;
		l->shares = place.shares;
	}
	*native = l->native; /* taken: the kernel knows who may share it */
	return ts_listener_publish(host, l);
}

/* Any port: one that is free here and in the tailnet, where the kernel alone
 * would choose without looking. The native port is the tailnet's. */
static int pick_port(struct ts_host *host,
		     const struct ts_broker_request *req, struct ts_addr *out)
{
	struct ts_listen_place place = place_of(host, req, NULL);

	for (int i = 0; i < NATIVE_PORT_TRIES; i++) {
		out->ip = native_ip(host, req->flags & TS_BROKER_V6_ONLY);
		out->port = (uint16_t)(EPHEMERAL_PORT_FIRST +
				       ts_random_below(EPHEMERAL_PORT_COUNT));
		set_port(host, &place, out->port);
		if (!ts_listener_is_bound(host, req->proto, out, false) &&
		    ts_listener_check_overlap(host, &place, NULL) == 0)
			return 0;
	}
	return -EADDRINUSE;
}

static bool is_asked(const struct ts_member *member, uint8_t node)
{
	return node == 0 || node == member->index + 1;
}

/* Its own, or (of TCP) one of a network that it routes: what a program listens
 * at there is answered by it, and not passed on. */
static bool takes(const struct ts_node *node, uint8_t proto,
		  const struct ts_ip *ip)
{
	return ts_node_route(node, ip, NULL) == TS_ROUTE_SELF ||
	       (proto == IPPROTO_TCP && ts_node_forwards(node, ip));
}

/* Is it one of the node's that the program has named (0: of any)? */
static int check_own(const struct ts_host *host,
		     const struct ts_broker_request *req)
{
	const struct ts_ip *ip = &req->tailnet.ip;

	if (ts_ip_is_unspecified(ip))
		return 0;
	for (unsigned i = 0; i < host->member_count; i++)
		if (is_asked(&host->members[i], req->node) &&
		    takes(host->members[i].node, req->proto, ip))
			return 0;
	return -EADDRNOTAVAIL;
}

/* No node will have an address that it has not now. */
static bool is_settled(const struct ts_host *host, uint8_t node)
{
	for (unsigned i = 0; i < host->member_count; i++)
		if (is_asked(&host->members[i], node) &&
		    !ts_member_has_netmap(&host->members[i]) &&
		    !ts_member_is_down(&host->members[i]))
			return false;
	return true;
}

static bool is_proto_ok(const struct ts_broker_request *req)
{
	return req->proto == IPPROTO_TCP || req->proto == IPPROTO_UDP;
}

bool ts_listener_bind(struct ts_host *host, const struct ts_broker_request *req,
		      struct ts_broker_reply *rep)
{
	int err = is_proto_ok(req) ? check_own(host, req) : -EPROTONOSUPPORT;

	if (err == -EADDRNOTAVAIL && !is_settled(host, req->node))
		return false;
	if (!err && req->tailnet.port == 0)
		err = pick_port(host, req, &rep->native);
	else if (!err)
		err = bind_port(host, req, &rep->native);
	rep->error = -err;
	return true;
}

/* We connect only to this machine's loopback, whatever a program says. */
static bool is_native_ok(const struct ts_addr *native)
{
	return native->port != 0 && (ts_ip_is_unspecified(&native->ip) ||
				     ts_ip_is_loopback(&native->ip));
}

/* More is known of its socket now than when it was bound. */
static void narrow(struct ts_listener *l, unsigned servers)
{
	l->servers &= servers;
	for (unsigned i = 0; i < TS_HOST_NODES_MAX; i++) {
		if (l->servers & 1u << i)
			continue;
		ts_dgram_port_put(l->ports[i]);
		l->ports[i] = NULL;
	}
}

/* The record of that place, at its native address. */
static int set_native(struct ts_host *host, const struct ts_listen_place *p,
		      struct ts_listener **out)
{
	struct ts_listener *l = ts_listener_find(host, p);

	if (l && !ts_addr_equal(&l->native, &p->native)) {
		if (!ts_listener_is_decided(l, p) &&
		    ts_listener_is_alive(host, l))
			return -EADDRINUSE;
		ts_listener_end(host, l);
		l = NULL;
	}
	if (l)
		narrow(l, p->servers);
	else
		l = ts_listener_new(host, p, &p->native);
	*out = l;
	return l ? 0 : -ENOBUFS;
}

void ts_listener_bound(struct ts_host *host,
		       const struct ts_broker_request *req,
		       struct ts_broker_reply *rep)
{
	struct ts_listen_place place = place_of(host, req, &req->native_local);
	struct ts_addr *tailnet = &place.tailnet;
	struct ts_listener *l = NULL;
	int err = is_native_ok(&req->native_local) ? 0 : -EINVAL;

	if (!is_proto_ok(req))
		err = -EPROTONOSUPPORT;

	if (tailnet->port == 0)
		set_port(host, &place, req->native_local.port);
	if (!err)
		err = ts_listener_check_overlap(host, &place,
						ts_listener_find(host, &place));
	if (!err)
		err = set_native(host, &place, &l);
	if (!err) {
		l->shares = place.shares;
		err = ts_listener_publish(host, l);
	}
	rep->error = -err;
	rep->tailnet = *tailnet;
}

/* -- LISTEN --------------------------------------------------------------- */

static bool is_served(const struct ts_host *host,
		      const struct ts_listen_place *p)
{
	const struct ts_listener *l = ts_listener_find(host, p);

	return l && l->is_listening && ts_addr_equal(&l->native, &p->native);
}

static enum ts_funnel funnel_of(const struct ts_broker_request *req)
{
	if (req->proto != IPPROTO_TCP)
		return TS_FUNNEL_NONE;
	if (req->flags & TS_BROKER_FUNNEL_ONLY)
		return TS_FUNNEL_ONLY;
	return req->flags & TS_BROKER_FUNNEL ? TS_FUNNEL_TOO : TS_FUNNEL_NONE;
}

/* Fallbacks alone have no port in the tailnet, and no address. */
static bool is_port_ok(const struct ts_broker_request *req)
{
	const struct ts_addr none = {.port = 0};

	if (!(req->flags & TS_BROKER_FALLBACK))
		return req->tailnet.port != 0;
	return req->proto == IPPROTO_TCP &&
	       ts_addr_equal(&req->tailnet, &none);
}

/* The native address is a name alone, and must be nobody's socket. Takes fd. */
static int listen_flows(struct ts_host *host, const struct ts_listen_place *p,
			int fd, struct ts_listener *l)
{
	int err = 0;

	if (!l)
		l = ts_listener_find(host, p);
	if (!l || l->flows ||
	    ts_listener_is_bound(host, p->proto, &p->native, false))
		err = -EADDRINUSE;
	if (!err)
		return ts_flow_listener_new(host, l, fd);
	ts_sock_close(fd);
	return err;
}

void ts_listener_listen(struct ts_host *host,
			const struct ts_broker_request *req, int fd,
			struct ts_broker_reply *rep)
{
	bool by_flows = req->proto == IPPROTO_UDP &&
			req->flags & TS_BROKER_FLOWS;
	char tailnet[TS_ADDR_TEXT_CAP], native[TS_ADDR_TEXT_CAP];
	const struct ts_listen_place place =
		place_of(host, req, &req->native_local);
	struct ts_listener *l = NULL;
	bool was_listening;
	int err = 0;

	if (!is_proto_ok(req))
		err = -EPROTONOSUPPORT;
	else if (!is_native_ok(&req->native_local) || !is_port_ok(req))
		err = -EINVAL;
	if (!err && is_settled(host, req->node))
		err = check_own(host, req);
	was_listening = !err && is_served(host, &place);
	if (!err && !was_listening)
		err = ts_listener_check_overlap(host, &place,
						ts_listener_find(host, &place));
	if (!err)
		err = set_native(host, &place, &l);
	if (!err && by_flows)
		err = listen_flows(host, &place, fd, l);
	else
		ts_sock_close(fd);
	rep->error = -err;
	if (err || was_listening)
		return;
	l->is_listening = true;
	l->is_fallback = req->tailnet.port == 0;
	l->shares = place.shares;
	l->is_tls = req->proto == IPPROTO_TCP && (req->flags & TS_BROKER_TLS);
	l->funnel = funnel_of(req);
	ts_listener_publish_listening(host, l);
	ts_tls_listened(host, l);
	ts_addr_format(&l->tailnet, tailnet);
	ts_addr_format(&l->native, native);
	if (req->proto == IPPROTO_TCP)
		log_info("listener: %s is served at %s", tailnet, native);
	else /* every client's socket is one, too */
		log_debug("listener: UDP %s is served at %s", tailnet, native);
}
