/* SPDX-License-Identifier: BSD-3-Clause
 * box.c - NaCl crypto_box with the nonce in front
 *
 * The shared key of two parties never changes, so callers keep a ts_box a
 * peer and pay the X25519 once.
 */
#include "core/crypto/box.h"

#include <errno.h>

#include <sodium.h>

#include "core/crypto/secret.h"

int ts_box_init(struct ts_box *box, const struct ts_private_key *mine,
		const struct ts_public_key *theirs)
{
	if (crypto_box_beforenm(box->shared, theirs->bytes, mine->bytes) == 0)
		return 0;
	ts_wipe(box, sizeof(*box));
	return -EACCES;
}

void ts_box_seal(const struct ts_box *box, const uint8_t *in, size_t len,
		 uint8_t *out)
{
	ts_random_bytes(out, TS_BOX_NONCE_LEN);
	crypto_box_easy_afternm(out + TS_BOX_NONCE_LEN, in, len, out,
				box->shared);
}

int ts_box_unseal(const struct ts_box *box, const uint8_t *in, size_t len,
		  uint8_t *out)
{
	if (len < TS_BOX_OVERHEAD)
		return -EBADMSG;
	if (crypto_box_open_easy_afternm(out, in + TS_BOX_NONCE_LEN,
					 len - TS_BOX_NONCE_LEN, in,
					 box->shared))
		return -EACCES;
	return 0;
}
