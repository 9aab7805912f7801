/* SPDX-License-Identifier: BSD-3-Clause
 * forward.h - what peers send to networks behind us
 *
 * Everything is done with sockets of this process, so nothing needs privileges,
 * and hosts behind us see this machine's address:
 *
 *   forward_tcp   connects first, and answers the peer's SYN then
 *   forward_udp   a socket for each pair of ends, until it is idle
 *   forward_echo  one ICMP socket a version for all
 *   forward_share what one peer may have of it
 *
 * Where to is the node's decision (ts_node_forward_target), for each of them,
 * after the filter has let the packet in.
 */
#ifndef CORE_HOST_FORWARD_H
#define CORE_HOST_FORWARD_H

#include "core/base/flood.h"
#include "core/host/host_internal.h"

enum {
	FORWARD_TCP_MAX = 16384, /* and a quarter of our descriptors */
	FORWARD_UDP_MAX = 4096,	 /* and an eighth */
	FORWARD_FLOOD_PER_S = 10, /* so many refused are worth a line */
};

/* What a peer has, of the networks behind it as well. */
struct forward_share {
	int64_t id;
	size_t tcp, udp;
};

struct forward_echo; /* forward_echo.c */

struct ts_forwards {
	struct ts_member *member;
	struct ts_key_map shares; /* node ID -> struct forward_share */
	struct ts_link dials;	  /* TCP: no splice yet */
	size_t tcp_count, tcp_max;
	struct ts_key_map udp_by_ends;
	struct ts_link udp; /* by last use */
	size_t udp_count, udp_max;
	struct ts_timer *udp_sweep;
	struct forward_echo *echo4, *echo6; /* NULL: not needed yet */
	struct ts_flood flood;
};

/* -- forward_share.c ------------------------------------------------------ */
int ts_forwards_open(struct ts_member *member);
/* Connects that are under way end; splices are closed by their own. */
void ts_forwards_stop(struct ts_member *member);
void ts_forwards_close(struct ts_member *member); /* after the splices */
void ts_forwards_node_changed(struct ts_member *member);
/* One more of whoever sends from ip; NULL: it has its share, or all is in use
 * (told). */
struct forward_share *ts_forward_take_tcp(struct ts_member *member,
					  const struct ts_ip *ip);
void ts_forward_give_tcp(struct ts_member *member, struct forward_share *share);
/* The same; the caller makes room, and asks again. */
struct forward_share *ts_forward_take_udp(struct ts_member *member,
					  const struct ts_ip *ip);
void ts_forward_give_udp(struct ts_member *member, struct forward_share *share);
const struct forward_share *
ts_forward_find_share(const struct ts_member *member, const struct ts_ip *ip);
/* Socket of this machine towards ip: non-blocking, close-on-exec. fd or
 * -errno. */
int ts_forward_socket(struct ts_member *member, const struct ts_ip *ip,
		      int type, int protocol);
/* The next ICMP error that fd knows of: what we had sent into buf. Its length;
 * -EAGAIN: no more. *err: negative errno, 0 for what is none of the sender's
 * business. */
ssize_t ts_forward_error(int fd, void *buf, size_t cap, int *err);

/* -- forward_tcp.c -------------------------------------------------------- */
void ts_forward_syn(struct ts_member *member, struct stack_syn *syn,
		    const struct ts_addr *local, const struct ts_addr *remote);
/* false: it was none of ours. */
bool ts_forward_syn_gone(struct ts_member *member, const struct stack_syn *syn);
void ts_forward_tcp_stop(struct ts_member *member);

/* -- forward_udp.c -------------------------------------------------------- */
int ts_forward_udp_open(struct ts_member *member);
void ts_forward_udp_close(struct ts_member *member);
/* Ends flows to where we route no more. */
void ts_forward_udp_check(struct ts_member *member);

/* -- forward_echo.c ------------------------------------------------------- */
void ts_forward_echo_close(struct ts_member *member);

#endif
