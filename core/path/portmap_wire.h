/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_wire.h - NAT-PMP and PCP messages: bytes <-> structs
 *
 * Both are spoken with the gateway's UDP port 5351 and tell themselves apart
 * by their first byte. Only what a mapping of one UDP port needs.
 * Source: RFC 6886 (NAT-PMP), RFC 6887 (PCP); PROTOCOL 7.4
 */
#ifndef CORE_PATH_PORTMAP_WIRE_H
#define CORE_PATH_PORTMAP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	PXP_PORT = 5351,
	/* Where gateways announce by multicast that they have started anew. */
	PXP_ANNOUNCE_PORT = 5350,
	PMP_VERSION = 0,
	PCP_VERSION = 2,
	PMP_EXTERNAL_REQUEST_LEN = 2,
	PMP_MAP_REQUEST_LEN = 12,
	PCP_ANNOUNCE_REQUEST_LEN = 24,
	PCP_MAP_REQUEST_LEN = 60,
	PXP_REQUEST_MAX_LEN = PCP_MAP_REQUEST_LEN,
	PCP_RESPONSE_MAX_LEN = 1100,
	PCP_NONCE_LEN = 12,
};

/* RFC 6886, 3.5 */
enum pmp_result {
	PMP_SUCCESS = 0,
	PMP_UNSUPPORTED_VERSION = 1,
	PMP_NOT_AUTHORIZED = 2,
};

/* RFC 6887, 7.4 */
enum pcp_result {
	PCP_SUCCESS = 0,
	PCP_UNSUPP_VERSION = 1,
	PCP_NOT_AUTHORIZED = 2,
	PCP_ADDRESS_MISMATCH = 12,
};

struct ts_pcp_map {
	struct ts_ip client; /* our address, as the gateway sees it */
	uint8_t nonce[PCP_NONCE_LEN];
	uint16_t internal_port;
	struct ts_addr external; /* what we would like; zeros: anything */
	uint32_t lifetime_s;	 /* 0: delete */
};

/* The length written. */
size_t ts_pmp_write_external(uint8_t out[static PMP_EXTERNAL_REQUEST_LEN]);
/* external_port: what we would like; 0: any. lifetime_s 0: delete. */
size_t ts_pmp_write_map(uint16_t internal_port, uint16_t external_port,
			uint32_t lifetime_s,
			uint8_t out[static PMP_MAP_REQUEST_LEN]);
size_t ts_pcp_write_announce(const struct ts_ip *client,
			     uint8_t out[static PCP_ANNOUNCE_REQUEST_LEN]);
size_t ts_pcp_write_map(const struct ts_pcp_map *map,
			uint8_t out[static PCP_MAP_REQUEST_LEN]);

enum ts_pxp_kind { PMP_EXTERNAL, PMP_MAP, PCP_ANNOUNCE, PCP_MAP };

struct ts_pxp_response {
	enum ts_pxp_kind kind;
	unsigned result; /* 0: success, else what follows may be zeros */
	uint32_t epoch_s; /* since the gateway lost its mappings last */
	/* PMP_EXTERNAL: the address. PMP_MAP: the port. PCP_MAP: both. */
	struct ts_addr external;
	uint32_t lifetime_s;	/* the maps */
	uint16_t internal_port; /* the maps */
	uint8_t nonce[PCP_NONCE_LEN]; /* PCP_MAP */
};

/* 0, or -EBADMSG: malformed, not a response, not one of these kinds, a map of
 * another protocol than UDP. A NAT-PMP gateway's "unsupported version" to a
 * PCP request is a PMP_EXTERNAL with that result. */
int ts_pxp_read_response(const uint8_t *pkt, size_t len,
			 struct ts_pxp_response *out);

#endif
