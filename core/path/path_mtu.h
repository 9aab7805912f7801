/* SPDX-License-Identifier: BSD-3-Clause
 * path_mtu.h - how large a packet the path to a peer carries
 *
 * Pings padded to the sizes that links commonly have are sent along the path
 * in use, unfragmented; the largest that is answered is what it carries. The
 * search runs when the path is new, once more soon after, in case one was lost
 * by chance, and every minute. In between, a ping of the size found goes along
 * with the heartbeats. When one has no answer by the next, all sizes are tried
 * beside it: if it is lost again, and a smaller one is not, the path has become
 * narrower. One that carries none of them has the safe size a heartbeat later.
 *
 * Upstream probes all candidates, only when the tailnet asks for it, and has
 * packets of 1,280 bytes nevertheless. Here it is on: it costs a few packets a
 * minute, on the path in use alone, and a link of 9,000 bytes carries twice as
 * much for the same work.
 * Source: wgengine/magicsock/{endpoint,peermtu}.go, net/tstun/mtu.go,
 * PROTOCOL 6.6
 */
#ifndef CORE_PATH_PATH_MTU_H
#define CORE_PATH_PATH_MTU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PATH_MTU_SIZES_MAX = 8,
	PATH_MTU_RETRY_MS = 5000,
	PATH_MTU_SEARCH_MS = 60000,
	PATH_MTU_LOST_MAX = 2,
};

struct ts_path_mtu {
	size_t wire;         /* IP packet that was answered; 0: none yet */
	uint64_t search_ms;  /* when to search next */
	unsigned searches;   /* since the path is in use */
	unsigned unanswered; /* pings of that size in a row */
};

/* Another path. */
void ts_path_mtu_reset(struct ts_path_mtu *m);
/* The sizes of IP packets to be tried now, the one in use first; to be asked
 * with the heartbeats, while the path is known to work. May give up a size. */
size_t ts_path_mtu_due(struct ts_path_mtu *m, uint64_t now_ms,
		       size_t out[static PATH_MTU_SIZES_MAX]);
/* A ping of that size was answered. */
void ts_path_mtu_answered(struct ts_path_mtu *m, size_t wire);

/* The largest packet inside the tunnel that makes IP packets of that size at
 * most; never less than the 1,280 bytes that every path has to carry. */
size_t ts_path_mtu_inner(size_t wire, bool is_v6);
/* The length of the IP packet that has such a UDP payload; and of the payload
 * of such a packet. */
size_t ts_path_mtu_wire(size_t payload, bool is_v6);
size_t ts_path_mtu_payload(size_t wire, bool is_v6);

#endif
