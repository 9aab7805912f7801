/* SPDX-License-Identifier: BSD-3-Clause
 * wg_wire.h - WireGuard's four messages: bytes <-> structs
 *
 * All integers are little-endian. The two MACs at the end of a handshake
 * message cover its bytes, so they stay with the bytes (wg_cookie.h).
 * Source: the WireGuard paper, section 5.4
 */
#ifndef CORE_WIREGUARD_WG_WIRE_H
#define CORE_WIREGUARD_WG_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "core/crypto/aead.h"
#include "core/crypto/keys.h"

enum ts_wg_type {
	WG_INITIATION = 1,
	WG_RESPONSE = 2,
	WG_COOKIE_REPLY = 3,
	WG_TRANSPORT = 4,
};

enum {
	WG_MAC_LEN = 16,
	WG_COOKIE_LEN = 16,
	WG_TIMESTAMP_LEN = 12,
	WG_PADDING = 16,

	WG_INITIATION_LEN = 148,
	WG_RESPONSE_LEN = 92,
	WG_COOKIE_REPLY_LEN = 64,
	WG_TRANSPORT_HEADER_LEN = 16,
	WG_KEEPALIVE_LEN = WG_TRANSPORT_HEADER_LEN + TS_AEAD_TAG_LEN,
};

struct ts_wg_initiation {
	uint32_t sender;
	struct ts_public_key ephemeral;
	uint8_t sealed_static[TS_KEY_LEN + TS_AEAD_TAG_LEN];
	uint8_t sealed_timestamp[WG_TIMESTAMP_LEN + TS_AEAD_TAG_LEN];
};

struct ts_wg_response {
	uint32_t sender, receiver;
	struct ts_public_key ephemeral;
	uint8_t sealed_empty[TS_AEAD_TAG_LEN];
};

struct ts_wg_cookie_reply {
	uint32_t receiver;
	uint8_t nonce[TS_XAEAD_NONCE_LEN];
	uint8_t sealed_cookie[WG_COOKIE_LEN + TS_AEAD_TAG_LEN];
};

struct ts_wg_transport {
	uint32_t receiver;
	uint64_t counter;
};

/* The first 32 bits, 0 when there are fewer. */
uint32_t ts_wg_read_type(const uint8_t *msg, size_t len);
/* 0, or -EBADMSG for another type or length. */
int ts_wg_read_initiation(const uint8_t *msg, size_t len,
			  struct ts_wg_initiation *out);
int ts_wg_read_response(const uint8_t *msg, size_t len,
			struct ts_wg_response *out);
int ts_wg_read_cookie_reply(const uint8_t *msg, size_t len,
			    struct ts_wg_cookie_reply *out);
/* The header; the sealed rest is at least a tag. */
int ts_wg_read_transport(const uint8_t *msg, size_t len,
			 struct ts_wg_transport *out);

/* The MACs are left zero. */
void ts_wg_write_initiation(const struct ts_wg_initiation *in,
			    uint8_t out[static WG_INITIATION_LEN]);
void ts_wg_write_response(const struct ts_wg_response *in,
			  uint8_t out[static WG_RESPONSE_LEN]);
void ts_wg_write_cookie_reply(const struct ts_wg_cookie_reply *in,
			      uint8_t out[static WG_COOKIE_REPLY_LEN]);
void ts_wg_write_transport(const struct ts_wg_transport *in,
			   uint8_t out[static WG_TRANSPORT_HEADER_LEN]);

/* The length of the IP packet at data, by its own header, when it fits into
 * len (the rest is padding); 0 when the header is malformed. */
size_t ts_wg_inner_len(const uint8_t *data, size_t len);

#endif
