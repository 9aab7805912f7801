/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_flow.c - flows: how they are found, begin and end
 *
 * A flow is found by its virtual address (what W receives), by its ends in the
 * tailnet (what the stack delivers), or by the socket that connected (it has
 * one peer). It is in the table before anybody can see its virtual address.
 *
 * Flows end when their program is gone or by idle time (datagram_sweep.c), or
 * for want of room: the one used least of those whose program has sent, for a
 * program may be about to answer the others; but these are anybody's making,
 * and when they fill a quarter of the room the oldest of them goes. They may
 * end in the middle of a delivery; what others may still hold is freed before
 * the loop sleeps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/host/app_datagram.h"
#include "core/host/dns_service.h"

enum { VIRTUAL_TRIES = 64, UNANSWERED_SHARE = 4, FLOOD_PER_S = 100 };

struct ends_key {
	uint8_t bytes[1 + 2 + TS_IP_LEN + 2];
};

static struct ends_key ends_of(const struct ts_member *member, uint16_t port,
			       const struct ts_addr *remote)
{
	struct ends_key key;
	struct ts_writer w = ts_writer_init(key.bytes, sizeof(key.bytes));

	ts_write_u8(&w, (uint8_t)member->index);
	ts_write_be16(&w, port);
	ts_write_bytes(&w, remote->ip.bytes, TS_IP_LEN);
	ts_write_be16(&w, remote->port);
	return key;
}

static uint16_t port_number(const struct ts_dgram *flow)
{
	return flow->port ? flow->port->number : 0;
}

/* -- the maps ------------------------------------------------------------- */

struct ts_dgram *ts_dgram_first(const struct ts_member *member, uint16_t port,
				const struct ts_addr *remote)
{
	struct ends_key key = ends_of(member, port, remote);

	return ts_key_map_get(&member->host->dgrams->by_ends, &key);
}

/* A connected socket comes before those that take from everybody, and a newer
 * one before an older: that one may be connected elsewhere by now. */
