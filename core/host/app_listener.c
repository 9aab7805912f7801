/* SPDX-License-Identifier: BSD-3-Clause
 * app_listener.c - which tailnet ports programs listen at, and where
 *
 * One record per tailnet address: {TCP or UDP, own address or all, port} ->
 * the native address that we connect or send to. A bind that must not happen
 * natively (an own address, or everything with listen=tailnet) gets a loopback
 * address of ours instead, always the same one while it is in use: so the
 * kernel itself decides between two programs that bind the same tailnet
 * address, with all of SO_REUSEADDR, SO_REUSEPORT and TIME_WAIT. Only overlaps
 * between different records (an own address against a wildcard) are decided
 * here. A UDP socket is served from its bind on.
 *
 * Programs do not tell when they are gone. A record is stale when its native
 * address can be bound; that is looked at when somebody else wants the port,
 * and when a connect to it is refused.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/host/host_internal.h"
#include "core/host/node_choice.h"

enum {
	LISTENERS_MAX = 4096,
	/* Native ports for tailnet-only listeners: under the kernel's
	 * ephemeral range, above the privileged and the well-known. */
	NATIVE_PORT_FIRST = 20000,
	NATIVE_PORT_COUNT = 12000,
	NATIVE_PORT_TRIES = 16,
	EPHEMERAL_PORT_FIRST = 32768,
	EPHEMERAL_PORT_COUNT = 28000,
};

/* Is there a socket at this native address? SO_REUSEADDR looks past what
 * closed connections left behind, but also past sockets that are bound with
 * it and do not listen yet; in UDP past all that are bound with it. */
static bool is_bound(const struct ts_host *host, uint8_t proto,
		     const struct ts_addr *native, int reuse)
{
	bool v4 = ts_ip_is_v4(&native->ip);
	int type = proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(v4 ? AF_INET : AF_INET6,
			type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	int err;

	if (fd < 0)
		return true;
	fd = ts_sock_keep(host, fd);
	if (proto == IPPROTO_TCP)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse,
				 sizeof(reuse));
	if (!v4) /* :: stands for IPv6 alone: dual-stack came as 0.0.0.0 */
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
				 sizeof(on));
	err = ts_sock_bind(fd, native);
	ts_sock_close(fd);
	return err != 0; /* EACCES (port < 1024): cannot be known */
}

static bool is_alive(const struct ts_host *host, const struct ts_listener *l)
{
	if (l->flows)
		return true; /* its end is told */
	return is_bound(host, l->proto, &l->native, l->is_listening);
}

static struct ts_flow_key bind_key(const struct ts_listener *l)
{
	struct ts_flow_key key = {.proto = l->proto, .local = l->native};

	return key;
}

static void unpublish(struct ts_host *host, const struct ts_listener *l)
{
	struct ts_flow_key key = bind_key(l);
	struct ts_entry *entry = ts_entry_find(host, &key);

	if (entry && entry->value.kind == TS_FLOW_BIND)
		ts_entry_drop(host, entry);
}

/* getsockname() of a socket that was bound in the program's stead. */
static int publish(struct ts_host *host, const struct ts_listener *l)
{
	struct ts_flow_key key = bind_key(l);
	struct ts_flow_entry value = {.kind = TS_FLOW_BIND,
				      .state = TS_FLOW_UP,
				      .tailnet_local = l->tailnet};
	struct ts_entry *old = ts_entry_find(host, &key);

	if (old && old->value.kind == TS_FLOW_BIND) {
		old->value = value;
		ts_entry_publish(host, old);
		return 0;
	}
	return ts_entry_put(host, &key, &value) ? 0 : -ENOBUFS;
}

static struct ts_flow_key listen_key(const struct ts_listener *l)
{
	struct ts_flow_key key = {.proto = l->proto, .local = l->native,
				  .remote = l->tailnet};

	return key;
}

/* Who starts the next host reads there what this one served; a process that
 * waits in accept() cannot tell again. */
