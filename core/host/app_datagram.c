/* SPDX-License-Identifier: BSD-3-Clause
 * app_datagram.c - flows of datagrams, and which way each datagram goes
 *
 * A flow begins with a request of a program (SEND, CONNECT) or with a datagram
 * from the tailnet to a port that somebody uses. It is in the table before
 * anybody can see its virtual address. The way out depends on the remote end:
 * through the tunnel, to a program here (our own address: no packet is made
 * and no filter is asked), to the DNS service, or nowhere. Until the node is
 * up a few datagrams wait, as a network that comes up would lose the first
 * ones of a name server's client that asks once.
 *
 * Nothing is allocated for a datagram but while it waits for the node. Flows
 * end when their program is gone (datagram_sweep.c), by idle time, or for want
 * of room: first those whose program never answered, then those used least.
 * They may end in the middle of a delivery; what others may still hold is
 * freed before the loop sleeps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/host/app_datagram.h"
#include "core/host/dns_service.h"

enum { VIRTUAL_TRIES = 64 };

struct ends_key {
	uint8_t bytes[2 + TS_IP_LEN + 2];
};

static struct ends_key ends_of(uint16_t port, const struct ts_addr *remote)
{
	struct ends_key key;

	key.bytes[0] = (uint8_t)(port >> 8);
	key.bytes[1] = (uint8_t)port;
	memcpy(key.bytes + 2, remote->ip.bytes, TS_IP_LEN);
	key.bytes[2 + TS_IP_LEN] = (uint8_t)(remote->port >> 8);
	key.bytes[3 + TS_IP_LEN] = (uint8_t)remote->port;
	return key;
}

static uint16_t port_number(const struct ts_dgram *flow)
{
	return flow->port ? flow->port->number : 0;
}

/* -- the maps -------------------------------------------------------------- */

struct ts_dgram *ts_dgram_first(const struct ts_host *host, uint16_t port,
				const struct ts_addr *remote)
{
	struct ends_key key = ends_of(port, remote);

	return ts_key_map_get(&host->dgrams->by_ends, &key);
}

/* A connected socket comes before those that take from everybody, and a newer
 * one before an older: that one may be connected elsewhere by now. */
static int join_ends(struct ts_dgram *flow)
{
	struct ts_key_map *map = &flow->host->dgrams->by_ends;
	struct ends_key key = ends_of(port_number(flow), &flow->remote);
	struct ts_dgram *first = ts_key_map_get(map, &key);
	struct ts_dgram **at = &first;

	while (!flow->is_connected && *at && (*at)->is_connected)
		at = &(*at)->next_same_ends;
	flow->next_same_ends = *at;
	*at = flow;
	if (first != flow)
		return 0;
	if (ts_key_map_put(map, &key, flow) == 0)
		return 0;
	flow->next_same_ends = NULL;
	return -ENOMEM;
}

static void leave_ends(struct ts_dgram *flow)
{
	struct ts_key_map *map = &flow->host->dgrams->by_ends;
	struct ends_key key = ends_of(port_number(flow), &flow->remote);
	struct ts_dgram *first = ts_key_map_get(map, &key);
	struct ts_dgram **at = &first;

	while (*at && *at != flow)
		at = &(*at)->next_same_ends;
	if (!*at)
		return;
	*at = flow->next_same_ends;
	if (at != &first)
		return;
	if (first) /* replaces a key that is there: needs no memory */
		(void)ts_key_map_put(map, &key, first);
	else
		ts_key_map_take(map, &key);
}

struct ts_addr ts_dgram_canonical(const struct ts_addr *native, bool is_v6_only)
{
	struct ts_addr out = *native;

	if (ts_ip_is_zero(&out.ip) && !is_v6_only)
		out.ip = TS_IP4_ZERO;
	return out;
}

struct ts_dgram *ts_dgram_find(const struct ts_host *host,
			       const struct dgram_wish *wish)
{
	struct ts_addr native =
		ts_dgram_canonical(&wish->asked, wish->is_v6_only);
	struct ts_dgram *flow =
		ts_dgram_first(host, wish->port ? wish->port->number : 0,
			       &wish->remote);

	while (flow && (flow->is_connected || flow->is_raw != wish->is_raw ||
			!ts_addr_equal(&flow->native, &native) ||
			(wish->is_dedicated && flow->fd < 0)))
		flow = flow->next_same_ends;
	return flow;
}

