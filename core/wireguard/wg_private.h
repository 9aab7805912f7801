/* SPDX-License-Identifier: BSD-3-Clause
 * wg_private.h - the device as its own files see it
 *
 * wg_device.c owns the tables, wg_send.c makes messages, wg_receive.c takes
 * them apart, wg_session.c says what a step of a handshake means for timers.
 */
#ifndef CORE_WIREGUARD_WG_PRIVATE_H
#define CORE_WIREGUARD_WG_PRIVATE_H

#include "core/base/key_map.h"
#include "core/wireguard/wg_device.h"
#include "core/wireguard/wg_load.h"
#include "core/wireguard/wg_peer.h"

struct ts_wg {
	struct ts_wg_ops ops;
	void *ctx;
	struct ts_wg_identity id;
	struct ts_key_map peers; /* public key -> ts_wg_peer */
	/* What a receiver index means. An index is in one of the two. */
	struct ts_key_map handshakes; /* uint32_t -> ts_wg_peer */
	struct ts_key_map keypairs;   /* uint32_t -> ts_wg_keypair */
	struct ts_wg_cookie_checker checker;
	struct ts_wg_load load;
	struct ts_wg_timer_heap timers;
	struct ts_aead_unit *aead_unit; /* from the first session on */
	uint64_t last_wall_ns; /* of our last initiation */
};

/* wg_device.c: a random index that nobody has. */
uint32_t ts_wg_new_index(const struct ts_wg *wg);
/* Give up our initiation, if there is one. */
void ts_wg_abandon_handshake(struct ts_wg *wg, struct ts_wg_peer *peer);

/* wg_send.c */
enum ts_wg_why { WG_FIRST_TRY, WG_RETRY };
void ts_wg_initiate(struct ts_wg *wg, struct ts_wg_peer *peer,
		    enum ts_wg_why why, uint64_t now_ms);
/* Answer the initiation in hs: sends the response, installs the keypair. */
int ts_wg_respond(struct ts_wg *wg, struct ts_wg_peer *peer,
		  struct ts_wg_handshake *hs, uint64_t now_ms);
void ts_wg_send_staged(struct ts_wg *wg, struct ts_wg_peer *peer,
		       uint64_t now_ms);
/* The staged packets or, when there are none, an empty one. */
void ts_wg_send_keepalive(struct ts_wg *wg, struct ts_wg_peer *peer,
			  uint64_t now_ms);

/* wg_session.c */
uint32_t ts_wg_jitter_ms(void);
/* hs is finished: make its keypair. 0 or -ENOMEM. */
int ts_wg_session_begin(struct ts_wg *wg, struct ts_wg_peer *peer,
			struct ts_wg_handshake *hs, bool is_initiator,
			uint64_t now_ms);
/* Both sides have the keys of current. */
void ts_wg_session_complete(struct ts_wg *wg, struct ts_wg_peer *peer,
			    uint64_t now_ms);
void ts_wg_session_data_received(struct ts_wg *wg, struct ts_wg_peer *peer,
				 uint64_t now_ms);
void ts_wg_session_data_sent(struct ts_wg *wg, struct ts_wg_peer *peer,
			     uint64_t now_ms);
void ts_wg_session_expire(struct ts_wg *wg, struct ts_wg_peer *peer,
			  enum ts_wg_timer which, uint64_t now_ms);
/* Wipe all keys and drop what waits for them. */
void ts_wg_session_forget(struct ts_wg *wg, struct ts_wg_peer *peer);

#endif
