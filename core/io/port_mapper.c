/* SPDX-License-Identifier: BSD-3-Clause
 * port_mapper.c - the port mapping's sockets, requests and timer
 *
 * Two sockets: one for questions and answers, and one at 224.0.0.1:5350, where
 * a gateway says that it has started anew. Several processes may share that
 * one; where it cannot be had, the next question finds out.
 */
#include "core/io/port_mapper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/io/gateway.h"

enum {
	READ_CAP = 1500,
	READS_MAX = 16, /* a turn of the loop */
	SSDP_TTL = 2,
};

/* All hosts of the link: every one is a member, always. */
static const struct ts_ip all_hosts = {
	.bytes = {[10] = 0xff, 0xff, 224, 0, 0, 1}};

struct port_socket {
	struct ts_port_mapper *mapper;
	int fd; /* -1: closed */
	struct ts_watch *watch;
};

struct ts_port_mapper {
	struct ts_loop *loop;
	struct ts_http_client *http;
	struct ts_http_request *request;
	bool request_failed; /* could not even be made: the timer tells */
	struct ts_timer *timer;
	struct port_socket questions, announcements;
	struct ts_portmap core;
	const struct ts_port_mapper_ops *ops;
	void *ctx;
};

static uint64_t now_of(const struct ts_port_mapper *m)
{
	return ts_loop_now_ms(m->loop);
}

/* -- sockets -------------------------------------------------------------- */

static void close_socket(struct port_socket *s)
{
	ts_watch_free(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* After each call of the core: its deadline, and no socket when it is off. */
static void settle(struct ts_port_mapper *m)
{
	if (m->core.state == PORTMAP_OFF) {
		close_socket(&m->questions);
		close_socket(&m->announcements);
	}
	ts_timer_set(m->timer, m->request_failed
				       ? now_of(m)
				       : ts_portmap_deadline_ms(&m->core));
}

static void on_readable(void *ctx, unsigned events)
{
	struct port_socket *s = ctx;
	struct ts_port_mapper *m = s->mapper;
	uint8_t buf[READ_CAP];

	(void)events;
	for (int i = 0; i < READS_MAX && s->fd >= 0; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		ssize_t got = recvfrom(s->fd, buf, sizeof(buf),
				       MSG_DONTWAIT | MSG_TRUNC,
				       (struct sockaddr *)&sa, &len);
		struct ts_addr from;

		if (got < 0)
			break;
		if ((size_t)got <= sizeof(buf) &&
		    ts_addr_from_sockaddr((struct sockaddr *)&sa, len,
					  &from) == 0)
			ts_portmap_input(&m->core, &from, buf, (size_t)got,
					 now_of(m));
	}
	settle(m);
}

static int bind_to(int fd, const struct ts_ip *ip, uint16_t port)
{
	struct ts_addr addr = {.ip = *ip, .port = port};
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(&addr, AF_INET, &sa);

	if (len < 0)
		return len;
	return bind(fd, (struct sockaddr *)&sa, (socklen_t)len) ? -errno : 0;
}

static int open_socket(struct port_socket *s, const struct ts_ip *ip,
		       uint16_t port)
{
	int one = 1;
	int err;

	close_socket(s);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (port)
		setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	err = bind_to(s->fd, ip, port);
	if (!err) {
		s->watch = ts_watch_new(s->mapper->loop, s->fd, TS_READABLE,
					on_readable, s);
		err = s->watch ? 0 : -ENOMEM;
	}
	if (err)
		close_socket(s);
	return err;
}

/* Searches leave by the gateway's interface, whatever route multicast has. */
static void aim_searches(int fd, const struct ts_ip *own)
{
	struct in_addr from = {.s_addr = htonl(ts_ip_v4_host(own))};
	int ttl = SSDP_TTL;

	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from));
	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl));
}

static void udp_send(void *ctx, const struct ts_addr *to, const void *data,
		     size_t len)
{
	struct ts_port_mapper *m = ctx;
	struct sockaddr_storage sa;
	int sa_len = ts_addr_to_sockaddr(to, AF_INET, &sa);

	if (m->questions.fd >= 0 && sa_len > 0)
		sendto(m->questions.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		       (struct sockaddr *)&sa, (socklen_t)sa_len);
}

/* -- requests ------------------------------------------------------------- */

static void on_http(void *ctx, int status, const char *body, size_t len,
		    const char *error)
{
	struct ts_port_mapper *m = ctx;

	m->request = NULL;
	if (!status)
		log_debug("portmap: upnp: %s", error);
	ts_portmap_http_done(&m->core, status, body, len, now_of(m));
	settle(m);
}

