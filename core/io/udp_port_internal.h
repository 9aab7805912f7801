/* SPDX-License-Identifier: BSD-3-Clause
 * udp_port_internal.h - what the three parts of udp_port.h share
 *
 * udp_port.c opens the sockets, udp_receive.c takes in, udp_send.c sends.
 */
#ifndef CORE_IO_UDP_PORT_INTERNAL_H
#define CORE_IO_UDP_PORT_INTERNAL_H

#include <sys/socket.h>

#include "core/io/udp_port.h"

struct udp_out; /* udp_send.c: a family's datagrams that wait */
struct udp_in;	/* udp_receive.c: the buffers of one recvmmsg() */

struct udp_socket {
	struct ts_udp_port *port;
	struct ts_watch *watch;
	int fd; /* -1: this family is not there */
	int family;
	bool no_bundles; /* the kernel or the way out refused UDP_SEGMENT */
	bool no_bundles_now; /* for the rest of this batch */
	struct udp_out *out;
};

struct ts_udp_port {
	struct ts_loop *loop;
	struct udp_socket v4, v6;
	uint16_t number;
	struct ts_udp_offload offload;
	struct udp_in *in;
	bool is_kept;	  /* what in has may be in use still */
	uint8_t *waiting; /* datagrams to be sent */
	size_t used;	  /* of it */
	size_t room_at, room_end; /* in it, lent; else 0 */
	ts_udp_input_fn fn;
	ts_udp_refused_fn refused; /* or NULL */
	ts_udp_reuse_fn reuse_fn;
	void *ctx;
	bool is_closed; /* by a callback: stop handing out */
	bool is_inside;
};

/* UDP_GRO's and UDP_SEGMENT's length of each datagram. */
union udp_segment_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

/* udp_receive.c: 0 or -ENOMEM */
int udp_receive_start(struct ts_udp_port *u);
/* Hands out what one recvmmsg() brings; frees a port that input has closed.
 * ctx: the socket. */
void udp_receive_ready(void *ctx, unsigned events);
/* Nothing of what was handed out is kept after this. */
void udp_receive_end(struct ts_udp_port *u);

/* udp_send.c: 0 or -ENOMEM. The queue of a family belongs to its socket. */
int udp_send_start(struct ts_udp_port *u);
int udp_send_start_socket(struct udp_socket *s);
void udp_send_end_socket(struct udp_socket *s);
void udp_send_end(struct ts_udp_port *u);

/* udp_port.c: the port without its sockets. */
void udp_port_free(struct ts_udp_port *u);

#endif
