/* SPDX-License-Identifier: BSD-3-Clause
 * app_datagram.c - which way each datagram goes
 *
 * A flow begins with a request of a program (SEND, CONNECT) or with a datagram
 * from the tailnet to a port that somebody uses. The way out depends on the
 * remote end: through the tunnel, to a program here (our own address: no
 * packet is made and no filter is asked), to the DNS service, or nowhere.
 * Until the node is up a few datagrams wait, as a network that comes up would
 * lose the first ones of a name server's client that asks once. Nothing is
 * allocated for a datagram but then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/app_datagram.h"
#include "core/host/dns_service.h"

/* -- the way out ---------------------------------------------------------- */

int ts_dgram_route(const struct ts_member *member, const struct ts_addr *remote,
		   enum dgram_route *out)
{
	struct ts_ip own = ts_node_ip(member->node, !ts_ip_is_v4(&remote->ip));

	*out = DGRAM_NOBODY;
	if (ts_dns_service_owns(member->host, remote)) {
		*out = DGRAM_SERVICE;
		return 0;
	}
	if (ts_member_is_down(member))
		return -ENETDOWN;
	if (ts_node_state(member->node) != TS_RUNNING) {
		*out = DGRAM_WAITS;
		return 0;
	}
	if (ts_ip_is_unspecified(&own))
		return -ENETUNREACH;
	switch (ts_node_route(member->node, &remote->ip, NULL)) {
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

/* Until the node is up. */
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
	if (!flow->port->udp)
		return;
	err = stack_udp_send(flow->port->udp, &flow->remote, data, len);
	if (err == -EHOSTUNREACH)
		ts_dgram_refuse(flow, err);
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	if (len > 0)
		(void)ts_dgram_to_program(ctx, answer, len, NULL);
}

static void carry(struct ts_dgram *flow, const uint8_t *data, size_t len,
		  const struct dgram_marks *marks)
{
	switch (flow->route) {
	case DGRAM_WAITS:
		wait_for_node(flow, data, len);
		break;
	case DGRAM_SELF:
		if (flow->kind == DGRAM_UDP) {
			ts_dgram_arrived(flow->member,
					 ts_dgram_port_find(flow->member,
							    flow->remote.port),
					 &flow->local, &flow->remote, data, len,
					 marks);
			break;
		}
		/* fallthrough */
	case DGRAM_PEER:
		send_out(flow, data, len);
		break;
	case DGRAM_SERVICE:
		ts_dns_service_ask(flow->host,
				   ts_choose_named(flow->host, flow->by.node),
				   data, len, on_answer, flow);
		break;
	case DGRAM_NOBODY:
		ts_dgram_refuse(flow, -ECONNREFUSED);
		break;
	}
}

void ts_dgram_from_program(struct ts_dgram *flow, const uint8_t *data,
			   size_t len, const struct dgram_marks *marks)
{
	flow->was_sent = true;
	ts_dgram_touch(flow);
	if (flow->first_sent_ms == 0)
		flow->first_sent_ms = flow->used_ms;
	carry(flow, data, len, marks);
}

/* -- the way in ----------------------------------------------------------- */

/* Another peer with the same address and port, in another tailnet, has spoken
 * since: what the program sends there now is for this one. */
static void answer_here(struct ts_dgram *flow)
{
	for (int i = 0; i < 2; i++) {
		struct ts_addr asked;

		if (!flow->sends[i] || !flow->sends[i]->is_replaced)
			continue;
		asked = flow->sends[i]->key.local;
		(void)ts_dgram_publish_send(flow, &asked);
	}
}

bool ts_dgram_to_program(struct ts_dgram *flow, const void *data, size_t len,
			 const struct dgram_marks *marks)
{
	if (flow->is_over || !ts_dgram_learn_program(flow))
		return false;
	if (flow->closed_until_ms)
		ts_dgram_reopen(flow); /* the far end is there after all */
	ts_dgram_touch(flow);
	answer_here(flow);
	ts_dgram_batch_add(flow, data, len, marks);
	if (flow->was_sent && !flow->keeps_dup)
		/* It answered, it will hardly refuse. */
		ts_dgram_drop_dup(flow);
	return true;
}

/* A datagram that belongs to no flow yet: whose port is it? */
static bool find_taker(const struct ts_member *member,
		       const struct ts_dgram_port *port,
		       const struct ts_listener *l, const struct ts_addr *to,
		       struct dgram_wish *wish)
{
	const struct ts_ip loopback6 = ts_sock_loopback(true);

