/* SPDX-License-Identifier: BSD-3-Clause
 * path_addr.h - one way to a peer and how good it is
 *
 * A way is a UDP address, or a peer relay's address with the number of the
 * relayed session (VNI). The DERP way has no struct of its own: a peer has at
 * most one, its region, and it is written as the pseudo address
 * 127.3.3.40:region where an address is wanted.
 * Source: wgengine/magicsock/endpoint.go (epAddr, betterAddr), PROTOCOL 6.5
 */
#ifndef CORE_PATH_PATH_ADDR_H
#define CORE_PATH_PATH_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/crypto/keys.h"

struct ts_path_addr {
	struct ts_addr addr; /* IP :: when there is no path */
	uint32_t vni;        /* 0: direct */
};

struct ts_path_quality {
	struct ts_path_addr to;
	uint64_t latency_us;
	struct ts_public_key relay; /* its disco key; zero when direct */
};

/* 203.0.113.7:41641, or 203.0.113.7:41641:vni:7 through a relay */
enum { TS_PATH_ADDR_TEXT_CAP = TS_ADDR_TEXT_CAP + sizeof(":vni:16777215") };

bool ts_path_addr_is_set(const struct ts_path_addr *p);
bool ts_path_addr_is_direct(const struct ts_path_addr *p);
bool ts_path_addr_equal(const struct ts_path_addr *a,
			const struct ts_path_addr *b);
/* Is a so much better than b that we should move? With hysteresis. */
bool ts_path_is_better(const struct ts_path_quality *a,
		       const struct ts_path_quality *b);
/* Can a ping go there at all? A peer may tell us anything. IPv6 link-local
 * addresses come without the zone that would be needed. */
bool ts_path_is_pingable(const struct ts_addr *addr);
char *ts_path_addr_format(const struct ts_path_addr *p,
			  char out[static TS_PATH_ADDR_TEXT_CAP]);
/* 127.3.3.40:region; the port holds the region's low 16 bits. */
struct ts_addr ts_path_derp_addr(int region);

#endif
