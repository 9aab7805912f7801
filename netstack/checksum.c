/* SPDX-License-Identifier: BSD-3-Clause
 * checksum.c - the Internet checksum (RFC 1071) over flat memory
 *
 * The sum is the same in any word size and, but for a final swap, in any byte
 * order (RFC 1071 section 2). So the bulk is added as 32-bit words into 64-bit
 * lanes, which never overflow below 16 GB. lwIP's own loop took more than half
 * of its time per byte.
 */
#include "netstack/checksum.h"

#include <endian.h>
#include <string.h>

/* GCC's vectors: two or four SIMD registers, or plain words where there are
 * none. */
typedef uint64_t lanes __attribute__((vector_size(32)));
enum { LANES = 4, BLOCK = 2 * sizeof(lanes) };

static uint64_t fold_to_32(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	return (sum & 0xffffffffu) + (sum >> 32);
}

static uint32_t fold_to_16(uint64_t sum)
{
	sum = fold_to_32(sum);
	sum = (sum & 0xffffu) + (sum >> 16);
	sum = (sum & 0xffffu) + (sum >> 16);
	return (uint32_t)((sum & 0xffffu) + (sum >> 16));
}

/* Both halves of each 64-bit word into their own lanes. */
static inline __attribute__((always_inline)) uint64_t
sum_blocks_with(const uint8_t *at, size_t blocks)
{
	lanes low = {0}, high = {0};
	uint64_t sum = 0;

	for (size_t i = 0; i < blocks; i++, at += BLOCK) {
		lanes a, b;

		memcpy(&a, at, sizeof(a));
		memcpy(&b, at + sizeof(a), sizeof(b));
		low += (a & 0xffffffffu) + (b & 0xffffffffu);
		high += (a >> 32) + (b >> 32);
	}
	for (size_t k = 0; k < LANES; k++)
		sum += low[k] + high[k];
	return sum;
}

static uint64_t sum_blocks_plain(const uint8_t *at, size_t blocks)
{
	return sum_blocks_with(at, blocks);
}

#ifdef __x86_64__
/* The compiler's choice for all x86-64 machines has half of the width. */
static __attribute__((target("avx2"))) uint64_t
sum_blocks_avx2(const uint8_t *at, size_t blocks)
{
	return sum_blocks_with(at, blocks);
}

static uint64_t sum_blocks(const uint8_t *at, size_t blocks)
{
	return __builtin_cpu_supports("avx2") ? sum_blocks_avx2(at, blocks)
					      : sum_blocks_plain(at, blocks);
}
#else
static uint64_t sum_blocks(const uint8_t *at, size_t blocks)
{
	return sum_blocks_plain(at, blocks);
}
#endif

/* In host byte order of 16-bit words. */
static uint32_t sum_native(const uint8_t *at, size_t len)
{
	size_t blocks = len / BLOCK;
	uint64_t sum = sum_blocks(at, blocks);

	at += blocks * BLOCK;
	for (len -= blocks * BLOCK; len >= 2; len -= 2, at += 2) {
		uint16_t word;

		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	if (len) {
		uint8_t last[2] = {*at, 0};
		uint16_t word;

		memcpy(&word, last, sizeof(word));
		sum += word;
	}
	return fold_to_16(sum);
}

uint32_t stack_sum(const void *data, size_t len)
{
	return len ? be16toh((uint16_t)sum_native(data, len)) : 0;
}

uint32_t stack_sum_pseudo(const struct ts_ip *src, const struct ts_ip *dst,
			  uint8_t proto, size_t len)
{
	size_t skip = ts_ip_is_v4(src) ? 12 : 0;
	uint32_t sum = stack_sum(src->bytes + skip, TS_IP_LEN - skip);

	sum += stack_sum(dst->bytes + skip, TS_IP_LEN - skip);
	return sum + proto + (uint32_t)(len >> 16) + (uint32_t)(len & 0xffff);
}

uint16_t stack_sum_finish(uint32_t sum)
{
	return (uint16_t)~fold_to_16(sum);
}

/* lwIP's hook: it wants the sum in memory order. */
uint16_t stack_lwip_checksum(const void *data, int len);
uint16_t stack_lwip_checksum(const void *data, int len)
{
	return len > 0 ? (uint16_t)sum_native(data, (size_t)len) : 0;
}
