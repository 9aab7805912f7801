/* SPDX-License-Identifier: BSD-3-Clause
 * qr_code.c - a QR code of a short text, for a terminal
 *
 *   text -> bits: mode, length, bytes, padding
 *        -> blocks, each with Reed-Solomon codewords over GF(256)
 *        -> interleaved, laid in a zigzag around the fixed patterns
 *        -> masked by the one of eight masks that is punished least
 */
#include "core/base/qr_code.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	VERSIONS = 10,
	CODEWORDS_MAX = 346,
	EC_MAX = 26,
	MODE_BYTES = 4,
	FIELD_POLYNOMIAL = 0x11d,
	FORMAT_GENERATOR = 0x537,
	FORMAT_MASK = 0x5412,
	VERSION_GENERATOR = 0x1f25,
	FIRST_WITH_VERSION = 7, /* that says in the code which it is */
	FIRST_WITH_LONG_LENGTH = 10,
	MASKS = 8,
};

/* Level M. short_data: data bytes of the first blocks; the last ones have one
 * more each. */
static const struct layout {
	uint8_t ec, blocks, short_data, long_blocks;
	uint8_t align[3]; /* centres of alignment patterns, 0: none */
} layouts[VERSIONS + 1] = {
	[1] = {10, 1, 16, 0, {0}},	    [2] = {16, 1, 28, 0, {6, 18}},
	[3] = {26, 1, 44, 0, {6, 22}},	    [4] = {18, 2, 32, 0, {6, 26}},
	[5] = {24, 2, 43, 0, {6, 30}},	    [6] = {16, 4, 27, 0, {6, 34}},
	[7] = {18, 4, 31, 0, {6, 22, 38}},  [8] = {22, 4, 38, 2, {6, 24, 42}},
	[9] = {22, 5, 36, 2, {6, 26, 46}},  [10] = {26, 5, 43, 1, {6, 28, 50}},
};

struct drawing {
	struct ts_qr qr;
	int version;
	bool fixed[TS_QR_SIZE_MAX][TS_QR_SIZE_MAX]; /* not data */
};

/* -- codewords ------------------------------------------------------------ */

struct bits {
	uint8_t bytes[CODEWORDS_MAX];
	size_t count; /* bits */
};

static void put(struct bits *bits, unsigned value, int width)
{
	for (int i = width - 1; i >= 0; i--, bits->count++)
		if (value >> i & 1)
			bits->bytes[bits->count / 8] |=
				(uint8_t)(0x80 >> bits->count % 8);
}

static size_t data_len(const struct layout *l)
{
	return (size_t)l->blocks * l->short_data + l->long_blocks;
}

static int length_bits(int version)
{
	return version < FIRST_WITH_LONG_LENGTH ? 8 : 16;
}

static int choose_version(size_t len)
{
	for (int v = 1; v <= VERSIONS; v++)
		if (4 + (size_t)length_bits(v) + 8 * len <=
		    8 * data_len(&layouts[v]))
			return v;
	return 0;
}

static void write_data(struct bits *bits, const char *text, size_t len,
		       int version)
{
	size_t room = 8 * data_len(&layouts[version]);

	put(bits, MODE_BYTES, 4);
	put(bits, (unsigned)len, length_bits(version));
	for (size_t i = 0; i < len; i++)
		put(bits, (unsigned char)text[i], 8);
	for (int i = 0; i < 4 && bits->count < room; i++)
		put(bits, 0, 1);
	while (bits->count % 8)
		put(bits, 0, 1);
	for (unsigned pad = 0xec; bits->count < room; pad ^= 0xec ^ 0x11)
		put(bits, pad, 8);
}

static uint8_t multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0;

	for (int i = 7; i >= 0; i--) {
		product = product << 1 ^
			  (product & 0x80 ? FIELD_POLYNOMIAL : 0);
		product ^= b >> i & 1 ? a : 0u;
	}
	return (uint8_t)product;
}

