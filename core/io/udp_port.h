/* SPDX-License-Identifier: BSD-3-Clause
 * udp_port.h - the node's UDP sockets, one per family on the same port
 *
 * Reads with recvmmsg, writes with sendmmsg once per turn of the loop.
 * What is handed to input may be overwritten where it lies, not beyond: the
 * next datagram may stand right behind it. It may be kept there, when its owner
 * has said what to call before the place is used again.
 */
#ifndef CORE_IO_UDP_PORT_H
#define CORE_IO_UDP_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/packet.h"
#include "core/loop/loop.h"

struct ts_udp_port;
typedef void (*ts_udp_input_fn)(void *ctx, const struct ts_addr *from,
				struct ts_packet *pkt);
/* port 0: any. A taken port falls back to any other, with a log line. NULL
 * when neither family could be bound (*err). */
struct ts_udp_port *ts_udp_port_open(struct ts_loop *loop, uint16_t port,
				     ts_udp_input_fn fn, void *ctx, int *err);
/* Whoever is told (with input's ctx) when the kernel sends nothing to an
 * address: no route, or a rule forbids it. It takes
 * note, and neither sends nor closes. */
typedef void (*ts_udp_refused_fn)(void *ctx, const struct ts_addr *to);
void ts_udp_port_on_refused(struct ts_udp_port *u, ts_udp_refused_fn fn);
/* Another port; as above. On failure there is none: sends are dropped. */
int ts_udp_port_rebind(struct ts_udp_port *u, uint16_t port);
void ts_udp_port_close(struct ts_udp_port *u);
typedef void (*ts_udp_reuse_fn)(void *ctx);
/* fn is called before what input had is overwritten or freed: nothing of it
 * may be kept any more. Packets say that they stay from then on. */
void ts_udp_port_on_reuse(struct ts_udp_port *u, ts_udp_reuse_fn fn);
/* What the kernel does not do well on this machine, as the tailnet may know. */
struct ts_udp_offload {
	bool no_bundles_in, no_bundles_out; /* UDP_GRO, UDP_SEGMENT */
	bool no_equal_bundles; /* out: the last one has to be shorter */
};
void ts_udp_port_set_offload(struct ts_udp_port *u,
			     const struct ts_udp_offload *offload);
uint16_t ts_udp_port_number(const struct ts_udp_port *u);
bool ts_udp_port_has_v6(const struct ts_udp_port *u);
/* Queued (copied) and flushed before the loop sleeps or when a bundle is full.
 * A full socket drops, as a network would. */
void ts_udp_port_send(struct ts_udp_port *u, const struct ts_addr *to,
		      const uint8_t *data, size_t len);
/* Where a packet of len bytes can be made, with room around it (packet.h), so
 * that sending it needs no copy; until it has been sent, or the next call.
 * NULL: nowhere. */
uint8_t *ts_udp_port_room(struct ts_udp_port *u, size_t len);
/* At once and never in fragments: what is larger than the way out allows is
 * dropped. */
void ts_udp_port_send_whole(struct ts_udp_port *u, const struct ts_addr *to,
			    const uint8_t *data, size_t len);
void ts_udp_port_flush(struct ts_udp_port *u);

#endif
