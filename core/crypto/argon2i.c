/* SPDX-License-Identifier: BSD-3-Clause
 * argon2i.c - Argon2i, version 0x13 (RFC 9106)
 *
 * Memory is a matrix of blocks of 1 KiB, a row for each lane. Every block is
 * the compression G of the one before it in its lane and of another one, whose
 * place does not depend on the secret ("i"): places come in blocks of
 * addresses, made by G from a counter. A lane is filled in four slices; other
 * lanes' blocks are taken from finished slices only, so that the lanes could
 * run at once. Here they run one after the other.
 * The names are the RFC's.
 */
#include "core/crypto/argon2i.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/crypto/secret.h"

enum {
	VERSION = 0x13,
	TYPE_I = 1,
	SLICES = 4,
	BLOCK_BYTES = 1024,
	BLOCK_WORDS = 128,
	H0_BYTES = 64,
	HASH_BYTES = 64, /* BLAKE2b at its longest */
	HASH_HALF = 32,
	MEMORY_MIN_PER_LANE = 8,
};

struct block {
	uint64_t words[BLOCK_WORDS];
};

struct argon2i {
	struct ts_argon2i_cost cost;
	uint32_t lane_len, slice_len; /* in blocks */
	struct block *blocks;
};

/* Where the block that is being made lies. */
struct place {
	uint32_t pass, lane, slice;
};

static void update_le32(crypto_generichash_state *s, uint32_t v)
{
	uint32_t le = htole32(v);

	crypto_generichash_update(s, (const uint8_t *)&le, sizeof(le));
}

/* H': BLAKE2b of any length (RFC 9106, 3.3). */
static void long_hash(uint8_t *out, size_t out_len, const uint8_t *in,
		      size_t in_len)
{
	uint8_t v[HASH_BYTES];
	crypto_generichash_state s;
	size_t first = out_len < HASH_BYTES ? out_len : HASH_BYTES;

	crypto_generichash_init(&s, NULL, 0, first);
	update_le32(&s, (uint32_t)out_len);
	crypto_generichash_update(&s, in, in_len);
	crypto_generichash_final(&s, v, first);
	while (out_len > HASH_BYTES) {
		memcpy(out, v, HASH_HALF);
		out += HASH_HALF;
		out_len -= HASH_HALF;
		first = out_len < HASH_BYTES ? out_len : HASH_BYTES;
		crypto_generichash(v, first, v, HASH_BYTES, NULL, 0);
	}
	memcpy(out, v, out_len);
	ts_wipe(v, sizeof(v));
	ts_wipe(&s, sizeof(s));
}

/* -- the compression G (3.5, 3.6) ----------------------------------------- */

static uint64_t rotate(uint64_t v, unsigned by)
{
	return v >> by | v << (64 - by);
}

static uint64_t multiply_add(uint64_t a, uint64_t b)
{
	return a + b + 2 * (uint64_t)(uint32_t)a * (uint32_t)b;
}

static void quarter(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d)
{
	*a = multiply_add(*a, *b);
	*d = rotate(*d ^ *a, 32);
	*c = multiply_add(*c, *d);
	*b = rotate(*b ^ *c, 24);
	*a = multiply_add(*a, *b);
	*d = rotate(*d ^ *a, 16);
	*c = multiply_add(*c, *d);
	*b = rotate(*b ^ *c, 63);
}

/* P, over 8 registers of two words each: the words at w + i * step. */
static void permute(uint64_t *w, size_t step)
{
	uint64_t *v[16];

	for (size_t i = 0; i < 8; i++) {
		v[2 * i] = w + i * step;
		v[2 * i + 1] = w + i * step + 1;
	}
	for (size_t i = 0; i < 4; i++)
		quarter(v[i], v[4 + i], v[8 + i], v[12 + i]);
	for (size_t i = 0; i < 4; i++)
		quarter(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4],
			v[12 + (i + 3) % 4]);
}

