/* SPDX-License-Identifier: BSD-3-Clause
 * aead_mb.h - ChaCha20-Poly1305 by the Intel Multi-Buffer library
 *
 * For aead.c, and where that library is: x86-64.
 */
#ifndef CORE_CRYPTO_AEAD_MB_H
#define CORE_CRYPTO_AEAD_MB_H

#include <stdbool.h>

#include "core/crypto/aead.h"

/* Seals or opens, in place or not, and makes the tag: whether that is the one
 * that came is the caller's to see. False: it failed, out is to be wiped. */
bool ts_aead_mb_run(struct ts_aead_unit *unit, bool seal, const uint8_t *key,
		    const uint8_t *nonce, const void *ad, size_t ad_len,
		    const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag);

#endif
