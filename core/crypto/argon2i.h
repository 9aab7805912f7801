/* SPDX-License-Identifier: BSD-3-Clause
 * argon2i.h - Argon2i, version 0x13 (RFC 9106), without key and extra data
 *
 * Of our libraries libsodium has it for one lane and a salt of 16 bytes only,
 * and OpenSSL 3.0 not at all; Tailnet Lock wants four lanes and a longer salt.
 */
#ifndef CORE_CRYPTO_ARGON2I_H
#define CORE_CRYPTO_ARGON2I_H

#include <stddef.h>
#include <stdint.h>

struct ts_argon2i_cost {
	uint32_t passes;
	uint32_t memory_kib; /* at least 8 a lane */
	uint32_t lanes;
};

enum { TS_ARGON2I_OUT_MAX = 64 };

/* out_len 4..TS_ARGON2I_OUT_MAX. Takes as long as the cost says, on this
 * thread. 0, -EINVAL or -ENOMEM. */
int ts_argon2i(const struct ts_argon2i_cost *cost, const void *secret,
	       size_t secret_len, const void *salt, size_t salt_len,
	       uint8_t *out, size_t out_len);

#endif
