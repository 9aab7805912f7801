/* SPDX-License-Identifier: BSD-3-Clause
 * ts2021_noise.h - the Noise IK handshake and records of the control channel
 *
 * Noise_IK_25519_ChaChaPoly_BLAKE2s with Tailscale's framing (PROTOCOL 2.4).
 * The initiator is ours; the responder exists so that a test can be the
 * server. Both ends then hold a ts_noise_session that seals and opens
 * records; it owns keys and is wiped by ts_noise_session_deinit().
 * Source: control/controlbase/{messages,handshake,conn}.go
 */
#ifndef CORE_CONTROL_TS2021_NOISE_H
#define CORE_CONTROL_TS2021_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "core/crypto/aead.h"
#include "core/crypto/blake2s.h"
#include "core/crypto/keys.h"

enum {
	TS_NOISE_HEADER_LEN = 3,
	TS_NOISE_INITIATION_LEN = 101,
	TS_NOISE_RESPONSE_LEN = 51,
	TS_NOISE_FRAME_MAX = 4096, /* a record with its header */
	TS_NOISE_RECORD_OVERHEAD = TS_NOISE_HEADER_LEN + TS_AEAD_TAG_LEN,
	TS_NOISE_PLAIN_MAX = TS_NOISE_FRAME_MAX - TS_NOISE_RECORD_OVERHEAD,
};

enum ts_noise_type {
	TS_NOISE_INITIATION = 1,
	TS_NOISE_RESPONSE = 2,
	TS_NOISE_ERROR = 3,
	TS_NOISE_RECORD = 4,
};

/* The transport after the handshake, from either end's point of view. */
struct ts_noise_session {
	struct ts_aead *send, *recv; /* NULL: no session */
	uint64_t send_counter, recv_counter;
	uint8_t handshake_hash[TS_BLAKE2S_LEN];
	struct ts_public_key remote; /* the other end's static key */
	uint16_t version;	     /* of the initiation */
};

/* Between the initiation and the response. */
struct ts_noise_initiator {
	uint8_t h[TS_BLAKE2S_LEN], ck[TS_BLAKE2S_LEN];
	struct ts_private_key ephemeral, machine;
	struct ts_public_key server;
	uint16_t version;
};

/* Start a handshake and write its first message. ephemeral: NULL for a random
 * one (anything else is for test vectors). 0, or -EACCES when the server's key
 * is a low-order point; hs is then wiped. */
int ts_noise_initiate(struct ts_noise_initiator *hs,
		      const struct ts_private_key *machine,
		      const struct ts_public_key *server,
		      const struct ts_private_key *ephemeral, uint16_t version,
		      uint8_t out[static TS_NOISE_INITIATION_LEN]);
/* Take the response; hs is wiped whatever the result. 0, -EBADMSG (header),
 * -EACCES (not from that server), -ENOMEM. */
int ts_noise_finish(struct ts_noise_initiator *hs,
		    const uint8_t msg[static TS_NOISE_RESPONSE_LEN],
		    struct ts_noise_session *out);
void ts_noise_initiator_wipe(struct ts_noise_initiator *hs);

/* The server's side: take an initiation, write the response. out->remote is
 * the client's machine key. ephemeral: NULL for a random one. 0, -EBADMSG,
 * -EACCES, -ENOMEM. */
int ts_noise_respond(const struct ts_private_key *control,
		     const struct ts_private_key *ephemeral,
		     const uint8_t msg[static TS_NOISE_INITIATION_LEN],
		     uint8_t response[static TS_NOISE_RESPONSE_LEN],
		     struct ts_noise_session *out);

/* out has len + TS_NOISE_RECORD_OVERHEAD bytes. 0, -EMSGSIZE (len over
 * TS_NOISE_PLAIN_MAX) or -EOVERFLOW (counter exhausted). */
int ts_noise_seal_record(struct ts_noise_session *s, const uint8_t *plain,
			 size_t len, uint8_t *out);
/* Open the first record of data. Returns the bytes consumed (> 0), or
 * -EAGAIN (not complete yet), -EBADMSG (not a record), -EMSGSIZE, -EACCES,
 * -EOVERFLOW; all but -EAGAIN end the connection. */
int ts_noise_open_record(struct ts_noise_session *s, const uint8_t *data,
			 size_t len, uint8_t plain[static TS_NOISE_PLAIN_MAX],
			 size_t *plain_len);
void ts_noise_session_deinit(struct ts_noise_session *s);

#endif
