/* SPDX-License-Identifier: BSD-3-Clause
 * signature.h - Ed25519 signatures
 *
 * libsodium's rules: stricter than ZIP-215, which upstream uses for Tailnet
 * Lock. The two differ only about signatures and keys that were made to be
 * odd (small order, non-canonical): here such are refused.
 */
#ifndef CORE_CRYPTO_SIGNATURE_H
#define CORE_CRYPTO_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/keys.h"

enum { TS_SIGNATURE_LEN = 64 };

void ts_sign(const struct ts_nl_private_key *key, const void *data, size_t len,
	     uint8_t out[static TS_SIGNATURE_LEN]);
bool ts_signature_is_valid(const struct ts_public_key *key, const void *data,
			   size_t len,
			   const uint8_t signature[static TS_SIGNATURE_LEN]);

#endif
