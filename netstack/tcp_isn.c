/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_isn.c - initial sequence numbers (RFC 6528)
 *
 * The clock M runs at one step in 64 ns as Linux's does, not RFC 793's 4 us: a
 * connection that moved data faster than 250 KB/s would otherwise leave its
 * numbers ahead of the clock, and its tuple could not be used again while the
 * far end is in TIME-WAIT.
 */
#include "netstack/tcp_isn.h"

#include "core/crypto/blake2s.h"

enum { STEPS_PER_MS = 1000000 / 64 };

uint32_t stack_isn(const uint8_t key[static STACK_ISN_KEY_LEN],
		   const void *tuple, size_t tuple_len, uint64_t now_ms)
{
	uint8_t hash[4];

	ts_blake2s(hash, sizeof(hash), key, STACK_ISN_KEY_LEN, tuple,
		   tuple_len);
	return ((uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 |
		(uint32_t)hash[2] << 8 | hash[3]) +
	       (uint32_t)(now_ms * STEPS_PER_MS);
}
