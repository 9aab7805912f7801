/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_request.c - SEND and CONNECT of datagram sockets
 *
 * Both are answered at once, also while the node is not up yet: a datagram
 * socket's connect never waits, so what is sent until then waits instead, a
 * few datagrams of it. What is known to lead nowhere is refused here.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/host/app_datagram.h"

static int int_option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

static bool is_udp_socket(int fd)
{
	return int_option(fd, SO_TYPE) == SOCK_DGRAM &&
	       int_option(fd, SO_PROTOCOL) == IPPROTO_UDP;
}

static int check_remote(const struct ts_broker_request *req)
{
	bool v4 = ts_ip_is_v4(&req->tailnet.ip);

	switch (req->proto) {
	case IPPROTO_UDP:
		/* Connected to port 0 one can ask for one's own address. */
		return req->tailnet.port || req->type == TS_BROKER_CONNECT
			       ? 0
			       : -EINVAL;
	case IPPROTO_ICMP:
		return v4 ? 0 : -EAFNOSUPPORT;
	case IPPROTO_ICMPV6:
		return v4 ? -EAFNOSUPPORT : 0;
	default:
		return -EPROTONOSUPPORT;
	}
}

/* As app_dial.c has it for connections. */
static int check_stand_in(const struct dgram_wish *wish)
{
	struct ts_host *host = wish->member->host;
	const struct ts_member *named = ts_choose_named(host, wish->by.node);

	if (named && named != wish->member)
		return -EHOSTUNREACH;
	return ts_stand_ins_cover(host, &wish->remote.ip) &&
			       !ts_choice_knows(wish->member, &wish->remote.ip)
		       ? -EHOSTUNREACH
		       : 0;
}

static int check(const struct dgram_wish *wish,
		 const struct ts_broker_request *req, int fd, bool needs_fd,
		 enum dgram_route *route)
{
	const struct ts_member *member = wish->member;
	int err = check_remote(req);

	if (err)
		return err;
	if (member->host->dgrams->fd < 0)
		return -ENETUNREACH;
	if (ts_ip_is_multicast(&req->native_local.ip))
		return -EINVAL;
	if (needs_fd && fd < 0) /* most likely it did not fit in our table */
		return -ENOBUFS;
	if (fd >= 0 && !is_udp_socket(fd))
		return -EINVAL;
	err = check_stand_in(wish);
	return err ? err : ts_dgram_route(member, &wish->remote, route);
}

static struct ts_member *choose(struct ts_host *host,
				const struct dgram_wish *wish)
{
	return wish->stand_in ? wish->stand_in->member
			      : ts_choose(host, &wish->by, &wish->remote.ip);
}

static struct dgram_wish make_wish(struct ts_host *host,
				   const struct ts_broker_request *req, int fd,
				   pid_t pid)
{
	struct dgram_wish wish = {
		.by = ts_choice_of(host, req),
		.kind = req->proto == IPPROTO_UDP ? DGRAM_UDP : DGRAM_ECHO,
		.asked = req->native_local,
		.remote = req->tailnet,
		.stand_in = ts_stand_in_find(host, &req->tailnet.ip),
		.is_v6_only = req->flags & TS_BROKER_V6_ONLY,
		.is_dedicated = req->flags & TS_BROKER_DEDICATED,
		.dup_fd = fd,
		.pid = pid,
	};

	wish.member = choose(host, &wish);
	wish.is_raw = wish.kind == DGRAM_ECHO && req->flags & TS_BROKER_RAW;
	if (wish.kind == DGRAM_ECHO)
		wish.remote.port = 0;
	wish.shown = wish.remote;
	if (wish.stand_in)
		wish.remote.ip = wish.stand_in->real;
	return wish;
}

static int get_port(struct dgram_wish *wish)
{
	int err = 0;

	if (wish->kind == DGRAM_UDP)
		wish->port = ts_dgram_port_of(wish->member, &wish->asked,
					      wish->is_v6_only, &err);
	return err;
}

/* One that has not sent yet may still be on its way to its D. */
static struct ts_dgram *oldest_with_dup(const struct ts_dgrams *all)
{
	const struct ts_link *heads[] = {&all->answered, &all->unanswered};

	for (int i = 0; i < 2; i++)
		for (const struct ts_link *at = heads[i]->next; at != heads[i];
		     at = at->next) {
			struct ts_dgram *flow =
				TS_LINK_OWNER(at, struct ts_dgram, link);

			if (flow->dup_fd >= 0)
				return flow;
		}
	return NULL;
}