static void publish_listening(struct ts_host *host,
			      const struct ts_listener *l)
{
	struct ts_flow_key key = listen_key(l);
	struct ts_flow_entry value = {.kind = TS_FLOW_LISTEN,
				      .state = TS_FLOW_UP,
				      .tailnet_local = l->tailnet};

	if (l->proto == IPPROTO_TCP && !l->is_fallback &&
	    !ts_entry_find(host, &key))
		(void)ts_entry_put(host, &key, &value);
}

static void unpublish_listening(struct ts_host *host,
				const struct ts_listener *l)
{
	struct ts_flow_key key = listen_key(l);
	struct ts_entry *entry = ts_entry_find(host, &key);

	if (entry && entry->value.kind == TS_FLOW_LISTEN)
		ts_entry_drop(host, entry);
}

static void close_ports(const struct ts_listener *l)
{
	for (unsigned i = 0; i < TS_HOST_NODES_MAX; i++)
		ts_dgram_port_put(l->ports[i]);
}

/* A UDP port in the tailnet of each member. */
static int open_ports(struct ts_host *host, struct ts_listener *l)
{
	int err = 0;

	for (unsigned i = 0; !err && i < host->member_count; i++)
		if (l->servers & 1u << i)
			l->ports[i] = ts_dgram_port_get(&host->members[i],
							l->tailnet.port, &err);
	return err;
}

static void free_listener(struct ts_host *host, struct ts_listener *l)
{
	unpublish(host, l);
	unpublish_listening(host, l);
	ts_flow_listener_free(l->flows);
	close_ports(l);
	host->listener_count--;
	ts_list_remove(&l->link);
	free(l);
}

void ts_listener_end(struct ts_host *host, struct ts_listener *l)
{
	free_listener(host, l);
}

static struct ts_listener *next_listener(const struct ts_host *host,
					 struct ts_link **at)
{
	if (*at == &host->listeners)
		return NULL;
	*at = (*at)->next;
	return TS_LINK_OWNER((*at)->prev, struct ts_listener, link);
}

/* An address that is asked for, and by what kind of socket. */
struct place {
	uint8_t proto, shares;
	struct ts_choice by;
	unsigned servers; /* as in struct ts_listener */
	struct ts_addr tailnet;
	struct ts_addr native; /* port 0: not bound yet */
	bool is_v6_only;       /* of a wildcard */
};

/* A fallback's: there may be several, and each is asked. */
static bool is_portless(const struct ts_listener *l)
{
	return l->tailnet.port == 0;
}

static struct ts_listener *find_exact(const struct ts_host *host,
				      const struct place *p)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (l->proto == p->proto && l->servers & p->servers &&
		    ts_addr_equal(&l->tailnet, &p->tailnet) &&
		    (!is_portless(l) || ts_addr_equal(&l->native, &p->native)))
			return l;
	return NULL;
}

struct ts_listener *ts_listener_at(const struct ts_host *host, uint8_t proto,
				   const struct ts_addr *native)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (l->proto == proto && ts_addr_equal(&l->native, native))
			return l;
	return NULL;
}

void ts_listeners_forget(struct ts_host *host,
			 bool (*is_gone)(const struct ts_listener *l,
					 const void *ctx),
			 const void *ctx)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (is_gone(l, ctx) && !is_alive(host, l))
			free_listener(host, l);
}

static void forget_stale(struct ts_host *host)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (!is_alive(host, l))
			free_listener(host, l);
}

static struct ts_listener *new_listener(struct ts_host *host,
					const struct place *p,
					const struct ts_addr *native)
{
	struct ts_listener *l;

	if (host->listener_count >= LISTENERS_MAX)
		forget_stale(host);
	if (host->listener_count >= LISTENERS_MAX)
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->proto = p->proto;
	l->servers = p->servers;
	l->tailnet = p->tailnet;
	l->native = *native;
	l->is_listening = p->proto == IPPROTO_UDP;
	if (l->is_listening && open_ports(host, l)) {
		close_ports(l);
		free(l);
		return NULL;
	}
	l->made_ms = ts_host_now_ms(host);
	l->id = ++host->next_id;
	ts_list_insert(&host->listeners, &l->link);
	host->listener_count++;
	return l;
}

/* Is some address of ours asked of both? :: takes both families, but from a
 * socket of IPv6 alone. */
