/* SPDX-License-Identifier: BSD-3-Clause
 * forward_udp.c - datagrams of peers to hosts behind us
 *
 * Each pair of ends has a socket of its own, connected to the far one: answers
 * are that end's alone, and the kernel says which datagram an ICMP error is
 * about, so the peer gets the error, too. A pair that is silent for two minutes
 * is forgotten (for 30 s when it asks a name server), and when there are too
 * many the one used least goes: first of the peer that wants another one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/host/forward.h"

enum {
	IDLE_MS = 120 * 1000,
	IDLE_DNS_MS = 30 * 1000,
	SWEEP_MS = 10 * 1000,
	READS_A_TURN = 32,
	DNS_PORT = 53,
	KEY_LEN = 2 * (TS_IP_LEN + 2),
};

struct forward_flow {
	struct ts_link link; /* in forwards->udp */
	struct ts_member *member;
	struct forward_share *share;
	struct ts_addr peer, dst; /* in the tailnet */
	int fd;
	struct ts_watch *watch;
	uint64_t used_ms, idle_ms;
};

static void make_key(uint8_t key[static KEY_LEN], const struct ts_addr *peer,
		     const struct ts_addr *dst)
{
	struct ts_writer w = ts_writer_init(key, KEY_LEN);

	ts_write_bytes(&w, peer->ip.bytes, TS_IP_LEN);
	ts_write_be16(&w, peer->port);
	ts_write_bytes(&w, dst->ip.bytes, TS_IP_LEN);
	ts_write_be16(&w, dst->port);
}

static void end(struct forward_flow *flow)
{
	struct ts_forwards *f = flow->member->forwards;
	uint8_t key[KEY_LEN];

	make_key(key, &flow->peer, &flow->dst);
	ts_key_map_take(&f->udp_by_ends, key);
	ts_list_remove(&flow->link);
	ts_watch_free(flow->watch);
	ts_sock_close(flow->fd);
	ts_forward_give_udp(flow->member, flow->share);
	free(flow);
}

static void touch(struct forward_flow *flow)
{
	flow->used_ms = ts_host_now_ms(flow->member->host);
	ts_list_remove(&flow->link);
	ts_list_insert(&flow->member->forwards->udp, &flow->link);
}

/* -- what comes back ------------------------------------------------------ */

static void tell_errors(struct forward_flow *flow)
{
	struct stack *stack = ts_node_stack(flow->member->node);
	uint8_t *scratch = flow->member->host->scratch;

	for (int i = 0; i < READS_A_TURN; i++) {
		int err;
		ssize_t len = ts_forward_error(flow->fd, scratch,
					       HOST_SCRATCH_BYTES, &err);

		if (len < 0)
			return;
		if (err)
			stack_forward_udp_failed(stack, &flow->peer, &flow->dst,
						 scratch, (size_t)len, err);
	}
}

static void on_socket(void *ctx, unsigned events)
{
	struct forward_flow *flow = ctx;
	struct ts_member *member = flow->member;
	struct stack *stack = ts_node_stack(member->node);

	(void)events;
	stack_set_now(stack, ts_host_now_ms(member->host));
	for (int i = 0; i < READS_A_TURN; i++) {
		ssize_t len = recv(flow->fd, member->host->scratch,
				   HOST_SCRATCH_BYTES, MSG_DONTWAIT);

		/* An error, or woken by one that a send has taken. */
		if (len < 0) {
			tell_errors(flow);
			return;
		}
		touch(flow);
		(void)stack_forward_udp(stack, &flow->dst, &flow->peer,
					member->host->scratch, (size_t)len);
	}
}

/* -- flows ---------------------------------------------------------------- */

static struct forward_flow *oldest(struct ts_member *member,
				   const struct forward_share *share)
{
	struct ts_link *head = &member->forwards->udp;

	for (struct ts_link *at = head->next; at != head; at = at->next) {
		struct forward_flow *flow =
			TS_LINK_OWNER(at, struct forward_flow, link);

		if (!share || flow->share == share)
			return flow;
	}
	return NULL;
}

/* Over its own share its own goes, else the oldest of all. */
static struct forward_share *take_share(struct ts_member *member,
					const struct ts_ip *ip)
{
	struct forward_share *share = ts_forward_take_udp(member, ip);
	const struct forward_share *own;
	struct forward_flow *flow;

	if (share || !ts_node_whois(member->node, ip))
		return share;
	own = ts_forward_find_share(member, ip);
	flow = own && own->udp >= member->forwards->udp_max / 2
		       ? oldest(member, own)
		       : oldest(member, NULL);
	if (!flow)
		return NULL;
	end(flow);
	return ts_forward_take_udp(member, ip);
}

static int open_socket(struct forward_flow *flow, const struct ts_addr *to)
{
	int err;

	flow->fd = ts_forward_socket(flow->member, &to->ip, SOCK_DGRAM, 0);
	if (flow->fd < 0) {
		err = flow->fd;
		flow->fd = -1;
		return err;
	}
	err = ts_sock_connect(flow->fd, to);
	if (err)
		return err;
	flow->watch = ts_watch_new(flow->member->host->loop, flow->fd,
				   TS_READABLE, on_socket, flow);
	return flow->watch ? 0 : -ENOMEM;
}