static void http_cancel(void *ctx)
{
	struct ts_port_mapper *m = ctx;

	ts_http_cancel(m->request);
	m->request = NULL;
	m->request_failed = false;
}

static void http(void *ctx, const char *url,
		 const struct ts_igd_request *request, unsigned timeout_ms)
{
	struct ts_port_mapper *m = ctx;

	http_cancel(m);
	m->request = ts_http_call_near(m->http, url,
				       request ? request->action : NULL,
				       request ? request->body : NULL,
				       IGD_ANSWER_MAX, timeout_ms, on_http, m);
	m->request_failed = !m->request;
}

/* -- the mapper ----------------------------------------------------------- */

static void on_timer(void *ctx)
{
	struct ts_port_mapper *m = ctx;

	if (m->request_failed) {
		m->request_failed = false;
		ts_portmap_http_done(&m->core, 0, NULL, 0, now_of(m));
	}
	ts_portmap_tick(&m->core, now_of(m));
	settle(m);
}

static void on_changed(void *ctx, const struct ts_addr *external)
{
	struct ts_port_mapper *m = ctx;

	m->ops->changed(m->ctx, external);
}

static void on_found(void *ctx, const struct ts_portmap_found *found)
{
	struct ts_port_mapper *m = ctx;

	m->ops->found(m->ctx, found);
}

static const struct ts_portmap_ops core_ops = {
	.udp_send = udp_send,
	.http = http,
	.http_cancel = http_cancel,
	.changed = on_changed,
	.found = on_found,
};

struct ts_port_mapper *
ts_port_mapper_new(struct ts_loop *loop, struct ts_http_client *http_client,
		   const struct ts_port_mapper_ops *ops, void *ctx)
{
	struct ts_port_mapper *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->loop = loop;
	m->http = http_client;
	m->ops = ops;
	m->ctx = ctx;
	m->questions = (struct port_socket){.mapper = m, .fd = -1};
	m->announcements = (struct port_socket){.mapper = m, .fd = -1};
	ts_portmap_init(&m->core, &core_ops, m);
	m->timer = ts_timer_new(loop, on_timer, m);
	if (m->timer)
		return m;
	ts_port_mapper_free(m);
	return NULL;
}

void ts_port_mapper_free(struct ts_port_mapper *m)
{
	if (!m)
		return;
	ts_http_cancel(m->request);
	close_socket(&m->questions);
	close_socket(&m->announcements);
	ts_timer_free(m->timer);
	free(m);
}

static void open_sockets(struct ts_port_mapper *m, const struct ts_ip *own)
{
	int err = 0;

	if (m->questions.fd < 0)
		err = open_socket(&m->questions, &TS_IP4_ZERO, 0);
	if (err) {
		log_info("portmap: no socket: %s", ts_strerror(err));
		return;
	}
	aim_searches(m->questions.fd, own);
	if (m->announcements.fd < 0)
		err = open_socket(&m->announcements, &all_hosts,
				  PXP_ANNOUNCE_PORT);
	if (err)
		log_debug("portmap: gateways' announcements go unheard: %s",
			  ts_strerror(err));
}

void ts_port_mapper_set_network(struct ts_port_mapper *m,
				const struct ts_portmap_network *network)
{
	if (network->port && ts_ip_is_v4(&network->gateway) &&
	    ts_ip_is_private(&network->gateway))
		open_sockets(m, &network->own);
	ts_portmap_set_network(&m->core, network, now_of(m));
	settle(m);
}

void ts_port_mapper_update(struct ts_port_mapper *m, uint16_t port)
{
	struct ts_portmap_network network = {.port = port};

	if (port &&
	    ts_default_gateway(&network.gateway, &network.own))
		network.gateway = network.own = TS_IP_ZERO;
	ts_port_mapper_set_network(m, &network);
}

void ts_port_mapper_allow_only(struct ts_port_mapper *m,
			       enum ts_portmap_kind kind)
{
	ts_portmap_allow_only(&m->core, kind);
}

void ts_port_mapper_allow_upnp(struct ts_port_mapper *m, bool allowed)
{
	ts_portmap_allow_upnp(&m->core, allowed, now_of(m));
	settle(m);
}

void ts_port_mapper_release(struct ts_port_mapper *m)
{
	ts_portmap_release(&m->core, now_of(m));
	settle(m);
}

bool ts_port_mapper_is_released(const struct ts_port_mapper *m)
{
	return ts_portmap_is_released(&m->core);
}