/* (x - 1)(x - 2)(x - 4)..., without its first coefficient */
static void make_generator(size_t degree, uint8_t out[static EC_MAX])
{
	uint8_t root = 1;

	memset(out, 0, EC_MAX);
	out[degree - 1] = 1;
	for (size_t i = 0; i < degree; i++) {
		for (size_t k = 0; k < degree; k++) {
			out[k] = multiply(out[k], root);
			if (k + 1 < degree)
				out[k] ^= out[k + 1];
		}
		root = multiply(root, 2);
	}
}

static void correction(const uint8_t *data, size_t len,
		       const uint8_t *generator, size_t degree,
		       uint8_t out[static EC_MAX])
{
	memset(out, 0, EC_MAX);
	for (size_t i = 0; i < len; i++) {
		uint8_t factor = data[i] ^ out[0];

		memmove(out, out + 1, degree - 1);
		out[degree - 1] = 0;
		for (size_t k = 0; k < degree; k++)
			out[k] ^= multiply(generator[k], factor);
	}
}

static size_t block_len(const struct layout *l, size_t block)
{
	return l->short_data +
	       (block >= (size_t)(l->blocks - l->long_blocks) ? 1u : 0u);
}

/* One byte of each block in turn: the data, then what corrects it. */
static size_t interleave(const struct layout *l, const uint8_t *data,
			 uint8_t out[static CODEWORDS_MAX])
{
	uint8_t generator[EC_MAX], ec[EC_MAX];
	size_t ec_start = data_len(l), block_start = 0;

	make_generator(l->ec, generator);
	for (size_t b = 0; b < l->blocks; b++) {
		size_t len = block_len(l, b);
		size_t extra = l->blocks - l->long_blocks;

		for (size_t i = 0; i < len; i++) {
			/* Only the last blocks have a byte in the last row. */
			size_t at = i < l->short_data ? i * l->blocks + b
						      : i * l->blocks + b -
								extra;

			out[at] = data[block_start + i];
		}
		correction(data + block_start, len, generator, l->ec, ec);
		for (size_t i = 0; i < l->ec; i++)
			out[ec_start + i * l->blocks + b] = ec[i];
		block_start += len;
	}
	return ec_start + (size_t)l->ec * l->blocks;
}

/* -- fixed patterns ------------------------------------------------------- */

static void set_fixed(struct drawing *d, int x, int y, bool is_dark)
{
	if (x < 0 || y < 0 || x >= d->qr.size || y >= d->qr.size)
		return;
	d->qr.dark[y][x] = is_dark;
	d->fixed[y][x] = true;
}

/* Squares in each other around a centre; light rings at the given distances. */
static void draw_square(struct drawing *d, int cx, int cy, int radius,
			int light1, int light2)
{
	for (int dy = -radius; dy <= radius; dy++) {
		for (int dx = -radius; dx <= radius; dx++) {
			int ring = abs(dx) > abs(dy) ? abs(dx) : abs(dy);

			set_fixed(d, cx + dx, cy + dy,
				  ring != light1 && ring != light2);
		}
	}
}

static void draw_alignment(struct drawing *d)
{
	const uint8_t *at = layouts[d->version].align;
	int last = d->qr.size - 7;

	for (int i = 0; i < 3 && at[i]; i++) {
		for (int k = 0; k < 3 && at[k]; k++) {
			bool is_corner = (at[i] == 6 && at[k] == 6) ||
					 (at[i] == 6 && at[k] == last) ||
					 (at[i] == last && at[k] == 6);

			if (!is_corner)
				draw_square(d, at[i], at[k], 2, 1, -1);
		}
	}
}

/* The remainder of value * x^degree by the generator, behind value. */
static unsigned with_remainder(unsigned value, unsigned generator, int degree)
{
	unsigned rest = value;

	for (int i = 0; i < degree; i++)
		rest = rest << 1 ^ (rest >> (degree - 1) & 1 ? generator : 0);
	return value << degree | (rest & ((1u << degree) - 1));
}