static struct forward_flow *begin(struct ts_member *member,
				  const struct ts_addr *peer,
				  const struct ts_addr *dst,
				  const struct ts_addr *to, int *err)
{
	struct ts_forwards *f = member->forwards;
	struct forward_share *share = take_share(member, &peer->ip);
	struct forward_flow *flow = share ? calloc(1, sizeof(*flow)) : NULL;
	uint8_t key[KEY_LEN];

	*err = -ENOMEM;
	if (!flow) {
		if (share)
			ts_forward_give_udp(member, share);
		return NULL;
	}
	flow->member = member;
	flow->share = share;
	flow->peer = *peer;
	flow->dst = *dst;
	flow->idle_ms = to->port == DNS_PORT ? IDLE_DNS_MS : IDLE_MS;
	ts_list_init(&flow->link);
	make_key(key, peer, dst);
	*err = open_socket(flow, to);
	if (!*err)
		*err = ts_key_map_put(&f->udp_by_ends, key, flow);
	if (*err) {
		end(flow);
		return NULL;
	}
	touch(flow);
	if (f->udp_count == 1)
		ts_timer_set(f->udp_sweep, flow->used_ms + SWEEP_MS);
	return flow;
}

static struct forward_flow *find_or_begin(struct ts_member *member,
					  const struct ts_addr *peer,
					  const struct ts_addr *dst, int *err)
{
	struct ts_addr to = {.port = dst->port};
	struct forward_flow *flow;
	uint8_t key[KEY_LEN];

	*err = 0;
	make_key(key, peer, dst);
	flow = ts_key_map_get(&member->forwards->udp_by_ends, key);
	if (flow)
		return flow;
	*err = ts_node_forward_target(member->node, &dst->ip, &to.ip) ? -EACCES
								      : 0;
	return *err ? NULL : begin(member, peer, dst, &to, err);
}

/* An error that is still to be told keeps the next datagram from leaving. */
static int send_out(struct forward_flow *flow, const uint8_t *data, size_t len)
{
	for (int i = 0; i < 2; i++) {
		if (send(flow->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE)
			return 0; /* lost, as on any network */
		if (i == 0)
			tell_errors(flow);
	}
	return -errno;
}

void ts_host_forward_udp(struct ts_member *member, const struct ts_addr *from,
			 const struct ts_addr *to, const uint8_t *data,
			 size_t len)
{
	struct forward_flow *flow;
	int err;

	if (from->port == 0) /* cannot be answered */
		return;
	flow = find_or_begin(member, from, to, &err);
	if (flow) {
		touch(flow);
		err = send_out(flow, data, len);
	}
	if (err && err != -ENOMEM && err != -EMFILE && err != -ENFILE)
		stack_forward_udp_failed(ts_node_stack(member->node), from, to,
					 data, len, err);
}

/* -- ends ----------------------------------------------------------------- */

static void on_sweep(void *ctx)
{
	struct ts_member *member = ctx;
	struct ts_forwards *f = member->forwards;
	uint64_t now_ms = ts_host_now_ms(member->host);
	struct ts_link *next;

	for (struct ts_link *at = f->udp.next; at != &f->udp; at = next) {
		struct forward_flow *flow =
			TS_LINK_OWNER(at, struct forward_flow, link);

		next = at->next;
		if (now_ms >= flow->used_ms + flow->idle_ms)
			end(flow);
	}
	if (f->udp_count > 0)
		ts_timer_set(f->udp_sweep, now_ms + SWEEP_MS);
}

void ts_forward_udp_check(struct ts_member *member)
{
	struct ts_forwards *f = member->forwards;
	struct ts_link *next;

	for (struct ts_link *at = f->udp.next; at != &f->udp; at = next) {
		struct forward_flow *flow =
			TS_LINK_OWNER(at, struct forward_flow, link);
		struct ts_ip to;

		next = at->next;
		if (ts_node_forward_target(member->node, &flow->dst.ip, &to))
			end(flow);
	}
}

int ts_forward_udp_open(struct ts_member *member)
{
	struct ts_forwards *f = member->forwards;

	ts_key_map_init(&f->udp_by_ends, KEY_LEN, ts_random_u64());
	ts_list_init(&f->udp);
	f->udp_sweep = ts_timer_new(member->host->loop, on_sweep, member);
	return f->udp_sweep ? 0 : -ENOMEM;
}

void ts_forward_udp_close(struct ts_member *member)
{
	struct ts_forwards *f = member->forwards;

	while (!ts_list_is_empty(&f->udp))
		end(TS_LINK_OWNER(f->udp.next, struct forward_flow, link));
	ts_timer_free(f->udp_sweep);
	ts_key_map_deinit(&f->udp_by_ends);
}
