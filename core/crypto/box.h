/* SPDX-License-Identifier: BSD-3-Clause
 * box.h - NaCl crypto_box with the nonce in front, as DERP and disco use it
 *
 * Sealed form: nonce 24, MAC 16, ciphertext.
 */
#ifndef CORE_CRYPTO_BOX_H
#define CORE_CRYPTO_BOX_H

#include "core/crypto/keys.h"

enum { TS_BOX_NONCE_LEN = 24, TS_BOX_MAC_LEN = 16, TS_BOX_OVERHEAD = 40 };

struct ts_box {
	uint8_t shared[TS_KEY_LEN];
};

/* Precompute for one pair of keys; -EACCES for a low-order point. */
int ts_box_init(struct ts_box *box, const struct ts_private_key *mine,
		const struct ts_public_key *theirs);
/* out: len + TS_BOX_OVERHEAD bytes; nonce random. */
void ts_box_seal(const struct ts_box *box, const uint8_t *in, size_t len,
		 uint8_t *out);
/* in: nonce, MAC, ciphertext; out: len - TS_BOX_OVERHEAD bytes. 0, -EBADMSG
 * when too short, -EACCES. */
int ts_box_unseal(const struct ts_box *box, const uint8_t *in, size_t len,
		  uint8_t *out);

#endif