/* Level M is 00. The same bits twice, around the corners. */
static void draw_format(struct drawing *d, int mask)
{
	unsigned bits = with_remainder((unsigned)mask, FORMAT_GENERATOR, 10) ^
			FORMAT_MASK;
	int last = d->qr.size - 1;

	for (int i = 0; i < 15; i++) {
		bool is_dark = bits >> i & 1;

		if (i < 6)
			set_fixed(d, 8, i, is_dark);
		else if (i < 8)
			set_fixed(d, 8, i + 1, is_dark);
		else if (i == 8)
			set_fixed(d, 7, 8, is_dark);
		else
			set_fixed(d, 14 - i, 8, is_dark);
		if (i < 8)
			set_fixed(d, last - i, 8, is_dark);
		else
			set_fixed(d, 8, last - 14 + i, is_dark);
	}
	set_fixed(d, 8, last - 7, true);
}

static void draw_version(struct drawing *d)
{
	unsigned bits = with_remainder((unsigned)d->version, VERSION_GENERATOR,
				       12);

	for (int i = 0; d->version >= FIRST_WITH_VERSION && i < 18; i++) {
		int near = i / 3, far = d->qr.size - 11 + i % 3;

		set_fixed(d, near, far, bits >> i & 1);
		set_fixed(d, far, near, bits >> i & 1);
	}
}

static void draw_fixed(struct drawing *d)
{
	int size = d->qr.size;

	for (int i = 0; i < size; i++) {
		set_fixed(d, 6, i, i % 2 == 0);
		set_fixed(d, i, 6, i % 2 == 0);
	}
	draw_square(d, 3, 3, 4, 2, 4);
	draw_square(d, size - 4, 3, 4, 2, 4);
	draw_square(d, 3, size - 4, 4, 2, 4);
	draw_alignment(d);
	draw_version(d);
	draw_format(d, 0); /* to keep the place */
}

/* -- data ----------------------------------------------------------------- */

/* Columns of two, from the right, upwards and downwards in turn. */
static void draw_data(struct drawing *d, const uint8_t *codewords, size_t len)
{
	int size = d->qr.size;
	size_t bit = 0;
	bool is_up = true;

	for (int right = size - 1; right > 0; right -= 2, is_up = !is_up) {
		if (right == 6)
			right = 5; /* the timing pattern's column */
		for (int i = 0; i < 2 * size; i++) {
			int x = right - i % 2;
			int y = is_up ? size - 1 - i / 2 : i / 2;

			if (d->fixed[y][x])
				continue;
			d->qr.dark[y][x] =
				bit < 8 * len &&
				codewords[bit / 8] >> (7 - bit % 8) & 1;
			bit++;
		}
	}
}

static bool is_masked(int mask, int x, int y)
{
	switch (mask) {
	case 0:
		return (x + y) % 2 == 0;
	case 1:
		return y % 2 == 0;
	case 2:
		return x % 3 == 0;
	case 3:
		return (x + y) % 3 == 0;
	case 4:
		return (x / 3 + y / 2) % 2 == 0;
	case 5:
		return x * y % 2 + x * y % 3 == 0;
	case 6:
		return (x * y % 2 + x * y % 3) % 2 == 0;
	default:
		return ((x + y) % 2 + x * y % 3) % 2 == 0;
	}
}

static void apply_mask(struct drawing *d, int mask)
{
	for (int y = 0; y < d->qr.size; y++)
		for (int x = 0; x < d->qr.size; x++)
			if (!d->fixed[y][x] && is_masked(mask, x, y))
				d->qr.dark[y][x] = !d->qr.dark[y][x];
}

/* -- the choice of a mask ------------------------------------------------- */

static bool dark_at(const struct ts_qr *qr, int line, int i, bool by_column)
{
	return by_column ? qr->dark[i][line] : qr->dark[line][i];
}

/* Five or more of one colour in a row. */
static int punish_runs(const struct ts_qr *qr, int line, bool by_column)
{
	int run = 1, points = 0;

	for (int i = 1; i <= qr->size; i++) {
		if (i < qr->size && dark_at(qr, line, i, by_column) ==
					    dark_at(qr, line, i - 1,
						    by_column)) {
			run++;
			continue;
		}
		points += run >= 5 ? run - 2 : 0;
		run = 1;
	}
	return points;
}