void ts_dgram_touch(struct ts_dgram *flow)
{
	struct ts_dgrams *all = flow->host->dgrams;

	flow->used_ms = ts_host_now_ms(flow->host);
	ts_list_remove(&flow->link);
	ts_list_insert(flow->was_sent ? &all->answered : &all->unanswered,
		       &flow->link);
}

/* -- the table ------------------------------------------------------------- */

static struct ts_flow_entry value_of(const struct ts_dgram *flow, bool is_send)
{
	return (struct ts_flow_entry){
		.kind = is_send ? TS_FLOW_SEND : TS_FLOW_DATAGRAM,
		.state = TS_FLOW_UP,
		.tailnet_local = flow->local,
		.tailnet_remote = is_send ? flow->virtual : flow->remote,
	};
}

static int publish_received(struct ts_dgram *flow)
{
	const struct ts_flow_key key = {.proto = IPPROTO_UDP,
					.remote = flow->virtual};
	const struct ts_flow_entry value = value_of(flow, false);

	flow->entry = ts_entry_put(flow->host, &key, &value);
	return flow->entry ? 0 : -ENOBUFS;
}

int ts_dgram_publish_send(struct ts_dgram *flow, const struct ts_addr *asked)
{
	const struct ts_flow_key key = {.proto = IPPROTO_UDP, .local = *asked,
					.remote = flow->remote};
	const struct ts_flow_entry value = value_of(flow, true);
	struct ts_entry **at = &flow->sends[0];

	if (*at && !ts_addr_equal(&(*at)->key.local, asked))
		at = &flow->sends[1];
	if (*at && !(*at)->is_replaced) {
		(*at)->value = value;
		ts_entry_publish(flow->host, *at);
		return 0;
	}
	ts_entry_drop(flow->host, *at);
	*at = ts_entry_put(flow->host, &key, &value);
	return *at ? 0 : -ENOBUFS;
}

static void republish(struct ts_dgram *flow)
{
	flow->entry->value = value_of(flow, false);
	ts_entry_publish(flow->host, flow->entry);
	for (int i = 0; i < 2; i++) {
		if (!flow->sends[i])
			continue;
		flow->sends[i]->value = value_of(flow, true);
		ts_entry_publish(flow->host, flow->sends[i]);
	}
}

/* -- ends ------------------------------------------------------------------ */

void ts_dgram_drop_queue(struct ts_dgram *flow)
{
	struct dgram_queued *q;

	while ((q = flow->queue_first)) {
		flow->queue_first = q->next;
		free(q);
	}
	flow->host->dgrams->queued_bytes -= flow->queue_bytes;
	flow->queue_last = NULL;
	flow->queue_len = flow->queue_bytes = 0;
}

void ts_dgram_end(struct ts_dgram *flow)
{
	struct ts_dgrams *all = flow->host->dgrams;

	if (flow->is_over)
		return;
	flow->is_over = true;
	leave_ends(flow);
	if (flow->fd < 0)
		ts_key_map_take(&all->by_virtual, flow->virtual.ip.bytes);
	else
		all->own_count--;
	all->flow_count--;
	ts_watch_free(flow->watch);
	flow->watch = NULL;
	ts_dgram_drop_dup(flow);
	ts_list_remove(&flow->closed_link);
	/* What the program has not read yet still has its source's name. */
	ts_entry_end(flow->host, flow->entry, HOST_ENTRY_LINGER_MS);
	for (int i = 0; i < 2; i++)
		ts_entry_drop(flow->host, flow->sends[i]);
	flow->entry = flow->sends[0] = flow->sends[1] = NULL;
	ts_dgram_drop_queue(flow);
	ts_dns_service_cancel(flow->host, flow);
	ts_list_remove(&flow->link);
	ts_list_insert(&all->over, &flow->link);
}

static void free_flow(struct ts_dgram *flow)
{
	ts_list_remove(&flow->link);
	ts_sock_close(flow->fd);
	stack_echo_close(flow->echo);
	ts_dgram_port_put(flow->port);
	free(flow);
}

static struct ts_dgram *first_in(const struct ts_link *head)
{
	if (ts_list_is_empty(head))
		return NULL;
	return TS_LINK_OWNER(head->next, struct ts_dgram, link);
}