/* out = G(x, y), or out ^= G(x, y). out may be neither x nor y. */
static void compress(struct block *out, const struct block *x,
		     const struct block *y, int onto)
{
	struct block r, q;

	for (size_t i = 0; i < BLOCK_WORDS; i++)
		r.words[i] = x->words[i] ^ y->words[i];
	q = r;
	for (size_t row = 0; row < 8; row++)
		permute(q.words + 16 * row, 2);
	for (size_t column = 0; column < 8; column++)
		permute(q.words + 2 * column, 16);
	for (size_t i = 0; i < BLOCK_WORDS; i++)
		out->words[i] = (onto ? out->words[i] : 0) ^ q.words[i] ^
				r.words[i];
}

/* -- which block is taken (3.4) ------------------------------------------- */

/* The n-th word of addresses for this slice; block holds the present 128. */
static uint64_t next_address(const struct argon2i *a, const struct place *at,
			     uint32_t n, struct block *input,
			     struct block *block)
{
	static const struct block zero;
	struct block once;

	if (n % BLOCK_WORDS != 0 && input->words[6] != 0)
		return block->words[n % BLOCK_WORDS];
	input->words[0] = at->pass;
	input->words[1] = at->lane;
	input->words[2] = at->slice;
	input->words[3] = (uint64_t)a->lane_len * a->cost.lanes;
	input->words[4] = a->cost.passes;
	input->words[5] = TYPE_I;
	input->words[6]++;
	compress(&once, &zero, input, 0);
	compress(block, &zero, &once, 0);
	return block->words[n % BLOCK_WORDS];
}

/* How many blocks of that lane may be taken; *start: the first of them. */
static uint32_t window(const struct argon2i *a, const struct place *at,
		       uint32_t index, int same_lane, uint32_t *start)
{
	uint32_t finished = at->pass ? a->lane_len - a->slice_len
				     : at->slice * a->slice_len;
	uint32_t size = finished;

	if (same_lane)
		size += index - 1;
	else if (index == 0)
		size--;
	*start = at->pass && at->slice != SLICES - 1
			 ? (at->slice + 1) * a->slice_len
			 : 0;
	return size;
}

static const struct block *taken(const struct argon2i *a,
				 const struct place *at, uint32_t index,
				 uint64_t address)
{
	uint32_t j1 = (uint32_t)address, j2 = (uint32_t)(address >> 32);
	uint32_t lane = at->pass == 0 && at->slice == 0
				? at->lane
				: j2 % a->cost.lanes;
	uint32_t start, size = window(a, at, index, lane == at->lane, &start);
	uint64_t x = (uint64_t)j1 * j1 >> 32;
	uint64_t y = size * x >> 32;
	uint64_t z = size - 1 - y;

	return &a->blocks[(size_t)lane * a->lane_len +
			  (start + z) % a->lane_len];
}

static void fill_slice(struct argon2i *a, const struct place *at)
{
	struct block *lane = a->blocks + (size_t)at->lane * a->lane_len;
	uint32_t index = at->pass == 0 && at->slice == 0 ? 2 : 0;
	struct block input = {{0}}, addresses;

	for (; index < a->slice_len; index++) {
		uint32_t place = at->slice * a->slice_len + index;
		uint32_t before = place ? place - 1 : a->lane_len - 1;
		uint64_t address =
			next_address(a, at, index, &input, &addresses);

		compress(&lane[place], &lane[before],
			 taken(a, at, index, address), at->pass > 0);
	}
}

/* -- the whole (3.2) ------------------------------------------------------ */