	if (l) {
		wish->asked = l->native;
		wish->is_v6_only = ts_ip_is_zero(&l->native.ip) ||
				   ts_ip_equal(&l->native.ip, &loopback6);
		return true;
	}
	if (port->native.port == 0 ||
	    member->host->info.listen_mode == TS_LISTEN_HOST)
		return false;
	if (ts_ip_is_v4(&to->ip) ? port->is_v6_only : !port->takes_v6)
		return false;
	wish->asked = port->native;
	wish->is_v6_only = port->is_v6_only;
	return true;
}

static struct ts_dgram *begin_inbound(struct ts_member *member,
				      struct ts_dgram_port *port,
				      const struct ts_listener *l,
				      const struct ts_addr *from,
				      const struct ts_addr *to)
{
	struct dgram_wish wish = {.member = member,
				  .remote = *from,
				  .shown = *from,
				  .dup_fd = -1};
	struct ts_dgram *flow;
	int err = 0;

	if (!port || !find_taker(member, port, l, to, &wish))
		return NULL;
	port->users++;
	wish.port = port;
	flow = ts_dgram_new(member->host, &wish, &err);
	if (flow)
		(void)ts_dgram_route(member, from, &flow->route);
	if (flow && ts_dgram_publish_send(flow, &wish.asked)) {
		ts_dgram_end(flow);
		flow = NULL;
	}
	return flow;
}

static void nobody_there(const struct ts_member *member,
			 struct ts_dgram_port *port, const struct ts_addr *from,
			 const struct ts_addr *to, const uint8_t *data,
			 size_t len)
{
	struct ts_dgram *sender;

	if (ts_node_route(member->node, &from->ip, NULL) != TS_ROUTE_SELF) {
		if (port && port->udp)
			stack_udp_refuse(port->udp, from, to, data, len);
		return;
	}
	sender = ts_dgram_first(member, from->port, to);
	if (sender)
		ts_dgram_refuse(sender, -ECONNREFUSED);
}

void ts_dgram_arrived(struct ts_member *member, struct ts_dgram_port *port,
		      const struct ts_addr *from, const struct ts_addr *to,
		      const uint8_t *data, size_t len,
		      const struct dgram_marks *marks)
{
	struct ts_dgram *flow = ts_dgram_first(member, to->port, from);
	const struct ts_listener *l;

	if (from->port == 0)
		return; /* cannot be answered, nor told from an echo */
	for (; flow; flow = flow->next_same_ends)
		if (ts_dgram_to_program(flow, data, len, marks))
			return;
	l = ts_listener_for(member, IPPROTO_UDP, to);
	if (port && l && l->flows) {
		flow = ts_flow_listener_begin(l->flows, port, from);
		if (flow)
			(void)ts_dgram_to_program(flow, data, len, marks);
		return;
	}
	flow = begin_inbound(member, port, l, from, to);
	if (!flow || !ts_dgram_to_program(flow, data, len, marks))
		nobody_there(member, port, from, to, data, len);
}

/* -- what waited for the node --------------------------------------------- */

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
			carry(flow, q->data, q->len, NULL);
		free(q);
		q = next;
	}
}

static size_t unread_of(const struct ts_link *head)
{
	size_t total = 0;

	for (const struct ts_link *at = head->next; at != head; at = at->next) {
		const struct ts_dgram *flow =
			TS_LINK_OWNER(at, struct ts_dgram, link);

		if (flow->fd >= 0)
			total += ts_sock_unread(flow->fd);
	}
	return total;
}