static void before_sleep(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_dgram *flow;

	ts_dgram_flush(host);
	while ((flow = first_in(&host->dgrams->over)))
		free_flow(flow);
	ts_dgram_ports_reap(host);
}

/* -- beginnings ------------------------------------------------------------ */

static struct ts_dgram *oldest(const struct ts_dgrams *all, bool with_socket)
{
	const struct ts_link *heads[] = {&all->unanswered, &all->answered};

	for (int i = 0; i < 2; i++)
		for (const struct ts_link *at = heads[i]->next; at != heads[i];
		     at = at->next) {
			struct ts_dgram *flow =
				TS_LINK_OWNER(at, struct ts_dgram, link);

			if (!with_socket || flow->fd >= 0)
				return flow;
		}
	return NULL;
}

static void make_room(struct ts_host *host, bool with_socket)
{
	struct ts_dgrams *all = host->dgrams;
	struct ts_dgram *flow;

	if (all->flow_count >= DGRAM_FLOWS_MAX ||
	    (with_socket && all->own_count >= all->own_max))
		ts_dgram_look_for_gone(host);
	if (all->flow_count >= DGRAM_FLOWS_MAX &&
	    (flow = oldest(all, false)))
		ts_dgram_end(flow);
	if (with_socket && all->own_count >= all->own_max &&
	    (flow = oldest(all, true)))
		ts_dgram_end(flow);
}

/* An address of W that no living or recent flow has had. */
static int pick_virtual(struct ts_dgram *flow)
{
	struct ts_host *host = flow->host;
	struct ts_dgrams *all = host->dgrams;
	struct ts_flow_key key = {.proto = IPPROTO_UDP};

	for (int i = 0; i < VIRTUAL_TRIES; i++) {
		key.remote.ip = ts_sock_random_loopback(host);
		key.remote.port = all->fd_port;
		if (ts_entry_find(host, &key))
			continue;
		flow->virtual = key.remote;
		return ts_key_map_put(&all->by_virtual, key.remote.ip.bytes,
				      flow);
	}
	return -EADDRNOTAVAIL;
}

static int open_virtual(struct ts_dgram *flow, bool with_socket)
{
	int err = with_socket ? ts_dgram_socket_open(flow) : pick_virtual(flow);

	if (!err && with_socket)
		flow->host->dgrams->own_count++;
	return err;
}

/* A wildcard socket is sent to at an address that nobody can guess: beside
 * one with SO_REUSEADDR a stranger may have bound 127.0.0.1. */
static struct ts_addr program_of(const struct ts_dgram *flow)
{
	struct ts_addr out = flow->native;

	if (flow->is_connected)
		return (struct ts_addr){.port = 0};
	if (!ts_ip_is_unspecified(&out.ip))
		return out;
	out.ip = flow->is_v6_only ? ts_sock_loopback(true)
				  : ts_sock_random_loopback(flow->host);
	return out;
}

static void set_local(struct ts_dgram *flow)
{
	bool v6 = !ts_ip_is_v4(&flow->remote.ip);

	flow->local.ip = ts_node_ip(flow->host->node, v6);
	flow->local.port = port_number(flow);
}

static struct ts_dgram *make_flow(struct ts_host *host,
				  const struct dgram_wish *wish)
{
	struct ts_dgram *flow = calloc(1, sizeof(*flow));

	if (!flow) {
		ts_dgram_port_put(wish->port);
		ts_sock_close(wish->dup_fd);
		return NULL;
	}
	flow->host = host;
	flow->id = ++host->next_id;
	flow->kind = wish->kind;
	flow->remote = wish->remote;
	flow->port = wish->port;
	flow->is_v6_only = wish->is_v6_only;
	flow->is_raw = wish->is_raw;
	flow->is_connected = wish->is_connected;
	flow->native = ts_dgram_canonical(&wish->asked, wish->is_v6_only);
	flow->program = program_of(flow);
	flow->fd = -1;
	flow->dup_fd = wish->dup_fd;
	flow->pid = wish->pid;
	flow->made_ms = flow->used_ms = ts_host_now_ms(host);
	host->dgrams->dup_count += wish->dup_fd >= 0;
	ts_list_init(&flow->closed_link);
	ts_list_init(&flow->link);
	set_local(flow);
	return flow;
}