static bool overlap(const struct ts_listener *l, const struct place *p)
{
	const struct ts_ip *a = &l->tailnet.ip, *b = &p->tailnet.ip;
	bool a4 = ts_ip_is_v4(a), b4 = ts_ip_is_v4(b);

	if (l->proto != p->proto || l->tailnet.port != p->tailnet.port ||
	    !(l->servers & p->servers))
		return false;
	if (a4 != b4 && (a4 ? p->is_v6_only : !ts_ip_is_v4(&l->native.ip)))
		return false;
	if (ts_ip_is_zero(a) || ts_ip_is_zero(b))
		return true;
	return a4 == b4 && (ts_ip_is_unspecified(a) ||
			    ts_ip_is_unspecified(b) || ts_ip_equal(a, b));
}

/* As the kernel has it for sockets at one address. */
static bool may_share(const struct ts_listener *l, const struct place *p)
{
	uint8_t both = l->shares & p->shares;

	if (both & TS_BROKER_REUSE_PORT || is_portless(l))
		return true;
	return both & TS_BROKER_REUSE &&
	       (l->proto == IPPROTO_UDP || !l->is_listening);
}

/* Where the native ports are one the kernel has had its say; and it cannot be
 * known whether the record is stale. */
static bool is_decided(const struct ts_listener *l, const struct place *p)
{
	return l->native.port == p->native.port &&
	       (ts_ip_is_unspecified(&l->native.ip) ||
		ts_ip_is_unspecified(&p->native.ip));
}

/* -EADDRINUSE when a record other than except has part of this address. */
static int check_overlap(struct ts_host *host, const struct place *p,
			 const struct ts_listener *except)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at))) {
		if (l == except || !overlap(l, p) || is_decided(l, p))
			continue;
		if (!is_alive(host, l))
			free_listener(host, l);
		else if (!may_share(l, p))
			return -EADDRINUSE;
	}
	return 0;
}

static void set_port(const struct ts_host *host, struct place *p, uint16_t port)
{
	p->tailnet.port = port;
	p->servers = ts_choose_servers(host, &p->by, port);
}

/* native: what it is bound to, or NULL. */
static struct place place_of(const struct ts_host *host,
			     const struct ts_broker_request *req,
			     const struct ts_addr *native)
{
	struct place p = {
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

/* -- BIND, BOUND --------------------------------------------------------- */

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
		if (!is_bound(host, proto, out, false))
			return 0;
	}
	return -EADDRNOTAVAIL;
}

static int bind_port(struct ts_host *host, const struct ts_broker_request *req,
		     struct ts_addr *native)
{
	const struct place place = place_of(host, req, NULL);
	struct ts_listener *l = find_exact(host, &place);
	int err = check_overlap(host, &place, l);

	if (err)
		return err;
	if (l && !is_alive(host, l)) {
		free_listener(host, l);
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
		l = new_listener(host, &place, native);
		if (!l)
			return -ENOBUFS;
		l->shares = place.shares;
	}
	*native = l->native; /* taken: the kernel knows who may share it */
	return publish(host, l);
}

/* Any port: one that is free here and in the tailnet, where the kernel alone
 * would choose without looking. The native port is the tailnet's. */
