/* SPDX-License-Identifier: BSD-3-Clause
 * secret.h - wiping, constant-time comparison and randomness
 */
#ifndef CORE_CRYPTO_SECRET_H
#define CORE_CRYPTO_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Call once before any other function of core/crypto; 0 or -EIO. Idempotent
 * and thread-safe. */
int ts_crypto_init(void);
void ts_wipe(void *data, size_t len);
/* Wipes and frees a NUL-terminated heap string; NULL is fine. */
void ts_wipe_free_text(char *text);
bool ts_secret_equal(const void *a, const void *b, size_t len);
void ts_random_bytes(void *out, size_t len);
uint32_t ts_random_u32(void);
uint64_t ts_random_u64(void); /* the seed of a hash table, say */
/* Uniform in 0..bound-1; bound > 0. */
uint32_t ts_random_below(uint32_t bound);

#endif