static void discard(struct ts_dgram *flow)
{
	if (flow->fd >= 0)
		flow->host->dgrams->own_count--;
	else
		ts_key_map_take(&flow->host->dgrams->by_virtual,
				flow->virtual.ip.bytes);
	ts_watch_free(flow->watch);
	ts_dgram_drop_dup(flow);
	ts_entry_drop(flow->host, flow->entry);
	free_flow(flow);
}

struct ts_dgram *ts_dgram_new(struct ts_host *host,
			      const struct dgram_wish *wish, int *err)
{
	struct ts_dgrams *all = host->dgrams;
	bool with_socket = wish->is_dedicated || wish->is_connected ||
			   wish->is_v6_only || host->rv.one_loopback;
	struct ts_dgram *flow = make_flow(host, wish);
	char remote[TS_ADDR_TEXT_CAP], virtual[TS_ADDR_TEXT_CAP];

	*err = -ENOMEM;
	if (!flow)
		return NULL;
	make_room(host, with_socket);
	*err = open_virtual(flow, with_socket);
	if (!*err && flow->kind == DGRAM_ECHO)
		*err = ts_dgram_echo_open(flow);
	if (!*err)
		*err = publish_received(flow);
	if (!*err)
		*err = join_ends(flow);
	if (*err) {
		discard(flow);
		return NULL;
	}
	if (all->flow_count++ == 0)
		ts_timer_set(all->sweep, ts_host_now_ms(host));
	ts_list_insert(&all->unanswered, &flow->link);
	log_debug("datagram-%llu: port %u to %s at %s",
		  (unsigned long long)flow->id, port_number(flow),
		  ts_addr_format(&flow->remote, remote),
		  ts_addr_format(&flow->virtual, virtual));
	return flow;
}

/* -- the way out ----------------------------------------------------------- */

int ts_dgram_route(const struct ts_host *host, const struct ts_addr *remote,
		   enum dgram_route *out)
{
	struct ts_ip own = ts_node_ip(host->node, !ts_ip_is_v4(&remote->ip));

	*out = DGRAM_NOBODY;
	if (ts_dns_service_owns(host, remote)) {
		*out = DGRAM_SERVICE;
		return 0;
	}
	if (ts_host_is_down(host))
		return -ENETDOWN;
	if (ts_node_state(host->node) != TS_RUNNING) {
		*out = DGRAM_WAITS;
		return 0;
	}
	if (ts_ip_is_unspecified(&own))
		return -ENETUNREACH;
	switch (ts_node_route(host->node, &remote->ip, NULL)) {
	case TS_ROUTE_PEER:
		*out = DGRAM_PEER;
		return 0;
	case TS_ROUTE_SELF:
		*out = DGRAM_SELF;
		return 0;
	case TS_ROUTE_SERVICE: /* it has no other port */
		return 0;
	case TS_ROUTE_NONE:
		return -EHOSTUNREACH;
	case TS_ROUTE_HOST:
		break;
	}
	return -ENETUNREACH;
}

static void wait_for_node(struct ts_dgram *flow, const uint8_t *data,
			  size_t len)
{
	struct ts_dgrams *all = flow->host->dgrams;
	struct dgram_queued *q;

	if (flow->queue_len >= DGRAM_QUEUE_MAX ||
	    flow->queue_bytes + len > DGRAM_QUEUE_BYTES ||
	    all->queued_bytes + len > DGRAM_QUEUED_BYTES_MAX)
		return;
	q = malloc(sizeof(*q) + len);
	if (!q)
		return;
	q->next = NULL;
	q->len = len;
	memcpy(q->data, data, len);
	if (flow->queue_last)
		flow->queue_last->next = q;
	else
		flow->queue_first = q;
	flow->queue_last = q;
	flow->queue_len++;
	flow->queue_bytes += len;
	all->queued_bytes += len;
}

static void send_out(struct ts_dgram *flow, const uint8_t *data, size_t len)
{
	int err;

	if (flow->kind == DGRAM_ECHO) {
		ts_dgram_echo_send(flow, data, len);
		return;
	}
	err = stack_udp_send(flow->port->udp, &flow->remote, data, len);
	if (err == -EHOSTUNREACH)
		ts_dgram_refuse(flow, err);
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	if (len > 0)
		(void)ts_dgram_to_program(ctx, answer, len);
}