/* What looks like the corner patterns: 1:1:3:1:1 with four light ones. */
static int punish_lookalikes(const struct ts_qr *qr, int line, bool by_column)
{
	enum { BEFORE = 0x05d, AFTER = 0x5d0, WINDOW = 0x7ff };
	unsigned seen = 0;
	int points = 0;

	for (int i = 0; i < qr->size; i++) {
		seen = (seen << 1 | dark_at(qr, line, i, by_column)) & WINDOW;
		if (i >= 10 && (seen == BEFORE || seen == AFTER))
			points += 40;
	}
	return points;
}

static int punish_squares(const struct ts_qr *qr)
{
	int points = 0;

	for (int y = 1; y < qr->size; y++)
		for (int x = 1; x < qr->size; x++)
			if (qr->dark[y][x] == qr->dark[y - 1][x] &&
			    qr->dark[y][x] == qr->dark[y][x - 1] &&
			    qr->dark[y][x] == qr->dark[y - 1][x - 1])
				points += 3;
	return points;
}

static int punish_balance(const struct ts_qr *qr)
{
	int dark = 0, all = qr->size * qr->size;

	for (int y = 0; y < qr->size; y++)
		for (int x = 0; x < qr->size; x++)
			dark += qr->dark[y][x];
	return abs(dark * 20 - all * 10) / all * 10;
}

static int punish(const struct ts_qr *qr)
{
	int points = punish_squares(qr) + punish_balance(qr);

	for (int line = 0; line < qr->size; line++)
		for (int by_column = 0; by_column < 2; by_column++)
			points += punish_runs(qr, line, by_column) +
				  punish_lookalikes(qr, line, by_column);
	return points;
}

static void choose_mask(struct drawing *d)
{
	int best = 0, least = 0;

	for (int mask = 0; mask < MASKS; mask++) {
		int points;

		apply_mask(d, mask);
		draw_format(d, mask);
		points = punish(&d->qr);
		apply_mask(d, mask); /* and off again */
		if (mask == 0 || points < least) {
			best = mask;
			least = points;
		}
	}
	apply_mask(d, best);
	draw_format(d, best);
}

int ts_qr_encode(const char *text, struct ts_qr *out)
{
	struct drawing d = {0};
	struct bits bits = {0};
	uint8_t codewords[CODEWORDS_MAX] = {0};
	size_t len = strlen(text);

	d.version = choose_version(len);
	if (!d.version)
		return -EMSGSIZE;
	d.qr.size = 17 + 4 * d.version;
	write_data(&bits, text, len, d.version);
	draw_fixed(&d);
	draw_data(&d, codewords,
		  interleave(&layouts[d.version], bits.bytes, codewords));
	choose_mask(&d);
	*out = d.qr;
	return 0;
}

/* -- drawing -------------------------------------------------------------- */

static bool is_light(const struct ts_qr *qr, int x, int y)
{
	return x < 0 || y < 0 || x >= qr->size || y >= qr->size ||
	       !qr->dark[y][x];
}

void ts_qr_draw(const struct ts_qr *qr, bool has_utf8,
		void (*fn)(void *ctx, const char *line), void *ctx)
{
	/* by upper and lower half: light ones are drawn, dark is ground */
	static const char *const blocks[2][2] = {{" ", "\u2584"},
						 {"\u2580", "\u2588"}};
	int end = qr->size + TS_QR_MARGIN;

	for (int y = -TS_QR_MARGIN; y < end; y += has_utf8 ? 2 : 1) {
		char line[TS_QR_LINE_CAP];
		size_t len = 0;

		for (int x = -TS_QR_MARGIN; x < end; x++) {
			bool upper = is_light(qr, x, y);
			bool lower = y + 1 < end && is_light(qr, x, y + 1);

			len += (size_t)snprintf(
				line + len, sizeof(line) - len, "%s",
				has_utf8 ? blocks[upper][lower]
				: upper	 ? "##"
					 : "  ");
		}
		fn(ctx, line);
	}
}
