/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_port.c - our UDP ports in the tailnet, and whose they are
 *
 * A port is open in the stack while somebody uses it: a program that
 * registered it (app_listener.c), or a flow. A socket that registered nothing
 * sends from its native port number when that is free, else from another one;
 * and as natively, whoever knows the port may send to it (the packet filter
 * has the say), but for hosts that serve nothing (listen=host).
 *
 * The last user may go while the stack is delivering to the port, so unused
 * ports are closed when the turn of the loop is over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/wire.h"
#include "core/host/app_datagram.h"

struct native_key {
	uint8_t bytes[DGRAM_NATIVE_KEY_LEN];
};

static struct native_key key_of(const struct ts_member *member,
				const struct ts_addr *addr)
{
	struct native_key key;
	struct ts_writer w = ts_writer_init(key.bytes, sizeof(key.bytes));

	ts_write_u8(&w, (uint8_t)member->index);
	ts_write_bytes(&w, addr->ip.bytes, TS_IP_LEN);
	ts_write_be16(&w, addr->port);
	return key;
}

struct number_key {
	uint8_t bytes[DGRAM_PORT_KEY_LEN];
};

static struct number_key number_key_of(const struct ts_member *member,
				       uint16_t number)
{
	struct number_key key;
	struct ts_writer w = ts_writer_init(key.bytes, sizeof(key.bytes));

	ts_write_u8(&w, (uint8_t)member->index);
	ts_write_be16(&w, number);
	return key;
}

static void on_datagram(void *user, const struct ts_addr *from,
			const struct ts_addr *to, const uint8_t *data,
			size_t len)
{
	struct ts_dgram_port *port = user;

	ts_dgram_arrived(port->member, port, from, to, data, len, NULL);
}

/* ICMP says no more than where to: every socket that sends there is told. */
static void on_error(void *user, const struct ts_addr *remote, int err)
{
	struct ts_dgram_port *port = user;
	struct ts_dgram *flow =
		ts_dgram_first(port->member, port->number, remote);

	while (flow) {
		struct ts_dgram *next = flow->next_same_ends;

		ts_dgram_refuse(flow, err);
		flow = next;
	}
}

struct ts_dgram_port *ts_dgram_port_find(const struct ts_member *member,
					 uint16_t number)
{
	struct number_key key = number_key_of(member, number);

	return ts_key_map_get(&member->host->dgrams->ports, &key);
}

static void forget_native(struct ts_dgram_port *port)
{
	struct native_key key = key_of(port->member, &port->native);

	if (port->native.port == 0)
		return;
	ts_key_map_take(&port->host->dgrams->by_native, &key);
	port->native = (struct ts_addr){.port = 0};
}

static void close_port(struct ts_dgram_port *port)
{
	struct number_key key = number_key_of(port->member, port->number);

	ts_key_map_take(&port->host->dgrams->ports, &key);
	if (port->udp)
		stack_udp_close(port->udp);
	free(port);
}

static int open_in_stack(struct ts_dgram_port *port, uint16_t number)
{
	struct ts_addr local = {.port = number};
	int err = 0;

	port->udp = stack_udp_open(ts_node_stack(port->member->node), &local,
				   on_datagram, port, &err);
	if (port->udp)
		stack_udp_set_error(port->udp, on_error);
	return port->udp ? 0 : err;
}

static struct ts_dgram_port *open_port(struct ts_member *member,
				       uint16_t number, int *err)
{
	struct ts_dgram_port *port = calloc(1, sizeof(*port));
	struct number_key key;

	*err = -ENOMEM;
	if (!port)
		return NULL;
	port->host = member->host;
	port->member = member;
	*err = open_in_stack(port, number);
	if (*err) {
		free(port);
		return NULL;
	}
	port->number = stack_udp_port(port->udp);
	key = number_key_of(member, port->number);
	*err = ts_key_map_put(&port->host->dgrams->ports, &key, port);
	if (!*err)
		return port;
	stack_udp_close(port->udp);
	free(port);
	return NULL;
}

struct ts_dgram_port *ts_dgram_port_get(struct ts_member *member,
					uint16_t number, int *err)
{
	struct ts_dgram_port *port =
		number ? ts_dgram_port_find(member, number) : NULL;

	*err = 0;
	if (!port)
		port = open_port(member, number, err);
	if (port)
		port->users++;
	return port;
}

void ts_dgram_port_put(struct ts_dgram_port *port)
{
	struct ts_dgrams *all;

	if (!port || --port->users > 0)
		return;
	forget_native(port);
	if (port->is_unused) /* used and put again in the same turn */
		return;
	all = port->host->dgrams;
	port->is_unused = true;
	port->next_unused = all->unused;
	all->unused = port;
}

void ts_dgram_ports_reap(struct ts_host *host)
{
	struct ts_dgram_port *port;

	while ((port = host->dgrams->unused)) {
		host->dgrams->unused = port->next_unused;
		port->is_unused = false;
		if (port->users == 0)
			close_port(port);
	}
}

void ts_dgram_ports_leave(struct ts_member *member)
{
	const struct ts_dgrams *all = member->host->dgrams;
	struct ts_dgram_port *port;
	size_t pos = 0;

	while ((port = ts_key_map_next(&all->ports, &pos))) {
		if (port->member != member)
			continue;
		if (port->udp)
			stack_udp_close(port->udp);
		port->udp = NULL;
	}
}

/* Each has its number: the stack is new and nobody else's. */
void ts_dgram_ports_enter(struct ts_member *member)
{
	const struct ts_dgrams *all = member->host->dgrams;
	struct ts_dgram_port *port;
	size_t pos = 0;
	int err;

	while ((port = ts_key_map_next(&all->ports, &pos))) {
		if (port->member != member)
			continue;
		err = open_in_stack(port, port->number);
		if (err)
			log_error("datagram: port %u is served no more: %s",
				  port->number, ts_strerror(err));
	}
}

/* The port of a socket that registered none. */
static struct ts_dgram_port *port_of_stranger(struct ts_member *member,
					      const struct ts_addr *asked,
					      bool is_v6_only, int *err)
{
	struct ts_addr native = ts_dgram_canonical(asked, is_v6_only);
	struct native_key key = key_of(member, &native);
	struct ts_dgrams *all = member->host->dgrams;
	struct ts_dgram_port *port = ts_key_map_get(&all->by_native, &key);
	const struct ts_dgram_port *same =
		ts_dgram_port_find(member, native.port);

	*err = 0;
	if (port) {
		port->users++;
		return port;
	}
	port = ts_dgram_port_get(member, same && same->users ? 0 : native.port,
				 err);
	if (!port)
		return NULL;
	*err = ts_key_map_put(&all->by_native, &key, port);
	if (*err) {
		ts_dgram_port_put(port);
		return NULL;
	}
	port->native = native;
	port->is_v6_only = is_v6_only;
	port->takes_v6 = !ts_ip_is_v4(&asked->ip);
	return port;
}

struct ts_dgram_port *ts_dgram_port_of(struct ts_member *member,
				       const struct ts_addr *asked,
				       bool is_v6_only, int *err)
{
	struct ts_addr native = ts_dgram_canonical(asked, is_v6_only);
	const struct ts_listener *l =
		ts_listener_at(member->host, IPPROTO_UDP, &native);

	if (asked->port == 0)
		return ts_dgram_port_get(member, 0, err);
	if (l)
		return ts_dgram_port_get(member, l->tailnet.port, err);
	return port_of_stranger(member, asked, is_v6_only, err);
}
