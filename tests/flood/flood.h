/* SPDX-License-Identifier: BSD-3-Clause
 * flood.h - somebody who means harm: a stranger, or a peer of the tailnet
 *
 * tsnet-flood sends one kind of message to one node's UDP port, so many a
 * second. A stranger's come from thousands of addresses of 127.0.0.0/8, which
 * a socket on loopback may all claim, and as the stranger knows what a member
 * of the tailnet could know (keys, ports), they get as far as they can. A
 * peer's are packets in a real WireGuard session of a node that the lab's
 * command `hostile` added.
 */
#ifndef TESTS_FLOOD_FLOOD_H
#define TESTS_FLOOD_FLOOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/packet.h"
#include "core/crypto/box.h"
#include "core/wireguard/wg_cookie.h"

enum { FLOOD_DATAGRAM_CAP = 2048, FLOOD_BATCH = 64 };

/* Both private keys of a hostile node, as they are in its file. */
struct flood_keys {
	struct ts_private_key node, disco;
};

struct flood_options {
	const char *kind;
	struct ts_addr to;		/* the node's UDP port */
	struct ts_public_key node, disco; /* the node's */
	struct ts_public_key known_disco; /* of a peer that it knows */
	uint16_t local_port;		/* ours, 0: any */
	unsigned per_s, seconds;
	/* A peer's: */
	struct flood_keys keys;
	struct ts_ip from, dst; /* in the tailnet, IPv4 */
	uint16_t port;		/* of the node's program */
};

struct flood_port;

/* -- flood_port.c: datagrams, many at a time ------------------------------ */
struct flood_port *flood_port_open(uint16_t local_port, /* NULL: errno */
				   const struct ts_addr *to);
void flood_port_close(struct flood_port *port);
/* Room for the next datagram; it leaves with the others. */
uint8_t *flood_port_room(struct flood_port *port);
/* spoof: from some address of 127.0.0.0/8. */
void flood_port_add(struct flood_port *port, size_t len, bool spoof);
void flood_port_flush(struct flood_port *port);
/* One that came, its length, or 0 when none did within wait_ms. */
size_t flood_port_receive(struct flood_port *port, uint8_t *out, size_t cap,
			  int wait_ms);
/* Datagrams that the kernel took. */
uint64_t flood_port_sent(const struct flood_port *port);

/* -- flood_stranger.c ----------------------------------------------------- */
struct flood_stranger {
	const struct flood_options *opt;
	struct ts_wg_cookie_jar jar;
};
typedef size_t (*flood_make_fn)(struct flood_stranger *s,
				uint8_t out[static FLOOD_DATAGRAM_CAP]);
void flood_stranger_init(struct flood_stranger *s,
			 const struct flood_options *opt);
/* NULL: no such kind. */
flood_make_fn flood_stranger_kind(const char *name);

/* -- flood_peer.c --------------------------------------------------------- */
struct flood_peer;
/* NULL: no such kind. *err: a sentence, when no session came about. */
struct flood_peer *flood_peer_open(const struct flood_options *opt,
				   struct flood_port *port, const char **err);
bool flood_peer_is_kind(const char *name);
void flood_peer_send_one(struct flood_peer *peer);
void flood_peer_close(struct flood_peer *peer);

uint64_t flood_now_us(void);

#endif