static void first_hash(const struct argon2i *a, size_t out_len,
		       const void *secret, size_t secret_len, const void *salt,
		       size_t salt_len, uint8_t h0[static H0_BYTES])
{
	crypto_generichash_state s;

	crypto_generichash_init(&s, NULL, 0, H0_BYTES);
	update_le32(&s, a->cost.lanes);
	update_le32(&s, (uint32_t)out_len);
	update_le32(&s, a->cost.memory_kib);
	update_le32(&s, a->cost.passes);
	update_le32(&s, VERSION);
	update_le32(&s, TYPE_I);
	update_le32(&s, (uint32_t)secret_len);
	crypto_generichash_update(&s, secret, secret_len);
	update_le32(&s, (uint32_t)salt_len);
	crypto_generichash_update(&s, salt, salt_len);
	update_le32(&s, 0); /* no key */
	update_le32(&s, 0); /* no associated data */
	crypto_generichash_final(&s, h0, H0_BYTES);
	ts_wipe(&s, sizeof(s));
}

static void start_lane(struct argon2i *a, uint32_t lane,
		       const uint8_t h0[static H0_BYTES])
{
	uint8_t seed[H0_BYTES + 8], bytes[BLOCK_BYTES];
	uint32_t le_lane = htole32(lane);

	memcpy(seed, h0, H0_BYTES);
	memcpy(seed + H0_BYTES + 4, &le_lane, sizeof(le_lane));
	for (uint32_t i = 0; i < 2; i++) {
		struct block *to = &a->blocks[(size_t)lane * a->lane_len + i];
		uint32_t le_i = htole32(i);

		memcpy(seed + H0_BYTES, &le_i, sizeof(le_i));
		long_hash(bytes, sizeof(bytes), seed, sizeof(seed));
		memcpy(to->words, bytes, sizeof(bytes));
		for (size_t k = 0; k < BLOCK_WORDS; k++)
			to->words[k] = le64toh(to->words[k]);
	}
	ts_wipe(seed, sizeof(seed));
	ts_wipe(bytes, sizeof(bytes));
}

static void fill(struct argon2i *a)
{
	struct place at;

	for (at.pass = 0; at.pass < a->cost.passes; at.pass++)
		for (at.slice = 0; at.slice < SLICES; at.slice++)
			for (at.lane = 0; at.lane < a->cost.lanes; at.lane++)
				fill_slice(a, &at);
}

static void finish(const struct argon2i *a, uint8_t *out, size_t out_len)
{
	struct block sum = {{0}};

	for (uint32_t lane = 0; lane < a->cost.lanes; lane++) {
		const struct block *last =
			&a->blocks[(size_t)(lane + 1) * a->lane_len - 1];

		for (size_t i = 0; i < BLOCK_WORDS; i++)
			sum.words[i] ^= last->words[i];
	}
	for (size_t i = 0; i < BLOCK_WORDS; i++)
		sum.words[i] = htole64(sum.words[i]);
	long_hash(out, out_len, (const uint8_t *)sum.words, sizeof(sum.words));
	ts_wipe(&sum, sizeof(sum));
}

int ts_argon2i(const struct ts_argon2i_cost *cost, const void *secret,
	       size_t secret_len, const void *salt, size_t salt_len,
	       uint8_t *out, size_t out_len)
{
	struct argon2i a = {.cost = *cost};
	uint8_t h0[H0_BYTES];
	size_t size;

	if (cost->lanes == 0 || cost->passes == 0 || out_len < 4 ||
	    out_len > TS_ARGON2I_OUT_MAX ||
	    cost->memory_kib / cost->lanes < MEMORY_MIN_PER_LANE)
		return -EINVAL;
	a.slice_len = cost->memory_kib / (SLICES * cost->lanes);
	a.lane_len = a.slice_len * SLICES;
	size = (size_t)a.lane_len * cost->lanes * sizeof(struct block);
	a.blocks = malloc(size);
	if (!a.blocks)
		return -ENOMEM;
	first_hash(&a, out_len, secret, secret_len, salt, salt_len, h0);
	for (uint32_t lane = 0; lane < cost->lanes; lane++)
		start_lane(&a, lane, h0);
	fill(&a);
	finish(&a, out, out_len);
	ts_wipe(h0, sizeof(h0));
	ts_wipe(a.blocks, size);
	free(a.blocks);
	return 0;
}
