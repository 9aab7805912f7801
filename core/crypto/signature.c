/* SPDX-License-Identifier: BSD-3-Clause
 * signature.c - Ed25519 signatures
 */
#include "core/crypto/signature.h"

#include <sodium.h>

void ts_sign(const struct ts_nl_private_key *key, const void *data, size_t len,
	     uint8_t out[static TS_SIGNATURE_LEN])
{
	crypto_sign_ed25519_detached(out, NULL, data, len, key->bytes);
}

bool ts_signature_is_valid(const struct ts_public_key *key, const void *data,
			   size_t len,
			   const uint8_t signature[static TS_SIGNATURE_LEN])
{
	return crypto_sign_ed25519_verify_detached(signature, data, len,
						   key->bytes) == 0;
}
