/* SPDX-License-Identifier: BSD-3-Clause
 * wg_cookie.h - the two MACs of handshake messages, and cookies
 *
 * mac1 shows that the sender knows the receiver's public key; mac2, asked for
 * only under load, that it receives what is sent to its address.
 * Source: the WireGuard paper, section 5.4.4 and 5.4.7
 */
#ifndef CORE_WIREGUARD_WG_COOKIE_H
#define CORE_WIREGUARD_WG_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/crypto/blake2s.h"
#include "core/wireguard/wg_wire.h"

enum { WG_COOKIE_LIFE_MS = 120000 };

/* Keys that follow from a receiver's public key. */
struct ts_wg_mac_keys {
	uint8_t mac1[TS_BLAKE2S_LEN];
	uint8_t cookie[TS_AEAD_KEY_LEN];
};

/* Receiving side, one a device. */
struct ts_wg_cookie_checker {
	struct ts_wg_mac_keys keys;
	uint8_t secret[TS_BLAKE2S_LEN];
	uint64_t secret_made_ms;
	bool has_secret;
};

/* Sending side, one a peer. */
struct ts_wg_cookie_jar {
	struct ts_wg_mac_keys keys;
	uint8_t cookie[WG_COOKIE_LEN];
	uint64_t cookie_got_ms;
	uint8_t last_mac1[WG_MAC_LEN];
	bool has_cookie, has_last_mac1;
};

void ts_wg_cookie_checker_init(struct ts_wg_cookie_checker *checker,
			       const struct ts_public_key *own);
/* msg: a whole initiation or response. */
bool ts_wg_mac1_is_right(const struct ts_wg_cookie_checker *checker,
			 const uint8_t *msg, size_t len);
bool ts_wg_mac2_is_right(const struct ts_wg_cookie_checker *checker,
			 const uint8_t *msg, size_t len,
			 const struct ts_addr *from, uint64_t now_ms);
/* The answer to a message whose mac2 was missing or old. */
void ts_wg_cookie_make(struct ts_wg_cookie_checker *checker, const uint8_t *msg,
		       size_t len, const struct ts_addr *from, uint64_t now_ms,
		       uint8_t out[static WG_COOKIE_REPLY_LEN]);

void ts_wg_cookie_jar_init(struct ts_wg_cookie_jar *jar,
			   const struct ts_public_key *receiver);
/* Fill in both MACs of a message that is otherwise complete. */
void ts_wg_macs_add(struct ts_wg_cookie_jar *jar, uint8_t *msg, size_t len,
		    uint64_t now_ms);
/* 0, -EPROTO (nothing sent that it could answer) or -EACCES. */
int ts_wg_cookie_take(struct ts_wg_cookie_jar *jar,
		      const struct ts_wg_cookie_reply *reply, uint64_t now_ms);

#endif