static void carry(struct ts_dgram *flow, const uint8_t *data, size_t len)
{
	switch (flow->route) {
	case DGRAM_WAITS:
		wait_for_node(flow, data, len);
		break;
	case DGRAM_SELF:
		if (flow->kind == DGRAM_UDP) {
			ts_dgram_arrived(flow->host,
					 ts_dgram_port_find(flow->host,
							flow->remote.port),
					 &flow->local, &flow->remote, data,
					 len);
			break;
		}
		/* fallthrough */
	case DGRAM_PEER:
		send_out(flow, data, len);
		break;
	case DGRAM_SERVICE:
		ts_dns_service_ask(flow->host, data, len, on_answer, flow);
		break;
	case DGRAM_NOBODY:
		ts_dgram_refuse(flow, -ECONNREFUSED);
		break;
	}
}

void ts_dgram_from_program(struct ts_dgram *flow, const uint8_t *data,
			   size_t len)
{
	flow->was_sent = true;
	ts_dgram_touch(flow);
	if (flow->first_sent_ms == 0)
		flow->first_sent_ms = flow->used_ms;
	carry(flow, data, len);
}

/* -- the way in ------------------------------------------------------------ */

bool ts_dgram_to_program(struct ts_dgram *flow, const void *data, size_t len)
{
	if (flow->is_over || !ts_dgram_learn_program(flow))
		return false;
	if (flow->closed_until_ms)
		ts_dgram_reopen(flow); /* the far end is there after all */
	flow->was_received = true;
	ts_dgram_touch(flow);
	ts_dgram_batch_add(flow, data, len);
	/* It answered: no refusal is to be told to a waiting program. */
	if (flow->was_sent)
		ts_dgram_drop_dup(flow);
	return true;
}

/* A datagram that belongs to no flow yet: whose port is it? */
static bool find_taker(struct ts_host *host, const struct ts_dgram_port *port,
		       const struct ts_addr *to, struct dgram_wish *wish)
{
	const struct ts_listener *l = ts_listener_for(host, IPPROTO_UDP, to);
	const struct ts_ip loopback6 = ts_sock_loopback(true);

	if (l) {
		wish->asked = l->native;
		wish->is_v6_only = ts_ip_is_zero(&l->native.ip) ||
				   ts_ip_equal(&l->native.ip, &loopback6);
		return true;
	}
	if (port->native.port == 0 || host->info.listen_mode == TS_LISTEN_HOST)
		return false;
	if (ts_ip_is_v4(&to->ip) ? port->is_v6_only : !port->takes_v6)
		return false;
	wish->asked = port->native;
	wish->is_v6_only = port->is_v6_only;
	return true;
}

static struct ts_dgram *begin_inbound(struct ts_host *host,
				      struct ts_dgram_port *port,
				      const struct ts_addr *from,
				      const struct ts_addr *to)
{
	struct dgram_wish wish = {.remote = *from, .dup_fd = -1};
	struct ts_dgram *flow;
	int err = 0;

	if (!port || !find_taker(host, port, to, &wish))
		return NULL;
	port->users++;
	wish.port = port;
	flow = ts_dgram_new(host, &wish, &err);
	if (flow)
		(void)ts_dgram_route(host, from, &flow->route);
	if (flow && ts_dgram_publish_send(flow, &wish.asked)) {
		ts_dgram_end(flow);
		flow = NULL;
	}
	return flow;
}

static void nobody_there(struct ts_host *host, struct ts_dgram_port *port,
			 const struct ts_addr *from, const struct ts_addr *to,
			 const uint8_t *data, size_t len)
{
	struct ts_dgram *sender;

	if (ts_node_route(host->node, &from->ip, NULL) != TS_ROUTE_SELF) {
		if (port)
			stack_udp_refuse(port->udp, from, to, data, len);
		return;
	}
	sender = ts_dgram_first(host, from->port, to);
	if (sender)
		ts_dgram_refuse(sender, -ECONNREFUSED);
}

void ts_dgram_arrived(struct ts_host *host, struct ts_dgram_port *port,
		      const struct ts_addr *from, const struct ts_addr *to,
		      const uint8_t *data, size_t len)
{
	struct ts_dgram *flow = ts_dgram_first(host, to->port, from);

	if (from->port == 0)
		return; /* cannot be answered, nor told from an echo */
	for (; flow; flow = flow->next_same_ends)
		if (ts_dgram_to_program(flow, data, len))
			return;
	flow = begin_inbound(host, port, from, to);
	if (!flow || !ts_dgram_to_program(flow, data, len))
		nobody_there(host, port, from, to, data, len);
}

