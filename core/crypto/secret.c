/* SPDX-License-Identifier: BSD-3-Clause
 * secret.c - wiping, constant-time comparison and randomness, by libsodium
 *
 * The one place where the node asks for randomness. libsodium reads
 * getrandom(2) for each request and keeps no pool in user space, so nothing
 * repeats after a fork.
 */
#include "core/crypto/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

int ts_crypto_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void ts_wipe(void *data, size_t len)
{
	sodium_memzero(data, len);
}

void ts_wipe_free_text(char *text)
{
	if (!text)
		return;
	sodium_memzero(text, strlen(text));
	free(text);
}

bool ts_secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void ts_random_bytes(void *out, size_t len)
{
	randombytes_buf(out, len);
}

uint32_t ts_random_u32(void)
{
	return randombytes_random();
}

uint64_t ts_random_u64(void)
{
	uint64_t value;

	randombytes_buf(&value, sizeof(value));
	return value;
}

uint32_t ts_random_below(uint32_t bound)
{
	return randombytes_uniform(bound);
}