static int pick_port(struct ts_host *host,
		     const struct ts_broker_request *req, struct ts_addr *out)
{
	struct place place = place_of(host, req, NULL);

	for (int i = 0; i < NATIVE_PORT_TRIES; i++) {
		out->ip = native_ip(host, req->flags & TS_BROKER_V6_ONLY);
		out->port = (uint16_t)(EPHEMERAL_PORT_FIRST +
				       ts_random_below(EPHEMERAL_PORT_COUNT));
		set_port(host, &place, out->port);
		if (!is_bound(host, req->proto, out, false) &&
		    check_overlap(host, &place, NULL) == 0)
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
static int set_native(struct ts_host *host, const struct place *p,
		      struct ts_listener **out)
{
	struct ts_listener *l = find_exact(host, p);

	if (l && !ts_addr_equal(&l->native, &p->native)) {
		if (!is_decided(l, p) && is_alive(host, l))
			return -EADDRINUSE;
		free_listener(host, l);
		l = NULL;
	}
	if (l)
		narrow(l, p->servers);
	else
		l = new_listener(host, p, &p->native);
	*out = l;
	return l ? 0 : -ENOBUFS;
}

void ts_listener_bound(struct ts_host *host,
		       const struct ts_broker_request *req,
		       struct ts_broker_reply *rep)
{
	struct place place = place_of(host, req, &req->native_local);
	struct ts_addr *tailnet = &place.tailnet;
	struct ts_listener *l = NULL;
	int err = is_native_ok(&req->native_local) ? 0 : -EINVAL;

	if (!is_proto_ok(req))
		err = -EPROTONOSUPPORT;

	if (tailnet->port == 0)
		set_port(host, &place, req->native_local.port);
	if (!err)
		err = check_overlap(host, &place, find_exact(host, &place));
	if (!err)
		err = set_native(host, &place, &l);
	if (!err) {
		l->shares = place.shares;
		err = publish(host, l);
	}
	rep->error = -err;
	rep->tailnet = *tailnet;
}

/* -- LISTEN -------------------------------------------------------------- */

static bool is_served(const struct ts_host *host, const struct place *p)
{
	const struct ts_listener *l = find_exact(host, p);

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
static int listen_flows(struct ts_host *host, const struct place *p, int fd,
			struct ts_listener *l)
{
	int err = 0;

	if (!l)
		l = find_exact(host, p);
	if (!l || l->flows || is_bound(host, p->proto, &p->native, false))
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
	const struct place place = place_of(host, req, &req->native_local);
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
		err = check_overlap(host, &place, find_exact(host, &place));
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
	publish_listening(host, l);
	ts_addr_format(&l->tailnet, tailnet);
	ts_addr_format(&l->native, native);
	if (req->proto == IPPROTO_TCP)
		log_info("listener: %s is served at %s", tailnet, native);
	else /* every client's socket is one, too */
		log_debug("listener: UDP %s is served at %s", tailnet, native);
}

/* How well a record fits an own address: 0 not at all. */
static int fit(const struct ts_listener *l, uint8_t proto,
	       const struct ts_addr *local)
{
	bool v4 = ts_ip_is_v4(&local->ip);

	if (l->proto != proto || !l->is_listening ||
	    l->tailnet.port != local->port)
		return 0;
	if (v4 && !ts_ip_is_v4(&l->native.ip))
		return 0; /* an IPv6-only socket */
	if (ts_ip_equal(&l->tailnet.ip, &local->ip))
		return 3;
	if (ts_ip_equal(&l->tailnet.ip, &TS_IP4_ZERO))
		return v4 ? 2 : 0;
	return ts_ip_is_zero(&l->tailnet.ip) ? 1 : 0;
}

struct ts_listener *ts_listener_for(const struct ts_member *member,
				    uint8_t proto, const struct ts_addr *local)
{
	const struct ts_host *host = member->host;
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l, *best = NULL;
	int best_fit = 0;

	while ((l = next_listener(host, &at))) {
		if (!(l->servers & 1u << member->index) ||
		    fit(l, proto, local) <= best_fit)
			continue;
		best = l;
		best_fit = fit(l, proto, local);
	}
	return best;
}

struct ts_listener *ts_listener_fallback(const struct ts_member *member,
					 uint64_t after_id)
{
	const struct ts_host *host = member->host;
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (l->is_fallback && l->id > after_id &&
		    l->servers & 1u << member->index)
			return l;
	return NULL;
}

void ts_listener_refused(struct ts_host *host, uint8_t proto,
			 const struct ts_addr *native)
{
	char text[TS_ADDR_TEXT_CAP];
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	if (is_bound(host, proto, native, true))
		return; /* its queue overflowed */
	while ((l = next_listener(host, &at))) {
		if (l->proto != proto || !ts_addr_equal(&l->native, native))
			continue;
		log_info("listener: %s is not served any more",
			 ts_addr_format(&l->tailnet, text));
		free_listener(host, l);
	}
}

void ts_listeners_close(struct ts_host *host)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		free_listener(host, l);
}
