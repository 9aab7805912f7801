/* SPDX-License-Identifier: BSD-3-Clause
 * udp_port.c - opening, binding and closing of the node's UDP sockets
 *
 * Both families have the same port number, as peers and gateways expect it.
 * What goes in and out of them is in udp_receive.c and udp_send.c.
 */
#include "core/io/udp_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/io/udp_port_internal.h"

enum {
	SOCKET_BUFFER = 7 << 20, /* what upstream asks for */
	PORT_TRIES = 10, /* port 0: the kernel's choice must suit both */
};

static void set_buffers(int fd)
{
	int len = SOCKET_BUFFER;

	/* FORCE needs CAP_NET_ADMIN; the other is cut to the system's limit. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &len, sizeof(len)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
}

static int bind_to(int fd, int family, uint16_t port)
{
	struct ts_addr any = {.ip = family == AF_INET ? TS_IP4_ZERO
						      : TS_IP_ZERO,
			      .port = port};
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(&any, family, &sa);

	if (len < 0)
		return len;
	if (bind(fd, (struct sockaddr *)&sa, (socklen_t)len))
		return -errno;
	return 0;
}

/* An old kernel says no, and hands out single datagrams. */
static void take_bundles(const struct udp_socket *s)
{
	int on = !s->port->offload.no_bundles_in;

	if (s->fd >= 0)
		(void)setsockopt(s->fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
}

void ts_udp_port_set_offload(struct ts_udp_port *u,
			     const struct ts_udp_offload *offload)
{
	if (memcmp(&u->offload, offload, sizeof(*offload)) == 0)
		return;
	log_info("udp-%u: bundles of datagrams: in %s, out %s", u->number,
		 offload->no_bundles_in ? "no" : "yes",
		 offload->no_bundles_out     ? "no"
		 : offload->no_equal_bundles ? "with a shorter last one"
					     : "yes");
	u->offload = *offload;
	take_bundles(&u->v4);
	take_bundles(&u->v6);
}

static int open_socket(struct udp_socket *s, uint16_t port)
{
	int one = 1;
	int err;

	s->fd = socket(s->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (s->family == AF_INET6)
		setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	set_buffers(s->fd);
	take_bundles(s);
	err = bind_to(s->fd, s->family, port);
	if (err) {
		close(s->fd);
		s->fd = -1;
	}
	return err;
}

static uint16_t bound_port(const struct udp_socket *s)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct ts_addr addr;

	if (s->fd < 0 || getsockname(s->fd, (struct sockaddr *)&sa, &len) ||
	    ts_addr_from_sockaddr((struct sockaddr *)&sa, len, &addr) < 0)
		return 0;
	return addr.port;
}

static void close_socket(struct udp_socket *s)
{
	ts_watch_free(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	udp_send_end_socket(s);
}

/* Both families, or the one that this machine has. -EADDRINUSE when the port
 * is free in one family only. */
static int open_pair(struct ts_udp_port *u, uint16_t port)
{
	int err4 = open_socket(&u->v4, port);
	int err6 = 0;

	if (err4 == -EADDRINUSE)
		return err4;
	u->number = err4 ? port : bound_port(&u->v4);
	err6 = open_socket(&u->v6, u->number);
	if (err6 == -EADDRINUSE) {
		close_socket(&u->v4);
		return err6;
	}
	if (err4 && err6)
		return err4;
	u->number = bound_port(err4 ? &u->v6 : &u->v4);
	return 0;
}

static int open_sockets(struct ts_udp_port *u, uint16_t port)
{
	int err = -EADDRINUSE;

	if (port) {
		err = open_pair(u, port);
		if (!err)
			return 0;
		log_warn("udp-%u: cannot be used, taking another: %s", port,
			 ts_strerror(err));
	}
	for (int i = 0; i < PORT_TRIES; i++) {
		err = open_pair(u, 0);
		if (err != -EADDRINUSE)
			break;
	}
	return err;
}

static int start_socket(struct udp_socket *s)
{
	if (s->fd < 0)
		return 0;
	if (udp_send_start_socket(s))
		return -ENOMEM;
	s->watch = ts_watch_new(s->port->loop, s->fd, TS_READABLE,
				udp_receive_ready, s);
	return s->watch ? 0 : -ENOMEM;
}

static int start_sockets(struct ts_udp_port *u)
{
	int err = start_socket(&u->v4);

	return err ? err : start_socket(&u->v6);
}

static void before_sleep(void *ctx)
{
	ts_udp_port_flush(ctx);
}

static int start(struct ts_udp_port *u)
{
	int err = start_sockets(u);

	if (!err)
		err = udp_receive_start(u);
	if (!err)
		err = udp_send_start(u);
	if (!err)
		err = ts_loop_before_sleep(u->loop, before_sleep, u);
	return err;
}

void udp_port_free(struct ts_udp_port *u)
{
	udp_receive_end(u);
	udp_send_end(u);
	free(u);
}

struct ts_udp_port *ts_udp_port_open(struct ts_loop *loop, uint16_t port,
				     ts_udp_input_fn fn, void *ctx, int *err)
{
	struct ts_udp_port *u = calloc(1, sizeof(*u));

	if (!u) {
		*err = -ENOMEM;
		return NULL;
	}
	u->loop = loop;
	u->fn = fn;
	u->ctx = ctx;
	u->v4 = (struct udp_socket){.port = u, .fd = -1, .family = AF_INET};
	u->v6 = (struct udp_socket){.port = u, .fd = -1, .family = AF_INET6};
	*err = open_sockets(u, port);
	if (!*err)
		*err = start(u);
	if (!*err)
		return u;
	close_socket(&u->v4);
	close_socket(&u->v6);
	udp_port_free(u);
	return NULL;
}

int ts_udp_port_rebind(struct ts_udp_port *u, uint16_t port)
{
	int err;

	ts_udp_port_flush(u);
	close_socket(&u->v4);
	close_socket(&u->v6);
	err = open_sockets(u, port);
	return err ? err : start_sockets(u);
}

void ts_udp_port_close(struct ts_udp_port *u)
{
	if (!u)
		return;
	ts_udp_port_flush(u);
	ts_loop_before_sleep_remove(u->loop, before_sleep, u);
	close_socket(&u->v4);
	close_socket(&u->v6);
	u->is_closed = true;
	if (!u->is_inside)
		udp_port_free(u);
}

uint16_t ts_udp_port_number(const struct ts_udp_port *u)
{
	return u->number;
}

bool ts_udp_port_has_v6(const struct ts_udp_port *u)
{
	return u->v6.fd >= 0;
}