/* One that never connected cannot be served without its duplicate. */
static void make_room_for_dup(struct ts_host *host)
{
	struct ts_dgrams *all = host->dgrams;
	struct ts_dgram *flow;

	if (all->dup_count < all->dup_max)
		return;
	flow = oldest_with_dup(all);
	if (flow && ts_dgram_learn_program(flow))
		ts_dgram_drop_dup(flow);
	else if (flow)
		ts_dgram_end(flow);
}

static struct ts_dgram *begin(struct ts_host *host, struct dgram_wish *wish,
			      enum dgram_route route, int *err)
{
	struct ts_dgram *flow;

	if (wish->dup_fd >= 0)
		make_room_for_dup(host);
	flow = ts_dgram_new(host, wish, err);
	if (flow)
		flow->route = route;
	if (flow && route == DGRAM_NOBODY)
		ts_dgram_shut(flow);
	return flow;
}

/* The socket asks again for what it has: nothing new, but a new duplicate. */
static void take_again(struct ts_dgram *flow, const struct dgram_wish *wish)
{
	ts_dgram_port_put(wish->port);
	if (wish->dup_fd < 0)
		return;
	make_room_for_dup(flow->host);
	ts_dgram_drop_dup(flow);
	flow->dup_fd = wish->dup_fd;
	flow->pid = wish->pid;
	flow->first_sent_ms = 0;
	flow->host->dgrams->dup_count++;
}

void ts_dgram_send(struct ts_host *host, const struct ts_broker_request *req,
		   int fd, pid_t pid, struct ts_broker_reply *rep)
{
	bool is_dedicated = req->flags & TS_BROKER_DEDICATED;
	enum dgram_route route;
	struct dgram_wish wish = make_wish(host, req, fd, pid);
	struct ts_dgram *flow;
	int err = check(&wish, req, fd, is_dedicated, &route);

	if (!err && req->native_local.port == 0)
		err = -EINVAL;
	if (!is_dedicated) {
		ts_sock_close(fd);
		wish.dup_fd = fd = -1;
	}
	if (!err)
		err = get_port(&wish);
	rep->error = -err;
	if (err) {
		ts_sock_close(fd);
		return;
	}
	flow = ts_dgram_find(&wish);
	if (flow)
		take_again(flow, &wish);
	else
		flow = begin(host, &wish, route, &err);
	if (flow)
		err = ts_dgram_publish_send(flow, &req->native_local);
	rep->error = -err;
	if (err)
		return;
	rep->native = flow->virtual;
	rep->tailnet = flow->local;
}

/* A socket has one peer: what it was connected to before is over. It still is
 * while the program waits for our answer, and so what it sent is known to be
 * its own now, and not any more in a moment. */
static uint64_t end_former(struct ts_host *host, int fd)
{
	struct ts_dgram *former;
	uint64_t inode;
	struct stat st;

	if (fstat(fd, &st))
		return 0;
	inode = st.st_ino;
	former = ts_key_map_get(&host->dgrams->by_inode, &inode);
	if (former)
		ts_dgram_socket_drain(former);
	if (former)
		ts_dgram_end(former);
	return inode;
}

void ts_dgram_leave(struct ts_host *host, int fd)
{
	(void)end_former(host, fd);
}

void ts_dgram_connect(struct ts_host *host, const struct ts_broker_request *req,
		      int fd, pid_t pid, struct ts_broker_reply *rep)
{
	struct dgram_wish wish = make_wish(host, req, fd, pid);
	struct ts_dgram *flow;
	enum dgram_route route;
	int err;

	if (ts_ip_is_unspecified(&req->tailnet.ip)) {
		ts_dgram_leave(host, fd);
		ts_sock_close(fd);
		return;
	}
	err = check(&wish, req, fd, true, &route);
	wish.is_connected = true;
	if (!err)
		err = get_port(&wish);
	rep->error = -err;
	if (err) {
		ts_sock_close(fd);
		return;
	}
	flow = begin(host, &wish, route, &err);
	rep->error = -err;
	if (!flow)
		return;
	flow->inode = end_former(host, fd);
	(void)ts_key_map_put(&host->dgrams->by_inode, &flow->inode, flow);
	rep->native = flow->virtual;
	rep->tailnet = flow->local;
}