static int join_ends(struct ts_dgram *flow)
{
	struct ts_key_map *map = &flow->host->dgrams->by_ends;
	struct ends_key key =
		ends_of(flow->member, port_number(flow), &flow->remote);
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
	struct ends_key key =
		ends_of(flow->member, port_number(flow), &flow->remote);
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

struct ts_dgram *ts_dgram_find(const struct dgram_wish *wish)
{
	struct ts_addr native =
		ts_dgram_canonical(&wish->asked, wish->is_v6_only);
	struct ts_dgram *flow = ts_dgram_first(
		wish->member, wish->port ? wish->port->number : 0,
		&wish->remote);

	while (flow && (flow->is_connected || flow->is_raw != wish->is_raw ||
			!ts_addr_equal(&flow->native, &native) ||
			!ts_addr_equal(&flow->shown, &wish->shown) ||
			(wish->is_dedicated && flow->fd < 0)))
		flow = flow->next_same_ends;
	return flow;
}

void ts_dgram_touch(struct ts_dgram *flow)
{
	struct ts_dgrams *all = flow->host->dgrams;

	flow->used_ms = ts_host_now_ms(flow->host);
	if (flow->was_sent && !flow->is_answered) {
		flow->is_answered = true;
		all->unanswered_count[flow->fd >= 0]--;
	}
	ts_list_remove(&flow->link);
	ts_list_insert(flow->is_answered ? &all->answered : &all->unanswered,
		       &flow->link);
}

static void set_local(struct ts_dgram *flow)
{
	bool v6 = !ts_ip_is_v4(&flow->remote.ip);

	flow->local.ip = ts_node_ip(flow->member->node, v6);
	flow->local.port = port_number(flow);
}

/* -- the table ------------------------------------------------------------ */

static struct ts_flow_entry value_of(const struct ts_dgram *flow, bool is_send)
{
	return (struct ts_flow_entry){
		.kind = is_send ? TS_FLOW_SEND : TS_FLOW_DATAGRAM,
		.state = TS_FLOW_UP,
		.tailnet_local = flow->local,
		.tailnet_remote = is_send ? flow->virtual : flow->shown,
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
	const struct ts_flow_key key = {
		.proto = IPPROTO_UDP, .local = *asked, .remote = flow->shown};
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

void ts_dgram_republish(struct ts_dgram *flow)
{
	struct ts_addr local = flow->local;

	set_local(flow);
	if (ts_addr_equal(&local, &flow->local))
		return;
	flow->entry->value = value_of(flow, false);
	ts_entry_publish(flow->host, flow->entry);
	for (int i = 0; i < 2; i++) {
		if (!flow->sends[i])
			continue;
		flow->sends[i]->value = value_of(flow, true);
		ts_entry_publish(flow->host, flow->sends[i]);
	}
}

/* -- another member ------------------------------------------------------- */

static int move_port(struct ts_dgram *flow)
{
	struct ts_dgram_port *before = flow->port;
	int err;

	flow->port = ts_dgram_port_of(flow->member, &flow->native,
				      flow->is_v6_only, &err);
	ts_dgram_port_put(before);
	return err;
}

int ts_dgram_move(struct ts_dgram *flow, struct ts_member *to)
{
	int err;

	leave_ends(flow);
	flow->member = to;
	if (flow->kind == DGRAM_ECHO) {
		stack_echo_close(flow->echo);
		flow->echo = NULL;
		err = ts_dgram_echo_open(flow);
	} else {
		err = move_port(flow);
	}
	return err ? err : join_ends(flow);
}

/* -- ends ----------------------------------------------------------------- */

void ts_dgram_end(struct ts_dgram *flow)
{
	struct ts_dgrams *all = flow->host->dgrams;

	if (flow->is_over)
		return;
	flow->is_over = true;
	leave_ends(flow);
	if (flow->is_connected &&
	    ts_key_map_get(&all->by_inode, &flow->inode) == flow)
		ts_key_map_take(&all->by_inode, &flow->inode);
	if (flow->fd < 0)
		ts_key_map_take(&all->by_virtual, flow->virtual.ip.bytes);
	else
		all->own_count--;
	all->flow_count--;
	all->unanswered_count[flow->fd >= 0] -= !flow->is_answered;
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

struct ts_dgram *ts_dgram_first_in(const struct ts_link *head)
{
	if (ts_list_is_empty(head))
		return NULL;
	return TS_LINK_OWNER(head->next, struct ts_dgram, link);
}

void ts_dgrams_reap(struct ts_host *host)
{
	struct ts_dgram *flow;

	while ((flow = ts_dgram_first_in(&host->dgrams->over)))
		free_flow(flow);
}

void ts_dgram_for_all(struct ts_host *host,
		      void (*fn)(struct ts_dgram *flow, void *ctx), void *ctx)
{
	struct ts_link *heads[] = {&host->dgrams->unanswered,
				   &host->dgrams->answered};

	for (int i = 0; i < 2; i++) {
		struct ts_link *at, *next;

		for (at = heads[i]->next; at != heads[i]; at = next) {
			next = at->next;
			fn(TS_LINK_OWNER(at, struct ts_dgram, link), ctx);
		}
	}
}

/* -- beginnings ----------------------------------------------------------- */

static struct ts_dgram *oldest_in(const struct ts_link *head, bool has_socket)
{
	for (const struct ts_link *at = head->next; at != head; at = at->next) {
		struct ts_dgram *flow =
			TS_LINK_OWNER(at, struct ts_dgram, link);

		if ((flow->fd >= 0) == has_socket)
			return flow;
	}
	return NULL;
}

struct ts_dgram *ts_dgram_oldest(const struct ts_dgrams *all, bool has_socket)
{
	size_t max = has_socket ? all->own_max : DGRAM_FLOWS_MAX;
	bool are_many =
		all->unanswered_count[has_socket] > max / UNANSWERED_SHARE;
	struct ts_dgram *flow =
		oldest_in(are_many ? &all->unanswered : &all->answered,
			  has_socket);

	return flow ? flow : oldest_in(&all->unanswered, has_socket);
}

static void tell_flood(struct ts_host *host)
{
	uint64_t count = ts_flood_count(&host->dgrams->flood, FLOOD_PER_S,
					ts_host_now_ms(host));

	if (count)
		log_warn("datagram: flood of flows: %llu ended to make room",
			 (unsigned long long)count);
}

static void make_room(struct ts_host *host, bool with_socket)
{
	struct ts_dgrams *all = host->dgrams;
	struct ts_dgram *flow;

	if (all->flow_count >= DGRAM_FLOWS_MAX ||
	    (with_socket && all->own_count >= all->own_max))
		ts_dgram_look_for_gone(host);
	if (all->flow_count >= DGRAM_FLOWS_MAX &&
	    (flow = ts_dgram_oldest(all, false))) {
		ts_dgram_end(flow);
		tell_flood(host);
	}
	if (with_socket && all->own_count >= all->own_max &&
	    (flow = ts_dgram_oldest(all, true)))
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
	flow->by = wish->by;
	flow->member = wish->member;
	flow->id = ++host->next_id;
	flow->kind = wish->kind;
	flow->remote = wish->remote;
	flow->shown = wish->shown;
	flow->port = wish->port;
	flow->is_v6_only = wish->is_v6_only;
	flow->is_raw = wish->is_raw;
	flow->is_connected = wish->is_connected;
	flow->keeps_dup = wish->is_connected && wish->asked.port == 0;
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
	struct ts_dgrams *all = flow->host->dgrams;

	if (flow->fd >= 0)
		all->own_count--;
	else if (ts_key_map_get(&all->by_virtual, flow->virtual.ip.bytes) ==
		 flow)
		ts_key_map_take(&all->by_virtual, flow->virtual.ip.bytes);
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
		flow->entry->stand_in = ts_stand_in_get(wish->stand_in);
	if (!*err)
		*err = join_ends(flow);
	if (*err) {
		discard(flow);
		return NULL;
	}
	if (all->flow_count++ == 0)
		ts_timer_set(all->sweep, ts_host_now_ms(host));
	all->unanswered_count[flow->fd >= 0]++;
	ts_list_insert(&all->unanswered, &flow->link);
	log_debug("datagram-%llu: port %u to %s at %s",
		  (unsigned long long)flow->id, port_number(flow),
		  ts_addr_format(&flow->remote, remote),
		  ts_addr_format(&flow->virtual, virtual));
	return flow;
}

/* -- all of them ---------------------------------------------------------- */

void ts_dgrams_init_maps(struct ts_dgrams *all)
{
	const uint64_t seed = ts_random_u64();

	ts_key_map_init(&all->by_virtual, TS_IP_LEN, seed);
	ts_key_map_init(&all->by_ends, sizeof(struct ends_key), seed);
	ts_key_map_init(&all->ports, DGRAM_PORT_KEY_LEN, seed);
	ts_key_map_init(&all->by_native, DGRAM_NATIVE_KEY_LEN, seed);
	ts_key_map_init(&all->by_inode, sizeof(uint64_t), seed);
}

void ts_dgrams_free_maps(struct ts_dgrams *all)
{
	ts_key_map_deinit(&all->by_virtual);
	ts_key_map_deinit(&all->by_ends);
	ts_key_map_deinit(&all->ports);
	ts_key_map_deinit(&all->by_native);
	ts_key_map_deinit(&all->by_inode);
}
