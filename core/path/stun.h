/* SPDX-License-Identifier: BSD-3-Clause
 * stun.h - STUN binding requests and responses, both sides
 *
 * DERP's STUN servers answer only requests that carry SOFTWARE "tailnode" and
 * end with a correct FINGERPRINT, so both are always written and, in the
 * server role, always demanded.
 * Source: RFC 8489; net/stun/stun.go, PROTOCOL 7.1
 */
#ifndef CORE_PATH_STUN_H
#define CORE_PATH_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	STUN_TX_ID_LEN = 12,
	STUN_REQUEST_LEN = 40,
	STUN_RESPONSE_MAX_LEN = 44, /* header 20, XOR-MAPPED-ADDRESS v6 24 */
};

/* Binding success response (or anything like it): for demultiplexing. */
bool ts_stun_is_packet(const uint8_t *pkt, size_t len);
void ts_stun_write_request(const uint8_t tx_id[static STUN_TX_ID_LEN],
			   uint8_t out[static STUN_REQUEST_LEN]);
/* 0 or -EBADMSG (not a binding request of a Tailscale client). */
int ts_stun_read_request(const uint8_t *pkt, size_t len,
			 uint8_t tx_id[static STUN_TX_ID_LEN]);
/* The length written. */
size_t ts_stun_write_response(const uint8_t tx_id[static STUN_TX_ID_LEN],
			      const struct ts_addr *mapped,
			      uint8_t out[static STUN_RESPONSE_MAX_LEN]);
/* 0 or -EBADMSG (malformed, not a success response, no address in it). */
int ts_stun_read_response(const uint8_t *pkt, size_t len,
			  uint8_t tx_id[static STUN_TX_ID_LEN],
			  struct ts_addr *mapped);

#endif