size_t ts_dgrams_undelivered(const struct ts_host *host)
{
	const struct ts_dgrams *all = host->dgrams;

	return all->queued_bytes +
	       (all->fd >= 0 ? ts_sock_unread(all->fd) : 0) +
	       unread_of(&all->answered) + unread_of(&all->unanswered);
}

/* -- the node changed ----------------------------------------------------- */

/* As long as it waits, another member may be the one that knows the address. */
static int choose_again(struct ts_dgram *flow)
{
	struct ts_member *member;

	if (flow->entry->stand_in)
		return 0; /* it has its own */
	member = ts_choose(flow->host, &flow->by, &flow->remote.ip);

	return member == flow->member ? 0 : ts_dgram_move(flow, member);
}

/* An unconnected socket asks anew, and learns what has become of the remote
 * end; a connected one is told when it sends, or has sent already. */
static void look_again(struct ts_dgram *flow, void *ctx)
{
	struct ts_dgram **to_send = ctx;
	enum dgram_route before = flow->route;
	int err = 0;

	if (before == DGRAM_WAITS)
		err = choose_again(flow);
	if (err) {
		ts_dgram_end(flow);
		return;
	}
	err = ts_dgram_route(flow->member, &flow->remote, &flow->route);

	if (err && !flow->is_connected) {
		ts_dgram_end(flow);
		return;
	}
	ts_dgram_republish(flow);
	if (flow->route == DGRAM_NOBODY)
		ts_dgram_shut(flow);
	else if (before == DGRAM_NOBODY && flow->closed_until_ms)
		ts_dgram_reopen(flow);
	if (before == DGRAM_WAITS && flow->route != DGRAM_WAITS) {
		flow->next_to_send = *to_send;
		*to_send = flow;
	}
}

/* What is sent may begin, end and move other flows: so nothing is before all
 * of them know their way. None is freed in this turn of the loop. */
void ts_dgrams_node_changed(struct ts_host *host)
{
	struct ts_dgram *to_send = NULL;

	ts_dgram_for_all(host, look_again, &to_send);
	for (; to_send; to_send = to_send->next_to_send)
		send_queue(to_send);
}

/* -- open, close ---------------------------------------------------------- */

static void before_sleep(void *ctx)
{
	struct ts_host *host = ctx;

	ts_dgram_flush(host);
	ts_dgrams_reap(host);
	ts_dgram_ports_reap(host);
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
	ts_dgrams_init_maps(all);
	all->reopen = ts_timer_new(host->loop, ts_dgram_reopen_due, host);
	all->sweep = ts_timer_new(host->loop, ts_dgram_sweep, host);
	if (!all->reopen || !all->sweep || ts_dgram_batch_open(host) ||
	    ts_loop_before_sleep(host->loop, before_sleep, host))
		return -ENOMEM;
	return ts_dgram_sockets_open(host);
}

/* member: NULL for all. */
static void end_if_of(struct ts_dgram *flow, void *member)
{
	if (!member || flow->member == member)
		ts_dgram_end(flow);
}

void ts_dgrams_leave_node(struct ts_member *member)
{
	ts_dgram_for_all(member->host, end_if_of, member);
	before_sleep(member->host); /* they hold on to the stack until then */
	ts_dgram_ports_leave(member);
}

void ts_dgrams_enter_node(struct ts_member *member)
{
	ts_dgram_ports_enter(member);
}

void ts_dgrams_close(struct ts_host *host)
{
	struct ts_dgrams *all = host->dgrams;

	if (!all)
		return;
	ts_dgram_for_all(host, end_if_of, NULL);
	if (all->out)
		before_sleep(host);
	ts_loop_before_sleep_remove(host->loop, before_sleep, host);
	ts_dgram_sockets_close(host);
	ts_dgram_batch_close(host);
	ts_timer_free(all->reopen);
	ts_timer_free(all->sweep);
	ts_dgrams_free_maps(all);
	free(all);
	host->dgrams = NULL;
}
