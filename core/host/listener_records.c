/* SPDX-License-Identifier: BSD-3-Clause
 * listener_records.c - who listens at which tailnet address
 *
 * One record per tailnet address: {TCP or UDP, own address or all, port} ->
 * the native address that we connect or send to. Between two programs at one
 * address the kernel decides; overlaps between different records (an own
 * address against a wildcard) are decided here.
 *
 * Programs do not tell when they are gone. A record is stale when its native
 * address can be bound; that is looked at when somebody else wants the port,
 * and when a connect to it is refused.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/host/app_listener.h"

enum { LISTENERS_MAX = 4096 };

/* -- is it still there? --------------------------------------------------- */

bool ts_listener_is_bound(const struct ts_host *host, uint8_t proto,
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

bool ts_listener_is_alive(const struct ts_host *host,
			  const struct ts_listener *l)
{
	if (l->flows)
		return true; /* its end is told */
	return ts_listener_is_bound(host, l->proto, &l->native,
				    l->is_listening);
}

/* -- in the address table ------------------------------------------------- */

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

int ts_listener_publish(struct ts_host *host, const struct ts_listener *l)
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

void ts_listener_publish_listening(struct ts_host *host,
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

/* -- coming and going ----------------------------------------------------- */

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

void ts_listener_end(struct ts_host *host, struct ts_listener *l)
{
	unpublish(host, l);
	unpublish_listening(host, l);
	ts_flow_listener_free(l->flows);
	close_ports(l);
	host->listener_count--;
	ts_list_remove(&l->link);
	free(l);
}

static struct ts_listener *next_listener(const struct ts_host *host,
					 struct ts_link **at)
{
	if (*at == &host->listeners)
		return NULL;
	*at = (*at)->next;
	return TS_LINK_OWNER((*at)->prev, struct ts_listener, link);
}

void ts_listeners_forget(struct ts_host *host,
			 bool (*is_gone)(const struct ts_listener *l,
					 const void *ctx),
			 const void *ctx)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (is_gone(l, ctx) && !ts_listener_is_alive(host, l))
			ts_listener_end(host, l);
}

static void forget_stale(struct ts_host *host)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		if (!ts_listener_is_alive(host, l))
			ts_listener_end(host, l);
}

struct ts_listener *ts_listener_new(struct ts_host *host,
				    const struct ts_listen_place *p,
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

void ts_listeners_close(struct ts_host *host)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at)))
		ts_listener_end(host, l);
}

/* -- which is it? --------------------------------------------------------- */

/* A fallback's: there may be several, and each is asked. */
static bool is_portless(const struct ts_listener *l)
{
	return l->tailnet.port == 0;
}

struct ts_listener *ts_listener_find(const struct ts_host *host,
				     const struct ts_listen_place *p)
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

	if (ts_listener_is_bound(host, proto, native, true))
		return; /* its queue overflowed */
	while ((l = next_listener(host, &at))) {
		if (l->proto != proto || !ts_addr_equal(&l->native, native))
			continue;
		log_info("listener: %s is not served any more",
			 ts_addr_format(&l->tailnet, text));
		ts_listener_end(host, l);
	}
}

/* -- which is in the way? ------------------------------------------------- */

/* Is some address of ours asked of both? :: takes both families, but from a
 * socket of IPv6 alone. */
static bool overlap(const struct ts_listener *l,
		    const struct ts_listen_place *p)
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
static bool may_share(const struct ts_listener *l,
		      const struct ts_listen_place *p)
{
	uint8_t both = l->shares & p->shares;

	if (both & TS_BROKER_REUSE_PORT || is_portless(l))
		return true;
	return both & TS_BROKER_REUSE &&
	       (l->proto == IPPROTO_UDP || !l->is_listening);
}

bool ts_listener_is_decided(const struct ts_listener *l,
			    const struct ts_listen_place *p)
{
	return l->native.port == p->native.port &&
	       (ts_ip_is_unspecified(&l->native.ip) ||
		ts_ip_is_unspecified(&p->native.ip));
}

int ts_listener_check_overlap(struct ts_host *host,
			      const struct ts_listen_place *p,
			      const struct ts_listener *except)
{
	struct ts_link *at = host->listeners.next;
	struct ts_listener *l;

	while ((l = next_listener(host, &at))) {
		if (l == except || !overlap(l, p) ||
		    ts_listener_is_decided(l, p))
			continue;
		if (!ts_listener_is_alive(host, l))
			ts_listener_end(host, l);
		else if (!may_share(l, p))
			return -EADDRINUSE;
	}
	return 0;
}