/* -- the node changed ------------------------------------------------------ */

static void send_queue(struct ts_dgram *flow)
{
	struct dgram_queued *q = flow->queue_first;

	flow->queue_first = NULL;
	flow->host->dgrams->queued_bytes -= flow->queue_bytes;
	flow->queue_last = NULL;
	flow->queue_len = flow->queue_bytes = 0;
	while (q) {
		struct dgram_queued *next = q->next;

		if (!flow->is_over)
			carry(flow, q->data, q->len);
		free(q);
		q = next;
	}
}

/* An unconnected socket asks anew, and learns what has become of the remote
 * end; a connected one is told when it sends. */
static void look_again(struct ts_dgram *flow)
{
	enum dgram_route before = flow->route;
	struct ts_addr local = flow->local;
	int err = ts_dgram_route(flow->host, &flow->remote, &flow->route);

	if (err && !flow->is_connected && before != DGRAM_WAITS) {
		ts_dgram_end(flow);
		return;
	}
	set_local(flow);
	if (!ts_addr_equal(&local, &flow->local))
		republish(flow);
	if (before == DGRAM_WAITS && flow->route != DGRAM_WAITS)
		send_queue(flow);
}

/* What is sent may begin and end other flows: each is taken from a list that
 * nobody else knows, and put back first. */
static void look_at_all(struct ts_link *head)
{
	struct ts_link rest;
	struct ts_dgram *flow;

	ts_list_init(&rest);
	ts_list_insert(head, &rest);
	ts_list_remove(head);
	while ((flow = first_in(&rest))) {
		ts_list_remove(&flow->link);
		ts_list_insert(head, &flow->link);
		look_again(flow);
	}
}

void ts_dgrams_node_changed(struct ts_host *host)
{
	look_at_all(&host->dgrams->answered);
	look_at_all(&host->dgrams->unanswered);
}

/* -- open, close ----------------------------------------------------------- */

static void init_maps(struct ts_dgrams *all)
{
	uint64_t seed;

	ts_random_bytes(&seed, sizeof(seed));
	ts_key_map_init(&all->by_virtual, TS_IP_LEN, seed);
	ts_key_map_init(&all->by_ends, sizeof(struct ends_key), seed);
	ts_key_map_init(&all->ports, sizeof(uint16_t), seed);
	ts_key_map_init(&all->by_native, TS_IP_LEN + 2, seed);
}

int ts_dgrams_open(struct ts_host *host)
{
	struct ts_dgrams *all = calloc(1, sizeof(*all));
	struct ts_link *lists[] = {&all->answered, &all->unanswered, &all->over,
				   &all->closed};

	if (!all)
		return -ENOMEM;
	host->dgrams = all;
	all->host = host;
	all->fd = -1;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		ts_list_init(lists[i]);
	init_maps(all);
	all->reopen = ts_timer_new(host->loop, ts_dgram_reopen_due, host);
	all->sweep = ts_timer_new(host->loop, ts_dgram_sweep, host);
	if (!all->reopen || !all->sweep || ts_dgram_batch_open(host) ||
	    ts_loop_before_sleep(host->loop, before_sleep, host))
		return -ENOMEM;
	return ts_dgram_sockets_open(host);
}

void ts_dgrams_close(struct ts_host *host)
{
	struct ts_dgrams *all = host->dgrams;
	struct ts_dgram *flow;

	if (!all)
		return;
	while ((flow = oldest(all, false)))
		ts_dgram_end(flow);
	before_sleep(host);
	ts_loop_before_sleep_remove(host->loop, before_sleep, host);
	ts_dgram_sockets_close(host);
	ts_dgram_batch_close(host);
	ts_timer_free(all->reopen);
	ts_timer_free(all->sweep);
	ts_key_map_deinit(&all->by_virtual);
	ts_key_map_deinit(&all->by_ends);
	ts_key_map_deinit(&all->ports);
	ts_key_map_deinit(&all->by_native);
	free(all);
	host->dgrams = NULL;
}
