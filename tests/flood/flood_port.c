/* SPDX-License-Identifier: BSD-3-Clause
 * flood_port.c - one UDP socket that sends in batches, from any address
 */
#include "tests/flood/flood.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crypto/secret.h"

union flood_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct flood_port {
	int fd;
	struct sockaddr_storage to;
	socklen_t to_len;
	unsigned count;
	uint64_t sent;
	struct mmsghdr msgs[FLOOD_BATCH];
	struct iovec iov[FLOOD_BATCH];
	union flood_control control[FLOOD_BATCH];
	/* Room around each, so that packets can be sealed in place. */
	uint8_t data[FLOOD_BATCH][TS_PACKET_HEADROOM + FLOOD_DATAGRAM_CAP +
				  TS_PACKET_TAILROOM];
};

struct flood_port *flood_port_open(uint16_t local_port,
				   const struct ts_addr *to)
{
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_port = htons(local_port)};
	struct flood_port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	port->to_len = (socklen_t)ts_addr_to_sockaddr(to, AF_INET, &port->to);
	if (port->fd < 0 ||
	    bind(port->fd, (struct sockaddr *)&any, sizeof(any))) {
		flood_port_close(port);
		return NULL;
	}
	return port;
}

void flood_port_close(struct flood_port *port)
{
	if (port && port->fd >= 0)
		close(port->fd);
	free(port);
}

uint8_t *flood_port_room(struct flood_port *port)
{
	return port->data[port->count] + TS_PACKET_HEADROOM;
}

/* 127.64.0.0 to 127.127.255.255: all of them are this machine's. */
static void set_source(struct msghdr *hdr, union flood_control *control)
{
	struct in_pktinfo info = {
		.ipi_spec_dst.s_addr =
			htonl(0x7f400000 | ts_random_below(1 << 22)),
	};

	hdr->msg_control = control->bytes;
	hdr->msg_controllen = sizeof(control->bytes);
	control->align = (struct cmsghdr){
		.cmsg_level = IPPROTO_IP,
		.cmsg_type = IP_PKTINFO,
		.cmsg_len = CMSG_LEN(sizeof(info)),
	};
	memcpy(CMSG_DATA(&control->align), &info, sizeof(info));
}

void flood_port_add(struct flood_port *port, size_t len, bool spoof)
{
	unsigned i = port->count;
	struct msghdr *hdr = &port->msgs[i].msg_hdr;

	port->iov[i] = (struct iovec){
		.iov_base = port->data[i] + TS_PACKET_HEADROOM,
		.iov_len = len,
	};
	*hdr = (struct msghdr){
		.msg_name = &port->to,
		.msg_namelen = port->to_len,
		.msg_iov = &port->iov[i],
		.msg_iovlen = 1,
	};
	if (spoof)
		set_source(hdr, &port->control[i]);
	if (++port->count == FLOOD_BATCH)
		flood_port_flush(port);
}

void flood_port_flush(struct flood_port *port)
{
	unsigned at = 0;

	while (at < port->count) {
		int n = sendmmsg(port->fd, port->msgs + at, port->count - at,
				 0);

		/* Refused: an ICMP error of an earlier one, or no room. */
		if (n > 0)
			port->sent += (unsigned)n;
		at += n > 0 ? (unsigned)n : 1;
	}
	port->count = 0;
}

size_t flood_port_receive(struct flood_port *port, uint8_t *out, size_t cap,
			  int wait_ms)
{
	struct pollfd p = {.fd = port->fd, .events = POLLIN};
	ssize_t n = -1;

	if (poll(&p, 1, wait_ms) > 0)
		n = recv(port->fd, out, cap, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

uint64_t flood_port_sent(const struct flood_port *port)
{
	return port->sent;
}
