/* SPDX-License-Identifier: BSD-3-Clause
 * packet.h - a packet in a buffer with room around it
 *
 * The inner IP packet is sealed in place: WireGuard's header goes in front
 * (16 bytes), its padding and tag behind; DERP or Geneve may put theirs before
 * that. Whoever makes a packet leaves TS_PACKET_HEADROOM bytes before data and
 * TS_PACKET_TAILROOM after data + len. The maker owns the buffer; callees use
 * it only during the call, unless it says that it stays.
 */
#ifndef CORE_BASE_PACKET_H
#define CORE_BASE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TS_PACKET_HEADROOM = 64, /* DERP 5 + 32, WireGuard 16, rounded up */
	TS_PACKET_TAILROOM = 32, /* padding to 16, tag 16 */
	TS_INNER_MTU = 1280,     /* passes everywhere */
	TS_INNER_MTU_MAX = 8928, /* on a link of 9,000 bytes */
};

struct ts_packet {
	uint8_t *data;
	size_t len;
	/* data is there until its maker says otherwise, not only for the
	 * call. */
	bool stays;
};

#endif
